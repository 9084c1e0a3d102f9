//! What one partition has yet to send, and what it sent lately: the publisher's queue, without a connection.
//!
//! Invariant: events leave in the order they were accepted, and stay until Redis confirmed them or a bound was hit; an
//! event that was dropped leaves its channel's name, which goes out in its place. What was confirmed lately is kept for
//! the case that Redis loses it.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::waiting::Waiting;
use crate::broker::wire::{self, Stamp};
use crate::event::{Channel, Event};
use crate::metrics;

/// How long a confirmed event is kept: longer than a failover to a replica loses.
const KEEP: Duration = Duration::from_secs(10);

/// How many confirmed events are kept: well within the windows in which receivers tell old from new.
const KEEP_COUNT: usize = 2_048;

/// How many bytes of confirmed events are kept.
const KEEP_BYTES: usize = 4 << 20;

/// Channels with dropped events that are remembered by name; beyond, it is the whole partition.
const MISSED_CHANNELS: usize = 1_024;

/// What a batch may hold; one event may be larger.
const BATCH_COUNT: usize = 64;
const BATCH_BYTES: usize = 256 << 10;

struct Item {
    stamp: Stamp,
    body: Bytes,
    /// `None` for a declaration of loss.
    event: Option<Event>,
    accepted: Instant,
    /// What it takes of [`Waiting`]; 0 for what does not count there.
    cost: usize,
    receipt: Option<oneshot::Sender<()>>,
}

enum Missed {
    Channels(HashSet<Channel>),
    All,
}

/// See the module.
pub struct Outgoing {
    origin: u64,
    loss_origin: u64,
    counter: u64,
    loss_counter: u64,
    pending: VecDeque<Item>,
    recent: VecDeque<(Item, Instant)>,
    recent_bytes: usize,
    /// Up to which counter events were handed to this node's own clients without Redis.
    handed: u64,
    /// Whether new events are handed over at once.
    local: bool,
    missed: Missed,
    missed_count: u64,
}

impl Outgoing {
    /// Nothing accepted yet. `loss_origin` stamps declarations of loss.
    pub fn new(origin: u64, loss_origin: u64) -> Self {
        Self {
            origin,
            loss_origin,
            counter: 0,
            loss_counter: 0,
            pending: VecDeque::new(),
            recent: VecDeque::new(),
            recent_bytes: 0,
            handed: 0,
            local: false,
            missed: Missed::Channels(HashSet::new()),
            missed_count: 0,
        }
    }

    /// Takes an event. Returns what this node's own clients are to get at once, in order: nothing while Redis is well
    /// (`at_once` says that it is known not to be).
    pub fn push(
        &mut self,
        taken: (Event, oneshot::Sender<()>),
        at_once: bool,
        waiting: &Waiting,
    ) -> Vec<(Stamp, Event)> {
        let (event, receipt) = taken;
        let cost = event.cost();
        let refused = waiting.enter(cost).err();
        let before = if refused.is_some() { self.hand_over() } else { Vec::new() };
        self.counter += 1;
        let stamp = Stamp { origin: self.origin, counter: self.counter };
        let (body, event) = wire::encode_event(stamp, event);
        if let Some(bound) = refused {
            self.handed = self.counter;
            self.miss(Some(event.channel.clone()), bound);
            return before.into_iter().chain([(stamp, event)]).collect();
        }
        let accepted = Instant::now();
        self.pending.push_back(Item { stamp, body, event: Some(event), accepted, cost, receipt: Some(receipt) });
        if self.local || at_once { self.hand_over() } else { Vec::new() }
    }

    /// The events that this node's clients may not have yet, in order: from now on they do not wait for Redis.
    pub fn hand_over(&mut self) -> Vec<(Stamp, Event)> {
        self.local = true;
        let handed = std::mem::replace(&mut self.handed, self.counter);
        let known = self.recent.iter().map(|(item, _)| item).chain(&self.pending);
        let mut events: Vec<_> = known
            .rev()
            .take_while(|item| item.stamp.counter > handed || item.event.is_none())
            .filter_map(|item| item.event.clone().map(|event| (item.stamp, event)))
            .collect();
        events.reverse();
        events
    }

    /// When the oldest event that waits for Redis alone was accepted.
    pub fn oldest_unhanded(&self) -> Option<Instant> {
        if self.handed == self.counter {
            return None;
        }
        self.pending.iter().find(|item| item.event.is_some() && item.stamp.counter > self.handed).map(|i| i.accepted)
    }

