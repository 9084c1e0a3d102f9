//! What was measured, drawn beside what the model says of it.
//!
//! Invariant: both lines of a chart are of the same load, the measured one counted, the other computed.

use super::measured::{Measured, Phase, Point, Round};
use super::model::{Coefficients, Load, Resource};
use crate::plot::{self, Chart};

/// One chart of one series.
struct Picture {
    series: &'static str,
    x: &'static str,
    along: fn(&Point) -> u32,
    title: &'static str,
    y: &'static str,
    resource: Resource,
    phase: fn(&Round) -> Phase,
    /// From the cluster's use to what is drawn.
    scale: fn(&Load) -> f64,
}

const MIB: f64 = 1_048_576.0;
const KIB: f64 = 1024.0;

fn each_node(l: &Load) -> f64 {
    100.0 / l.nodes
}

fn each_shard(l: &Load) -> f64 {
    100.0 / l.shards
}

const fn picture(
    (series, x, along): (&'static str, &'static str, fn(&Point) -> u32),
    (title, y): (&'static str, &'static str),
    resource: Resource,
    phase: fn(&Round) -> Phase,
    scale: fn(&Load) -> f64,
) -> Picture {
    Picture {
        series,
        x,
        along,
        title,
        y,
        resource,
        phase,
        scale,
    }
}

type Axis = (&'static str, &'static str, fn(&Point) -> u32);
const NODES: Axis = ("nodes", "nodes", |p| p.shape.nodes);
const SHARDS: Axis = ("shards", "Redis shards", |p| p.shape.shards);
const LIBRARIES: Axis = ("libraries", "libraries per client", |p| p.shape.libraries);
const SUBSCRIBERS: Axis = ("subscribers", "subscribers per library", |p| {
    p.shape.subscribers
});
const CONNECTIONS: Axis = ("connections", "connections", |p| p.shape.clients);
const EVENTS: Axis = ("events", "events/s", |p| p.shape.events);

const PICTURES: &[Picture] = &[
    picture(
        NODES,
        ("CPU of each node", "% of a core"),
        Resource::NodeCpu,
        |r| r.busy,
        each_node,
    ),
    picture(
        NODES,
        ("CPU of Redis", "% of a core"),
        Resource::RedisCpu,
        |r| r.busy,
        |_| 100.0,
    ),
    picture(
        NODES,
        ("bytes out of Redis", "KiB/s"),
        Resource::RedisOut,
        |r| r.busy,
        |_| 1.0 / KIB,
    ),
    picture(
        SHARDS,
        ("CPU of each shard", "% of a core"),
        Resource::RedisCpu,
        |r| r.busy,
        each_shard,
    ),
    picture(
        SHARDS,
        ("CPU of each node", "% of a core"),
        Resource::NodeCpu,
        |r| r.busy,
        each_node,
    ),
    picture(
        LIBRARIES,
        ("memory of nodes per connection", "KiB"),
        Resource::NodeMemory,
        |r| r.idle,
        |l| 1.0 / KIB / l.connections,
    ),
    picture(
        LIBRARIES,
        ("CPU to join, per connection", "ms"),
        Resource::JoinCpu,
        |r| r.join,
        |l| 1e3 / l.connections,
    ),
    picture(
        LIBRARIES,
        ("CPU of nodes per delivery, all included", "µs"),
        Resource::NodeCpu,
        |r| r.busy,
        |l| 1e6 / l.deliveries,
    ),
    picture(
        SUBSCRIBERS,
        ("CPU of the node per delivery, all included", "µs"),
        Resource::NodeCpu,
        |r| r.busy,
        |l| 1e6 / l.deliveries,
    ),
    picture(
        SUBSCRIBERS,
        ("memory of the node", "MiB"),
        Resource::NodeMemory,
        |r| r.idle,
        |_| 1.0 / MIB,
    ),
    picture(
        CONNECTIONS,
        ("memory of the node", "MiB"),
        Resource::NodeMemory,
        |r| r.idle,
        |_| 1.0 / MIB,
    ),
    picture(
        CONNECTIONS,
        ("CPU of the node, clients ping", "% of a core"),
        Resource::NodeCpu,
        |r| r.idle,
        |_| 100.0,
    ),
    picture(
        EVENTS,
        ("CPU of each node", "% of a core"),
        Resource::NodeCpu,
        |r| r.busy,
        each_node,
    ),
    picture(
        EVENTS,
        ("CPU of Redis", "% of a core"),
        Resource::RedisCpu,
        |r| r.busy,
        |_| 100.0,
    ),
];

/// A file's name and its SVG, for each series that was measured.
pub fn draw(m: &Measured, c: &Coefficients) -> Vec<(&'static str, String)> {
    let mut files: Vec<(&'static str, Vec<Chart>)> = Vec::new();
    for p in PICTURES {
        let chart = chart(p, m, c);
        match files.iter_mut().find(|(name, _)| *name == p.series) {
            Some((_, charts)) => charts.push(chart),
            None => files.push((p.series, vec![chart])),
        }
    }
    files
        .into_iter()
        .map(|(name, charts)| (name, plot::svg(&charts)))
        .collect()
}

fn chart(picture: &Picture, m: &Measured, c: &Coefficients) -> Chart {
    let (mut measured, mut model) = (Vec::new(), Vec::new());
    for point in m.points.iter().filter(|p| p.series == picture.series) {
        let phase = (picture.phase)(&point.median());
        let load = point.load(&phase, true);
        let (x, scale) = (f64::from((picture.along)(point)), (picture.scale)(&load));
        measured.push((x, phase.used(picture.resource) * scale));
        model.push((x, c.used(picture.resource, &load) * scale));
    }
    Chart {
        title: picture.title.into(),
        x: picture.x.into(),
        y: picture.y.into(),
        flip_x: false,
        lines: vec![("measured".into(), measured), ("model".into(), model)],
    }
}
