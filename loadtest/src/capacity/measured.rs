//! The readings of a sweep, as they are kept in `measured.json`.
//!
//! Invariant: a point says exactly what was run; its [`Load`]s are counted, not assumed.

use super::model::{Load, Resource};
use crate::stats::spread;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Everything measured, and where.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Measured {
    /// Cores, processor, kernel.
    pub machine: Value,
    /// The points of all series.
    pub points: Vec<Point>,
}

/// What one measurement runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// Nodes.
    pub nodes: u32,
    /// Redis shards.
    pub shards: u32,
    /// Desktop clients.
    pub clients: u32,
    /// Libraries of each client.
    pub libraries: u32,
    /// Subscribers of each library.
    pub subscribers: u32,
    /// Events a second.
    pub events: u32,
}

/// One shape and its readings.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Point {
    /// The series it belongs to.
    pub series: String,
    /// What was run.
    pub shape: Shape,
    /// Libraries in all: about clients × libraries / subscribers.
    pub channels: u32,
    /// Libraries with subscribers, summed over nodes.
    pub node_channels: u32,
    /// One for each round.
    pub rounds: Vec<Round>,
}

/// One round, from an empty cluster to a busy one.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Round {
    /// Nobody there.
    pub empty: Phase,
    /// Clients connect and subscribe.
    pub join: Phase,
    /// They ping.
    pub idle: Phase,
    /// Events go to them.
    pub busy: Phase,
}

/// What happened and what was used in one stretch of time.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Phase {
    /// How long it was.
    pub seconds: f64,
    /// Pings of clients.
    pub pings: f64,
    /// Events accepted.
    pub events: f64,
    /// Events delivered.
    pub deliveries: f64,
    /// Events accepted since the cluster was started.
    pub events_so_far: f64,
    /// CPU seconds of all nodes.
    pub node_cpu: f64,
    /// Resident bytes of all nodes at its end.
    pub node_memory: f64,
    /// By how much the kernel's memory had grown at its end, bytes, since the cluster was empty; both ends of connections.
    pub kernel_memory: f64,
    /// Bytes over loopback.
    pub network: f64,
    /// CPU seconds of all Redis servers.
    pub redis_cpu: f64,
    /// Bytes they received.
    pub redis_in: f64,
    /// Bytes they sent.
    pub redis_out: f64,
    /// Bytes of memory they used at its end.
    pub redis_memory: f64,
}

impl Phase {
    /// What was used: by the second for what flows, at the end for what stays, in all while clients join.
    pub fn used(&self, resource: Resource) -> f64 {
        match resource {
            Resource::NodeCpu => self.node_cpu / self.seconds,
            Resource::JoinCpu => self.node_cpu,
            Resource::NodeMemory => self.node_memory,
            // A connection over loopback has both its ends here; a node has one of them.
            Resource::KernelMemory => self.kernel_memory / 2.0,
            Resource::Network => self.network / self.seconds,
            Resource::RedisCpu => self.redis_cpu / self.seconds,
            Resource::RedisIn => self.redis_in / self.seconds,
            Resource::RedisOut => self.redis_out / self.seconds,
            Resource::RedisMemory => self.redis_memory,
        }
    }

    /// The middle of several, value by value.
    fn median(all: &[Self]) -> Self {
        let of = |value: fn(&Self) -> f64| {
            let values: Vec<f64> = all.iter().map(value).collect();
            spread(&values).map_or(0.0, |s| s.median)
        };
        Self {
            seconds: of(|p| p.seconds),
            pings: of(|p| p.pings),
            events: of(|p| p.events),
            deliveries: of(|p| p.deliveries),
            events_so_far: of(|p| p.events_so_far),
            node_cpu: of(|p| p.node_cpu),
            node_memory: of(|p| p.node_memory),
            kernel_memory: of(|p| p.kernel_memory),
            network: of(|p| p.network),
            redis_cpu: of(|p| p.redis_cpu),
            redis_in: of(|p| p.redis_in),
            redis_out: of(|p| p.redis_out),
            redis_memory: of(|p| p.redis_memory),
        }
    }
}

impl Point {
    /// The middle of all rounds.
    pub fn median(&self) -> Round {
        let of = |phase: fn(&Round) -> Phase| {
            Phase::median(&self.rounds.iter().map(phase).collect::<Vec<_>>())
        };
        Round {
            empty: of(|r| r.empty),
            join: of(|r| r.join),
            idle: of(|r| r.idle),
            busy: of(|r| r.busy),
        }
    }

    /// What a phase of this point had to do.
    pub fn load(&self, phase: &Phase, with_clients: bool) -> Load {
        let there = f64::from(u8::from(with_clients));
        let (nodes, clients) = (
            f64::from(self.shape.nodes),
            f64::from(self.shape.clients) * there,
        );
        Load {
            nodes,
            shards: self.shape.shards.into(),
            connections: clients,
            subscriptions: clients * f64::from(self.shape.libraries),
            channels: f64::from(self.node_channels) * there,
            pings: phase.pings / phase.seconds,
            events: phase.events / phase.seconds,
            deliveries: phase.deliveries / phase.seconds,
            remembered: phase.events_so_far * nodes,
        }
    }
}

/// The phases of a round that tell something of a resource, each with whether clients were there.
fn telling(resource: Resource, r: &Round) -> Vec<(Phase, bool)> {
    match resource {
        Resource::JoinCpu => vec![(r.join, true)],
        // What is kept is clearest at rest; only events remembered need a busy phase.
        Resource::KernelMemory => vec![(r.idle, true)],
        _ => vec![(r.empty, false), (r.idle, true), (r.busy, true)],
    }
}

/// What a point's middle round had to do and used, for each phase that tells.
pub fn observations(resource: Resource, p: &Point) -> Vec<(Load, f64)> {
    let all = telling(resource, &p.median());
    all.iter()
        .map(|(phase, there)| (p.load(phase, *there), phase.used(resource)))
        .collect()
}
