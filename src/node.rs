//! The node: thin glue between dialects, the broker and the hub.
//!
//! Invariant: what a connection subscribed to ends with its [`Member`], whatever way the connection ended.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub use crate::broker::Receipt;
use crate::broker::{Broker, Health, redis};
use crate::connection::outbox::Outbox;
use crate::event::{Channel, Event};
use crate::hub::{Hub, Position, Subscriber};

/// Publishes for dialects and subscribes for connections. Cheap to clone.
#[derive(Clone)]
pub struct Node {
    hub: Arc<Hub>,
    broker: Broker,
    replay: Duration,
    published: Arc<AtomicU64>,
}

impl Node {
    /// A node whose broker delivers to `hub`, which keeps events for `replay`.
    pub fn new(hub: Arc<Hub>, broker: Broker, replay: Duration) -> Self {
        Self { hub, broker, replay, published: Arc::default() }
    }

    /// Takes an event; it reaches every node's subscribers.
    pub fn publish(&self, event: Event) -> Receipt {
        self.published.fetch_add(1, Ordering::Relaxed);
        if let Some(traces) = self.hub.traces() {
            traces.accepted(&event);
        }
        self.broker.publish(event)
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

    /// How the broker is.
    pub fn health(&self) -> Health {
        self.broker.health()
    }

    /// Waits until it turns out that the broker cannot work at all; see [`Broker::fatal`].
    pub async fn fatal(&self) -> redis::Fatal {
        self.broker.fatal().await
    }

    /// A connection that may subscribe.
    pub fn join(&self, outbox: Arc<Outbox>) -> Member {
        Member { node: self.clone(), outbox, channels: HashMap::default(), left: 0 }
    }
}

/// Whether a member is subscribed to a channel, or until where it was.
enum Standing {
    Subscribed,
    Left { position: Position, at: Instant },
}

/// One connection's subscriptions; dropping it ends them all.
pub struct Member {
    node: Node,
    outbox: Arc<Outbox>,
    channels: HashMap<Channel, Standing, ahash::RandomState>,
    /// How many of `channels` may be [`Standing::Left`].
    left: usize,
}

impl Member {
    /// Subscribes on behalf of `user`. Recent events come first; one that came before, never again.
    pub fn subscribe(&mut self, channel: Channel, user: Arc<str>) {
        let seen = match self.channels.get(&channel) {
            Some(Standing::Subscribed) => return self.node.hub.change_user(&channel, self.outbox.id(), user),
            Some(Standing::Left { position, .. }) => Some(*position),
            None => None,
        };
        self.node.hub.subscribe(&channel, Subscriber::new(user, Arc::clone(&self.outbox)), seen);
        self.channels.insert(channel, Standing::Subscribed);
    }

    /// Ends a subscription, if there is one.
    pub fn unsubscribe(&mut self, channel: &Channel) {
        let Some(standing @ Standing::Subscribed) = self.channels.get_mut(channel) else { return };
        if let Some(position) = self.node.hub.unsubscribe(channel, self.outbox.id()) {
            *standing = Standing::Left { position, at: Instant::now() };
            self.left += 1;
            // Looked through only when it has doubled, so that leaving very many channels stays cheap.
            if self.left > 8 && self.left * 2 > self.channels.len() {
                let replay = self.node.replay;
                self.channels.retain(|_, s| match s {
                    Standing::Subscribed => true,
                    Standing::Left { at, .. } => at.elapsed() <= replay,
                });
                self.left = self.channels.values().filter(|s| matches!(s, Standing::Left { .. })).count() / 2;
            }
        } else {
            self.channels.remove(channel);
        }
        if self.channels.capacity() > 8 * self.channels.len().max(8) {
            self.channels.shrink_to_fit();
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        for (channel, standing) in &self.channels {
            if matches!(standing, Standing::Subscribed) {
                self.node.hub.unsubscribe(channel, self.outbox.id());
            }
        }
    }
}
