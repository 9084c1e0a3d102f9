//! Who else is there, by what each node announces of itself.
//!
//! Invariant: a node that was silent for [`SILENT_MS`] is gone; one that does not fit is no member, and of two that do not
//! fit together it is the one that came later that stays out.

use std::collections::HashMap;

use bytes::Bytes;

use crate::broker::control::{About, Announcement};

/// A node that was not heard for this long is gone, in milliseconds.
pub(in crate::broker) const SILENT_MS: u64 = 10_000;
/// Nodes that started within this time of one another are taken for equally old, and their numbers decide, in milliseconds.
const TOGETHER_MS: u64 = 100;
/// For how long both have a shard before it is strange that one does not hear the other there, in milliseconds: longer than
/// any node takes to notice that it does not hear itself, or is not answered, and to say so elsewhere; and longer than
/// [`SILENT_MS`], after which one that died is none any more.
const APART_MS: u64 = 12_000;
/// A node is reached over a shard where it was heard within this time, in milliseconds.
const REACHED_MS: u64 = 5_000;

/// Another node.
#[derive(Clone, Debug)]
pub(in crate::broker) struct Member {
    /// What it last said.
    pub(super) about: About,
    /// What it shows operators.
    pub(super) view: Bytes,
    /// When it was last heard, on the mesh's clock.
    pub(super) heard_ms: u64,
    /// Where that was.
    on: usize,
    /// When it was last heard on each of this node's shards; 0: never.
    heard_on: Vec<u64>,
    /// Since when it says that it has each of its shards.
    up_since: Vec<Option<u64>>,
    /// How far its clock is ahead of this node's, in milliseconds.
    pub(super) ahead_ms: i64,
}

/// Why this node stays out: what differs, and from whom.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// Channels are divided otherwise.
    #[error(
        "FOGHORN_PARTITIONS is {ours} here and {theirs} at {with}, which was there first: set it alike on all nodes"
    )]
    Partitions {
        /// The other node.
        with: String,
        /// Its number.
        theirs: u32,
        /// This node's.
        ours: u32,
    },
    /// The Redis servers are listed in another order.
    #[error(
        "FOGHORN_REDIS_URLS names the same Redis as number {ours} here and as number {theirs} at {with}, which was there first: list the servers in the same order on all nodes"
    )]
    Order {
        /// The other node.
        with: String,
        /// Its position, from 1.
        theirs: usize,
        /// This node's.
        ours: usize,
    },
    /// Redis servers differ.
    #[error(
        "FOGHORN_REDIS_URLS names another Redis as number {number} here than at {with}, which was there first: list the same servers on all nodes"
    )]
    Servers {
        /// The other node.
        with: String,
        /// The position, from 1.
        number: usize,
    },
    /// No key in common.
    #[error(
        "JWT_PRIVATE_KEY is another one here than at {with}, which was there first, and no previous key matches: set the same key on all nodes"
    )]
    Keys {
        /// The other node.
        with: String,
    },
}

impl Misfit {
    /// The misfit's short name.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Partitions { .. } => "partitions",
            Self::Order { .. } | Self::Servers { .. } => "shards",
            Self::Keys { .. } => "keys",
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Members {
    members: HashMap<u64, Member>,
}

impl Members {
    /// A node announced itself on this node's shard `on`. Returns whether it was not known.
    pub fn heard(
        &mut self,
        origin: u64,
        said: Announcement,
        on: usize,
        shards: usize,
        clock: (u64, u64),
    ) -> bool {
        let (now_ms, unix_ms) = clock;
        let Announcement { about, view, .. } = said;
        let ahead = about.clock_ms as i64 - unix_ms as i64;
        let new = !self.members.contains_key(&origin);
        let member = self.members.entry(origin).or_insert_with(|| Member {
            about: About::default(),
            view: Bytes::new(),
            heard_ms: now_ms,
            on,
            heard_on: vec![0; shards],
            up_since: Vec::new(),
            ahead_ms: i64::MIN,
        });
        (member.heard_ms, member.on) = (now_ms, on);
        member.heard_on[on] = now_ms.max(1);
        member.up_since.resize(about.up.len(), None);
        for (since, up) in member.up_since.iter_mut().zip(&about.up) {
            *since = up.then(|| since.unwrap_or(now_ms));
        }
        // What was long on its way says too little; the quickest of late says most.
        member.ahead_ms = ahead.max(member.ahead_ms.saturating_sub(5));
        (member.about, member.view) = (about, view);
        new
    }

