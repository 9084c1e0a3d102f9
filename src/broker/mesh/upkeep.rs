//! What comes due by itself: announcements, shards that come up and go down, nodes that are silent, what is forgotten.
//!
//! Invariant: a shard is up only while it takes what is said, this node hears itself there, has joined and fits in.

use super::{ANNOUNCE_MS, FORGET_MS, Identity, Mesh, Partition};
use crate::broker::carrier::Topic;
use crate::broker::control::{Announcement, Control};

/// A channel that was quiet for this long is asked for a sign of life, in milliseconds.
const QUIET_MS: u64 = 2_000;
/// For how long the others are told of an origin that does not speak any more: from when on, and until when, in milliseconds.
const SILENT_MS: u64 = 2 * ANNOUNCE_MS;
pub(super) const LONG_SILENT_MS: u64 = 30_000;
/// Of how many at most.
const SILENT: usize = 16;

impl Mesh {
    /// A subscription was made on a shard.
    pub fn subscribed(&mut self, on: usize) {
        self.shards[on].subscribed(self.time.ms);
        // It is heard as soon as possible.
        self.shards[on].announce_ms = self.time.ms;
        self.look_again();
        self.look_up(on);
    }

    /// A shard's subscription ended.
    pub fn unsubscribed(&mut self, on: usize) {
        self.shards[on].unsubscribed();
        self.look_up(on);
    }

    /// Finds out whether a shard is up.
    pub(super) fn look_up(&mut self, on: usize) {
        let fits = self.join.is_joined() && self.misfit.is_none();
        let shard = &mut self.shards[on];
        let up = shard.answers && shard.echo_ms.is_some() && fits;
        if up && shard.up_since.is_none() {
            shard.up_since = Some(self.time.ms);
            self.effects.push_back(super::Effect::Up(on));
            let events = std::mem::take(&mut self.dropped);
            if events > 0 {
                tracing::error!(
                    events,
                    "events were dropped while Redis was away (FOGHORN_WAITING_EVENTS, _BYTES, _SECONDS)"
                );
            }
        } else if !up && shard.up_since.take().is_some() {
            shard.lost_ms = self.time.ms;
            self.effects.push_back(super::Effect::Down {
                on,
                fits: self.misfit.is_none(),
            });
        }
    }

    pub(super) fn announcement(&self, on: usize) -> bytes::Bytes {
        let (numbers, silent, view) = (self.numbers(), self.silent(), self.identity.view.clone());
        Control::Announce(Announcement {
            about: self.about(on),
            numbers,
            silent,
            view,
        })
        .write(self.settings.origin)
    }

    /// The origins that were heard not long ago and do not speak any more, with what is known of their numbers.
    fn silent(&self) -> Vec<(u64, Vec<(u32, u64)>)> {
        let others = self.known.keys().copied();
        let others = others.filter(|origin| *origin != self.settings.origin);
        let mut silent: Vec<(u64, u64)> = others
            .filter_map(|origin| Some((self.silent_ms(origin)?, origin)))
            .filter(|(silent_ms, _)| (SILENT_MS..LONG_SILENT_MS).contains(silent_ms))
            .collect();
        silent.sort_unstable();
        silent.truncate(SILENT);
        silent
            .into_iter()
            .map(|(_, origin)| (origin, self.heads(origin)))
            .collect()
    }

    /// The last number of an origin in each partition, as far as it is known.
    fn heads(&self, origin: u64) -> Vec<(u32, u64)> {
        let head = |(at, partition): (usize, &Partition)| {
            let head = partition.inbounds.get(&origin)?.head();
            (head > 1).then_some((at as u32, head - 1))
        };
        self.partitions
            .iter()
            .enumerate()
            .filter_map(head)
            .collect()
    }

    /// Up to which number the carrier took what this node published in each partition.
    pub(super) fn numbers(&self) -> Vec<(u32, u64)> {
        let number = |(at, partition): (usize, &Partition)| {
            let number = partition.outgoing.confirmed();
            (number > 0).then_some((at as u32, number))
        };
        self.partitions
            .iter()
            .enumerate()
            .filter_map(number)
            .collect()
    }

    /// Whether an announcement is due, for which the node says anew what it is.
    pub(in crate::broker) fn is_to_announce(&self) -> bool {
        self.shards
            .iter()
            .any(|shard| self.time.ms >= shard.announce_ms && shard.answers)
    }

    /// What this node is called and shows of itself from now on.
    pub fn identify(&mut self, identity: Identity) {
        self.identity = identity;
        self.judge();
    }

