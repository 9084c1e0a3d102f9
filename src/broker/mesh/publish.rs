//! What this node says: its events, in order and within a window, and its announcements; and what it does while they cannot
//! be said.
//!
//! Invariants: an event that this node does not hear back in time reaches its own clients without the carrier, in order;
//! what is not confirmed is said again under the stamp that it has.

use tokio::sync::oneshot;

use super::{Act, Mesh};
use crate::broker::packet::Draft;
use crate::event::Event;
use crate::metrics;

/// How long this node's own clients wait for a carrier that seems to be well, in milliseconds: for so long events of
/// several nodes keep the order in which they were carried.
const HAND_OVER_MS: u64 = 1_000;
/// A shard that was away for this long gives its events to another one, in milliseconds.
const DETOUR_MS: u64 = 2_000;

impl Mesh {
    /// Takes an event. Its number is its place among all that this node published in the partition.
    pub fn publish(&mut self, draft: Draft, receipt: oneshot::Sender<()>) {
        let number = super::partition::of(&draft.event().channel, self.settings.partitions);
        let cost = draft.event().cost();
        let bounds = &self.settings.waiting;
        let bound = if self.waiting.0 >= bounds.count {
            Some("count")
        } else {
            (self.waiting.1 + cost > bounds.bytes).then_some("bytes")
        };
        let on = self.route(number);
        let at_once = self.shards[on].up_since.is_none() && !self.is_dazed();
        if let Some(bound) = bound {
            // Whoever came before goes first.
            self.hand_over(number, u64::MAX);
            let outgoing = &mut self.partitions[number as usize].outgoing;
            let packet = outgoing.drop_new(draft, self.time.ms);
            let first = packet.stamp.number;
            self.dropped(bound, 1);
            self.take(packet);
            self.shards[on].queue.push_back((number, first));
            return;
        }
        self.waiting = (self.waiting.0 + 1, self.waiting.1 + cost);
        let packet = self.partitions[number as usize]
            .outgoing
            .push(draft, receipt, self.time.ms);
        self.memory.insert(&packet, self.time.ms);
        self.shards[on]
            .queue
            .push_back((number, packet.stamp.number));
        if at_once {
            self.hand_over(number, u64::MAX);
        }
    }

    /// Gives this node's own clients an event that it publishes later, if `note`, which is told just before, says so. One that
    /// was posted before they have, or are about to have.
    pub fn give_early(&mut self, event: Event, note: impl FnOnce(&Event) -> bool) {
        let number = super::partition::of(&event.channel, self.settings.partitions);
        // Whoever came before goes first.
        self.hand_over(number, u64::MAX);
        let repeats = &mut self.partitions[number as usize].repeats;
        if !repeats.has(&event, self.time.ms) && note(&event) {
            self.act(number, Act::Deliver(event));
        }
    }

    /// Whether events of a shard's partitions reach the others now, over it or another one.
    pub fn carries(&self, on: usize) -> bool {
        self.shards[on].up_since.is_some()
            || self.is_long_away(on) && self.shards.iter().any(|shard| shard.up_since.is_some())
    }

    /// Gives this node's own clients what it published up to `upto` and they do not have yet.
    pub(super) fn hand_over(&mut self, number: u32, upto: u64) {
        let own = self.settings.origin;
        loop {
            let partition = &self.partitions[number as usize];
            let next = partition.inbounds.get(&own).map_or(1, super::Inbound::next);
            if next > upto.min(partition.outgoing.last()) {
                return;
            }
            let waiting = partition.outgoing.get(next).cloned();
            // What is confirmed and was not heard is remembered.
            let remembered = || {
                self.memory
                    .range((own, number), next, next + 1, 0)
                    .into_iter()
                    .next()
            };
            let packet = waiting.or_else(|| match super::read(remembered()?) {
                Ok(super::Incoming::Packet(packet)) => Some(packet),
                _ => None,
            });
            match packet {
                Some(packet) => self.take_own(number, packet),
                None => {
                    // Nothing of it is left: as lost as anything that no node has.
                    self.declare(number);
                    let last = self.partitions[number as usize].outgoing.last();
                    let mut out = std::mem::take(&mut self.scratch);
                    self.own(number).begin(last + 1, &mut out);
                    return self.accept(number, out);
                }
            }
        }
    }

    fn own(&mut self, number: u32) -> &mut super::Inbound {
        let own = self.settings.origin;
        self.partitions[number as usize]
            .inbounds
            .entry(own)
            .or_insert_with(|| super::Inbound::at(1))
    }

    /// Like `take`, without a detour over what to do where it does not fit.
    fn take_own(&mut self, number: u32, packet: super::Packet) {
        let mut out = std::mem::take(&mut self.scratch);
        self.own(number).take(packet, &mut out);
        self.accept(number, out);
    }

    /// The shard that a partition's events go out on: its own, or another one where its own has been away for a while.
    fn route(&self, number: u32) -> usize {
        let own = Self::place(number, self.shards.len());
        if !self.is_long_away(own) {
            return own;
        }
        (0..self.shards.len())
            .find(|on| self.shards[*on].up_since.is_some())
            .unwrap_or(own)
    }

    pub(super) fn is_long_away(&self, on: usize) -> bool {
        let shard = &self.shards[on];
        shard.up_since.is_none()
            && self.time.ms.saturating_sub(shard.lost_ms) >= DETOUR_MS
            && !self.is_dazed()
    }

    /// Hands over what was not heard back in time, and drops what waits for too long.
    pub(super) fn overdue(&mut self, number: u32) {
        let own = self.settings.origin;
        let partition = &mut self.partitions[number as usize];
        let last = partition.outgoing.last();
        if last == 0 || self.time.ms < self.bearings_ms {
            return;
        }
        let age_ms = self.settings.waiting.age.as_millis() as u64;
        let expired = partition
            .outgoing
            .expire(self.time.ms.saturating_sub(age_ms));
        if !expired.is_empty() {
            self.dropped("age", expired.len());
            let bytes: usize = expired.iter().sum();
            self.waiting = (self.waiting.0 - expired.len(), self.waiting.1 - bytes);
        }
        let partition = &self.partitions[number as usize];
        let next = partition.inbounds.get(&own).map_or(1, super::Inbound::next);
        if next > last {
            return;
        }
        let late = |event: &u64| {
            // What is confirmed and not heard yet is remembered, or as late as can be.
            let accepted_ms = partition
                .outgoing
                .accepted_ms(*event)
                .or_else(|| self.memory.at_ms((own, number), *event));
            accepted_ms.is_none_or(|at_ms| self.time.ms.saturating_sub(at_ms) >= HAND_OVER_MS)
        };
        if let Some(upto) = (next..=last).take_while(late).last() {
            self.hand_over(number, upto);
        }
    }

    fn dropped(&mut self, bound: &'static str, events: usize) {
        ::metrics::counter!(metrics::WAITING_DROPPED, "bound" => bound).increment(events as u64);
        if self.dropped == 0 {
            tracing::error!(
                bound,
                "events are dropped: Redis has been away for too long; other nodes' clients will be told to check anew (FOGHORN_WAITING_EVENTS, _BYTES, _SECONDS)"
            );
        }
        self.dropped += events;
    }
}
