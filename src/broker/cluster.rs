//! The cluster's view of itself: each node says what it is, sees all others, and can ask them something.
//!
//! Invariant: a broker carries views and answers as bytes and never looks into them; nothing of this is in the way of
//! events, and a node that ends without a word is gone from the view by itself.

use bytes::Bytes;
use futures_util::future::BoxFuture;

/// What a node is to the others.
pub trait ClusterMember: Send + Sync + 'static {
    /// Unique to this start of this node.
    fn id(&self) -> String;

    /// What it is called.
    fn name(&self) -> String;

    /// Fingerprints of the keys that it takes: two nodes that have none in common cannot be one cluster.
    fn keys(&self) -> Vec<String>;

    /// What the node says of itself now.
    fn view(&self) -> Bytes;

    /// Answers what a node of the cluster asks, this one included; `None`: there is nothing to say.
    fn answer(&self, question: Bytes) -> BoxFuture<'static, Option<Bytes>>;
}

/// What came of a question that one node can answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// What the first node that can answers.
    Answer(Bytes),
    /// All nodes that are known have said that they cannot.
    Nowhere,
    /// A node has not said anything in time.
    Unsure,
}

impl Found {
    /// By the first answer, or, where there is none, by whether all nodes have said so.
    pub fn new(answers: Vec<Bytes>, complete: bool) -> Self {
        match answers.into_iter().next() {
            Some(answer) => Self::Answer(answer),
            None if complete => Self::Nowhere,
            None => Self::Unsure,
        }
    }
}

/// A node as it is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownNode {
    /// [`ClusterMember::id`].
    pub id: String,
    /// What it said of itself.
    pub view: Bytes,
    /// When it said so, or when it was last known to be there: Unix time in milliseconds.
    pub seen_ms: u64,
    /// How far its clock is ahead of this machine's, in milliseconds; it is a little less than that, by how long its word
    /// was on its way.
    pub ahead_ms: Option<i64>,
}