    /// What has come due. To be called every 50 ms or so.
    pub fn tick(&mut self) {
        let now_ms = self.time.ms;
        (0..self.shards.len()).for_each(|on| self.announce(on));
        (0..self.shards.len()).for_each(|on| self.watch(on));
        (0..self.settings.partitions).for_each(|number| self.overdue(number));
        self.proceed();
        self.ask_strangers();
        self.heal();
        if now_ms.saturating_sub(self.pruned_ms) >= ANNOUNCE_MS {
            self.pruned_ms = now_ms;
            self.prune();
        }
    }

    fn announce(&mut self, on: usize) {
        let now_ms = self.time.ms;
        if now_ms < self.shards[on].announce_ms || !self.shards[on].answers {
            return;
        }
        self.shards[on].announce_ms = now_ms + ANNOUNCE_MS;
        let announcement = self.announcement(on);
        let shard = &mut self.shards[on];
        shard.control(Topic::All, announcement);
        let quiet = |(heard, asked): &(u64, u64)| now_ms - heard.max(asked) >= QUIET_MS;
        let partitions: Vec<usize> = (0..shard.channels.len())
            .filter(|partition| quiet(&shard.channels[*partition]))
            .collect();
        for partition in partitions {
            let (heard, asked) = &mut shard.channels[partition];
            if asked <= heard {
                // The first that is not heard counts.
                *asked = now_ms.max(1);
            }
            let canary = Control::Canary(partition as u32).write(self.settings.origin);
            shard.control(Topic::Partition(partition as u32), canary);
        }
    }

    fn watch(&mut self, on: usize) {
        let deaf = self.shards[on].is_deaf(self.time.ms) && !self.is_dazed();
        if deaf {
            self.shards[on].unsubscribed();
            self.effects.push_back(super::Effect::Resubscribe(on));
            self.look_up(on);
        }
        if self.is_long_away(on) && !self.shards[on].is_busy() && !self.shards[on].queue.is_empty()
        {
            let up = (0..self.shards.len()).find(|other| self.shards[*other].up_since.is_some());
            if let Some(other) = up {
                let detour = std::mem::take(&mut self.shards[on].queue);
                self.shards[other].queue.extend(detour);
            }
        }
    }

    fn prune(&mut self) {
        let now_ms = self.time.ms;
        self.memory.prune(now_ms);
        if !self.is_dazed() && self.hears_now() {
            self.members.prune(now_ms);
            self.judge();
        }
        let others = self.known.keys().copied();
        let gone: Vec<u64> = others
            .filter(|origin| *origin != self.settings.origin)
            .filter(|origin| self.silent_ms(*origin) > Some(FORGET_MS))
            .collect();
        for origin in gone {
            self.known.remove(&origin);
            self.partitions
                .iter_mut()
                .for_each(|partition| drop(partition.inbounds.remove(&origin)));
        }
        let known = &self.known;
        self.join.retain(|origin| known.contains_key(&origin));
    }

    /// This node is about to end: the others need not wait until it is silent.
    pub fn leave(&mut self) {
        let bytes = Control::Leave(self.numbers()).write(self.settings.origin);
        self.shards
            .iter_mut()
            .for_each(|shard| shard.control(Topic::All, bytes.clone()));
    }

    /// Asks all nodes something.
    pub fn ask(&mut self, id: u64, body: bytes::Bytes) {
        let bytes = Control::Question { id, body }.write(self.settings.origin);
        let up = self
            .shards
            .iter_mut()
            .filter(|shard| shard.up_since.is_some());
        up.for_each(|shard| shard.control(Topic::All, bytes.clone()));
    }

    /// Answers what a node asked.
    pub fn answer(&mut self, on: usize, to: u64, id: u64, body: bytes::Bytes) {
        let bytes = Control::Answer { id, body }.write(self.settings.origin);
        self.shards[on].control(Topic::Node(to), bytes);
    }

    /// Messages may have been dropped on the way here: what is missing shows by its numbers, unless nobody is left who
    /// announces them.
    pub fn lagged(&mut self) {
        self.look_again();
    }

    /// Whether the shard took what was last said.
    pub fn answers(&self, on: usize) -> bool {
        self.shards[on].answers
    }

    /// Whether nothing is being said on a shard and nothing waits but events.
    pub fn is_idle(&self, on: usize) -> bool {
        let shard = &self.shards[on];
        !shard.answers || (!shard.is_busy() && shard.only_events())
    }
}
