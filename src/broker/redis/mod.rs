//! The broker over Redis: partitions spread over shards, each with a publisher, a receiver and a log.
//!
//! ```text
//! publish -> Line.outgoing -> publisher -> script in Redis: log and channel
//!     -> every node's subscription -> Line.inbox -> receiver (follower) -> sink
//! ```
//!
//! Invariant: fred, the Redis client, is used in this folder only, and nothing here waits for Redis but tasks of its own.

mod awake;
mod client;
mod config;
mod examine;
mod line;
mod lua;
mod members;
mod outgoing;
mod probe;
mod publisher;
mod receiver;
mod script;
mod shard;
mod subscription;
mod urls;
mod waiting;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::watch;

use awake::Awake;
pub use config::{Bounds, Config, Layout, Server};
pub use examine::{ExamineError, Examined, examine};
use line::Line;
use members::Members;
use outgoing::Outgoing;
use receiver::Receiver;
use shard::Shard;
pub use urls::{UrlFault, parse_urls};
use waiting::Waiting;

use super::cluster::{Peer, Seen};
use super::follow::Follower;
use super::{Health, Receipt, Sink, partition};
use crate::drain::Tasks;
use crate::event::Event;
use crate::metrics;

/// Why a node cannot work with this Redis at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fatal {
    /// Another node uses another number of partitions.
    #[error(
        "FOGHORN_PARTITIONS is {ours} here, but Redis {shard} is used with {found} partitions: all nodes need the same number (after all nodes were stopped, Redis forgets the old one within 5 minutes)"
    )]
    Partitions {
        /// Host and port of the shard.
        shard: String,
        /// What Redis says.
        found: String,
        /// What this node was told.
        ours: u32,
    },
}

/// What is wrong with a [`Config`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigFault {
    /// No shard.
    #[error("no Redis server is given")]
    NoShards,
    /// Not at least one partition.
    #[error("FOGHORN_PARTITIONS must be from 1 to 4096")]
    Partitions,
    /// A prefix that would spoil the names of keys.
    #[error("FOGHORN_REDIS_PREFIX must be 1 to 64 letters, digits and any of `-_.:`")]
    Prefix,
}

impl ConfigFault {
    /// The fault's short name.
    pub fn label(&self) -> &'static str {
        match self {
            Self::NoShards => "shards",
            Self::Partitions => "partitions",
            Self::Prefix => "prefix",
        }
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
            Err(ConfigFault::NoShards)
        } else if !(1..=4_096).contains(&self.partitions) {
            Err(ConfigFault::Partitions)
        } else if self.prefix.is_empty() || self.prefix.len() > 64 || !self.prefix.chars().all(fine) {
            Err(ConfigFault::Prefix)
        } else {
            Ok(())
        }
    }
}

struct Inner {
    lines: Vec<Arc<Line>>,
    shards: Vec<Arc<Shard>>,
    waiting: Arc<Waiting>,
    members: Arc<Members>,
    fatal: watch::Sender<Option<Fatal>>,
}

/// Delivers through Redis.
#[derive(Clone)]
pub struct RedisBroker(Arc<Inner>);

impl RedisBroker {
    /// Starts it, and returns at once: while a shard cannot be reached, events wait and this node's own clients are
    /// served.
    ///
    /// # Errors
    /// [`ConfigFault`]
    pub fn start(config: Config, sink: Arc<dyn Sink>, tasks: &Tasks) -> Result<Self, ConfigFault> {
        config.check()?;
        let (origin, loss_origin, start) = (rand::random(), rand::random(), Instant::now());
        let (lines, ends): (Vec<Arc<Line>>, Vec<_>) = (0..config.partitions)
            .map(|number| Line::new(number, Outgoing::new(origin, loss_origin), start))
            .map(|(line, ends)| (Arc::new(line), ends))
            .unzip();
        let awake = Arc::new(Awake::new());
        let shards = shards(&config, &lines, &awake);
        let waiting = Arc::new(Waiting::new(config.waiting));
        let broker = Self(Arc::new(Inner {
            lines,
            shards,
            waiting,
            members: Members::new(tasks.clone()),
            fatal: watch::Sender::new(None),
        }));
        for (line, ends) in broker.0.lines.iter().zip(ends) {
            let (line, shard) = (Arc::clone(line), Arc::clone(broker.0.shard_of(line.partition)));
            let follower = Follower::new(config.replay, loss_origin);
            let receiver =
                Receiver::new(Arc::clone(&line), Arc::clone(&shard), Arc::clone(&sink), config.partitions, follower);
            tasks.spawn("redis-receiver", receiver.run(ends, tasks.clone()));
            let waiting = Arc::clone(&broker.0.waiting);
            tasks.spawn("redis-publisher", publisher::run(line, shard, waiting, tasks.clone()));
        }
        let members = || Arc::clone(&broker.0.members);
        for shard in &broker.0.shards {
            let fatal = broker.0.fatal.clone();
            tasks.spawn("redis-commands", Arc::clone(shard).run_commands(fatal, tasks.clone()));
            tasks.spawn("redis-subscription", Arc::clone(shard).run_subscription(members(), tasks.clone()));
            tasks.spawn("redis-lease", Arc::clone(shard).run_lease(members(), tasks.clone()));
        }
        let noting = tasks.clone();
        tasks.spawn("redis-awake", async move { awake.run(&noting).await });
        tasks.spawn("redis-gauges", gauges(Arc::clone(&broker.0), tasks.clone()));
        Ok(broker)
    }

