//! N clients that do nothing but live: memory and CPU for each, and how fast pings are answered.
//!
//! Invariant: memory is the server's with all of them subscribed less what it had before the first came.

use super::{Failed, in_turns, note_faults};
use crate::procfs;
use crate::progress::Bar;
use crate::report::Report;
use crate::stage::{Common, Shape, Stage, System};
use clap::Args;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Options.
#[derive(Args, Clone, Debug)]
pub struct Idle {
    #[command(flatten)]
    pub common: Common,
    /// Clients; several sizes separated by commas are measured one after another
    #[arg(long, short = 'n', value_delimiter = ',', default_values_t = [10_000])]
    pub clients: Vec<u32>,
    /// Libraries they are spread over
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub channels: u32,
    /// Libraries of each client
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub libraries_per_client: u32,
    /// Seconds of watching
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=86400))]
    pub seconds: u32,
}

/// Measures, prints, writes.
///
/// # Errors
/// When the first system cannot be measured.
pub fn run(o: &Idle) -> Result<(), Failed> {
    let stage = Stage::set(&o.common)?;
    let mut report = Report::new("idle", "clients");
    report.note("memory of the first round is the cleanest: a server may keep what it once needed");
    in_turns(&stage, &mut report, &o.clients, |r, system, n| {
        leg(&stage, o, r, system, n)
    })?;
    Ok(report.publish(&o.common)?)
}

fn leg(stage: &Stage, o: &Idle, r: &mut Report, system: &System, n: u32) -> Result<(), Failed> {
    let per_client = o.libraries_per_client.min(o.channels);
    let empty = procfs::usage(&system.pids);
    let plan = stage.plan(
        system,
        Shape {
            clients: n,
            channels: o.channels,
            per_client,
        },
    );
    let (mut workers, _) = stage.raise(system, &plan)?;
    sleep(Duration::from_secs(2));
    workers.mark(0)?;
    let (before, began) = (procfs::usage(&system.pids), Instant::now());
    let bar = Bar::new(o.seconds.into());
    for second in 0..o.seconds {
        bar.at(second.into(), &format!("s: {} is watched", system.name));
        sleep(Duration::from_secs(1));
    }
    drop(bar);
    let (after, took) = (procfs::usage(&system.pids), began.elapsed().as_secs_f64());
    let sum = workers.report()?;
    let (name, size, each) = (&system.name, u64::from(n), f64::from(n));
    if !system.pids.is_empty() {
        r.add(
            "RSS per connection, KiB",
            size,
            name,
            (after.rss - empty.rss) / 1024.0 / each,
        );
        r.add(
            "PSS per connection, KiB",
            size,
            name,
            (after.pss - empty.pss) / 1024.0 / each,
        );
        r.add(
            "kernel's TCP memory per connection, KiB",
            size,
            name,
            (after.tcp_mem - empty.tcp_mem) / 1024.0 / each,
        );
        r.add("RSS in all, MiB", size, name, after.rss / 1048576.0);
        r.add(
            "CPU, % of a core",
            size,
            name,
            (after.cpu_s - before.cpu_s) * 100.0 / took,
        );
    }
    r.add(
        "server's pings per client and minute",
        size,
        name,
        sum.tally.server_pings as f64 * 60.0 / took / each,
    );
    if sum.pong.count() > 0 {
        r.add("pong p50, ms", size, name, sum.pong.ms(50.0));
        r.add("pong p99, ms", size, name, sum.pong.ms(99.0));
        r.add("worst pong, ms", size, name, sum.pong.max_ms());
        r.add_times("pong", size, name, &sum.pong);
    }
    r.add("still subscribed", size, name, f64::from(sum.tally.ready));
    note_faults(r, name, &sum);
    Ok(())
}
