//! What this node published in one partition and the carrier has not confirmed yet.
//!
//! Invariant: numbers are given in order and never twice; an event stays until it was confirmed or a bound was hit, and an
//! event that was dropped leaves its number and its channel's name, also for those that were away when that was said.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::broker::packet::{self, Content, Draft, Packet, Stamp};
use crate::event::{Channel, Event};

/// Channels with dropped events that are remembered by name; beyond, it is the whole partition.
const CHANNELS: usize = 1_024;
/// Packets that say what was dropped, kept after the carrier had them; what they say may have been heard by nobody.
const SAID: usize = 16;

struct Item {
    packet: Packet,
    accepted_ms: u64,
    /// What it takes of the budget of what waits; 0 for what does not count there.
    cost: usize,
    receipt: Option<oneshot::Sender<()>>,
    /// Whether it was handed to the carrier: then it stands for these numbers and no more.
    sent: bool,
    confirmed: bool,
}

impl Item {
    fn is_event(&self) -> bool {
        matches!(self.packet.content, Content::Event(_))
    }
}

/// See the module.
pub(super) struct Outgoing {
    origin: u64,
    partition: u32,
    last: u64,
    pending: VecDeque<Item>,
    /// What was said of dropped events, in the order of its numbers: unlike events it is in no memory.
    said: VecDeque<Packet>,
}

impl Outgoing {
    /// Nothing published yet.
    pub fn new(origin: u64, partition: u32) -> Self {
        Self {
            origin,
            partition,
            last: 0,
            pending: VecDeque::new(),
            said: VecDeque::new(),
        }
    }

    /// The last number that was given.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Up to which number everything is confirmed.
    pub fn confirmed(&self) -> u64 {
        self.pending
            .front()
            .map_or(self.last, |item| item.packet.stamp.number - 1)
    }

    /// Gives an event its number, and keeps it until it is confirmed.
    pub fn push(&mut self, draft: Draft, receipt: oneshot::Sender<()>, now_ms: u64) -> Packet {
        let cost = draft.event().cost();
        let packet = draft.stamp(self.stamp());
        self.pending.push_back(Item {
            packet: packet.clone(),
            accepted_ms: now_ms,
            cost,
            receipt: Some(receipt),
            sent: false,
            confirmed: false,
        });
        packet
    }

    /// Gives an event its number that is not kept: only that it is lost goes out.
    pub(super) fn drop_new(&mut self, draft: Draft, now_ms: u64) -> Packet {
        let packet = draft.stamp(self.stamp());
        if let Content::Event(event) = &packet.content {
            let packet = packet::lost(packet.stamp, 1, vec![event.channel.clone()]);
            let (cost, receipt, sent, confirmed) = Default::default();
            self.pending.push_back(Item {
                packet,
                accepted_ms: now_ms,
                cost,
                receipt,
                sent,
                confirmed,
            });
            self.merge(self.pending.len() - 1);
        }
        packet
    }

    fn stamp(&mut self) -> Stamp {
        self.last += 1;
        Stamp {
            origin: self.origin,
            partition: self.partition,
            number: self.last,
        }
    }

    /// The packet that stands for `number`, if it is not confirmed yet.
    pub fn get(&self, number: u64) -> Option<&Packet> {
        let item = self.pending.get(self.find(number)?)?;
        Some(&item.packet)
    }

    /// The packet that begins with `number`, to be handed to the carrier; `None`: it is confirmed or part of another.
    pub fn send(&mut self, number: u64) -> Option<Bytes> {
        let at = self.find(number)?;
        let item = &mut self.pending[at];
        if item.confirmed || item.packet.stamp.number != number {
            return None;
        }
        item.sent = true;
        Some(item.packet.bytes.clone())
    }

    fn find(&self, number: u64) -> Option<usize> {
        let at = self
            .pending
            .partition_point(|item| item.packet.end() <= number);
        (self.pending.get(at)?.packet.stamp.number <= number).then_some(at)
    }

    /// The unconfirmed packets from `number` on.
    pub fn from(&self, number: u64) -> impl Iterator<Item = &Packet> {
        let at = self
            .pending
            .partition_point(|item| item.packet.end() <= number);
        self.pending.range(at..).map(|item| &item.packet)
    }

