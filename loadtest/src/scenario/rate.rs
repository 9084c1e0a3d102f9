//! R events a second over C libraries with S subscribers each: latency, loss, and what a delivery costs.
//!
//! Invariant: events are posted when they are due whether or not earlier ones arrived; every accepted one is owed to every
//! subscriber of its library and looked for until two quiet seconds have passed.

use super::{Failed, in_turns, note_faults};
use crate::poster::{Posted, Watch, at_rate};
use crate::procfs::{self, Machine};
use crate::report::Report;
use crate::stage::{Common, Shape, Stage, System};
use clap::Args;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Options.
#[derive(Args, Clone, Debug)]
pub struct Rate {
    #[command(flatten)]
    pub common: Common,
    /// Events a second; several separated by commas are measured one after another
    #[arg(long, short = 'r', value_delimiter = ',', default_values_t = [5000])]
    pub events: Vec<u32>,
    /// Libraries
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    pub channels: u32,
    /// Subscribers of each library, in all
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub subscribers: u32,
    /// Libraries of each client
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub libraries_per_client: u32,
    /// Seconds of each round
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub seconds: u32,
    /// Connections that post
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub posters: u32,
}

/// Measures, prints, writes.
///
/// # Errors
/// When the first system cannot be measured.
pub fn run(o: &Rate) -> Result<(), Failed> {
    let stage = Stage::set(&o.common)?;
    let mut report = Report::new("rate", "events/s");
    in_turns(&stage, &mut report, &o.events, |r, system, n| {
        leg(&stage, o, r, system, n)
    })?;
    Ok(report.publish(&o.common)?)
}

fn leg(stage: &Stage, o: &Rate, r: &mut Report, system: &System, rate: u32) -> Result<(), Failed> {
    let per_client = o.libraries_per_client.min(o.channels);
    // Whole turns over the libraries give each the same number of subscribers.
    let clients = (u64::from(o.channels) * u64::from(o.subscribers) / u64::from(per_client)) as u32;
    let plan = stage.plan(
        system,
        Shape {
            clients,
            channels: o.channels,
            per_client,
        },
    );
    let (mut workers, _) = stage.raise(system, &plan)?;
    let mut source = stage.source(system, &plan);
    source.connections = o.posters;
    let owed = |posted: &Posted| -> u64 {
        (0u32..)
            .zip(&posted.accepted)
            .map(|(c, times)| {
                subscribers(clients, per_client, o.channels, c)
                    * times.iter().filter(|t| **t > 0).count() as u64
            })
            .sum()
    };
    // A second at half the rate warms up; its events have lower numbers, and are there before any is counted.
    let warm = at_rate(
        &source,
        f64::from(rate) / 2.0,
        Duration::from_secs(1),
        &Watch::default(),
    );
    workers.drain(owed(&warm), stage.timeout())?;
    source.after_seq = 1 << 30;
    sleep(Duration::from_millis(500));
    let generator = workers.report()?.tally.cpu_s;
    workers.mark(0)?;
    let redis = &stage.common.redis_pid;
    let (before, carried, machine) = (
        procfs::usage(&system.pids),
        procfs::usage(redis),
        Machine::now(),
    );
    let began = Instant::now();
    let posted = at_rate(
        &source,
        rate.into(),
        Duration::from_secs(o.seconds.into()),
        &Watch::default(),
    );
    let owed = owed(&posted);
    let sum = workers.drain(owed, stage.timeout())?;
    // A server that falls behind is given the time it takes, and judged by it.
    let (used, took) = (
        procfs::usage(&system.pids) - before,
        began.elapsed().as_secs_f64(),
    );
    let carried = procfs::usage(redis) - carried;
    let (busy, stolen) = Machine::now().used_and_stolen(machine);
    let (name, size) = (&system.name, u64::from(rate));
    r.add("p50, ms", size, name, sum.latency.ms(50.0));
    r.add("p99, ms", size, name, sum.latency.ms(99.0));
    r.add("p99.9, ms", size, name, sum.latency.ms(99.9));
    r.add("worst, ms", size, name, sum.latency.max_ms());
    r.add("post answered p99, ms", size, name, posted.answer.ms(99.0));
    r.add("deliveries/s", size, name, sum.tally.received as f64 / took);
    r.add(
        "lost",
        size,
        name,
        owed.saturating_sub(sum.tally.received) as f64,
    );
    r.add(
        "not accepted",
        size,
        name,
        posted.refused.values().sum::<u64>() as f64,
    );
    if !system.pids.is_empty() && sum.tally.received > 0 {
        let per_delivery = 1e6 / sum.tally.received as f64;
        r.add(
            "CPU per delivery, µs",
            size,
            name,
            used.cpu_s * per_delivery,
        );
        r.add(
            "CPU per delivery of the generator's clients, µs",
            size,
            name,
            (sum.tally.cpu_s - generator) * per_delivery,
        );
        r.add("CPU, % of a core", size, name, used.cpu_s * 100.0 / took);
    }
    let accepted: usize = posted
        .accepted
        .iter()
        .map(|times| times.iter().filter(|t| **t > 0).count())
        .sum();
    if !redis.is_empty() && accepted > 0 {
        r.add(
            "CPU of Redis per event, µs",
            size,
            name,
            carried.cpu_s * 1e6 / accepted as f64,
        );
    }
    r.add("all CPUs of the machine, % busy", size, name, busy);
    r.add("kept from it by its host (steal), %", size, name, stolen);
    r.add_times("from posted to received", size, name, &sum.latency);
    r.add_times("post answered", size, name, &posted.answer);
    note_faults(r, name, &sum);
    if sum.tally.received < owed {
        r.note(format!(
            "{name}: of {owed} deliveries owed {} came",
            sum.tally.received
        ));
    }
    for (why, n) in &posted.refused {
        r.note(format!("{name}: {n} posts failed: {why}"));
    }
    Ok(())
}

/// How many clients have library `c`.
pub fn subscribers(clients: u32, per_client: u32, channels: u32, c: u32) -> u64 {
    let all = u64::from(clients) * u64::from(per_client);
    let (whole, rest) = (all / u64::from(channels), all % u64::from(channels));
    whole + u64::from(u64::from(c) < rest)
}

#[cfg(test)]
mod tests {
    use super::subscribers;

    #[test]
    fn subscribers_add_up() {
        for (clients, per_client, channels) in [(2000, 1, 200), (7, 3, 10), (5, 10, 10), (3, 1, 10)]
        {
            let sum: u64 = (0..channels)
                .map(|c| subscribers(clients, per_client, channels, c))
                .sum();
            assert_eq!(sum, u64::from(clients * per_client));
        }
        assert_eq!(subscribers(3, 1, 10, 2), 1);
        assert_eq!(subscribers(3, 1, 10, 3), 0);
    }
}
