//! A long run with faults, and its ledger: what was accepted, owed, delivered, lost, sent twice or out of order.
//!
//! Invariant: a delivery counts as owed only by the rules of [`crate::worker::book`], and every number is a count; the run
//! fails if one delivery is missing, double or out of order.

use super::Failed;
use crate::clock;
use crate::faults::{self, Fault};
use crate::poster::{Posted, Watch, at_rate};
use crate::procfs;
use crate::progress::{self, Bar};
use crate::report::Report;
use crate::stage::{Common, Shape, Stage};
use crate::worker::control::{Ledger, Settle};
use crate::workers::{Sum, Workers};
use clap::Args;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

/// Options.
#[derive(Args, Clone, Debug)]
pub struct Soak {
    #[command(flatten)]
    pub common: Common,
    /// Seconds of posting
    #[arg(long, default_value_t = 1800, value_parser = clap::value_parser!(u32).range(1..=7 * 86400))]
    pub seconds: u32,
    /// Events a second
    #[arg(long, short = 'r', default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    pub events: u32,
    /// Clients
    #[arg(long, short = 'n', default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub clients: u32,
    /// Libraries
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    pub channels: u32,
    /// Libraries of each client
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    pub libraries_per_client: u32,
    /// Posters of each library: they post at one moment, to servers that follow each other, and each has an order of its own
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub posters_per_channel: u32,
    /// Connections that post, over which all posters are spread; as many to each server, so there may be a few more
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub posters: u32,
    /// Seconds a post waits for its answer before the next server is tried
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub answer_within: u64,
    /// Milliseconds until a client whose connection ended comes back
    #[arg(long, default_value_t = 2000)]
    pub back_after: u64,
    /// Clients that hang up at random each second
    #[arg(long, default_value_t = 2)]
    pub hang_up_rate: u32,
    /// Seconds the server promises to replay
    #[arg(long, default_value_t = 10)]
    pub replay: u64,
    /// Seconds without events and faults before the ledger is settled
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub settle: u32,
    /// A shell command that hurts something and heals it: NAME=COMMAND; several are picked from at random
    #[arg(long, value_name = "NAME=COMMAND", value_parser = faults::parse)]
    pub fault: Vec<Fault>,
    /// Seconds between faults, about
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86400))]
    pub fault_every: u64,
    /// Order of faults
    #[arg(long)]
    pub seed: Option<u64>,
}

/// Runs, prints the ledger, writes.
///
/// # Errors
/// When the run cannot be made, or the ledger does not balance.
pub fn run(o: &Soak) -> Result<(), Failed> {
    // A floor that is never hurt has nothing to say here.
    let common = Common {
        no_floor: true,
        ..o.common.clone()
    };
    let stage = Stage::set(&common)?;
    let system = &stage.systems[0];
    if system.dialect.streams() {
        return Err(Failed::Wrong(
            "the ledger knows the replay of WebSockets: a soak is not for event streams".into(),
        ));
    }
    let per_client = o.libraries_per_client.min(o.channels);
    let mut plan = stage.plan(
        system,
        Shape {
            clients: o.clients,
            channels: o.channels,
            per_client,
        },
    );
    plan.ledger = true;
    plan.posters = o.posters_per_channel;
    plan.reconnect_ms = Some(o.back_after);
    plan.hang_up_rate = o.hang_up_rate;
    plan.recover = system.dialect.keeps();
    let (mut workers, _) = stage.raise(system, &plan)?;
    workers.mark(0)?;
    let mut source = stage.source(system, &plan);
    source.connections = o.posters.next_multiple_of(source.targets.len() as u32);
    source.timeout = Duration::from_secs(o.answer_within);
    let before = procfs::usage(&system.pids);
    let (posted, faults) = post_and_hurt(o, &source)?;
    progress::step("posting is over; letting things settle");
    workers.calm()?;
    sleep(Duration::from_secs(o.settle.into()));
    let sum = workers.drain(u64::MAX, Duration::from_secs(u64::from(o.settle) + 60))?;
    let accepted = posted
        .accepted
        .iter()
        .map(|t| t.iter().map(|ns| ns / 1000).collect())
        .collect();
    let ledger = workers.settle(Settle {
        accepted,
        replay_us: o.replay * 1_000_000,
    })?;
    let used = procfs::usage(&system.pids) - before;
    let mut r = Report::new("soak", "events/s");
    fill(&mut r, o, &posted, &sum, &ledger);
    told(&mut r, o, &sum, &ledger, plan.recover);
    if !system.pids.is_empty() && faults.is_empty() {
        r.add(
            "CPU, % of a core",
            o.events.into(),
            &system.name,
            used.cpu_s * 100.0 / f64::from(o.seconds),
        );
        r.add(
            "growth of RSS, MiB",
            o.events.into(),
            &system.name,
            used.rss / 1048576.0,
        );
    }
    for (name, n) in &faults {
        r.note(format!("fault: {name}: {n} times"));
    }
    r.publish(&o.common)?;
    verdict(&mut workers, &ledger)
}

