//! What the mesh needs of whatever carries bytes between nodes: one carrier a shard.
//!
//! Contract: a carrier says bytes on topics, and every node that listens there hears them, this one included, as a rule.
//! It may lose, repeat and delay messages and keeps order only on one topic of one connection; the mesh mends the rest. It
//! keeps nothing and knows nothing of what it carries, so that another client crate takes a day.

use bytes::Bytes;
use futures_util::future::BoxFuture;

/// Where something is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// The events of a partition; all nodes listen.
    Partition(u32),
    /// All nodes.
    All,
    /// One start of one node.
    Node(u64),
}

/// Why nothing was said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct CarrierError {
    /// In words, with the address; never a password.
    pub(super) text: String,
    /// The failure's short name.
    pub(super) label: &'static str,
}

/// What one message met: how many heard it (0 where that cannot be known), or why it was not taken.
pub type Said = Result<u64, CarrierError>;

/// What a carrier tells of its subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// All topics are listened to; nothing from before is heard.
    Subscribed,
    /// A message.
    Message(Bytes),
    /// Messages may have been dropped on the way.
    Lagged,
    /// The subscription is over, as far as the carrier knows why.
    Ended(Option<CarrierError>),
}

/// See the module.
pub trait Carrier: Send + Sync + 'static {
    /// What logs and metrics call it: its host and port.
    fn name(&self) -> String;

    /// Whether each topic is on a connection of its own, so that hearing one proves nothing of the others.
    fn topics_are_apart(&self) -> bool;

    /// Says messages in this order, each once or not at all, and tells for each what became of it. Ends within seconds.
    fn say(&self, messages: Vec<(Topic, Bytes)>) -> BoxFuture<'_, Vec<Said>>;

    /// Listens to all topics of `partitions` partitions, to all nodes' and to the node `origin`'s, until the subscription
    /// ends; dropping the future ends it. `ear` never waits.
    fn listen<'a>(
        &'a self,
        partitions: u32,
        origin: u64,
        ear: &'a (dyn Fn(Heard) + Send + Sync),
    ) -> BoxFuture<'a, ()>;
}
