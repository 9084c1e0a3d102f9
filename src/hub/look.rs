//! Looking into a hub: who holds a channel, and what is delivered, for operators.
//!
//! Invariant: looking takes one of the hub's locks at a time, for as long as it takes to copy what was found.

use std::sync::Arc;

use tokio::sync::broadcast;

use super::{Hub, SHARDS};
use crate::connection::outbox::Outbox;
use crate::event::{Channel, Event};

/// Events that a slow onlooker may be behind before it misses some.
pub(super) const TAP: usize = 1024;

/// What to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// Whoever is subscribed to it.
    Channel(&'a Channel),
    /// All subscriptions of one user.
    User(&'a str),
}

/// One subscription that was found.
#[derive(Clone)]
pub struct Holder {
    /// To what.
    pub channel: Channel,
    /// Whose.
    pub user: Arc<str>,
    /// Where its messages go.
    pub outbox: Arc<Outbox>,
}

/// An event as it was delivered on this node.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// The event.
    pub event: Event,
    /// How many of this node's subscribers it was given to.
    pub subscribers: u64,
}

impl Hub {
    /// The subscriptions that are wanted, `limit` of them at most, and how many there are.
    pub fn holders(&self, wanted: Wanted<'_>, limit: usize) -> (Vec<Holder>, usize) {
        let (mut found, mut total) = (Vec::new(), 0);
        let mut look = |channel: &Channel, entry: &super::Subscribers| {
            let fits = |user: &str| !matches!(wanted, Wanted::User(name) if name != user);
            for subscriber in entry.list.iter().filter(|subscriber| fits(&subscriber.user)) {
                total += 1;
                if found.len() < limit {
                    let (user, outbox) = (Arc::clone(&subscriber.user), Arc::clone(&subscriber.outbox));
                    found.push(Holder { channel: channel.clone(), user, outbox });
                }
            }
        };
        match wanted {
            Wanted::Channel(channel) => {
                if let Some(entry) = self.shard(channel).lock().channels.get(channel) {
                    look(channel, entry);
                }
            }
            Wanted::User(_) => {
                for shard in 0..SHARDS {
                    self.shards[shard].lock().channels.iter().for_each(|(channel, entry)| look(channel, entry));
                }
            }
        }
        (found, total)
    }

    /// Channels with a subscriber or a recent event.
    pub fn channels(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().channels.len()).sum()
    }

    /// Every event from now on, as it is delivered here; `None` where `onlookers` have asked for that already.
    pub fn tap(&self, onlookers: usize) -> Option<broadcast::Receiver<Delivered>> {
        (self.tap.receiver_count() < onlookers).then(|| self.tap.subscribe())
    }
}
