//! Looking into a hub: who holds a channel, and what is delivered, for operators.
//!
//! Invariant: looking takes one of the hub's locks at a time, for as long as it takes to copy what was found.

use std::sync::Arc;

use tokio::sync::broadcast;

use super::{Hub, Subscriber};
use crate::event::{Channel, Event};
use crate::outbox::Outbox;

/// Events that a slow onlooker may be behind before it misses some.
pub(super) const TAP: usize = 1024;

/// What to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup<'a> {
    /// Whoever is subscribed to it.
    Channel(&'a Channel),
    /// All subscriptions of one user.
    User(&'a str),
}

/// One subscription that was found.
#[derive(Clone)]
pub struct Match {
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
    pub fn holders(&self, wanted: Lookup<'_>, limit: usize) -> (Vec<Match>, usize) {
        let (mut found, mut total) = (Vec::new(), 0);
        let mut look = |channel: &Channel, subscriber: &Subscriber| {
            if matches!(wanted, Lookup::User(name) if *name != *subscriber.user) {
                return;
            }
            total += 1;
            if found.len() < limit {
                let (user, outbox) = (Arc::clone(&subscriber.user), Arc::clone(&subscriber.outbox));
                found.push(Match {
                    channel: channel.clone(),
                    user,
                    outbox,
                });
            }
        };
        match wanted {
            Lookup::Channel(channel) => {
                let shard = self.shard(channel).lock();
                let entry = shard.channels.get(channel).map(|entry| entry.list.iter());
                entry
                    .into_iter()
                    .flatten()
                    .for_each(|subscriber| look(channel, subscriber));
                shard
                    .passing()
                    .filter(|(of, _)| *of == channel)
                    .for_each(|(_, subscriber)| look(channel, subscriber));
            }
            Lookup::User(_) => {
                for shard in &self.shards {
                    let shard = shard.lock();
                    for (channel, entry) in &shard.channels {
                        entry
                            .list
                            .iter()
                            .for_each(|subscriber| look(channel, subscriber));
                    }
                    shard
                        .passing()
                        .for_each(|(channel, subscriber)| look(channel, subscriber));
                }
            }
        }
        (found, total)
    }

    /// Channels with a subscriber or a recent event.
    pub fn channels(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.lock().channels.len())
            .sum()
    }

    /// Every event from now on, as it is delivered here; `None` where `onlookers` have asked for that already.
    pub fn tap(&self, onlookers: usize) -> Option<broadcast::Receiver<Delivered>> {
        (self.tap.receiver_count() < onlookers).then(|| self.tap.subscribe())
    }
}
