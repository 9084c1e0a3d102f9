//! One shard as the mesh sees it: whether it carries, and what goes out there next.
//!
//! Invariants: one batch is under way at a time, so that what goes out stays in order; no more is on its way than the window
//! lets through, so that no subscriber's buffer overflows; a shard is up only while it takes what is said and this node
//! hears itself there.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::broker::carrier::Topic;

/// Bytes of events that may be on their way and were not heard yet; one larger event is let out.
const WINDOW: usize = 1 << 20;
/// Control messages that may wait; older ones go first, all of them are repeated by who needs them.
const CONTROLS: usize = 4_096;
/// Bytes of answers to other nodes' asks that one batch takes.
const FILLS: usize = 256 << 10;
/// Without hearing anything for this long, a node is deaf there: it hears itself once a second.
const DEAF_MS: u64 = 4_000;
/// Without hearing itself for this long it is deaf although it hears others: what it says goes elsewhere. So long its own
/// word may lie behind what fills a slow link.
const APART_MS: u64 = 8_000;

/// What a batch carries, to be confirmed one by one.
pub type Sent = Option<(u32, u64)>;

/// See the module.
#[derive(Debug, Default)]
pub struct Shard {
    /// Whether the last that was said was taken.
    pub(super) answers: bool,
    /// Since when there is a subscription.
    pub(super) subscribed_ms: Option<u64>,
    /// When this node last heard itself since then.
    pub(super) echo_ms: Option<u64>,
    /// When it last heard anything.
    pub(super) heard_ms: u64,
    /// Since when it is up.
    pub(super) up_since: Option<u64>,
    /// When it was up last, or the start.
    pub(super) lost_ms: u64,
    /// Whether this node was heard since it last was not answered: only then do events go out.
    pub(super) proven: bool,
    /// How many, this node among them, heard what it last said to all; `None` where that is not known.
    pub(super) hearers: Option<u64>,
    /// When the next announcement is due.
    pub(super) announce_ms: u64,
    /// Events in the order in which they were accepted: partition and number.
    pub(super) queue: VecDeque<(u32, u64)>,
    controls: VecDeque<(Topic, Bytes)>,
    fills: VecDeque<((u64, u64), Topic, Bytes)>,
    /// The batch that is under way.
    in_flight: Option<Vec<Sent>>,
    /// The subscription that there was when it began, where it says one thing to all.
    told_all: Option<u64>,
    unheard: usize,
    /// For each partition when its channel was heard and when its canary was said, where channels are proven one by one.
    pub(super) channels: Vec<(u64, u64)>,
}

impl Shard {
    /// Away; with so many channels to be proven one by one.
    pub fn new(channels: u32) -> Self {
        Self {
            channels: vec![(0, 0); channels as usize],
            ..Self::default()
        }
    }

    /// Something for all or one, as soon as possible.
    pub fn control(&mut self, topic: Topic, bytes: Bytes) {
        if self.controls.len() >= CONTROLS {
            self.controls.pop_front();
        }
        self.controls.push_back((topic, bytes));
    }

    /// An answer to an ask, when nothing else is to be said; `key` tells the same question when it is asked again.
    pub fn fill(&mut self, key: (u64, u64), topic: Topic, bytes: Bytes) {
        self.fills.retain(|(other, ..)| *other != key);
        self.fills.push_back((key, topic, bytes));
    }

