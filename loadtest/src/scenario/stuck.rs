//! Readers beside others that have stopped reading: what do those who read notice, and what does it cost in memory?
//!
//! Invariant: each round measures the same number of clients twice, first all reading, then some stuck; the latencies are
//! of those that read.

use super::{Failed, in_turns};
use crate::poster::{Posted, Source, Watch, at_rate};
use crate::procfs;
use crate::progress;
use crate::report::Report;
use crate::stage::{Common, Shape, Stage, System};
use crate::worker::control::STUCK;
use crate::workers::Sum;
use clap::Args;
use std::thread::{scope, sleep};
use std::time::Duration;

/// Options.
#[derive(Args, Clone, Debug)]
pub struct Stuck {
    #[command(flatten)]
    pub common: Common,
    /// Clients, all of one library; several sizes separated by commas are measured one after another
    #[arg(long, short = 'n', value_delimiter = ',', default_values_t = [5000])]
    pub clients: Vec<u32>,
    /// Percent of them that stop reading
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub share: u32,
    /// Events a second
    #[arg(long, short = 'r', default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub events: u32,
    /// Seconds of posting, once with and once without stuck readers
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub seconds: u32,
}

/// Measures, prints, writes.
///
/// # Errors
/// When the first system cannot be measured.
pub fn run(o: &Stuck) -> Result<(), Failed> {
    let stage = Stage::set(&o.common)?;
    let mut report = Report::new("stuck", "clients");
    in_turns(&stage, &mut report, &o.clients, |r, system, n| {
        leg(&stage, o, r, system, n)
    })?;
    Ok(report.publish(&o.common)?)
}

/// What one half of a round found.
struct Half {
    sum: Sum,
    lost: u64,
    growth_mib: f64,
    stuck_ended: u64,
}

fn leg(stage: &Stage, o: &Stuck, r: &mut Report, system: &System, n: u32) -> Result<(), Failed> {
    let stuck = (u64::from(n) * u64::from(o.share) / 100).max(1) as u32;
    let without = half(stage, o, system, n, 0)?;
    let with = half(stage, o, system, n, stuck)?;
    let (name, size) = (&system.name, u64::from(n));
    r.add(
        "p50 without stuck readers, ms",
        size,
        name,
        without.sum.latency.ms(50.0),
    );
    r.add(
        "p50 of the others with them, ms",
        size,
        name,
        with.sum.latency.ms(50.0),
    );
    r.add(
        "p99 without stuck readers, ms",
        size,
        name,
        without.sum.latency.ms(99.0),
    );
    r.add(
        "p99 of the others with them, ms",
        size,
        name,
        with.sum.latency.ms(99.0),
    );
    r.add(
        "p99 with ÷ without",
        size,
        name,
        with.sum.latency.ms(99.0) / without.sum.latency.ms(99.0),
    );
    r.add(
        "lost by those that read",
        size,
        name,
        (without.lost + with.lost) as f64,
    );
    if !system.pids.is_empty() {
        r.add(
            "growth of RSS without stuck readers, MiB",
            size,
            name,
            without.growth_mib,
        );
        r.add("growth of RSS with them, MiB", size, name, with.growth_mib);
    }
    r.add("stuck readers", size, name, f64::from(stuck));
    r.add(
        "of these, cut off by the server",
        size,
        name,
        with.stuck_ended as f64,
    );
    r.add_times("without stuck readers", size, name, &without.sum.latency);
    r.add_times("with stuck readers", size, name, &with.sum.latency);
    for (why, n) in without.sum.tally.ends.iter().chain(&with.sum.tally.ends) {
        r.note(format!("{name}: {n} connections ended: {why}"));
    }
    Ok(())
}

fn half(stage: &Stage, o: &Stuck, system: &System, n: u32, stuck: u32) -> Result<Half, Failed> {
    let mut plan = stage.plan(
        system,
        Shape {
            clients: n,
            channels: 1,
            per_client: 1,
        },
    );
    plan.stuck = stuck;
    progress::step(&format!(
        "{}: {stuck} of {n} readers are stuck",
        system.name
    ));
    let (mut workers, _) = stage.raise(system, &plan)?;
    let mut source = stage.source(system, &plan);
    // A second at half the rate warms up; its events have lower numbers, and are there before any is counted.
    let warm = at_rate(
        &source,
        f64::from(o.events) / 2.0,
        Duration::from_secs(1),
        &Watch::default(),
    );
    workers.drain(warm.good * u64::from(n - stuck), stage.timeout())?;
    source.after_seq = 1 << 30;
    sleep(Duration::from_millis(500));
    workers.mark(0)?;
    let before = procfs::usage(&system.pids);
    let (posted, peak) = post_and_watch(o, &source, &system.pids)?;
    let owed = posted.good * u64::from(n - stuck);
    let sum = workers.drain(owed, stage.timeout())?;
    let ended = sum
        .tally
        .ends
        .iter()
        .filter(|(why, _)| why.starts_with(STUCK))
        .map(|(_, n)| n)
        .sum();
    let lost = owed.saturating_sub(sum.tally.received);
    drop(workers);
    sleep(Duration::from_secs(1)); // the server cleans up
    Ok(Half {
        lost,
        growth_mib: (peak - before.rss) / 1048576.0,
        stuck_ended: ended,
        sum,
    })
}

/// Posts, and gives the highest RSS meanwhile.
fn post_and_watch(o: &Stuck, source: &Source, pids: &[u32]) -> Result<(Posted, f64), Failed> {
    scope(|s| {
        let watch = Watch::default();
        let posting = s.spawn(move || {
            at_rate(
                source,
                o.events.into(),
                Duration::from_secs(o.seconds.into()),
                &watch,
            )
        });
        let mut peak: f64 = 0.0;
        while !posting.is_finished() {
            peak = peak.max(procfs::usage(pids).rss);
            sleep(Duration::from_millis(250));
        }
        let posted = posting
            .join()
            .map_err(|_| Failed::Wrong("a thread panicked".into()))?;
        Ok((posted, peak.max(procfs::usage(pids).rss)))
    })
}
