//! The broker's configuration: how to reach Redis.
//!
//! Invariant: a password never shows: not in a name, not in `Debug`.

use std::fmt;
use std::time::Duration;

/// What the broker needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// The shards, in an order that is the same on all nodes.
    pub shards: Vec<Server>,
    /// What every key and channel begins with.
    pub prefix: String,
    /// Number of partitions, the same on all nodes.
    pub partitions: u32,
    /// Events no older than this are remembered when the node starts.
    pub replay: Duration,
    /// What may wait while Redis is away.
    pub waiting: Bounds,
}

/// Bounds of what was accepted and Redis does not have yet, for the whole node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Events.
    pub count: usize,
    /// Bytes.
    pub bytes: usize,
    /// Age of the oldest.
    pub age: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { count: 100_000, bytes: 64 << 20, age: Duration::from_secs(60) }
    }
}

/// How a shard is laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One server.
    Single,
    /// A master that Sentinels know; the hosts are theirs.
    Sentinel {
        /// The master's name.
        service: String,
    },
    /// A Redis Cluster; the hosts are some of its servers.
    Cluster,
}

/// One shard: a server, a Sentinel group or a Cluster.
#[derive(Clone, PartialEq, Eq)]
pub struct Server {
    /// How it is laid out.
    pub layout: Layout,
    /// Hosts and ports.
    pub hosts: Vec<(String, u16)>,
    /// Whether to speak TLS.
    pub tls: bool,
    /// The user to log in as, if any.
    pub user: Option<String>,
    /// The password to log in with, if any.
    pub password: Option<String>,
    /// User and password for the Sentinels themselves.
    pub sentinel_login: (Option<String>, Option<String>),
    /// The database number; 0 in a Cluster.
    pub database: u8,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({:?}, {}, database {}, tls {})", self.layout, self.name(), self.database, self.tls)
    }
}

impl Server {
    /// One server without a login.
    pub fn single(host: &str, port: u16) -> Self {
        Self {
            layout: Layout::Single,
            hosts: vec![(host.to_owned(), port)],
            tls: false,
            user: None,
            password: None,
            sentinel_login: (None, None),
            database: 0,
        }
    }

    /// What logs and metrics call it: its first host and port.
    pub fn name(&self) -> String {
        self.hosts.first().map_or_else(String::new, |(host, port)| format!("{host}:{port}"))
    }
}
