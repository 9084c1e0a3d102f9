//! Measures clusters of many shapes, moving one thing at a time, each on fresh processes.
//!
//! Invariant: a reading in which an event was lost or refused, or a client given up, is no reading.

use super::Failed;
use super::cluster::{Cluster, KEY};
use super::gauges::Gauges;
use super::measured::{Measured, Phase, Point, Round, Shape};
use crate::poster::{Watch, at_rate};
use crate::progress;
use crate::report;
use crate::scenario::rate::subscribers;
use crate::stage::{self, Common, Stage};
use crate::workers::Sum;
use clap::{Args, Parser};
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

/// Options.
#[derive(Args, Clone, Debug)]
pub struct Sweep {
    /// Series to measure; the others in the file stay as they are [default: all]
    #[arg(value_parser = SERIES.map(|(name, _)| name))]
    series: Vec<String>,
    /// The node's program
    #[arg(long, default_value = "target/release/foghorn")]
    node: PathBuf,
    /// Where `measured.json` is
    #[arg(long, default_value = "docs/capacity")]
    folder: PathBuf,
    /// Rounds; the middle one counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Seconds for which events are posted; nodes forget them after ten
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=8))]
    seconds: u64,
}

const fn shape(
    nodes: u32,
    shards: u32,
    clients: u32,
    libraries: u32,
    subscribers: u32,
    events: u32,
) -> Shape {
    Shape {
        nodes,
        shards,
        clients,
        libraries,
        subscribers,
        events,
    }
}

/// What is moved, and the shapes. `check` is not used for the fit: the model has to foretell it.
const SERIES: [(&str, &[Shape]); 7] = [
    (
        "nodes",
        &[
            shape(1, 1, 1000, 1, 10, 500),
            shape(2, 1, 1000, 1, 10, 500),
            shape(3, 1, 1000, 1, 10, 500),
            shape(6, 1, 1000, 1, 10, 500),
        ],
    ),
    (
        "shards",
        &[
            shape(2, 1, 1000, 1, 10, 500),
            shape(2, 2, 1000, 1, 10, 500),
            shape(2, 4, 1000, 1, 10, 500),
        ],
    ),
    (
        "libraries",
        &[
            shape(2, 1, 500, 1, 10, 500),
            shape(2, 1, 500, 10, 10, 500),
            shape(2, 1, 500, 100, 10, 500),
            shape(2, 1, 500, 1000, 10, 500),
        ],
    ),
    (
        "subscribers",
        &[
            shape(1, 1, 10_000, 1, 10, 1000),
            shape(1, 1, 10_000, 1, 100, 100),
            shape(1, 1, 10_000, 1, 1000, 10),
            shape(1, 1, 10_000, 1, 10_000, 1),
        ],
    ),
    (
        "connections",
        &[
            shape(1, 1, 1000, 1, 10, 100),
            shape(1, 1, 4000, 1, 10, 100),
            shape(1, 1, 16_000, 1, 10, 100),
        ],
    ),
    (
        "events",
        &[
            shape(2, 1, 1000, 1, 10, 250),
            shape(2, 1, 1000, 1, 10, 1000),
            shape(2, 1, 1000, 1, 10, 2000),
        ],
    ),
    (CHECK, &[shape(3, 2, 6000, 20, 10, 800)]),
];

/// The series that the model has not seen.
pub const CHECK: &str = "check";

/// The scenarios' options, with their defaults.
#[derive(Parser)]
struct Defaults {
    #[command(flatten)]
    common: Common,
}

/// Measures, and writes after each series what is there.
///
/// # Errors
/// When a process does not start, or the cluster loses an event.
pub fn run(o: &Sweep) -> Result<(), Failed> {
    let file = o.folder.join("measured.json");
    let mut measured: Measured = if file.exists() {
        super::read_json(&file)?
    } else {
        Measured::default()
    };
    measured.machine = report::machine();
    let wanted = |name: &str| o.series.is_empty() || o.series.iter().any(|s| s == name);
    for (name, shapes) in SERIES.iter().filter(|(name, _)| wanted(name)) {
        let mut points: Vec<Point> = shapes.iter().map(|s| point(name, *s)).collect();
        for round in 1..=o.rounds {
            for p in &mut points {
                progress::step(&format!(
                    "{name}, round {round} of {}: {:?}",
                    o.rounds, p.shape
                ));
                p.rounds.push(measure(o, p)?);
            }
        }
        measured.points.retain(|p| p.series != *name);
        measured.points.extend(points);
        let place = |p: &Point| SERIES.iter().position(|(name, _)| *name == p.series);
        measured.points.sort_by_key(place);
        super::write(&file, &super::json(&measured))?;
    }
    Ok(())
}

