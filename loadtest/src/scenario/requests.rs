//! How many of a backend's questions are answered a second: who is there in a channel, and what it keeps.
//!
//! Invariant: every answer is read and tells of as many as there are, or there is no result.

use super::{Failed, in_turns, note_faults};
use crate::clock;
use crate::dialect::Question;
use crate::line::Line;
use crate::poster::{Single, Source};
use crate::procfs;
use crate::report::Report;
use crate::stage::{Common, Shape, Stage, System};
use crate::stamp;
use crate::stats::Times;
use clap::Args;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

/// Options.
#[derive(Args, Clone, Debug)]
pub struct Requests {
    #[command(flatten)]
    pub common: Common,
    /// Connections that ask, each again when it is answered; several sizes separated by commas are measured one after another
    #[arg(long, short = 'n', value_delimiter = ',', default_values_t = [8])]
    pub connections: Vec<u32>,
    /// Channels, asked in turn
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub channels: u32,
    /// Clients in each channel
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub subscribers: u32,
    /// Messages in each channel's history
    #[arg(long, short = 'm', default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub messages: u32,
    /// Seconds for each of the two questions
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub seconds: u32,
}

/// A question, of how many its answer has to tell, and what it is called in reports.
struct Asked {
    question: Question,
    told: usize,
    answers: &'static str,
    p50: &'static str,
    p99: &'static str,
    cpu: &'static str,
    redis: &'static str,
    times: &'static str,
}

impl Requests {
    fn asked(&self) -> [Asked; 2] {
        [
            Asked {
                question: Question::Presence,
                told: self.subscribers as usize,
                answers: "presence, answers/s",
                p50: "presence p50, ms",
                p99: "presence p99, ms",
                cpu: "CPU per presence, µs",
                redis: "CPU of Redis per presence, µs",
                times: "presence answered",
            },
            Asked {
                question: Question::History,
                told: self.messages as usize,
                answers: "history, answers/s",
                p50: "history p50, ms",
                p99: "history p99, ms",
                cpu: "CPU per history, µs",
                redis: "CPU of Redis per history, µs",
                times: "history answered",
            },
        ]
    }
}

/// Measures, prints, writes.
///
/// # Errors
/// When the first system cannot be measured, or an answer is wrong.
pub fn run(o: &Requests) -> Result<(), Failed> {
    // The floor keeps nothing that could be asked for.
    let common = Common {
        no_floor: true,
        ..o.common.clone()
    };
    let stage = Stage::set(&common)?;
    let mut report = Report::new("requests", "connections");
    in_turns(&stage, &mut report, &o.connections, |r, system, n| {
        leg(&stage, o, r, system, n)
    })?;
    Ok(report.publish(&o.common)?)
}

fn leg(stage: &Stage, o: &Requests, r: &mut Report, system: &System, n: u32) -> Result<(), Failed> {
    if !system.dialect.keeps() {
        return Err(Failed::Wrong(
            "only centrifugo1 and centrifugo can be asked who is there, and what was published"
                .into(),
        ));
    }
    let plan = stage.plan(
        system,
        Shape {
            clients: o.channels * o.subscribers,
            channels: o.channels,
            per_client: 1,
        },
    );
    let (mut workers, _) = stage.raise(system, &plan)?;
    let source = stage.source(system, &plan);
    let mut poster = Single::new(source.clone());
    for channel in (0..o.messages).flat_map(|_| 0..o.channels) {
        poster.post(channel).map_err(Failed::Post)?;
    }
    for asked in o.asked() {
        settled(&source, o, &asked)?;
        measure(stage, &source, o, r, (system, n), &asked)?;
    }
    note_faults(r, &system.name, &workers.report()?);
    drop(workers);
    sleep(Duration::from_secs(1)); // the server cleans up
    Ok(())
}

/// Waits until every channel has told of all: a server may answer a client before others can see it.
fn settled(source: &Source, o: &Requests, asked: &Asked) -> Result<(), Failed> {
    let (mut line, until) = (Line::new(0), Instant::now() + source.timeout);
    for channel in 0..o.channels {
        while let Err(why) = ask(source, &mut line, o, asked, channel) {
            if Instant::now() > until {
                return Err(why);
            }
            sleep(Duration::from_millis(50));
        }
    }
    Ok(())
}

fn ask(
    source: &Source,
    line: &mut Line,
    o: &Requests,
    asked: &Asked,
    channel: u32,
) -> Result<(), Failed> {
    let channel = stamp::repo(source.run, channel);
    let answer = line
        .ask(&source.targets, source.timeout, |target, out| {
            let dialect = source.dialect;
            dialect.ask(target, asked.question, &channel, o.messages, out);
        })
        .map_err(Failed::Wrong)?;
    let told = asked.question.told(&answer.body);
    if answer.status == 200 && told == asked.told {
        return Ok(());
    }
    Err(Failed::Wrong(format!(
        "{}: answered {}, with {told} of {}",
        asked.times, answer.status, asked.told
    )))
}

fn measure(
    stage: &Stage,
    source: &Source,
    o: &Requests,
    r: &mut Report,
    (system, n): (&System, u32),
    asked: &Asked,
) -> Result<(), Failed> {
    let redis = &stage.common.redis_pid;
    let (before, carried) = (procfs::usage(&system.pids), procfs::usage(redis));
    let began = Instant::now();
    let until = began + Duration::from_secs(o.seconds.into());
    let times = scope(|s| {
        let asking: Vec<_> = (0..n)
            .map(|nth| s.spawn(move || over_and_over(source, o, asked, nth, until)))
            .collect();
        let mut all = Times::default();
        for thread in asking {
            let gone = |_| Failed::Wrong("a thread panicked".into());
            all.add(&thread.join().map_err(gone)??.pack());
        }
        Ok::<_, Failed>(all)
    })?;
    let took_s = began.elapsed().as_secs_f64();
    let (used, carried) = (
        procfs::usage(&system.pids) - before,
        procfs::usage(redis) - carried,
    );
    let (name, size, answers) = (&system.name, u64::from(n), times.count() as f64);
    r.add(asked.answers, size, name, answers / took_s);
    r.add(asked.p50, size, name, times.ms(50.0));
    r.add(asked.p99, size, name, times.ms(99.0));
    if !system.pids.is_empty() {
        r.add(asked.cpu, size, name, used.cpu_s * 1e6 / answers);
    }
    if !redis.is_empty() {
        r.add(asked.redis, size, name, carried.cpu_s * 1e6 / answers);
    }
    r.add_times(asked.times, size, name, &times);
    Ok(())
}

/// One connection's questions, beginning at another channel than the others.
fn over_and_over(
    source: &Source,
    o: &Requests,
    asked: &Asked,
    nth: u32,
    until: Instant,
) -> Result<Times, Failed> {
    let (mut line, mut times) = (Line::new(nth as usize), Times::default());
    for channel in (0..o.channels).cycle().skip((nth % o.channels) as usize) {
        if Instant::now() >= until {
            break;
        }
        let sent_ns = clock::now_ns();
        ask(source, &mut line, o, asked, channel)?;
        times.record(clock::us_between(sent_ns, clock::now_ns()));
    }
    Ok(times)
}