    /// It said that it ends.
    pub fn left(&mut self, origin: u64) {
        self.members.remove(&origin);
    }

    /// Nothing was heard of anybody for a while, for a reason that says nothing about them.
    pub(super) fn excuse(&mut self, now_ms: u64) {
        for member in self.members.values_mut() {
            member.heard_ms = now_ms;
            member
                .heard_on
                .iter_mut()
                .filter(|heard_ms| **heard_ms > 0)
                .for_each(|heard_ms| *heard_ms = now_ms);
        }
    }

    /// Forgets those that are silent.
    pub fn prune(&mut self, now_ms: u64) {
        self.members
            .retain(|_, member| now_ms.saturating_sub(member.heard_ms) <= SILENT_MS);
    }

    /// Those that are there.
    pub fn all(&self) -> impl Iterator<Item = (u64, &Member)> {
        self.members
            .iter()
            .map(|(origin, member)| (*origin, member))
    }

    /// One of them.
    pub fn get(&self, origin: u64) -> Option<&Member> {
        self.members.get(&origin)
    }

    /// Why `own` stays out, if it does: it differs from one that was there before. `up_since`: since when this node has
    /// each of its shards.
    pub fn misfit(
        &self,
        own: (u64, &About),
        up_since: &[Option<u64>],
        now_ms: u64,
    ) -> Option<Misfit> {
        let (origin, own) = own;
        // One that stays out itself keeps nobody out.
        let before = |(other, member): &(u64, &Member)| {
            let age_ms = member.age_ms(now_ms);
            let together = age_ms.abs_diff(own.uptime_ms) < TOGETHER_MS;
            member.about.joined
                && if together {
                    *other > origin
                } else {
                    age_ms > own.uptime_ms
                }
        };
        let mut elders: Vec<_> = self.all().filter(before).collect();
        elders.sort_by_key(|(origin, member)| (std::cmp::Reverse(member.age_ms(now_ms)), *origin));
        elders
            .into_iter()
            .find_map(|(_, member)| member.differs(own, up_since, now_ms))
    }
}

impl Member {
    /// How long it has been running by now, a little less by how long its word was on its way.
    fn age_ms(&self, now_ms: u64) -> u64 {
        self.about.uptime_ms + now_ms.saturating_sub(self.heard_ms)
    }

    /// Whether it was heard lately on this node's shard `on`.
    pub(super) fn is_heard_on(&self, on: usize, now_ms: u64) -> bool {
        self.heard_on
            .get(on)
            .is_some_and(|heard_ms| *heard_ms > 0 && now_ms.saturating_sub(*heard_ms) <= REACHED_MS)
    }

    fn differs(&self, own: &About, up_since: &[Option<u64>], now_ms: u64) -> Option<Misfit> {
        let with = self.about.name.clone();
        if self.about.partitions != own.partitions {
            return Some(Misfit::Partitions {
                with,
                theirs: self.about.partitions,
                ours: own.partitions,
            });
        }
        if self.on != self.about.shard {
            return Some(Misfit::Order {
                with,
                theirs: self.about.shard + 1,
                ours: self.on + 1,
            });
        }
        if !self.about.keys.is_empty()
            && !own.keys.is_empty()
            && !self.about.keys.iter().any(|k| own.keys.contains(k))
        {
            return Some(Misfit::Keys { with });
        }
        // Both have had their number `n` for a while, and it is not the same one.
        let long =
            |since: Option<u64>| since.is_some_and(|since| now_ms.saturating_sub(since) > APART_MS);
        let apart = |(n, ours): (usize, &Option<u64>)| {
            let silent = now_ms.saturating_sub(self.heard_on[n]) > APART_MS;
            let theirs = self.up_since.get(n).copied().flatten();
            (silent && long(*ours) && long(theirs)).then_some(n + 1)
        };
        let number = up_since.iter().enumerate().find_map(apart)?;
        Some(Misfit::Servers { with, number })
    }
}

#[cfg(test)]
mod tests;
