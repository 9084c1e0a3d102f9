//! Carries events from the node that accepted them to every node: the contract, and who keeps it.
//!
//! Whatever is published reaches the sink of every node, in order within a partition, each event once. What cannot be
//! brought is declared lost to the sink, never passed over in silence. Publishing never waits.

pub mod carrier;
pub mod cluster;
pub mod clustered;
pub mod control;
mod idempotency;
pub mod keep;
pub mod local;
pub mod memory;
mod mesh;
pub mod packet;
pub mod partition;
pub mod redis;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use self::cluster::{ClusterMember, Found, KnownNode};
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

/// So many channels are named where a loss is told of, no more.
const SHOWN: usize = 5;

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

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Partition {
                partition,
                partitions,
            } => write!(f, "partition {partition} of {partitions}"),
            Self::Channels(channels) if channels.len() > SHOWN => {
                write!(f, "{} channels", channels.len())
            }
            Self::Channels(channels) => {
                let names: Vec<&str> = channels.iter().map(Channel::as_str).collect();
                f.write_str(&names.join(", "))
            }
        }
    }
}

impl Lost {
    /// Whether `channel` may have lost an event.
    pub fn touches(&self, channel: &Channel) -> bool {
        match self {
            Self::Partition {
                partition,
                partitions,
            } => partition::of(channel, *partitions) == *partition,
            Self::Channels(channels) => channels.contains(channel),
        }
    }
}

/// The promise that a published event will be safe with the broker.
#[derive(Debug)]
pub struct Receipt(oneshot::Receiver<()>);

/// What became of an event within some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The death of this process cannot take it any more.
    Safe,
    /// It is still on its way.
    Waiting,
    /// A bound was hit: it was dropped, and those whom it was for are told that something may be missing.
    Dropped,
}

impl Receipt {
    /// A receipt, and what fulfils it.
    pub fn pending() -> (oneshot::Sender<()>, Self) {
        let (sender, receiver) = oneshot::channel();
        (sender, Self(receiver))
    }

    /// Waits until the event is where the death of this process cannot take it any more, `within` at most. `false`
    /// means: not yet; the event is still on its way.
    pub async fn confirmed(self, within: Duration) -> bool {
        self.fate(within).await == Fate::Safe
    }

    /// The same, for those who can have it again if it was dropped.
    pub async fn fate(self, within: Duration) -> Fate {
        match tokio::time::timeout(within, self.0).await {
            Ok(Ok(())) => Fate::Safe,
            Ok(Err(_)) => Fate::Dropped,
            Err(_) => Fate::Waiting,
        }
    }
}

/// One Redis deployment as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardHealth {
    /// Host and port, never a password.
    pub name: String,
    /// Whether it answers and this node hears it.
    pub up: bool,
    /// How long it last took to take what was published; `None` where it has not, or is away.
    pub round_trip: Option<Duration>,
}

/// Bounds of what was accepted and the other nodes cannot have yet, for the whole node.
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
        Self {
            count: 100_000,
            bytes: 64 << 20,
            age: Duration::from_secs(60),
        }
    }
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
    /// For how long the oldest of them has waited.
    pub oldest: Option<Duration>,
    /// Why this node stays out of the cluster: what differs, and from whom.
    pub misfit: Option<String>,
    /// Each shard; empty for the memory broker.
    pub shards: Vec<ShardHealth>,
}

/// The broker this node was configured with.
#[derive(Clone)]
pub enum Broker {
    /// Within this process.
    Memory(memory::MemoryBroker),
    /// Among nodes, through Redis.
    Clustered(clustered::ClusteredBroker),
}

impl Broker {
    /// Takes an event. From here on it is the broker's to lose.
    pub fn publish(&self, event: Event) -> Receipt {
        match self {
            Self::Memory(broker) => broker.publish(event),
            Self::Clustered(broker) => broker.publish(event),
        }
    }

    /// How it is now.
    pub fn health(&self) -> Health {
        match self {
            Self::Memory(broker) => broker.health(),
            Self::Clustered(broker) => broker.health(),
        }
    }

    /// Makes `peer` known to the cluster, for as long as it lives.
    pub fn join(&self, peer: &Arc<dyn ClusterMember>) {
        match self {
            Self::Memory(broker) => broker.join(peer),
            Self::Clustered(broker) => broker.join(peer),
        }
    }

    /// Takes this node out of the others' view, before it ends.
    pub async fn leave(&self) {
        match self {
            // Whoever looks there sees those that live.
            Self::Memory(_) => {}
            Self::Clustered(broker) => broker.leave().await,
        }
    }

    /// All nodes of the cluster, this one included, as they were last seen.
    pub fn nodes(&self) -> Vec<KnownNode> {
        match self {
            Self::Memory(broker) => broker.nodes(),
            Self::Clustered(broker) => broker.nodes(),
        }
    }

    /// Asks all nodes, this one included. Returns what was answered `within` this time; it waits no longer than for
    /// all that heard the question.
    pub async fn ask(&self, question: Bytes, within: Duration) -> Vec<Bytes> {
        match self {
            Self::Memory(broker) => broker.ask(question, within).await,
            Self::Clustered(broker) => broker.ask(question, within).await,
        }
    }

    /// Asks all nodes, this one included, what one of them can answer. It waits `within` this time, and no longer than for the
    /// first answer.
    pub async fn find(&self, question: Bytes, within: Duration) -> Found {
        match self {
            Self::Memory(broker) => broker.find(question, within).await,
            Self::Clustered(broker) => broker.find(question, within).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_became_of_an_event_is_told_apart() {
        let within = Duration::from_secs(10);
        let (sender, receipt) = Receipt::pending();
        sender.send(()).expect("it waits");
        assert_eq!(receipt.fate(within).await, Fate::Safe);
        let (sender, receipt) = Receipt::pending();
        drop(sender);
        assert_eq!(receipt.fate(within).await, Fate::Dropped);
        let (_sender, receipt) = Receipt::pending();
        assert_eq!(receipt.fate(Duration::ZERO).await, Fate::Waiting);
    }
}