    /// Whether a batch is under way.
    pub fn is_busy(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Whether there may be something to say now.
    pub(in crate::broker) fn has_work(&self) -> bool {
        !self.is_busy()
            && self.answers
            && (!self.controls.is_empty()
                || !self.fills.is_empty()
                || (self.is_open() && !self.queue.is_empty()))
    }

    /// Whether nothing but events waits.
    pub(super) fn only_events(&self) -> bool {
        self.controls.is_empty() && self.fills.is_empty()
    }

    /// Whether events may go out.
    pub fn is_open(&self) -> bool {
        self.proven && self.unheard < WINDOW
    }

    /// What to say next besides events, and how many bytes it is.
    pub(super) fn take_controls(&mut self, batch: &mut Batch) {
        while let Some((topic, bytes)) = self.controls.pop_front() {
            batch.push(topic, bytes, None);
        }
    }

    /// What others asked for.
    pub(super) fn take_fills(&mut self, batch: &mut Batch) {
        let mut bytes = 0;
        while bytes < FILLS
            && let Some((_, topic, fill)) = self.fills.pop_front()
        {
            bytes += fill.len();
            batch.push(topic, fill, None);
        }
    }

    /// An event goes out.
    pub fn sending(&mut self, bytes: usize) {
        self.unheard += bytes;
    }

    /// This node heard an event of its own.
    pub(super) fn heard_own(&mut self, bytes: usize) {
        self.unheard = self.unheard.saturating_sub(bytes);
    }

    /// The batch is under way.
    pub fn started(&mut self, batch: &Batch) {
        self.in_flight = Some(batch.sent.clone());
        self.told_all = match batch.messages.as_slice() {
            [(Topic::All, _)] => self.subscribed_ms,
            _ => None,
        };
    }

    /// So many heard the one thing that the last batch said. Where it was said before this node was subscribed here, or to one
    /// node, that says nothing of how many there are.
    pub(super) fn heard_by(&mut self, hearers: u64) {
        if self.told_all.is_some() && self.told_all == self.subscribed_ms {
            self.hearers = Some(hearers);
        }
    }

    /// It is not any more. Returns what it carried.
    pub fn ended(&mut self) -> Vec<Sent> {
        self.in_flight.take().unwrap_or_default()
    }

    /// It does not answer: what is said to nodes that may have gone meanwhile is not kept.
    pub fn refused(&mut self) {
        (self.answers, self.proven, self.unheard) = (false, false, 0);
        self.controls.clear();
        self.fills.clear();
    }

    /// A new subscription: nothing is proven.
    pub fn subscribed(&mut self, now_ms: u64) {
        (self.subscribed_ms, self.echo_ms, self.unheard) = (Some(now_ms), None, 0);
        self.hearers = None;
        self.channels
            .iter_mut()
            .for_each(|channel| *channel = (0, 0));
    }

    /// The subscription ended.
    pub fn unsubscribed(&mut self) {
        (self.subscribed_ms, self.echo_ms) = (None, None);
    }

    /// Whether this node said something that it should have heard by now.
    pub(super) fn is_deaf(&self, now_ms: u64) -> bool {
        let Some(since) = self.subscribed_ms.filter(|_| self.answers) else {
            return false;
        };
        let echo_ms = self.echo_ms.unwrap_or(since);
        let silent = now_ms.saturating_sub(echo_ms.max(self.heard_ms)) > DEAF_MS;
        let apart = now_ms.saturating_sub(echo_ms) > APART_MS;
        silent
            || apart
            || self
                .channels
                .iter()
                .any(|(heard, asked)| asked > heard && now_ms - asked > DEAF_MS)
    }
}

/// What is said together.
#[derive(Debug, Default)]
pub struct Batch {
    /// The messages, in order.
    pub(in crate::broker) messages: Vec<(Topic, Bytes)>,
    /// Which events they are, message by message.
    pub(in crate::broker) sent: Vec<Sent>,
    /// Bytes of all messages.
    pub(super) bytes: usize,
}

impl Batch {
    /// Adds a message.
    pub fn push(&mut self, topic: Topic, bytes: Bytes, sent: Sent) {
        self.bytes += bytes.len();
        self.messages.push((topic, bytes));
        self.sent.push(sent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(shard: &mut Shard, topic: Topic) {
        let mut batch = Batch::default();
        batch.push(topic, Bytes::new(), None);
        shard.started(&batch);
    }

    #[test]
    fn only_what_was_said_to_all_since_it_is_subscribed_says_how_many_there_are() {
        let mut shard = Shard::new(0);
        says(&mut shard, Topic::All);
        shard.subscribed(5);
        shard.heard_by(1);
        assert_eq!(shard.hearers, None, "it was none of them");
        says(&mut shard, Topic::Node(7));
        shard.heard_by(1);
        assert_eq!(shard.hearers, None, "it was for one");
        says(&mut shard, Topic::All);
        shard.heard_by(2);
        assert_eq!(shard.hearers, Some(2));
        shard.subscribed(9);
        assert_eq!(shard.hearers, None);
    }
}