    /// The number of the last event that the carrier has yet to take and for which this holds; 0: there is none.
    pub fn last_unsaid(&self, holds: impl Fn(&Event) -> bool) -> u64 {
        let unsaid = self.pending.iter().rev().filter(|item| !item.confirmed);
        let mut found = unsaid.filter(|item| match &item.packet.content {
            Content::Event(event) => holds(event),
            _ => false,
        });
        found.next().map_or(0, |item| item.packet.stamp.number)
    }

    /// What the carrier has of dropped events whose numbers are from `from` to the one before `to`.
    pub fn said(&self, from: u64, to: u64) -> impl Iterator<Item = &Packet> {
        let at = self.said.partition_point(|packet| packet.end() <= from);
        let rest = self.said.range(at..);
        rest.take_while(move |packet| packet.stamp.number < to)
    }

    /// When the event `number` was accepted, if it is not confirmed yet.
    pub fn accepted_ms(&self, number: u64) -> Option<u64> {
        self.find(number).map(|at| self.pending[at].accepted_ms)
    }

    /// When the oldest event that is not confirmed was accepted.
    pub(in crate::broker) fn oldest_ms(&self) -> Option<u64> {
        self.pending
            .iter()
            .find(|item| item.is_event())
            .map(|item| item.accepted_ms)
    }

    /// The carrier has the packet that begins with `number`. Returns what it took of the budget, if it counted.
    pub fn confirm(&mut self, number: u64) -> Option<usize> {
        let at = self.find(number)?;
        let item = &mut self.pending[at];
        if item.confirmed || item.packet.stamp.number != number {
            return None;
        }
        item.confirmed = true;
        if !item.is_event() {
            let at = self
                .said
                .partition_point(|packet| packet.stamp.number < number);
            self.said.insert(at, item.packet.clone());
            if self.said.len() > SAID {
                self.said.pop_front();
            }
        }
        if let Some(receipt) = item.receipt.take() {
            // Whoever waits for it may have given up.
            let _ = receipt.send(());
        }
        let cost = std::mem::take(&mut item.cost);
        while self.pending.front().is_some_and(|item| item.confirmed) {
            self.pending.pop_front();
        }
        if self.pending.capacity() > 8 * self.pending.len().max(16) {
            self.pending.shrink_to(2 * self.pending.len());
        }
        (cost > 0).then_some(cost)
    }

    /// Drops events that were accepted before `before_ms`. Returns what each took of the budget.
    pub fn expire(&mut self, before_ms: u64) -> Vec<usize> {
        let mut freed = Vec::new();
        let mut at = 0;
        while let Some(item) = self.pending.get_mut(at) {
            if item.accepted_ms >= before_ms {
                break;
            }
            let channel = match &item.packet.content {
                Content::Event(event) if !item.confirmed => event.channel.clone(),
                _ => {
                    at += 1;
                    continue;
                }
            };
            freed.push(std::mem::take(&mut item.cost));
            item.packet = packet::lost(item.packet.stamp, 1, vec![channel]);
            item.receipt = None;
            at = self.merge(at) + 1;
        }
        freed
    }

    /// Joins what was dropped with what was dropped before it. Returns where it is then.
    fn merge(&mut self, at: usize) -> usize {
        if at == 0 || self.pending[at - 1].sent || self.pending[at].sent {
            return at;
        }
        let before = &self.pending[at - 1].packet;
        let (Content::Lost(first), Content::Lost(second)) =
            (&before.content, &self.pending[at].packet.content)
        else {
            return at;
        };
        let names: BTreeSet<Channel> = first.iter().chain(second).cloned().collect();
        let all = first.is_empty() || names.len() > CHANNELS;
        let names = if all {
            Vec::new()
        } else {
            names.into_iter().collect()
        };
        let span = before.span + self.pending[at].packet.span;
        self.pending[at - 1].packet = packet::lost(before.stamp, span, names);
        self.pending.remove(at);
        at - 1
    }
}

#[cfg(test)]
mod tests;
