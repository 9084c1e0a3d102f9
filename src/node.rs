//! The node: thin glue between dialects, the broker and the hub.
//!
//! Invariant: what a connection subscribed to ends with its [`Subscriptions`], whatever way the connection ended.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub use crate::broker::Receipt;
use crate::broker::keep::Keeper;
pub use crate::broker::keep::Presence;
use crate::broker::{Broker, Health};
use crate::event::{Channel, Event, Keep, Past};
use crate::hub::inspect::Lookup;
use crate::hub::{Hub, Position, Subscriber};
use crate::outbox::Outbox;
use crate::session::Since;

/// Publishes for dialects and subscribes for connections. Cheap to clone.
#[derive(Clone)]
pub struct Node {
    hub: Arc<Hub>,
    broker: Broker,
    keeper: Keeper,
    replay: Duration,
    published: Arc<AtomicU64>,
}

impl Node {
    /// A node whose broker delivers to `hub`, which keeps events for `replay`, and whose keeper publishes by the broker.
    pub fn new(hub: Arc<Hub>, broker: Broker, keeper: Keeper, replay: Duration) -> Self {
        Self {
            hub,
            broker,
            keeper,
            replay,
            published: Arc::default(),
        }
    }

    /// Takes an event; it reaches every node's subscribers.
    pub fn publish(&self, event: Event) -> Receipt {
        self.published.fetch_add(1, Ordering::Relaxed);
        if let Some(traces) = self.hub.traces() {
            traces.accepted(&event);
        }
        self.broker.publish(event)
    }

    /// Takes an event and keeps it in its channel's past.
    pub fn keep(&self, event: Event, keep: Keep) -> Receipt {
        self.published.fetch_add(1, Ordering::Relaxed);
        if let Some(traces) = self.hub.traces() {
            traces.accepted(&event);
        }
        self.keeper.keep(event, keep)
    }

    /// What outlives delivery.
    pub fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    /// How many events it has taken so far.
    pub fn published(&self) -> u64 {
        self.published.load(Ordering::Relaxed)
    }

    /// Its subscribers, to be looked at.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// What carries its events, and its view of the cluster.
    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    /// The connections on this node that are subscribed to a channel.
    pub fn subscribers(&self, channel: &Channel) -> Vec<Arc<Outbox>> {
        let (holders, _) = self.hub.holders(Lookup::Channel(channel), usize::MAX);
        holders.into_iter().map(|holder| holder.outbox).collect()
    }

    /// How the broker is.
    pub fn health(&self) -> Health {
        self.broker.health()
    }

    /// The subscriptions of a connection: none yet.
    pub fn subscriptions(&self, outbox: Arc<Outbox>) -> Subscriptions {
        Subscriptions {
            node: self.clone(),
            outbox,
            channels: HashMap::default(),
            left: 0,
        }
    }
}

/// Whether a connection is subscribed to a channel, or until where it was.
enum Standing {
    Subscribed,
    Left { position: Position, at: Instant },
}

/// One connection's subscriptions; dropping it ends them all.
pub struct Subscriptions {
    node: Node,
    outbox: Arc<Outbox>,
    channels: HashMap<Channel, Standing, ahash::RandomState>,
    /// How many of `channels` may be [`Standing::Left`].
    left: usize,
}

impl Subscriptions {
    /// Subscribes on behalf of `user`. With [`Since::Recent`] recent events come first; one that came before, never again.
    /// With [`Since::Past`] nothing comes before [`Subscriptions::release`].
    pub fn subscribe(&mut self, channel: Channel, user: Arc<str>, since: Since) {
        let seen = match self.channels.get(&channel) {
            Some(Standing::Subscribed) => {
                return self.node.hub.change_user(&channel, self.outbox.id(), user);
            }
            _ if since == Since::Now => Some(Position::MAX),
            Some(Standing::Left { position, .. }) => Some(*position),
            None => None,
        };
        let subscriber = Subscriber::new(user, Arc::clone(&self.outbox));
        match since {
            Since::Past(_) => self.node.hub.hold(&channel, subscriber),
            Since::Now | Since::Recent => self.node.hub.subscribe(&channel, subscriber, seen),
        }
        self.channels.insert(channel, Standing::Subscribed);
    }

    /// Lets a subscription that was held go on, first with what came meanwhile and `had` does not have.
    pub fn release(&self, channel: &Channel, had: Past) {
        self.node.hub.release(channel, self.outbox.id(), had);
    }

    /// Ends a subscription, if there is one.
    pub fn unsubscribe(&mut self, channel: &Channel) {
        let Some(standing @ Standing::Subscribed) = self.channels.get_mut(channel) else {
            return;
        };
        if let Some(position) = self.node.hub.unsubscribe(channel, self.outbox.id()) {
            *standing = Standing::Left {
                position,
                at: Instant::now(),
            };
            self.left += 1;
            // Looked through only when it has doubled, so that leaving very many channels stays cheap.
            if self.left > 8 && self.left * 2 > self.channels.len() {
                let replay = self.node.replay;
                self.channels.retain(|_, s| match s {
                    Standing::Subscribed => true,
                    Standing::Left { at, .. } => at.elapsed() <= replay,
                });
                self.left = self
                    .channels
                    .values()
                    .filter(|s| matches!(s, Standing::Left { .. }))
                    .count()
                    / 2;
            }
        } else {
            self.channels.remove(channel);
        }
        if self.channels.capacity() > 8 * self.channels.len().max(8) {
            self.channels.shrink_to_fit();
        }
    }
}

impl Drop for Subscriptions {
    fn drop(&mut self) {
        for (channel, standing) in &self.channels {
            if matches!(standing, Standing::Subscribed) {
                self.node.hub.unsubscribe(channel, self.outbox.id());
            }
        }
    }
}