    /// When the oldest event that waits was accepted.
    pub fn oldest(&self) -> Option<Instant> {
        self.pending.iter().find(|item| item.event.is_some()).map(|item| item.accepted)
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.missed_count == 0
    }

    /// What to send next, in order.
    pub fn batch(&mut self) -> Vec<Bytes> {
        if self.missed_count > 0 {
            self.declare();
        }
        let mut bytes = 0;
        self.pending
            .iter()
            .take(BATCH_COUNT)
            .take_while(|item| {
                let first = bytes == 0;
                bytes += item.body.len();
                first || bytes <= BATCH_BYTES
            })
            .map(|item| item.body.clone())
            .collect()
    }

    /// Redis has the first `count`.
    pub fn confirm(&mut self, count: usize, waiting: &Waiting, now: Instant) {
        for mut item in self.pending.drain(..count.min(self.pending.len())) {
            if item.cost > 0 {
                waiting.leave(std::mem::take(&mut item.cost));
            }
            if let Some(receipt) = item.receipt.take() {
                // Whoever waits for it may have given up.
                let _ = receipt.send(());
            }
            self.recent_bytes += item.body.len();
            self.recent.push_back((item, now));
        }
        if self.pending.is_empty() {
            self.local = false;
        }
        self.prune(now);
    }

    fn prune(&mut self, now: Instant) {
        while let Some((item, confirmed)) = self.recent.front() {
            let keep = self.recent.len() <= KEEP_COUNT
                && self.recent_bytes <= KEEP_BYTES
                && now.saturating_duration_since(*confirmed) <= KEEP;
            if keep {
                return;
            }
            self.recent_bytes -= item.body.len();
            self.recent.pop_front();
        }
    }

    /// Redis lost data: what it confirmed lately goes out again, before anything newer.
    pub fn republish(&mut self, now: Instant) -> usize {
        self.prune(now);
        let count = self.recent.len();
        for (mut item, _) in self.recent.drain(..).rev() {
            item.accepted = now;
            self.pending.push_front(item);
        }
        self.recent_bytes = 0;
        if count > 0 {
            ::metrics::counter!(metrics::REPUBLISHED).increment(count as u64);
        }
        count
    }

    /// Drops what waits for longer than the bound.
    pub fn expire(&mut self, waiting: &Waiting, now: Instant) {
        let age = waiting.age();
        let mut index = 0;
        while let Some(item) = self.pending.get(index) {
            if item.event.is_none() {
                index += 1;
            } else if now.saturating_duration_since(item.accepted) <= age {
                return;
            } else if let Some(item) = self.pending.remove(index) {
                if item.cost > 0 {
                    waiting.leave(item.cost);
                }
                self.miss(item.event.map(|event| event.channel), "age");
            }
        }
    }

    fn miss(&mut self, channel: Option<Channel>, bound: &'static str) {
        ::metrics::counter!(metrics::WAITING_DROPPED, "bound" => bound).increment(1);
        if self.missed_count == 0 {
            tracing::error!(
                bound,
                "events are dropped: Redis has been away for too long; their clients will be told to check anew"
            );
        }
        self.missed_count += 1;
        match (&mut self.missed, channel) {
            (Missed::Channels(channels), Some(channel)) if channels.len() < MISSED_CHANNELS => {
                channels.insert(channel);
            }
            (missed, _) => *missed = Missed::All,
        }
    }

    /// Puts the declaration of what was dropped in its place.
    fn declare(&mut self) {
        if self.pending.front().is_some_and(|item| item.event.is_none()) {
            return;
        }
        let missed = std::mem::replace(&mut self.missed, Missed::Channels(HashSet::new()));
        tracing::error!(events = self.missed_count, "events were dropped while Redis was away");
        self.missed_count = 0;
        self.loss_counter += 1;
        let stamp = Stamp { origin: self.loss_origin, counter: self.loss_counter };
        let body = match missed {
            Missed::All => wire::encode_lost(stamp, None),
            Missed::Channels(channels) => wire::encode_lost(stamp, Some(&channels.into_iter().collect::<Vec<_>>())),
        };
        // Its number says nothing about the order of events.
        let stamp = Stamp { counter: 0, ..stamp };
        self.pending.push_front(Item { stamp, body, event: None, accepted: Instant::now(), cost: 0, receipt: None });
    }
}

#[cfg(test)]
mod tests;
