//! Subscribing to and unsubscribing from libraries that never come back: memory must.
//!
//! Invariant: memory before and after is taken with the same connections open.

use super::{Failed, in_turns, note_faults};
use crate::dialect::{Dialect, Manner};
use crate::procfs;
use crate::report::Report;
use crate::stage::{Common, Shape, Stage, System};
use clap::Args;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Options.
#[derive(Args, Clone, Debug)]
pub struct Churn {
    #[command(flatten)]
    pub common: Common,
    /// Pairs of subscribe and unsubscribe, in all
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000_000))]
    pub pairs: u32,
    /// Clients
    #[arg(long, short = 'n', default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub clients: u32,
    /// Seconds to wait before memory is looked at again
    #[arg(long, default_value_t = 5)]
    pub rest: u32,
}

/// Measures, prints, writes.
///
/// # Errors
/// When the first system cannot be measured.
pub fn run(o: &Churn) -> Result<(), Failed> {
    let stage = Stage::set(&o.common)?;
    let mut report = Report::new("churn", "pairs");
    in_turns(&stage, &mut report, &[o.pairs], |r, system, n| {
        leg(&stage, o, r, system, n)
    })?;
    Ok(report.publish(&o.common)?)
}

fn leg(
    stage: &Stage,
    o: &Churn,
    r: &mut Report,
    system: &System,
    pairs: u32,
) -> Result<(), Failed> {
    if system.dialect != Dialect::Seafile {
        return Err(Failed::Wrong(format!(
            "{}: only Seafile's clients are known to unsubscribe",
            system.name
        )));
    }
    let mut plan = stage.plan(
        system,
        Shape {
            clients: o.clients,
            channels: o.clients,
            per_client: 1,
        },
    );
    // A ping of its own accord would be taken for the end of a batch.
    plan.manner = Manner::Web;
    let (mut workers, _) = stage.raise(system, &plan)?;
    // A hundredth of it first: what a server allocates once is not growth.
    workers.churn(u64::from(pairs / 100).max(1), stage.timeout())?;
    sleep(Duration::from_secs(1));
    workers.mark(0)?;
    let (before, began) = (procfs::usage(&system.pids), Instant::now());
    let done = workers.churn(pairs.into(), stage.timeout())?;
    let took = began.elapsed().as_secs_f64();
    let busy = procfs::usage(&system.pids) - before;
    sleep(Duration::from_secs(o.rest.into()));
    let after = procfs::usage(&system.pids);
    let (name, size) = (&system.name, u64::from(pairs));
    r.add("pairs/s", size, name, done as f64 / took);
    if !system.pids.is_empty() {
        r.add(
            "CPU per pair, µs",
            size,
            name,
            busy.cpu_s * 1e6 / done as f64,
        );
        r.add("RSS before, MiB", size, name, before.rss / 1048576.0);
        r.add("RSS after, MiB", size, name, after.rss / 1048576.0);
        r.add(
            "growth, %",
            size,
            name,
            (after.rss / before.rss - 1.0) * 100.0,
        );
    }
    note_faults(r, name, &workers.report()?);
    Ok(())
}