fn point(series: &str, shape: Shape) -> Point {
    let Shape {
        nodes,
        clients,
        libraries,
        subscribers,
        ..
    } = shape;
    let mut channels = (clients * libraries / subscribers).max(1);
    // Clients take nodes and libraries in turn: with a common divisor a library's subscribers would all be on one node.
    while channels > libraries && gcd(channels, nodes * libraries) > 1 {
        channels -= 1;
    }
    let mut there = vec![false; (nodes * channels) as usize];
    for (client, library) in (0..clients).flat_map(|c| (0..libraries).map(move |l| (c, l))) {
        there[(client % nodes * channels + (client * libraries + library) % channels) as usize] =
            true;
    }
    let node_channels = there.iter().filter(|t| **t).count() as u32;
    Point {
        series: series.into(),
        shape,
        channels,
        node_channels,
        rounds: Vec::new(),
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn measure(o: &Sweep, p: &Point) -> Result<Round, Failed> {
    let s = p.shape;
    let cluster = Cluster::start(&o.node, s.nodes, s.shards)?;
    let urls = cluster.urls.iter().flat_map(|u| ["--url", u]);
    let args = ["sweep", "--no-floor", "--as", "desktop", "--key", KEY]
        .into_iter()
        .chain(urls);
    let stage = Stage::set(&Defaults::parse_from(args).common)?;
    let system = &stage.systems[0];
    // Nodes have found each other and probed their shards.
    sleep(Duration::from_secs(2));
    let base = Gauges::read(&cluster)?;
    sleep(Duration::from_secs(2));
    let began = Gauges::read(&cluster)?;
    let empty = between(&base, &base, &began);

    let plan = stage.plan(
        system,
        stage::Shape {
            clients: s.clients,
            channels: p.channels,
            per_client: s.libraries,
        },
    );
    let (mut workers, _) = stage.raise(system, &plan)?;
    let joined = Gauges::read(&cluster)?;
    let join = between(&base, &began, &joined);
    sleep(Duration::from_secs(2));
    workers.mark(0)?;
    let before = Gauges::read(&cluster)?;
    sleep(Duration::from_secs(3));
    let after = Gauges::read(&cluster)?;
    let idle = Phase {
        pings: workers.report()?.pong.count() as f64,
        ..between(&base, &before, &after)
    };

    let mut source = stage.source(system, &plan);
    let warm = at_rate(
        &source,
        f64::from(s.events) / 2.0,
        Duration::from_secs(1),
        &Watch::default(),
    );
    source.after_seq = 1 << 30;
    sleep(Duration::from_millis(500));
    workers.mark(0)?;
    let before = Gauges::read(&cluster)?;
    let posted = at_rate(
        &source,
        s.events.into(),
        Duration::from_secs(o.seconds),
        &Watch::default(),
    );
    let owed = (0u32..)
        .zip(&posted.accepted)
        .map(|(c, times)| subscribers(s.clients, s.libraries, p.channels, c) * times.len() as u64)
        .sum();
    let sum = workers.drain(owed, stage.timeout())?;
    let after = Gauges::read(&cluster)?;
    good(p, &sum, owed)?;
    let busy = Phase {
        pings: sum.pong.count() as f64,
        events: posted.good as f64,
        deliveries: sum.tally.received as f64,
        events_so_far: (warm.good + posted.good) as f64,
        ..between(&base, &before, &after)
    };
    Ok(Round {
        empty,
        join,
        idle,
        busy,
    })
}

fn good(p: &Point, sum: &Sum, owed: u64) -> Result<(), Failed> {
    let t = &sum.tally;
    if t.received == owed && t.ready == p.shape.clients {
        return Ok(());
    }
    let text = format!(
        "{:?}: {} of {owed} deliveries came, {} clients are there; ended: {:?}",
        p.shape, t.received, t.ready, t.ends
    );
    Err(Failed::Wrong(text))
}

/// What was used from `a` to `b`; what nobody counts here is 0.
fn between(base: &Gauges, a: &Gauges, b: &Gauges) -> Phase {
    Phase {
        seconds: (b.at - a.at).as_secs_f64(),
        node_cpu: b.node_cpu - a.node_cpu,
        node_memory: b.node_memory,
        kernel_memory: b.kernel_memory - base.kernel_memory,
        network: b.network - a.network,
        redis_cpu: b.redis_cpu - a.redis_cpu,
        redis_in: b.redis_in - a.redis_in,
        redis_out: b.redis_out - a.redis_out,
        redis_memory: b.redis_memory,
        ..Phase::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_of_every_shape_have_their_subscribers() {
        for s in SERIES.iter().flat_map(|(_, shapes)| *shapes) {
            let p = point("x", *s);
            assert!(
                (p.channels..=s.nodes * p.channels).contains(&p.node_channels),
                "{p:?}"
            );
            assert!(
                s.nodes == 1 || s.subscribers == 1 || p.node_channels > p.channels,
                "all on one node: {p:?}"
            );
            let mean = f64::from(s.clients * s.libraries) / f64::from(p.channels);
            assert!(
                (mean / f64::from(s.subscribers) - 1.0).abs() < 0.05,
                "{p:?}"
            );
        }
    }

    #[test]
    fn every_series_moves_one_thing() {
        let parts = |s: &Shape| {
            [
                s.nodes,
                s.shards,
                s.clients,
                s.libraries,
                s.subscribers,
                s.events,
            ]
        };
        for (name, shapes) in SERIES {
            let first = parts(&shapes[0]);
            let moved = (0..6)
                .filter(|i| shapes.iter().any(|s| parts(s)[*i] != first[*i]))
                .count();
            // More subscribers take fewer events, so that as much is delivered.
            let want = match name {
                CHECK => 0,
                "subscribers" => 2,
                _ => 1,
            };
            assert_eq!(moved, want, "{name}");
        }
    }
}