fn post_and_hurt(
    o: &Soak,
    source: &crate::poster::Source,
) -> Result<(Posted, BTreeMap<String, u64>), Failed> {
    let (watch, over) = (Watch::default(), AtomicBool::new(false));
    let seed = o.seed.unwrap_or_else(clock::now_ns);
    if !o.fault.is_empty() {
        progress::step(&format!("faults with --seed {seed}"));
    }
    let (how_long, every) = (
        Duration::from_secs(o.seconds.into()),
        Duration::from_secs(o.fault_every),
    );
    scope(|s| {
        let posting = s.spawn(|| at_rate(source, o.events.into(), how_long, &watch));
        let hurting =
            s.spawn(|| faults::run(&o.fault, every, Duration::from_secs(120), seed, &over));
        let (began, bar) = (Instant::now(), Bar::new(o.seconds.into()));
        while !posting.is_finished() {
            sleep(Duration::from_millis(500));
            let (good, bad) = (
                watch.good.load(Ordering::Relaxed),
                watch.bad.load(Ordering::Relaxed),
            );
            bar.at(
                began.elapsed().as_secs(),
                &format!("s: {good} events accepted, {bad} not"),
            );
            // Twice the time is enough for any answer that still comes.
            if began.elapsed() > how_long * 2 + Duration::from_secs(60) {
                watch.stop.store(true, Ordering::Relaxed);
            }
        }
        over.store(true, Ordering::Relaxed);
        let gone = |_| Failed::Wrong("a thread panicked".into());
        Ok((posting.join().map_err(gone)?, hurting.join().map_err(gone)?))
    })
}

fn fill(r: &mut Report, o: &Soak, posted: &Posted, sum: &Sum, l: &Ledger) {
    let (name, size) = (o.common.name.as_str(), u64::from(o.events));
    let counts = [
        ("events accepted", posted.good),
        ("events not accepted", posted.refused.values().sum()),
        ("deliveries owed", l.owed),
        ("deliveries made", l.made),
        ("missing", l.missing),
        ("duplicated", l.duplicates),
        ("out of order", l.reordered),
        ("not owed: client away", l.excused),
        ("delivered though not accepted", l.unaccepted),
        ("told again on a new connection", sum.tally.replayed),
        ("clients subscribed at the end", sum.tally.ready.into()),
    ];
    for (metric, n) in counts {
        r.add(metric, size, name, n as f64);
    }
    r.add("delay p50, ms", size, name, sum.latency.ms(50.0));
    r.add("delay p99, ms", size, name, sum.latency.ms(99.0));
    r.add("worst delay, ms", size, name, sum.latency.max_ms());
    r.add("post answered p99, ms", size, name, posted.answer.ms(99.0));
    r.add(
        "post answered worst, ms",
        size,
        name,
        posted.answer.max_ms(),
    );
    r.add_times("from posted to received", size, name, &sum.latency);
    r.add_times("post answered", size, name, &posted.answer);
    for (why, n) in &posted.refused {
        r.note(format!("{n} events not accepted: {why}"));
    }
    for (why, n) in &sum.tally.ends {
        r.note(format!("{n} connections ended: {why}"));
    }
    l.examples.iter().for_each(|example| r.note(example));
}

/// What clients know that they miss, and how they know.
fn told(r: &mut Report, o: &Soak, sum: &Sum, l: &Ledger, recover: bool) {
    let mut add = |metric, n: u64| r.add(metric, o.events.into(), &o.common.name, n as f64);
    if !recover {
        return add("missing, then told to resync (1012)", l.told);
    }
    add("missing, then told (recovered: false)", l.told);
    add("duplicated, told before (recovered: false)", l.doubled_told);
    add("out of order, told before (recovered: false)", l.late_told);
    add("subscriptions recovered", sum.tally.recovered);
    add(
        "subscriptions that were not: recovered: false",
        sum.tally.holes,
    );
}

fn verdict(workers: &mut Workers, l: &Ledger) -> Result<(), Failed> {
    let ready = workers.report()?.tally.ready;
    if l.missing + l.duplicates + l.reordered > 0 {
        let (m, d, r) = (l.missing, l.duplicates, l.reordered);
        return Err(Failed::Wrong(format!(
            "the ledger does not balance: {m} missing, {d} duplicated, {r} out of order"
        )));
    }
    if l.owed == 0 {
        return Err(Failed::Wrong(format!(
            "nothing was owed; {ready} clients are subscribed"
        )));
    }
    Ok(())
}
