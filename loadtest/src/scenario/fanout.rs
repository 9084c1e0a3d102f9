//! One event to N subscribers of one library: the time to each and to the last.
//!
//! Invariant: the next event is posted only when the last one reached everybody, so rounds do not disturb each other.

use super::{Failed, in_turns, note_faults};
use crate::clock;
use crate::dialect::Manner;
use crate::poster::Single;
use crate::procfs;
use crate::report::Report;
use crate::stage::{Common, Shape, Stage, System};
use crate::stats::Times;
use crate::worker::control::Tally;
use crate::workers::{self, Workers};
use clap::Args;
use std::thread::sleep;
use std::time::Duration;

/// Options.
#[derive(Args, Clone, Debug)]
pub struct Fanout {
    #[command(flatten)]
    pub common: Common,
    /// Subscribers; several sizes separated by commas are measured one after another
    #[arg(long, short = 'n', value_delimiter = ',', default_values_t = [1000])]
    pub subscribers: Vec<u32>,
    /// Events in each round
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub events: u32,
}

/// Measures, prints, writes.
///
/// # Errors
/// When the first system cannot be measured.
pub fn run(o: &Fanout) -> Result<(), Failed> {
    let stage = Stage::set(&o.common)?;
    let mut report = Report::new("fanout", "subscribers");
    in_turns(&stage, &mut report, &o.subscribers, |r, system, n| {
        leg(&stage, o, r, system, n)
    })?;
    Ok(report.publish(&o.common)?)
}

fn leg(stage: &Stage, o: &Fanout, r: &mut Report, system: &System, n: u32) -> Result<(), Failed> {
    let plan = stage.plan(
        system,
        Shape {
            clients: n,
            channels: 1,
            per_client: 1,
        },
    );
    let (mut workers, _) = stage.raise(system, &plan)?;
    let tally = workers.report()?.tally;
    if tally.ready < n {
        return Err(Failed::Wrong(too_few(&tally, n)));
    }
    let mut poster = Single::new(stage.source(system, &plan));
    let (mut pongs, mut cpu_s) = (Times::default(), 0.0);
    // The first event warms caches and buffers and is not counted.
    for k in 0..=o.events {
        // Desktop clients ping only when a second passed without an event.
        sleep(Duration::from_millis(
            if k == 0 || plan.manner == Manner::Desktop {
                1200
            } else {
                0
            },
        ));
        let before = procfs::usage(&system.pids);
        workers.mark(1)?;
        let (at_ns, answered) = poster.post(0).map_err(Failed::Post)?;
        let last_ns = wait(&mut workers, stage, n)?;
        let used = procfs::usage(&system.pids) - before;
        // Pongs that stood behind the event come after it.
        sleep(Duration::from_millis(300));
        let sum = workers.report()?;
        if k == 0 {
            continue;
        }
        cpu_s += used.cpu_s;
        r.add(
            "time to the last, ms",
            n.into(),
            &system.name,
            clock::us_between(at_ns, last_ns) as f64 / 1e3,
        );
        r.add(
            "time to half of them, ms",
            n.into(),
            &system.name,
            sum.latency.ms(50.0),
        );
        r.add(
            "post answered, ms",
            n.into(),
            &system.name,
            answered.as_secs_f64() * 1e3,
        );
        r.add_times(
            "from posted to received",
            n.into(),
            &system.name,
            &sum.latency,
        );
        pongs.add(&sum.pong.pack());
        note_faults(r, &system.name, &sum);
    }
    if !system.pids.is_empty() {
        let deliveries = f64::from(n) * f64::from(o.events);
        r.add(
            "CPU per delivery, µs",
            n.into(),
            &system.name,
            cpu_s * 1e6 / deliveries,
        );
    }
    if pongs.count() > 0 {
        r.add(
            "worst pong meanwhile, ms",
            n.into(),
            &system.name,
            pongs.max_ms(),
        );
        r.add_times("pong", n.into(), &system.name, &pongs);
    }
    Ok(())
}

/// Why not all clients could subscribe, as far as the server let on.
fn too_few(tally: &Tally, n: u32) -> String {
    let mut causes: Vec<String> = tally
        .ends
        .iter()
        .map(|(why, times)| format!("{times} times {why}"))
        .collect();
    if tally.expired > 0 {
        causes.push(format!(
            "{} tokens refused: --key (JWT_PRIVATE_KEY) must be the server's",
            tally.expired
        ));
    }
    if causes.is_empty() {
        causes.push(
            "the server took the connections and did not answer; --timeout gives it longer"
                .to_owned(),
        );
    }
    format!(
        "only {} of {n} clients could subscribe: {}",
        tally.ready,
        causes.join(", ")
    )
}

/// The time of the last receipt.
fn wait(workers: &mut Workers, stage: &Stage, n: u32) -> Result<u64, Failed> {
    match workers.done(stage.timeout()) {
        Err(workers::Failed::Late(..)) => {
            let t = workers.report()?.tally;
            let ends: Vec<String> = t.ends.iter().map(|(why, n)| format!("{n} {why}")).collect();
            let (got, ends) = (t.received, ends.join(", "));
            Err(Failed::Wrong(format!(
                "only {got} of {n} clients got the event; connections ended: {ends}"
            )))
        }
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_that_could_not_subscribe_say_why() {
        let refused = "connect: Connection refused".to_owned();
        let nobody = Tally {
            ends: [(refused, 30)].into(),
            ..Tally::default()
        };
        assert!(too_few(&nobody, 10).ends_with(
            "only 0 of 10 clients could subscribe: 30 times connect: Connection refused"
        ));
        let key = Tally {
            expired: 10,
            ..Tally::default()
        };
        assert!(too_few(&key, 10).contains("--key (JWT_PRIVATE_KEY) must be the server's"));
        assert!(too_few(&Tally::default(), 10).contains("did not answer"));
    }
}
