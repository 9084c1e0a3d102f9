//! A herd that comes back: N clients that were all away connect at once, and each recovers the messages that it missed.
//!
//! Invariant: every client has every message once and in order, and is told so, or there is no result: times of a server that
//! leaves something out are not worth having.

use super::{Failed, in_turns, note_faults};
use crate::clock;
use crate::poster::Single;
use crate::procfs;
use crate::report::Report;
use crate::stage::{Common, Shape, Stage, System};
use crate::worker::control::LEFT;
use crate::workers::{self, Sum, Workers};
use clap::Args;
use std::thread::sleep;
use std::time::Duration;

/// Options.
#[derive(Args, Clone, Debug)]
pub struct Recover {
    #[command(flatten)]
    pub common: Common,
    /// Clients; several sizes separated by commas are measured one after another
    #[arg(long, short = 'n', value_delimiter = ',', default_values_t = [10_000])]
    pub clients: Vec<u32>,
    /// Messages that each misses; the server has to keep one more
    #[arg(long, short = 'm', default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub missed: u32,
    /// Channels that clients are spread over, one each
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub channels: u32,
}

/// Measures, prints, writes.
///
/// # Errors
/// When the first system cannot be measured, or does not give every client every message once and in order.
pub fn run(o: &Recover) -> Result<(), Failed> {
    // The floor keeps nothing.
    let common = Common {
        no_floor: true,
        ..o.common.clone()
    };
    let stage = Stage::set(&common)?;
    let mut report = Report::new("recover", "clients");
    in_turns(&stage, &mut report, &o.clients, |r, system, n| {
        leg(&stage, o, r, system, n)
    })?;
    Ok(report.publish(&o.common)?)
}

fn leg(stage: &Stage, o: &Recover, r: &mut Report, system: &System, n: u32) -> Result<(), Failed> {
    let mut plan = stage.plan(
        system,
        Shape {
            clients: n,
            channels: o.channels,
            per_client: 1,
        },
    );
    (plan.recover, plan.in_flight) = (true, o.common.in_flight.unwrap_or(0));
    let (mut workers, _) = stage.raise(system, &plan)?;
    let mut poster = Single::new(stage.source(system, &plan));
    // Who has had nothing cannot say what it had last.
    workers.mark(1)?;
    post(&mut poster, o.channels, 1)?;
    wait(&mut workers, stage)?;
    workers.leave()?;
    // The server notices.
    sleep(Duration::from_secs(2));
    post(&mut poster, o.channels, o.missed)?;
    workers.mark(o.missed.into())?;
    let redis = &stage.common.redis_pid;
    let (before, carried) = (procfs::usage(&system.pids), procfs::usage(redis));
    let began_ns = clock::now_ns();
    workers.come_back()?;
    let ended_ns = wait(&mut workers, stage)?;
    let (used, carried) = (
        procfs::usage(&system.pids) - before,
        procfs::usage(redis) - carried,
    );
    // What comes a second time comes behind it.
    sleep(Duration::from_millis(500));
    let mut sum = workers.report()?;
    sum.tally.ends.remove(LEFT);
    check(&sum, n, o.missed)?;
    let (name, size, each) = (&system.name, u64::from(n), f64::from(n));
    let took_s = clock::us_between(began_ns, ended_ns) as f64 / 1e6;
    r.add("all have all after, s", size, name, took_s);
    let messages = sum.tally.received as f64;
    r.add("messages recovered/s", size, name, messages / took_s);
    r.add("one client p50, ms", size, name, sum.subscribe.ms(50.0));
    r.add("one client p99, ms", size, name, sum.subscribe.ms(99.0));
    r.add("slowest client, ms", size, name, sum.subscribe.max_ms());
    if !system.pids.is_empty() {
        r.add("CPU per client, µs", size, name, used.cpu_s * 1e6 / each);
        r.add("growth of RSS, MiB", size, name, used.rss / 1048576.0);
    }
    if !redis.is_empty() {
        let per_client = carried.cpu_s * 1e6 / each;
        r.add("CPU of Redis per client, µs", size, name, per_client);
    }
    r.add_times("from connecting to recovered", size, name, &sum.subscribe);
    note_faults(r, name, &sum);
    drop(workers);
    sleep(Duration::from_secs(2)); // the server cleans up
    Ok(())
}

fn post(poster: &mut Single, channels: u32, each: u32) -> Result<(), Failed> {
    for _ in 0..each {
        for channel in 0..channels {
            poster.post(channel).map_err(Failed::Post)?;
        }
    }
    Ok(())
}

/// The time of the last receipt.
fn wait(workers: &mut Workers, stage: &Stage) -> Result<u64, Failed> {
    match workers.done(stage.timeout()) {
        Err(workers::Failed::Late(..)) => {
            let t = workers.report()?.tally;
            let ends: Vec<String> = t.ends.iter().map(|(why, n)| format!("{n} {why}")).collect();
            Err(Failed::Wrong(format!(
                "not all came: {} messages, {} clients subscribed, {} told that something may be missing; connections ended: {}",
                t.received,
                t.ready,
                t.holes,
                ends.join(", ")
            )))
        }
        other => Ok(other?),
    }
}

/// Every client has every message, since so many came that none of them was one of these.
fn check(sum: &Sum, n: u32, missed: u32) -> Result<(), Failed> {
    let t = &sum.tally;
    let counts = [
        ("messages", t.received, u64::from(n) * u64::from(missed)),
        ("doubled", t.duplicates, 0),
        ("out of order", t.reordered, 0),
        ("not of this run", t.foreign, 0),
        ("recovered", t.recovered, n.into()),
        ("told that something may be missing", t.holes, 0),
        ("subscribed", t.ready.into(), n.into()),
    ];
    let wrong = counts.iter().find(|(_, is, want)| is != want);
    wrong.map_or(Ok(()), |(what, is, want)| {
        Err(Failed::Wrong(format!("{what}: {is}, should be {want}")))
    })
}
