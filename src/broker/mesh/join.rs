//! How a node that starts, or that missed something, learns from a peer what happened before.
//!
//! Invariants: until a node has joined, what others publish is held; it joins with what one peer knows, or alone after
//! [`ALONE_MS`], and a node that does not fit never joins.

use std::collections::HashMap;

use bytes::Bytes;

use super::members::Member;
use super::{ANNOUNCE_MS, Mesh, Time};
use crate::broker::carrier::Topic;
use crate::broker::control::{Control, Known, Sync};
use crate::metrics;

/// How long a node that hears itself waits for a peer, in milliseconds.
const ALONE_MS: u64 = 2_000;
/// How long a peer may take for each part of its answer, in milliseconds.
const PART_MS: u64 = 1_000;
/// How long all parts may take, in milliseconds.
const ALL_MS: u64 = 10_000;
/// Bytes of one part, unless a single packet is larger; and of smaller ones, where those do not come: Redis ends a
/// subscription for whose output it has no room.
pub(super) const PART: u32 = 128 << 10;
pub(super) const SMALL_PART: u32 = 8 << 10;
/// How often a node that has joined tries to learn what it missed.
const ATTEMPTS: usize = 5;
/// How long those of whom a peer is unsure may take to announce themselves before another one is asked, in milliseconds.
const AGAIN_MS: u64 = 2 * ANNOUNCE_MS;
/// How long one that was there may take to announce itself again, in milliseconds.
const UNSURE_MS: u64 = super::members::SILENT_MS + 2_000;

struct Asking {
    id: u64,
    peer: u64,
    /// Bytes of a part.
    most: u32,
    since_ms: u64,
    part_ms: u64,
    next: Vec<Known>,
    /// For how long each origin was not heard.
    silent: HashMap<u64, u64>,
    recent: Vec<(u64, Bytes)>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Join {
    joined: bool,
    /// When that was, in Unix milliseconds.
    joined_ms: u64,
    /// When this node first heard itself.
    echo_ms: Option<u64>,
    /// The same in milliseconds since this node started, standstills counted, and in Unix milliseconds.
    echo_clocks: (u64, u64),
    /// When a peer is to be asked what this node may have missed, and whether one has told since that happened.
    again_ms: Option<u64>,
    pub(super) told: bool,
    asking: Option<Asking>,
    /// Who did not answer, and how many were asked in all.
    tried: Vec<u64>,
    attempts: usize,
    /// Nodes that were there when this one stopped hearing, and that did not announce themselves since: what they
    /// published meanwhile is not known.
    pub(super) unsure: Vec<u64>,
    pub(super) unsure_ms: u64,
    /// Those of them that were silent while this one still heard: they had ended, as a rule.
    pub(super) silent: Vec<u64>,
    /// Nodes of which this one knows no better, though its own clients miss nothing or were told: a peer that it learned
    /// from was unsure of them, or nobody could tell. Whoever asks hears that.
    pub(super) hearsay: Vec<u64>,
    /// Origins that were heard and are not known, and since when.
    pub(super) unknown: HashMap<u64, u64>,
}

impl Join {
    /// Whether this node knows what it must know.
    pub(super) fn is_joined(&self) -> bool {
        self.joined
    }

    /// When that was, in Unix milliseconds.
    pub(super) fn joined_ms(&self) -> u64 {
        self.joined_ms
    }

    /// It knows that from now on.
    pub(super) fn has_joined(&mut self, unix_ms: u64) {
        (self.joined, self.joined_ms, self.again_ms) = (true, unix_ms, None);
    }

    /// For how long this node has been listening, at least since before it asked what it joined with. While a machine sleeps only
    /// the clock of the wall goes on, and that one may be set back.
    pub(super) fn age_ms(&self, time: Time) -> u64 {
        let (uptime_ms, unix_ms) = self.echo_clocks;
        let by_uptime = time.uptime_ms.saturating_sub(uptime_ms);
        by_uptime.max(time.unix_ms.saturating_sub(unix_ms))
    }

