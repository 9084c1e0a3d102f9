//! What outlives delivery, for dialects that ask for it: a channel's past, who is present in it, lists that other programs
//! fill, and what one node of all does. [`Keeper`] is the contract; one suite (`tests/keeper_contract`) holds every kind to it.
//!
//! Invariants: an event is in its channel's past before it is delivered, and carries its place there. What cannot be kept yet
//! is given to the node's own clients all the same ([`Kept::Later`]), and to the others with its place when it was kept. What
//! cannot be kept at all is delivered without one ([`Kept::Missed`]), and the past gets a new epoch before it is read again.
//! Nobody waits longer than [`PATIENCE`] for an answer, or to be told of an event that their node took, where the process
//! itself runs. Nothing is written anywhere until a dialect keeps something.
//!
//! [`Kept::Later`]: crate::event::Kept::Later
//! [`Kept::Missed`]: crate::event::Kept::Missed

mod filled;
pub mod heard;
pub mod listener;
mod marks;
pub mod memory;
mod order;
mod recent;
mod said;
mod shelf;
pub mod told;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use self::said::{CLAIM, Saying};
pub use super::Fate;
use super::Receipt;
use super::redis;
pub use super::redis::{Foreign, Queue, Server};
use crate::event::{Channel, Event};
pub use crate::event::{Keep, Past};

/// How long one call may take; a keeper that stands still holds nothing up for longer.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// For how long the place that a past has reached is known after its last event has run out.
pub(super) const MEMORY_OF_PLACES: Duration = Duration::from_secs(3_600);

/// Why something kept cannot be told or changed now. Whatever it is, it may work the next time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum KeepError {
    /// No answer within [`PATIENCE`].
    #[error("Redis does not answer in time")]
    Late,
    /// Redis cannot be reached: why, with its address.
    #[error("{0}")]
    Away(String),
    /// Redis says no: a right is missing, its memory is full.
    #[error("{0}")]
    Refused(String),
    /// Too much waits already.
    #[error("too much waits for Redis already")]
    Crowded,
    /// It has waited for as long as it may.
    #[error("it has waited for Redis for too long")]
    Expired,
    /// What is there was not written by this version, or by another program.
    #[error("what Redis has cannot be read")]
    Unreadable,
    /// The node ends.
    #[error("this node is about to end")]
    Ending,
}

impl KeepError {
    /// The metric label.
    pub fn label(&self) -> &'static str {
        self.into()
    }
}

/// Being present in a channel; dropping it ends that, for this entry alone.
pub struct Presence(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Presence {
    pub(super) fn new(leave: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(leave)))
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        if let Some(leave) = self.0.take() {
            leave();
        }
    }
}

/// The right to be the only node that does something; dropping it gives it up at once.
///
/// Whoever has it looks at [`Lease::ended`] all the time and stops within [`Lease::MARGIN`] of it. No other node begins before.
pub struct Lease {
    fence: u64,
    ended: CancellationToken,
    until: Option<Arc<Mutex<Instant>>>,
    _release: Presence,
}

impl Lease {
    /// How long before another node may begin the holder is told to stop.
    pub(super) const MARGIN: Duration = Duration::from_secs(2);

    /// One that holds until it is said to have `ended`, and for no longer than `until` says.
    pub(super) fn new(
        fence: u64,
        ended: CancellationToken,
        until: Option<Arc<Mutex<Instant>>>,
        release: impl FnOnce() + Send + Sync + 'static,
    ) -> Self {
        Self {
            fence,
            ended,
            until,
            _release: Presence::new(release),
        }
    }

    /// Greater than that of every earlier lease of the name: what it guards can refuse latecomers by it.
    pub fn fence(&self) -> u64 {
        self.fence
    }

    /// Whether it still holds.
    pub fn is_held(&self) -> bool {
        // A process that stood still may not have noticed yet.
        !self.ended.is_cancelled()
            && self
                .until
                .as_ref()
                .is_none_or(|until| Instant::now() < *until.lock())
    }

    /// Waits until it has ended, because it could not be renewed in time, or the node ends.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }
}

/// Keeps for one node. Cheap to clone.
#[derive(Clone)]
pub enum Keeper {
    /// Within this process, for as long as it lives.
    Memory(memory::MemoryKeeper),
    /// In Redis, for all nodes.
    Redis(redis::RedisKeeper),
}

