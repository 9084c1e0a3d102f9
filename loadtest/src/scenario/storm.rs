//! N clients that all come at once: the time until the last is connected and subscribed, and what those notice who were
//! there before.
//!
//! Invariant: a client counts as subscribed when the ping sent behind its subscription was answered. One that is turned away
//! (503, connection refused) comes again, as it was told to.

use super::{Failed, in_turns, note_faults};
use crate::dialect::{Dialect, Manner};
use crate::procfs;
use crate::report::Report;
use crate::stage::{Common, Shape, Stage, System};
use crate::workers::{Sum, Workers};
use clap::Args;
use std::thread::sleep;
use std::time::{Duration, Instant};

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
    /// Desktop clients that are subscribed before and ping each second meanwhile
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=10_000))]
    pub bystanders: u32,
    /// Each round a second storm whose tokens are signed with a wrong key
    #[arg(long)]
    pub wrong_tokens: bool,
}

/// Measures, prints, writes.
///
/// # Errors
/// When the first system cannot be measured.
pub fn run(o: &Storm) -> Result<(), Failed> {
    let stage = Stage::set(&o.common)?;
    let mut report = Report::new("storm", "clients");
    in_turns(&stage, &mut report, &o.clients, |r, system, n| {
        leg(&stage, o, r, system, n)
    })?;
    Ok(report.publish(&o.common)?)
}

fn leg(stage: &Stage, o: &Storm, r: &mut Report, system: &System, n: u32) -> Result<(), Failed> {
    let mut bystanders = gather(stage, o, system)?;
    let (workers, good) = storm(stage, o, r, system, n)?;
    let (name, size) = (&system.name, u64::from(n));
    if let Some(workers) = &mut bystanders {
        let sum = pongs(workers, o.bystanders, stage.timeout())?;
        r.add(
            "worst pong of bystanders, ms",
            size,
            name,
            sum.pong.max_ms(),
        );
        r.add_times("pong of bystanders", size, name, &sum.pong);
        note_faults(r, name, &sum);
    }
    disperse(workers);
    if o.wrong_tokens && system.dialect == Dialect::Seafile {
        let wrong = wrong_storm(stage, o, r, system, n)?;
        if !system.pids.is_empty() {
            r.add("CPU per client with a wrong token, µs", size, name, wrong);
            r.add("CPU, wrong ÷ good tokens", size, name, wrong / good);
        }
    }
    Ok(())
}

/// Those who are there before the storm.
fn gather(stage: &Stage, o: &Storm, system: &System) -> Result<Option<Workers>, Failed> {
    if o.bystanders == 0 {
        return Ok(None);
    }
    let mut plan = stage.plan(system, shape(o, o.bystanders));
    plan.manner = Manner::Desktop;
    let (mut workers, _) = stage.raise(system, &plan)?;
    // Each has pinged once when they are counted from.
    sleep(Duration::from_secs(2));
    workers.mark(0)?;
    Ok(Some(workers))
}

/// What bystanders noticed. Each pings once a second: a short storm is over before all have.
fn pongs(workers: &mut Workers, bystanders: u32, within: Duration) -> Result<Sum, Failed> {
    let until = Instant::now() + within;
    loop {
        let sum = workers.report()?;
        if sum.pong.count() >= u64::from(bystanders) || Instant::now() > until {
            return Ok(sum);
        }
        sleep(Duration::from_millis(100));
    }
}

/// One storm of good tokens; its clients, and the server's CPU for each, in microseconds.
fn storm(
    stage: &Stage,
    o: &Storm,
    r: &mut Report,
    system: &System,
    n: u32,
) -> Result<(Workers, f64), Failed> {
    let mut plan = stage.plan(system, shape(o, n));
    plan.in_flight = o.common.in_flight.unwrap_or(0);
    let (before, overflows) = (procfs::usage(&system.pids), procfs::listen_overflows());
    let (mut workers, took) = stage.raise(system, &plan)?;
    let cpu_us = (procfs::usage(&system.pids) - before).cpu_s * 1e6 / f64::from(n);
    let sum = workers.report()?;
    let (name, size) = (&system.name, u64::from(n));
    r.add("all subscribed after, s", size, name, took.as_secs_f64());
    r.add("one client p50, ms", size, name, sum.subscribe.ms(50.0));
    r.add("one client p99, ms", size, name, sum.subscribe.ms(99.0));
    r.add("slowest client, ms", size, name, sum.subscribe.max_ms());
    r.add("given up", size, name, f64::from(n - sum.tally.ready));
    r.add(
        "tries per client",
        size,
        name,
        sum.tally.begun as f64 / f64::from(n),
    );
    r.add(
        "no room in the listen queue",
        size,
        name,
        (procfs::listen_overflows() - overflows) as f64,
    );
    if !system.pids.is_empty() {
        r.add("CPU per client, µs", size, name, cpu_us);
    }
    r.add_times("from connecting to subscribed", size, name, &sum.subscribe);
    note_faults(r, name, &sum);
    Ok((workers, cpu_us))
}

/// The same with tokens of a wrong key, every one of which must be refused.
fn wrong_storm(
    stage: &Stage,
    o: &Storm,
    r: &mut Report,
    system: &System,
    n: u32,
) -> Result<f64, Failed> {
    let shape = shape(o, n);
    let mut plan = stage.plan(system, shape);
    (plan.wrong_key, plan.in_flight) = (true, o.common.in_flight.unwrap_or(0));
    let before = procfs::usage(&system.pids);
    let (mut workers, took) = stage.raise(system, &plan)?;
    let cpu_us = (procfs::usage(&system.pids) - before).cpu_s * 1e6 / f64::from(n);
    let passed = f64::from(n * shape.per_client) - workers.report()?.tally.expired as f64;
    r.add(
        "all refused after, s",
        n.into(),
        &system.name,
        took.as_secs_f64(),
    );
    r.add("wrong tokens not refused", n.into(), &system.name, passed);
    disperse(workers);
    Ok(cpu_us)
}

fn shape(o: &Storm, clients: u32) -> Shape {
    Shape {
        clients,
        channels: o.channels,
        per_client: o.libraries_per_client.min(o.channels),
    }
}

fn disperse(workers: Workers) {
    drop(workers);
    // The server cleans up.
    sleep(Duration::from_secs(2));
}
