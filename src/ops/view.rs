//! What a node says of itself to the others, as `/nodes` shows it and as it travels over the broker.
//!
//! Invariant: a field that another version does not send has a neutral value here, so versions can be mixed.

use serde::{Deserialize, Serialize};

/// One node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeView {
    /// What it is called.
    pub name: String,
    /// Unique to this start of it.
    pub id: String,
    /// Where clients and backends connect.
    pub address: String,
    /// Where operators connect.
    pub ops_url: String,
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
    pub channels: u64,
    /// Events it accepted from backends, a second.
    pub events_per_second: f64,
    /// Messages it gave to single subscribers, a second.
    pub deliveries_per_second: f64,
    /// Number of partitions.
    pub partitions: u32,
    /// Its events that the others do not have yet.
    pub waiting: u64,
    /// The shards as it sees them.
    pub shards: Vec<ShardView>,
    /// Equal where nodes are configured alike.
    pub configuration: String,
    /// Equal where nodes have the same key.
    pub key: String,
    /// How far its clock is ahead of the first shard's, milliseconds; `None`: not known.
    pub clock_offset_ms: Option<i64>,
}

/// One Redis deployment as one node sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ShardView {
    /// Host and port.
    pub name: String,
    /// Whether it answers and the node hears it.
    pub up: bool,
    /// The last round trip, seconds.
    pub round_trip_seconds: Option<f64>,
}

/// Something that is wrong, or will be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// What, as metrics call it.
    pub code: String,
    /// What, which nodes, and what to do.
    pub text: String,
}

/// The cluster as one node sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClusterView {
    /// All nodes, by name.
    pub nodes: Vec<NodeView>,
    /// What is wrong.
    pub warnings: Vec<Warning>,
}
