//! What a node says of itself to the others, as `/nodes` shows it and as it travels over the broker.
//!
//! Invariant: a field that another version does not send has a neutral value here, so versions can be mixed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::condition::Condition;
use crate::metrics::incidents::Incidents;

/// One node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeView {
    /// What it is called.
    pub name: String,
    /// Unique to this start of it.
    pub(super) id: String,
    /// Where clients and backends connect.
    pub address: String,
    /// Where operators connect.
    pub(super) ops_url: String,
    /// Its version.
    pub version: String,
    /// When it started, Unix milliseconds.
    pub started_ms: u64,
    /// When it was last heard of, Unix milliseconds.
    pub seen_ms: u64,
    /// Where it stands in its life: starting, running, settling, closing.
    pub phase: String,
    /// Open client connections.
    pub connections: u64,
    /// Subscriptions.
    pub subscriptions: u64,
    /// Channels with a subscriber or a recent event.
    pub(super) channels: u64,
    /// Events it accepted from backends, a second.
    pub events_per_second: f64,
    /// Messages it gave to single subscribers, a second.
    pub deliveries_per_second: f64,
    /// Cores that its process used over the last seconds, such as 0.35; `None`: not known.
    pub(super) cpu_cores: Option<f64>,
    /// Memory of its process, bytes; `None`: not known.
    pub(super) memory_bytes: Option<u64>,
    /// What its process had of drops, refusals and resyncs in the last 15 minutes, or since it started; `None`: not known.
    pub lately: Option<Incidents>,
    /// Number of partitions.
    pub(super) partitions: u32,
    /// Its events that the others do not have yet.
    pub(super) waiting: u64,
    /// While they wait for a Redis that is away: how long until the oldest are given up, seconds.
    pub(super) waiting_left_seconds: Option<f64>,
    /// Why it stays out of the cluster: what differs, and from whom. `None`: it fits in.
    pub(super) misfit: Option<String>,
    /// The shards as it sees them.
    pub shards: Vec<ShardView>,
    /// Equal where nodes are configured alike.
    pub(super) configuration: String,
    /// Its settings that are not as they are by default, each with a mark that is equal where its values are; `None`: not
    /// known. Addresses, names, logs and secrets are not among them.
    pub(super) settings: Option<BTreeMap<String, String>>,
    /// Equal where nodes have the same key.
    pub key: String,
    /// How far its clock is ahead of the first shard's, milliseconds; `None`: not known.
    pub(super) clock_offset_ms: Option<i64>,
    /// When it was lost: it ended without a word. `None` as long as it is there. Unix milliseconds.
    pub lost_ms: Option<u64>,
}

/// Sums over all nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Sums {
    /// Open client connections.
    connections: u64,
    /// Subscriptions.
    subscriptions: u64,
    /// The largest number of channels of one node: most channels are on several.
    channels: u64,
    /// Events accepted from backends, a second.
    events_per_second: f64,
    /// Messages given to single subscribers, a second.
    deliveries_per_second: f64,
}

impl Sums {
    /// Those of `nodes`.
    pub fn of(nodes: &[NodeView]) -> Self {
        Self {
            connections: nodes.iter().map(|node| node.connections).sum(),
            subscriptions: nodes.iter().map(|node| node.subscriptions).sum(),
            channels: nodes.iter().map(|node| node.channels).max().unwrap_or(0),
            events_per_second: nodes.iter().map(|node| node.events_per_second).sum(),
            deliveries_per_second: nodes.iter().map(|node| node.deliveries_per_second).sum(),
        }
    }
}

/// One Redis deployment as one node sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ShardView {
    /// Host and port.
    pub(super) name: String,
    /// Whether it answers and the node hears it.
    pub up: bool,
    /// The last round trip, seconds.
    pub(super) round_trip_seconds: Option<f64>,
}

/// Something that is wrong, or will be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// What, as metrics call it.
    pub(super) code: String,
    /// What, which nodes, and what to do.
    pub text: String,
}

/// The cluster as one node sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClusterView {
    /// All nodes, by name.
    pub nodes: Vec<NodeView>,
    /// Nodes that ended without a word, as they were last seen.
    pub lost: Vec<NodeView>,
    /// What differs between nodes.
    pub warnings: Vec<Warning>,
    /// How all of it is, with everything that is wrong.
    pub condition: Condition,
}