    /// Takes an event; it is confirmed once its log has it.
    pub fn publish(&self, event: Event) -> Receipt {
        let (sender, receipt) = Receipt::pending();
        let line = &self.0.lines[partition::of(&event.channel, self.0.lines.len() as u32) as usize];
        let shard = self.0.shard_of(line.partition);
        let at_once = !shard.is_up() && shard.awake.bearings().is_none();
        // Handed over under the lock, so that order holds among all that publish.
        let mut outgoing = line.outgoing.lock();
        line.deliver_here(outgoing.push((event, sender), at_once, &self.0.waiting));
        drop(outgoing);
        line.wake.notify_one();
        receipt
    }

    /// How it is now.
    pub fn health(&self) -> Health {
        let shards = self.0.shards.iter();
        Health {
            kind: "redis",
            partitions: self.0.lines.len() as u32,
            waiting: self.0.waiting.count(),
            shards: shards.map(|shard| shard.health()).collect(),
        }
    }

    /// Makes a node known to the others.
    pub fn join(&self, peer: &Arc<dyn Peer>) {
        self.0.members.join(peer);
    }

    /// The node is about to end: the others need not wait for its lease to run out.
    pub async fn leave(&self) {
        self.0.members.leave(&self.0.shards).await;
    }

    /// All nodes whose leases hold.
    pub fn nodes(&self) -> Vec<Seen> {
        self.0.members.nodes()
    }

    /// Asks all of them.
    pub async fn ask(&self, question: Bytes, within: Duration) -> Vec<Bytes> {
        self.0.members.ask(&self.0.shards, question, within).await
    }

    /// Waits until it turns out that this node cannot work with its Redis at all; the node must then stop.
    pub async fn fatal(&self) -> Fatal {
        let mut watch = self.0.fatal.subscribe();
        loop {
            if let Some(fatal) = watch.borrow_and_update().clone() {
                return fatal;
            }
            if watch.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Inner {
    fn shard_of(&self, partition: u32) -> &Arc<Shard> {
        &self.shards[partition::shard(partition, self.shards.len())]
    }
}

fn shards(config: &Config, lines: &[Arc<Line>], awake: &Arc<Awake>) -> Vec<Arc<Shard>> {
    let count = config.shards.len();
    let make = |index| {
        let mine = lines.iter().filter(|line| partition::shard(line.partition, count) == index).cloned().collect();
        Arc::new(Shard::new(config, index, mine, Arc::clone(awake)))
    };
    (0..count).map(make).collect()
}

/// Keeps the gauges of what waits.
async fn gauges(inner: Arc<Inner>, tasks: Tasks) {
    loop {
        let oldest = inner.lines.iter().filter_map(|line| line.outgoing.lock().oldest()).min();
        ::metrics::gauge!(metrics::WAITING_EVENTS).set(inner.waiting.count() as f64);
        ::metrics::gauge!(metrics::WAITING_BYTES).set(inner.waiting.bytes() as f64);
        ::metrics::gauge!(metrics::WAITING_SECONDS).set(oldest.map_or(0.0, |at| at.elapsed().as_secs_f64()));
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
            () = tasks.stopped() => return,
        }
    }
}
