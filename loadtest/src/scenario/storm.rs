//! N clients that all come at once: the time until the last is connected and subscribed.
//!
//! Invariant: a client counts as subscribed when the ping sent behind its subscription was answered. One that is turned away
//! (503, connection refused) comes again, as it was told to.

use super::{Failed, in_turns};
use crate::procfs;
use crate::progress;
use crate::report::Report;
use crate::stage::{Common, Shape, Stage, System};
use clap::Args;
use std::thread::sleep;
use std::time::Duration;

/// Options.
#[derive(Args, Clone, Debug)]
pub struct Storm {
    #[command(flatten)]
    pub common: Common,
    /// Clients; several sizes separated by commas are measured one after another
    #[arg(long, short = 'n', value_delimiter = ',', default_values_t = [15_000])]
    pub clients: Vec<u32>,
    /// Libraries they are spread over
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub channels: u32,
    /// Libraries of each client
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub libraries_per_client: u32,
    /// Sign every token with a wrong key
    #[arg(long)]
    pub wrong_key: bool,
}

/// Measures, prints, writes.
///
/// # Errors
/// When the first system cannot be measured.
pub fn run(o: &Storm) -> Result<(), Failed> {
    let stage = Stage::set(&o.common)?;
    let mut report = Report::new("storm", "clients");
    in_turns(&stage, &mut report, &o.clients, |r, system, n| leg(&stage, o, r, system, n))?;
    Ok(report.publish(&o.common)?)
}

fn leg(stage: &Stage, o: &Storm, r: &mut Report, system: &System, n: u32) -> Result<(), Failed> {
    let per_client = o.libraries_per_client.min(o.channels);
    let mut plan = stage.plan(system, Shape { clients: n, channels: o.channels, per_client });
    plan.wrong_key = o.wrong_key;
    plan.in_flight = o.common.in_flight.unwrap_or(0);
    let (before, overflows) = (procfs::usage(&system.pids), procfs::listen_overflows());
    let (mut crew, took) = stage.raise(system, &plan)?;
    let used = procfs::usage(&system.pids) - before;
    let sum = crew.report()?;
    let (name, size) = (&system.name, u64::from(n));
    r.add("all subscribed after, s", size, name, took.as_secs_f64());
    r.add("one client p50, ms", size, name, sum.subscribe.ms(50.0));
    r.add("one client p99, ms", size, name, sum.subscribe.ms(99.0));
    r.add("slowest client, ms", size, name, sum.subscribe.max_ms());
    r.add("given up", size, name, f64::from(n - sum.tally.ready));
    r.add("tries per client", size, name, sum.tally.begun as f64 / f64::from(n));
    r.add("no room in the listen queue", size, name, (procfs::listen_overflows() - overflows) as f64);
    if !system.pids.is_empty() {
        r.add("CPU per client, µs", size, name, used.cpu_s * 1e6 / f64::from(n));
    }
    r.add_times("from connecting to subscribed", size, name, &sum.subscribe);
    if o.wrong_key && sum.tally.expired < u64::from(n * per_client) {
        r.note(format!("{name}: only {} of {} wrong tokens were refused", sum.tally.expired, n * per_client));
    }
    for (why, n) in &sum.tally.ends {
        r.note(format!("{name}: {n} connections ended: {why}"));
    }
    drop(crew);
    progress::passing("letting the server clean up");
    sleep(Duration::from_secs(2));
    Ok(())
}
