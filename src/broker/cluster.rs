//! The cluster's view of itself: each node says what it is, sees all others, and can ask them something.
//!
//! Invariant: a broker carries views and answers as bytes and never looks into them; nothing of this is in the way of
//! events, and a node that ends without a word is gone from the view by itself.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;

/// What will be there later.
pub type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What a node is to the others.
pub trait Peer: Send + Sync + 'static {
    /// Unique to this start of this node.
    fn id(&self) -> String;

    /// What the node says of itself now.
    fn view(&self) -> Bytes;

    /// Answers what a node of the cluster asks, this one included; `None`: there is nothing to say.
    fn answer(&self, question: Bytes) -> Later<Option<Bytes>>;
}

/// A node as it is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// [`Peer::id`].
    pub id: String,
    /// What it said of itself.
    pub view: Bytes,
    /// When it said so, or when it was last known to be there: Unix time in milliseconds.
    pub seen_ms: u64,
}