    /// This node heard itself.
    pub(super) fn heard_oneself(&mut self, time: Time) {
        if self.echo_ms.is_none() {
            self.echo_ms = Some(time.ms);
            self.echo_clocks = (time.uptime_ms, time.unix_ms);
        }
    }

    /// A node said up to where it has published.
    pub(super) fn is_sure(&mut self, origin: u64) {
        self.unsure.retain(|other| *other != origin);
        self.silent.retain(|other| *other != origin);
        self.hearsay.retain(|other| *other != origin);
    }

    /// What these published this node cannot tell others for certain.
    pub(super) fn vague(&mut self, origins: impl Iterator<Item = u64>) {
        self.hearsay.extend(origins);
        self.hearsay.sort_unstable();
        self.hearsay.dedup();
    }

    /// Only these origins are known.
    pub fn retain(&mut self, known: impl Fn(u64) -> bool) {
        self.hearsay.retain(|origin| known(*origin));
    }

    /// An origin was heard that is not known.
    pub(super) fn is_heard(&mut self, origin: u64, now_ms: u64) {
        self.unknown.entry(origin).or_insert(now_ms);
    }

    /// It is known now.
    pub fn is_known(&mut self, origin: u64) {
        self.unknown.remove(&origin);
    }
}

impl Mesh {
    /// Something may have been missed: a peer is asked, and each that was there must say what it published.
    pub(super) fn look_again(&mut self) {
        let join = &mut self.join;
        join.silent.retain(|origin| join.unsure.contains(origin));
        let heard_ms = self.shards.iter().map(|shard| shard.heard_ms).max();
        let was_silent = |member: &Member| {
            heard_ms.unwrap_or(0).saturating_sub(member.heard_ms) > 2 * ANNOUNCE_MS
        };
        let silent = self.members.all().filter(|(_, member)| was_silent(member));
        join.silent.extend(silent.map(|(origin, _)| origin));
        join.silent.sort_unstable();
        join.silent.dedup();
        (join.again_ms, join.told) = (Some(self.time.ms), false);
        (join.asking, join.attempts, join.unsure_ms) = (None, 0, self.time.ms);
        join.tried.clear();
        let there = self.members.all().map(|(origin, _)| origin);
        join.unsure.extend(there);
        join.unsure.sort_unstable();
        join.unsure.dedup();
    }

    /// One that was there is gone, and nobody can tell what it published while this node heard nothing.
    fn take_for_lost(&mut self) {
        let waited_ms = self.time.ms.saturating_sub(self.join.unsure_ms);
        if self.join.unsure.is_empty() || waited_ms <= UNSURE_MS || !self.hears() || self.is_dazed()
        {
            return;
        }
        tracing::warn!(
            nodes = self.join.unsure.len(),
            "a node is gone that may have published while this one heard nothing: clients are told to check anew"
        );
        // Its own clients are told; others that ask must still tell theirs.
        let unsure = std::mem::take(&mut self.join.unsure);
        self.join.vague(unsure.into_iter());
        ::metrics::counter!(metrics::GAPS_LOST).increment(1);
        (0..self.settings.partitions).for_each(|number| self.declare(number));
    }

    /// Goes on with joining, or with learning what was missed.
    pub(super) fn proceed(&mut self) {
        let now_ms = self.time.ms;
        if let Some(asking) = &self.join.asking
            && (now_ms.saturating_sub(asking.part_ms) > PART_MS
                || now_ms.saturating_sub(asking.since_ms) > ALL_MS)
        {
            let (peer, most) = (asking.peer, asking.most);
            self.join.asking = None;
            if most > SMALL_PART && self.members.get(peer).is_some() {
                self.learn_from(peer, SMALL_PART);
            } else {
                self.join.tried.push(peer);
            }
        }
        let Some(echo_ms) = self.join.echo_ms else {
            return;
        };
        if self.join.told && self.join.unsure.is_empty() {
            self.join.again_ms = None;
        }
        let due = !self.join.joined || self.join.again_ms.is_some_and(|at| now_ms >= at);
        if due && self.join.asking.is_none() && self.misfit.is_none() {
            self.ask_a_peer();
        }
        if self.join.joined {
            self.take_in_unknown();
            self.take_for_lost();
        } else if self.join.asking.is_none() && self.misfit.is_none() {
            let alone = self
                .shards
                .first()
                .is_some_and(|shard| shard.echo_ms.is_some() && shard.hearers == Some(1));
            if alone || now_ms.saturating_sub(echo_ms) >= ALONE_MS {
                self.joined(Vec::new(), &HashMap::new(), Vec::new());
            }
        }
    }