impl Keeper {
    /// Publishes an event and keeps it in its channel's past. The receipt is that of the publishing; order among what one
    /// node keeps in a channel is the order of these calls.
    pub fn keep(&self, event: Event, keep: Keep) -> Receipt {
        match self {
            Self::Memory(keeper) => keeper.keep(event, keep),
            Self::Redis(keeper) => keeper.keep(event, keep),
        }
    }

    /// What a channel's past has now. Whatever this node has delivered is in it, or its epoch is a new one.
    ///
    /// # Errors
    /// [`KeepError`]
    pub async fn past(&self, channel: &Channel) -> Result<Past, KeepError> {
        self.past_since(channel, Instant::now()).await
    }

    /// The same for somebody who is given what comes `since` then: nothing of it comes twice.
    ///
    /// # Errors
    /// [`KeepError`]
    pub async fn past_since(&self, channel: &Channel, since: Instant) -> Result<Past, KeepError> {
        match self {
            Self::Memory(keeper) => Ok(keeper.past(channel)),
            Self::Redis(keeper) => keeper.past(channel, since).await,
        }
    }

    /// Makes `id`, a connection's name that nobody else has, present in a channel with what `who` says of it. The entry is
    /// renewed for as long as the guard lives, and outlives the death of its node by `outlives`, to the second.
    pub fn enter(&self, channel: &Channel, id: &str, who: Bytes, outlives: Duration) -> Presence {
        match self {
            Self::Memory(keeper) => keeper.enter(channel, id, who),
            Self::Redis(keeper) => keeper.enter(channel, id, who, outlives),
        }
    }

    /// Who is present in a channel on all nodes: ids, and what was said of each; sorted.
    ///
    /// # Errors
    /// [`KeepError`]
    pub async fn present(&self, channel: &Channel) -> Result<Vec<(Arc<str>, Bytes)>, KeepError> {
        match self {
            Self::Memory(keeper) => Ok(keeper.present(channel)),
            Self::Redis(keeper) => keeper.present(channel).await,
        }
    }

    /// Claims to say `what` of a channel, which is to be said once by all nodes. A claim that is not settled ends after [`CLAIM`].
    ///
    /// # Errors
    /// [`KeepError`]: nobody knows.
    pub async fn claim(&self, channel: &Channel, what: &str) -> Result<Saying, KeepError> {
        match self {
            Self::Memory(keeper) => Ok(keeper.claim(channel, what)),
            Self::Redis(keeper) => keeper.claim(channel, what).await,
        }
    }

    /// Settles a claim ([`Saying::Mine`]): it was said, and is not to be said again for so long; `None`: it was not said.
    ///
    /// # Errors
    /// [`KeepError`]: the claim may end by itself, and then it is said once more.
    pub async fn settle(
        &self,
        channel: &Channel,
        what: &str,
        claim: u128,
        lasts: Option<Duration>,
    ) -> Result<(), KeepError> {
        match self {
            Self::Memory(keeper) => keeper.settle(channel, what, claim, lasts),
            Self::Redis(keeper) => keeper.settle(channel, what, claim, lasts).await?,
        }
        Ok(())
    }

    /// The list of this name on each shard, which other programs push to at its right end; none where there is no Redis. One
    /// node at a time takes from a list.
    pub fn queues(&self, name: &str) -> Vec<redis::Queue> {
        match self {
            Self::Memory(_) => Vec::new(),
            Self::Redis(keeper) => keeper.queues(name),
        }
    }

    /// Waits until this node is the only one of all that does what `name` says. When the holder dies, the next one has it
    /// within 15 s. While Redis is away nobody gets it, and whoever has it loses it.
    pub async fn only_one(&self, name: &str) -> Lease {
        match self {
            Self::Memory(keeper) => keeper.only_one(name).await,
            Self::Redis(keeper) => keeper.only_one(name).await,
        }
    }

    /// Events that are to be kept and are not with the broker yet: a node that ends waits for them.
    pub fn waiting(&self) -> usize {
        match self {
            Self::Memory(_) => 0,
            Self::Redis(keeper) => keeper.waiting(),
        }
    }
}
