//! Subscriptions that are held while their channel's past is read, and are looked after for a while when they go on: what
//! the past has may be delivered on this node later than it was read.
//!
//! Invariants: of what is delivered from the beginning on a held subscription gets each event once, in order, and none that
//! the past has; one that has to hold too much ends its connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::subscribers::Subscriber;
use super::{Hub, Stripe};
use crate::event::{Channel, Event, Past};
use crate::outbox::Outbox;

/// Events that one subscription holds.
const EVENTS: usize = 4_096;
/// Their bytes.
const BYTES: usize = 4 << 20;

/// For how long an event that the past has may still come to this node: it may have to be asked of others.
const LATE: Duration = Duration::from_secs(30);

/// One held subscription.
pub(super) struct Held {
    pub(super) subscriber: Subscriber,
    state: State,
}

enum State {
    /// The past is not read yet.
    Waiting { events: Vec<Event>, bytes: usize },
    /// More came than fits: what came is of no use.
    Over,
    /// It is given what the past, which had reached this place, does not have.
    Passing { had: Past, until: Instant },
}

impl Held {
    /// Whether it goes on already, so that it counts.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self.state, State::Passing { .. })
    }

    /// Takes an event that is being delivered. Returns whether it was given.
    fn take(&mut self, event: &Event) -> bool {
        let Subscriber { user, outbox, .. } = &self.subscriber;
        match &mut self.state {
            State::Waiting { events, bytes } => {
                *bytes += event.cost();
                if events.len() >= EVENTS || *bytes > BYTES {
                    self.state = State::Over;
                } else {
                    events.push(event.clone());
                }
                false
            }
            State::Over => false,
            State::Passing { had, .. } => {
                event.recipients.include(user)
                    && !had.has(event)
                    && outbox.push(&outbox.kind().wire.event(event))
            }
        }
    }
}

impl Stripe {
    /// An event is being delivered: held subscriptions take it. Returns to how many it was given.
    pub(super) fn hold_back(&mut self, event: &Event) -> u64 {
        if self.held.is_empty() {
            return 0;
        }
        let held = self.held.get_mut(&event.channel).into_iter().flatten();
        held.map(|held| u64::from(held.take(event))).sum()
    }

    /// Those that go on already.
    pub(super) fn passing(&self) -> impl Iterator<Item = (&Channel, &Subscriber)> {
        let all = self
            .held
            .iter()
            .flat_map(|(channel, held)| held.iter().map(move |held| (channel, held)));
        all.filter(|(_, held)| held.is_passing())
            .map(|(channel, held)| (channel, &held.subscriber))
    }

    /// Those that no late event can reach any more.
    pub(super) fn passed(&mut self, now: Instant) -> Vec<(Channel, Subscriber)> {
        let over = |held: &Held| matches!(held.state, State::Passing { until, .. } if until <= now);
        let mut passed = Vec::new();
        self.held.retain(|channel, held| {
            passed.extend(
                held.extract_if(.., |held| over(held))
                    .map(|held| (channel.clone(), held.subscriber)),
            );
            !held.is_empty()
        });
        passed
    }

    /// The held subscription of the outbox `id`, which is held no longer.
    pub(super) fn take_held(&mut self, channel: &Channel, id: u64) -> Option<Held> {
        let held = self.held.get_mut(channel)?;
        let at = held
            .iter()
            .position(|held| held.subscriber.outbox.id() == id)?;
        let taken = held.swap_remove(at);
        if held.is_empty() {
            self.held.remove(channel);
            self.held.shrink_to(64);
        }
        Some(taken)
    }

    /// Changes the user of a held subscription; gives the user back where there is none.
    pub(super) fn change_held(
        &mut self,
        channel: &Channel,
        id: u64,
        user: Arc<str>,
    ) -> Option<Arc<str>> {
        let mut held = self.held.get_mut(channel).into_iter().flatten();
        match held.find(|held| held.subscriber.outbox.id() == id) {
            Some(held) => {
                held.subscriber.user = user;
                None
            }
            None => Some(user),
        }
    }

    /// The outboxes of those who wait for the past of a channel for which `touched` holds.
    pub(super) fn held(
        &self,
        touched: impl Fn(&Channel) -> bool,
    ) -> impl Iterator<Item = &Arc<Outbox>> {
        let of_channels = self
            .held
            .iter()
            .filter(move |(channel, _)| touched(channel));
        of_channels.flat_map(|(_, held)| held.iter().map(|held| &held.subscriber.outbox))
    }
}

impl Hub {
    /// Subscribes; `frames` come first.
    pub(super) fn begin(
        &self,
        shard: &mut Stripe,
        channel: &Channel,
        new: Subscriber,
        frames: &[Bytes],
    ) {
        let known = shard.channels.len();
        let entry = shard.channels.entry(channel.clone()).or_default();
        self.give_first(&new, frames);
        Arc::make_mut(&mut entry.list).push(new);
        self.count(1);
        self.meters
            .channels
            .increment((shard.channels.len() - known) as f64);
    }

    fn give_first(&self, new: &Subscriber, frames: &[Bytes]) {
        if !frames.is_empty() {
            self.meters.replayed.increment(frames.len() as u64);
            self.meters.deliveries.increment(frames.len() as u64);
            self.meters.frames.increment(frames.len() as u64);
            new.outbox.push_all(frames);
        }
    }

    /// So many subscriptions more, or less.
    pub(super) fn count(&self, more: i64) {
        self.meters.subscriptions.increment(more as f64);
        self.tally.subscribed(more);
    }

    /// Subscribes an outbox that is not subscribed to the channel yet; nothing comes before [`Hub::release`].
    pub fn hold(&self, channel: &Channel, new: Subscriber) {
        let held = Held {
            subscriber: new,
            state: State::Waiting {
                events: Vec::new(),
                bytes: 0,
            },
        };
        self.shard(channel)
            .lock()
            .held
            .entry(channel.clone())
            .or_default()
            .push(held);
    }

    /// Lets the held subscription of the outbox `id` go on, first with what came meanwhile and `had` does not have.
    pub fn release(&self, channel: &Channel, id: u64, had: Past) {
        // Under the lock, so that what is delivered next comes after it.
        let mut shard = self.shard(channel).lock();
        let Some(Held { subscriber, state }) = shard.take_held(channel, id) else {
            return;
        };
        let events = match state {
            State::Waiting { events, .. } => events,
            State::Over => {
                subscriber.outbox.end_slow();
                Vec::new()
            }
            State::Passing { .. } => Vec::new(),
        };
        let wire = subscriber.outbox.kind().wire;
        let wanted = |event: &&Event| event.recipients.include(&subscriber.user) && !had.has(event);
        let frames: Vec<Bytes> = events
            .iter()
            .filter(wanted)
            .map(|event| wire.event(event))
            .collect();
        if had.newest.is_none() {
            return self.begin(&mut shard, channel, subscriber, &frames);
        }
        self.give_first(&subscriber, &frames);
        self.count(1);
        let state = State::Passing {
            had,
            until: Instant::now() + LATE,
        };
        shard
            .held
            .entry(channel.clone())
            .or_default()
            .push(Held { subscriber, state });
    }
}
