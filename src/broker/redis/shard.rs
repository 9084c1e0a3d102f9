//! One Redis deployment as the rest of the broker uses it; [`super::probe`] and [`super::subscription`] keep it going.
//!
//! Invariant: a shard is `up` only while commands are answered and every partition's channel was heard since it was
//! subscribed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::{HashesInterface, PubsubInterface};
use fred::types::Value;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::awake::Awake;
use super::config::{Config, Layout, Server};
use super::line::Line;
use super::lua::is_mixed_up;
use super::script::{self, Names, Published};
use crate::broker::ShardHealth;
use crate::broker::log::{Cursor, Page, Position};
use crate::metrics;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// There is no connection.
    #[error("not connected")]
    Down,
    /// It is used with another number of partitions.
    #[error("it is used with another number of partitions")]
    Partitions,
    /// What the client met.
    #[error("{0}")]
    Redis(#[from] Error),
}

impl Failure {
    /// The failure's short name.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Partitions => "partitions",
            Self::Redis(_) => "redis",
        }
    }
}

/// See the module.
pub struct Shard {
    pub(super) server: Server,
    pub(super) name: String,
    pub(super) names: Names,
    pub(super) partitions: u32,
    pub(super) awake: Arc<Awake>,
    pub(super) lines: Vec<Arc<Line>>,
    pub(super) commands: RwLock<Option<Client>>,
    pub(super) subscribed: AtomicBool,
    pub(super) up: watch::Sender<bool>,
    /// Whether it has been up at all: only then is another number of partitions no reason to stop.
    pub(super) was_up: AtomicBool,
    pub(super) probe_now: Notify,
    pub(super) deaf: Notify,
    pub(super) mixed_up: Notify,
    pub(super) pulse: Mutex<Option<Pulse>>,
}

/// What the last renewal of this node's lease showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// How long it took.
    pub round_trip: Duration,
    /// How far this machine's clock is ahead of the shard's.
    pub clock_offset_ms: i64,
}

impl Shard {
    /// Not connected yet: number `index` of the shards, with the partitions that live there.
    pub fn new(config: &Config, index: usize, lines: Vec<Arc<Line>>, awake: Arc<Awake>) -> Self {
        let server = config.shards[index].clone();
        Self {
            name: server.name(),
            names: Names::new(&config.prefix, server.database, server.layout == Layout::Cluster),
            server,
            partitions: config.partitions,
            awake,
            lines,
            commands: RwLock::new(None),
            subscribed: AtomicBool::new(false),
            up: watch::Sender::new(false),
            was_up: AtomicBool::new(false),
            probe_now: Notify::new(),
            deaf: Notify::new(),
            mixed_up: Notify::new(),
            pulse: Mutex::new(None),
        }
    }

    /// Host and port.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it answers and is heard.
    pub fn is_up(&self) -> bool {
        *self.up.borrow()
    }

    /// How it is now.
    pub fn health(&self) -> ShardHealth {
        let pulse = self.pulse();
        ShardHealth {
            name: self.name.clone(),
            up: self.is_up(),
            round_trip: pulse.map(|pulse| pulse.round_trip),
            clock_offset_ms: pulse.map(|pulse| pulse.clock_offset_ms),
        }
    }

    /// Waits until it comes up; if it is up, until it was down and came up again.
    pub async fn came_up(&self) {
        let mut watch = self.up.subscribe();
        while watch.changed().await.is_ok() {
            if *watch.borrow_and_update() {
                return;
            }
        }
        std::future::pending().await
    }

    pub(super) fn client(&self) -> Result<Client, Failure> {
        self.commands.read().clone().ok_or(Failure::Down)
    }

    /// What the last renewal of the lease showed; `None` while the shard is away.
    pub fn pulse(&self) -> Option<Pulse> {
        self.pulse.lock().filter(|_| self.is_up())
    }

    /// Says something to all nodes. Returns how many hear it, this one included; 0 where it cannot be said here.
    pub async fn say(&self, message: Bytes) -> usize {
        let Ok(client) = self.client() else { return 0 };
        let heard: Result<usize, Error> = if self.server.layout == Layout::Cluster {
            client.spublish(self.names.control(), message).await
        } else {
            client.publish(self.names.control(), message).await
        };
        heard.unwrap_or_else(|error| {
            tracing::debug!(shard = self.name, "the nodes cannot be asked: {error}");
            0
        })
    }

    /// Ends the lease of the node `id`.
    pub async fn withdraw(&self, id: &str) {
        let Ok(client) = self.client() else { return };
        if let Err(error) = client.hdel::<Value, _, _>(self.names.nodes(), id).await {
            tracing::debug!(shard = self.name, "a lease is left to run out: {error}");
        }
    }

    /// A client that mixes up answers must go.
    pub(super) fn trusted<T>(&self, result: Result<T, Error>) -> Result<T, Failure> {
        if result.as_ref().is_err_and(is_mixed_up) {
            tracing::warn!(shard = self.name, "answers are mixed up: connecting anew");
            self.mixed_up.notify_one();
        }
        Ok(result?)
    }

    /// See [`script::publish`].
    pub async fn publish(
        &self,
        partition: u32,
        known: Option<Position>,
        bodies: Vec<Bytes>,
    ) -> Result<Published, Failure> {
        self.trusted(script::publish(&self.client()?, &self.names, partition, known, bodies).await)
    }

    /// See [`script::read`].
    pub async fn read(&self, partition: u32, cursor: Cursor) -> Result<Page, Failure> {
        self.trusted(script::read(&self.client()?, &self.names, partition, cursor).await)
    }

    /// Says something on a channel.
    pub(super) async fn tell(&self, channel: String, message: Bytes) -> Result<(), Failure> {
        let client = self.client()?;
        let _: Value = if self.server.layout == Layout::Cluster {
            client.spublish(channel, Value::Bytes(message)).await?
        } else {
            client.publish(channel, Value::Bytes(message)).await?
        };
        Ok(())
    }

    /// A publish took this long.
    pub fn published(&self, took: Duration) {
        ::metrics::histogram!(metrics::PUBLISH_SECONDS, "shard" => self.name.clone()).record(took.as_secs_f64());
    }

    /// Sets whether it is up.
    pub(super) fn set_up(&self, up: bool) {
        let changed = self.up.send_if_modified(|was| std::mem::replace(was, up) != up);
        ::metrics::gauge!(metrics::REDIS_UP, "shard" => self.name.clone()).set(f64::from(u8::from(up)));
        if changed && up {
            self.was_up.store(true, Ordering::Relaxed);
            tracing::info!(shard = self.name, "Redis answers and is heard");
        } else if changed {
            tracing::warn!(
                shard = self.name,
                "Redis is away: events go to this node's own clients and wait for the others"
            );
        }
    }
}

/// How often the same trouble is logged.
const LOG_EVERY: Duration = Duration::from_secs(30);

/// Says the same thing once in a while only.
#[derive(Default)]
pub(super) struct Trouble(Option<Instant>);

impl Trouble {
    /// Logs it, unless something was logged lately.
    pub(super) fn log(&mut self, shard: &str, what: &str, error: &Failure) {
        if self.0.is_none_or(|last| last.elapsed() > LOG_EVERY) {
            self.0 = Some(Instant::now());
            tracing::warn!(shard, "Redis {what}: {error}; trying on");
        }
    }
}
