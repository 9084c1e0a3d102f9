//! The broker's configuration: how to reach Redis.
//!
//! Invariant: a password never shows: not in a name, not in `Debug`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::tls::Certificates;
use crate::broker::Bounds;

/// What the broker needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// The shards, in an order that is the same on all nodes.
    pub shards: Vec<Server>,
    /// What every channel begins with.
    pub prefix: String,
    /// Number of partitions, the same on all nodes.
    pub partitions: u32,
    /// How far back new subscribers and starting nodes look.
    pub replay: Duration,
    /// What may wait while Redis is away.
    pub waiting: Bounds,
}

/// What is wrong with a [`Config`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum ConfigFault {
    /// No shard.
    #[error("no Redis server is given")]
    Shards,
    /// Not at least one partition.
    #[error("FOGHORN_PARTITIONS must be from 1 to 4096")]
    Partitions,
    /// A prefix that would spoil the names of channels.
    #[error("FOGHORN_REDIS_PREFIX must be 1 to 64 letters, digits and any of `-_.:`")]
    Prefix,
}

impl ConfigFault {
    /// The fault's short name.
    pub fn label(&self) -> &'static str {
        self.into()
    }
}

impl Config {
    /// Checks what can be checked without Redis.
    ///
    /// # Errors
    /// The first fault.
    pub fn check(&self) -> Result<(), ConfigFault> {
        let fine = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
        if self.shards.is_empty() {
            Err(ConfigFault::Shards)
        } else if !(1..=4_096).contains(&self.partitions) {
            Err(ConfigFault::Partitions)
        } else if self.prefix.is_empty() || self.prefix.len() > 64 || !self.prefix.chars().all(fine)
        {
            Err(ConfigFault::Prefix)
        } else {
            Ok(())
        }
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
    /// Whom to trust then, and what to show.
    pub certificates: Certificates,
    /// The user to log in as, if any.
    pub user: Option<String>,
    /// The password to log in with, if any.
    pub password: Option<String>,
    /// User and password for the Sentinels themselves.
    pub sentinel_login: (Option<String>, Option<String>),
    /// The database number; 0 in a Cluster.
    pub database: u8,
    /// The login that took the place of the one above, if any.
    pub renewed: Renewed,
}

/// User and password, for Redis and for its Sentinels.
#[derive(Clone)]
pub struct Login {
    /// For Redis.
    pub(super) redis: (Option<String>, Option<String>),
    /// For the Sentinels.
    pub(super) sentinel: (Option<String>, Option<String>),
}

/// A login that was changed while the node runs: all copies of a server share it, and new connections use it.
#[derive(Clone, Default)]
pub struct Renewed(Arc<Mutex<Option<Login>>>);

impl PartialEq for Renewed {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Renewed {}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Server({:?}, {}, database {}, tls {})",
            self.layout,
            self.name(),
            self.database,
            self.tls
        )
    }
}

impl Server {
    /// One server without a login.
    pub fn single(host: &str, port: u16) -> Self {
        Self {
            layout: Layout::Single,
            hosts: vec![(host.to_owned(), port)],
            tls: false,
            certificates: Certificates::default(),
            user: None,
            password: None,
            sentinel_login: (None, None),
            database: 0,
            renewed: Renewed::default(),
        }
    }

    /// What a connection made now logs in with.
    pub fn login(&self) -> Login {
        let own = || Login {
            redis: (self.user.clone(), self.password.clone()),
            sentinel: self.sentinel_login.clone(),
        };
        self.renewed.0.lock().clone().unwrap_or_else(own)
    }

    /// Whether another one is the same server, whatever its login is.
    pub fn is_same_place(&self, other: &Self) -> bool {
        let place = |server: &Self| {
            (
                server.layout.clone(),
                server.hosts.clone(),
                server.tls,
                server.database,
            )
        };
        place(self) == place(other)
    }

    /// New connections of this server and its copies log in as `other` does.
    pub fn renew(&self, other: &Self) {
        *self.renewed.0.lock() = Some(other.login());
    }

    /// What logs and metrics call it: its first host and port.
    pub fn name(&self) -> String {
        self.hosts
            .first()
            .map_or_else(String::new, |(host, port)| format!("{host}:{port}"))
    }
}
