//! One channel: who is subscribed to it here, and what it saw in the last seconds.
//!
//! Invariant: a list that a delivery is using is never changed; the delivery goes on with the one it began with.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::rendered::Rendered;
use crate::event::Event;
use crate::outbox::Outbox;

/// A place in the order of what one of the hub's locks has delivered.
pub type Position = u64;

/// One subscription.
#[derive(Clone)]
pub struct Subscriber {
    /// The outbox's number; here too, so that looking for it does not touch every outbox.
    id: u64,
    /// Whose it is; empty for nobody.
    pub(super) user: Arc<str>,
    /// Where its messages go.
    pub(super) outbox: Arc<Outbox>,
}

impl Subscriber {
    /// The subscription of `outbox` on behalf of `user`.
    pub fn new(user: Arc<str>, outbox: Arc<Outbox>) -> Self {
        Self {
            id: outbox.id(),
            user,
            outbox,
        }
    }
}

pub(super) struct Recent {
    pub(super) heard: Instant,
    pub(super) position: Position,
    pub(super) event: Event,
}

#[derive(Default)]
pub(super) struct Subscribers {
    /// Shared with deliveries under way, so copied when it changes meanwhile.
    pub(super) list: Arc<Vec<Subscriber>>,
    pub(super) recent: VecDeque<Recent>,
}

impl Subscribers {
    pub(super) fn position(&self, id: u64) -> Option<usize> {
        self.list.iter().position(|subscriber| subscriber.id == id)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.list.is_empty() && self.recent.is_empty()
    }

    pub(super) fn recent_for(
        &self,
        new: &Subscriber,
        seen: Option<Position>,
        replay: Duration,
    ) -> Vec<Bytes> {
        let wire = new.outbox.kind().wire;
        let fresh =
            |r: &&Recent| r.heard.elapsed() <= replay && seen.is_none_or(|seen| r.position > seen);
        self.recent
            .iter()
            .filter(fresh)
            .filter(|r| r.event.recipients.include(&new.user))
            .map(|r| wire.event(&r.event))
            .collect()
    }
}

pub(super) fn give(subscribers: &[Subscriber], event: &Event, rendered: &mut Rendered<'_>) -> u64 {
    let mut given = 0;
    for Subscriber { user, outbox, .. } in subscribers {
        if event.recipients.include(user) && outbox.push(rendered.frame(outbox.kind())) {
            given += 1;
        }
    }
    given
}
