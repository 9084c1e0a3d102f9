//! The model: what a cluster uses is a sum of costs, each times how much there is of what drives it.
//!
//! Invariant: the fit and the plan ask the same [`Load`] for the same amounts, so a coefficient cannot mean two things.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What something costs is counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Driver {
    /// A node, whatever it does.
    Node,
    /// A Redis shard, whatever it does.
    Shard,
    /// A node's link to one shard: its connections, buffers and probes.
    Link,
    /// A client's connection.
    Connection,
    /// A connection's subscription to a library.
    Subscription,
    /// A library that has subscribers on a node, once for each such node.
    Channel,
    /// A client's ping.
    Ping,
    /// An event posted.
    Event,
    /// An event heard by a node: each node hears each.
    Hearing,
    /// An event given to one subscriber.
    Delivery,
    /// An event that a node remembers, for nodes that missed it and for clients to come.
    Remembered,
}

impl Driver {
    /// "per …"
    pub fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Shard => "shard",
            Self::Link => "node and shard",
            Self::Connection => "connection",
            Self::Subscription => "subscription",
            Self::Channel => "library with subscribers, on each node",
            Self::Ping => "ping",
            Self::Event => "event",
            Self::Hearing => "event and node",
            Self::Delivery => "delivery",
            Self::Remembered => "event a node remembers",
        }
    }

    /// Is there all the time, other than what comes so many times a second.
    pub fn is_standing(self) -> bool {
        !matches!(
            self,
            Self::Ping | Self::Event | Self::Hearing | Self::Delivery
        )
    }
}

/// What is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// CPU of all nodes, seconds a second.
    NodeCpu,
    /// CPU of all nodes until clients are connected and subscribed, seconds.
    JoinCpu,
    /// Resident memory of all nodes, bytes.
    NodeMemory,
    /// The kernel's memory for the server's ends of the connections, bytes.
    KernelMemory,
    /// Bytes a second on the wire in both directions, of clients, backends and Redis, headers included.
    Network,
    /// CPU of all Redis shards, seconds a second.
    RedisCpu,
    /// Bytes a second into all Redis shards.
    RedisIn,
    /// Bytes a second out of all Redis shards.
    RedisOut,
    /// Memory of all Redis shards, bytes.
    RedisMemory,
}

/// Each resource and what its use is a sum over.
pub const FORMULAE: &[(Resource, &[Driver])] = &[
    (
        Resource::NodeCpu,
        &[
            Driver::Node,
            Driver::Link,
            Driver::Ping,
            Driver::Event,
            Driver::Hearing,
            Driver::Delivery,
        ],
    ),
    (
        Resource::JoinCpu,
        &[Driver::Connection, Driver::Subscription],
    ),
    (
        Resource::NodeMemory,
        &[
            Driver::Node,
            Driver::Link,
            Driver::Connection,
            Driver::Subscription,
            Driver::Channel,
            Driver::Remembered,
        ],
    ),
    (Resource::KernelMemory, &[Driver::Connection]),
    (
        Resource::Network,
        &[
            Driver::Link,
            Driver::Ping,
            Driver::Event,
            Driver::Hearing,
            Driver::Delivery,
        ],
    ),
    (
        Resource::RedisCpu,
        &[Driver::Shard, Driver::Link, Driver::Event, Driver::Hearing],
    ),
    (Resource::RedisIn, &[Driver::Link, Driver::Event]),
    (
        Resource::RedisOut,
        &[Driver::Link, Driver::Event, Driver::Hearing],
    ),
    (Resource::RedisMemory, &[Driver::Shard, Driver::Link]),
];

impl Resource {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::NodeCpu => "CPU of nodes",
            Self::JoinCpu => "CPU of nodes while clients join",
            Self::NodeMemory => "memory of nodes",
            Self::KernelMemory => "kernel memory",
            Self::Network => "network, both directions",
            Self::RedisCpu => "CPU of Redis",
            Self::RedisIn => "bytes into Redis",
            Self::RedisOut => "bytes out of Redis",
            Self::RedisMemory => "memory of Redis",
        }
    }

    /// Counted in seconds of CPU; else in bytes.
    pub fn is_cpu(self) -> bool {
        matches!(self, Self::NodeCpu | Self::JoinCpu | Self::RedisCpu)
    }

    /// What its use is a sum over.
    pub fn drivers(self) -> &'static [Driver] {
        FORMULAE
            .iter()
            .find(|(r, _)| *r == self)
            .map_or(&[], |(_, d)| *d)
    }
}

/// How much a whole cluster has to do.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// Nodes.
    pub nodes: f64,
    /// Redis shards.
    pub shards: f64,
    /// Clients' connections.
    pub connections: f64,
    /// Their subscriptions.
    pub subscriptions: f64,
    /// Libraries with subscribers, summed over nodes.
    pub channels: f64,
    /// Clients' pings a second.
    pub pings: f64,
    /// Events posted a second.
    pub events: f64,
    /// Deliveries a second.
    pub deliveries: f64,
    /// Events remembered, summed over nodes.
    pub remembered: f64,
}

impl Load {
    /// How much there is of what drives a cost.
    pub fn amount(&self, driver: Driver) -> f64 {
        match driver {
            Driver::Node => self.nodes,
            Driver::Shard => self.shards,
            Driver::Link => self.nodes * self.shards,
            Driver::Connection => self.connections,
            Driver::Subscription => self.subscriptions,
            Driver::Channel => self.channels,
            Driver::Ping => self.pings,
            Driver::Event => self.events,
            Driver::Hearing => self.events * self.nodes,
            Driver::Delivery => self.deliveries,
            Driver::Remembered => self.remembered,
        }
    }
}

/// What each unit costs: seconds of CPU, or bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Coefficients(pub BTreeMap<Resource, BTreeMap<Driver, f64>>);

impl Coefficients {
    /// The cost of one unit; 0 where there is none.
    pub fn cost(&self, resource: Resource, driver: Driver) -> f64 {
        self.0
            .get(&resource)
            .and_then(|c| c.get(&driver))
            .copied()
            .unwrap_or(0.0)
    }

    /// What the whole cluster uses of a resource.
    pub fn used(&self, resource: Resource, load: &Load) -> f64 {
        resource
            .drivers()
            .iter()
            .map(|d| self.cost(resource, *d) * load.amount(*d))
            .sum()
    }
}