    fn ask_a_peer(&mut self) {
        // No shard is up before it has joined; one that it hears itself on is as good.
        if !self.shards.iter().any(|shard| shard.echo_ms.is_some()) {
            return;
        }
        let untried = |origin: &u64| !self.join.tried.contains(origin);
        let peers = self
            .members
            .all()
            .filter(|(origin, member)| member.about.joined && untried(origin));
        let peer = peers
            .max_by_key(|(origin, member)| (member.about.uptime_ms, *origin))
            .map(|(origin, _)| origin);
        let Some(peer) = peer else {
            if self.join.joined {
                // One that was silent may come back; if nobody can tell, what members announce shows what is missing of theirs.
                self.join.tried.clear();
                if self.join.attempts >= ATTEMPTS {
                    self.join.again_ms = None;
                }
            }
            return;
        };
        self.join.attempts += 1;
        self.learn_from(peer, PART);
    }

    /// Asks a peer for all it knows, in parts of `most` bytes.
    fn learn_from(&mut self, peer: u64, most: u32) {
        let (id, now_ms) = (self.next_id(), self.time.ms);
        let (next, silent, recent) = Default::default();
        self.join.asking = Some(Asking {
            id,
            peer,
            most,
            since_ms: now_ms,
            part_ms: now_ms,
            next,
            silent,
            recent,
        });
        self.ask_for_part(id, (peer, most), 0);
    }

    fn ask_for_part(&mut self, id: u64, (peer, most): (u64, u32), cursor: u64) {
        let replay_ms = if self.join.joined {
            0
        } else {
            self.settings.replay_ms
        };
        let bytes = Control::SyncAsk {
            id,
            cursor,
            replay_ms,
            most,
        }
        .write(self.settings.origin);
        if let Some(on) = (0..self.shards.len()).find(|on| self.shards[*on].echo_ms.is_some()) {
            self.shards[on].control(Topic::Node(peer), bytes);
        }
    }

    /// A part of what a peer knows.
    pub(super) fn synced(&mut self, from: u64, sync: Sync) {
        let now_ms = self.time.ms;
        let Some(asking) = self
            .join
            .asking
            .as_mut()
            .filter(|asking| asking.id == sync.id && asking.peer == from)
        else {
            return;
        };
        asking.part_ms = now_ms;
        // What a peer heard without a break this node need not hear from the one who said it.
        let told = |origin: &u64| {
            sync.next.iter().any(|known| known.origin == *origin) && !sync.unsure.contains(origin)
        };
        self.join.unsure.retain(|origin| !told(origin));
        let known = &self.known;
        let hearsay: Vec<u64> = sync
            .unsure
            .iter()
            .filter(|origin| !known.contains_key(origin))
            .copied()
            .collect();
        asking.next.extend(sync.next);
        asking.silent.extend(sync.silent);
        asking.recent.extend(sync.recent);
        let (id, whom) = (asking.id, (asking.peer, asking.most));
        self.join.vague(hearsay.into_iter());
        if let Some(cursor) = sync.cursor {
            return self.ask_for_part(id, whom, cursor);
        }
        let Some(asking) = self.join.asking.take() else {
            return;
        };
        // Another one may be sure of those that do not announce themselves meanwhile.
        self.join.tried.push(from);
        self.join.told = true;
        self.join.again_ms = (!self.join.unsure.is_empty()).then_some(now_ms + AGAIN_MS);
        if self.join.joined {
            self.missed(asking.next, &asking.silent);
        } else {
            self.joined(asking.next, &asking.silent, asking.recent);
        }
    }
}
