//! Carries events from the node that accepted them to every node: the contract, and who keeps it.
//!
//! Whatever is published reaches the sink of every node, in order within a partition, each event once. What cannot be
//! brought is declared lost to the sink, never passed over in silence. Publishing never waits.

pub mod cluster;
pub mod follow;
pub mod log;
pub mod memory;
pub mod partition;
pub mod redis;
pub mod repeats;
pub mod window;
pub mod wire;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use self::cluster::{Peer, Seen};
use crate::event::{Channel, Event};

/// What a broker hands its events to: one a node.
pub trait Sink: Send + Sync + 'static {
    /// Delivers an event to this node's subscribers. The broker calls it in order for each partition and waits for
    /// the end before it delivers the partition's next event.
    fn deliver(&self, event: Event) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;

    /// Keeps an event from before this node listened, `age` old, for subscribers still to come. Called in order, and
    /// before any later event of the partition is delivered.
    fn remember(&self, event: Event, age: Duration);

    /// Events may be missing that this node's subscribers should have had.
    fn lost(&self, lost: Lost);
}

/// Which channels may have lost events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Any channel of one partition.
    Partition {
        /// Which.
        partition: u32,
        /// How many there are.
        partitions: u32,
    },
    /// Just these.
    Channels(Vec<Channel>),
}

impl Lost {
    /// Whether `channel` may have lost an event.
    pub fn touches(&self, channel: &Channel) -> bool {
        match self {
            Self::Partition { partition, partitions } => partition::of(channel, *partitions) == *partition,
            Self::Channels(channels) => channels.contains(channel),
        }
    }
}

/// The promise that a published event will be safe with the broker.
#[derive(Debug)]
pub struct Receipt(oneshot::Receiver<()>);

impl Receipt {
    /// A receipt, and what fulfils it.
    pub fn pending() -> (oneshot::Sender<()>, Self) {
        let (sender, receiver) = oneshot::channel();
        (sender, Self(receiver))
    }

    /// Waits until the event is where the death of this process cannot take it any more, `within` at most. `false`
    /// means: not yet; the event is still on its way.
    pub async fn confirmed(self, within: Duration) -> bool {
        matches!(tokio::time::timeout(within, self.0).await, Ok(Ok(())))
    }
}

/// One Redis deployment as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardHealth {
    /// Host and port, never a password.
    pub name: String,
    /// Whether it answers and this node hears it.
    pub up: bool,
    /// How long it last took to answer; `None` where it has not, or is away.
    pub round_trip: Option<Duration>,
    /// How far this machine's clock is ahead of its clock.
    pub clock_offset_ms: Option<i64>,
}

/// How the broker is, as readiness and the node list see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// `memory` or `redis`.
    pub kind: &'static str,
    /// Number of partitions.
    pub partitions: u32,
    /// Events accepted here that other nodes do not have yet.
    pub waiting: usize,
    /// Each shard; empty for the memory broker.
    pub shards: Vec<ShardHealth>,
}

/// The broker this node was configured with.
#[derive(Clone)]
pub enum Broker {
    /// Within this process.
    Memory(memory::MemoryBroker),
    /// Through Redis.
    Redis(redis::RedisBroker),
}

impl Broker {
    /// Takes an event. From here on it is the broker's to lose.
    pub fn publish(&self, event: Event) -> Receipt {
        match self {
            Self::Memory(broker) => broker.publish(event),
            Self::Redis(broker) => broker.publish(event),
        }
    }

    /// How it is now.
    pub fn health(&self) -> Health {
        match self {
            Self::Memory(broker) => broker.health(),
            Self::Redis(broker) => broker.health(),
        }
    }

    /// Waits until it turns out that this node cannot work with its broker at all: for ever, as a rule.
    pub async fn fatal(&self) -> redis::Fatal {
        match self {
            Self::Memory(_) => std::future::pending().await,
            Self::Redis(broker) => broker.fatal().await,
        }
    }

    /// Makes `peer` known to the cluster, for as long as it lives.
    pub fn join(&self, peer: &Arc<dyn Peer>) {
        match self {
            Self::Memory(broker) => broker.join(peer),
            Self::Redis(broker) => broker.join(peer),
        }
    }

    /// Takes this node out of the others' view, before it ends.
    pub async fn leave(&self) {
        match self {
            // Whoever looks there sees those that live.
            Self::Memory(_) => {}
            Self::Redis(broker) => broker.leave().await,
        }
    }

    /// All nodes of the cluster, this one included, as they were last seen.
    pub fn nodes(&self) -> Vec<Seen> {
        match self {
            Self::Memory(broker) => broker.nodes(),
            Self::Redis(broker) => broker.nodes(),
        }
    }

    /// Asks all nodes, this one included. Returns what was answered `within` this time; it waits no longer than for
    /// all that heard the question.
    pub async fn ask(&self, question: Bytes, within: Duration) -> Vec<Bytes> {
        match self {
            Self::Memory(broker) => broker.ask(question, within).await,
            Self::Redis(broker) => broker.ask(question, within).await,
        }
    }
}
