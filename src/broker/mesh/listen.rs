//! What other nodes say of themselves and ask, and what this node hears of its own.
//!
//! Invariant: a node that does not fit in with those that were there before knows it as soon as it has heard them.

use super::{Effect, Mesh};
use crate::broker::control::{About, Announcement, Control};
use crate::broker::packet::Head;

impl Mesh {
    pub(super) fn control(&mut self, on: usize, head: Head, control: Control) {
        let from = head.stamp.origin;
        if from == self.settings.origin {
            return self.echo(on, &control);
        }
        match control {
            Control::Announce(said) => self.announced(on, from, said),
            Control::Leave(numbers) => self.left(from, numbers),
            Control::Ask(ask) => self.asked(on, from, ask),
            Control::Fill(fill) => self.filled(from, fill),
            Control::SyncAsk {
                id,
                cursor,
                replay_ms,
                most,
            } => {
                self.sync_asked(on, from, id, (cursor, replay_ms, most));
            }
            Control::Sync(sync)
                if self
                    .strangers
                    .get(&from)
                    .is_some_and(|stranger| stranger.is_asked(sync.id)) =>
            {
                self.met(from, sync);
            }
            Control::Sync(sync) => self.synced(from, sync),
            Control::Question { id, body } => {
                self.effects.push_back(Effect::Asked { on, from, id, body })
            }
            Control::Answer { id, body } => {
                self.effects.push_back(Effect::Answered { from, id, body })
            }
            Control::Canary(_) => {}
        }
    }

    /// This node hears itself.
    fn echo(&mut self, on: usize, control: &Control) {
        let heard = self.hears_now();
        let shard = &mut self.shards[on];
        match control {
            Control::Announce(_) => {
                shard.proven |= shard.answers;
                if shard.subscribed_ms.is_some() {
                    shard.echo_ms = Some(self.time.ms);
                    self.join.heard_oneself(self.time);
                    if !heard {
                        // Nobody was heard meanwhile.
                        self.members.excuse(self.time.ms);
                    }
                }
                self.look_up(on);
            }
            Control::Canary(partition) => {
                if let Some((heard, _)) = shard.channels.get_mut(*partition as usize) {
                    *heard = self.time.ms.max(1);
                }
            }
            _ => {}
        }
    }

    /// Whether it hears itself anywhere.
    pub(super) fn hears(&self) -> bool {
        self.shards.iter().any(|shard| shard.echo_ms.is_some())
    }

    /// Whether what it said of late comes back to it: only then does it say something that others are not heard.
    pub(super) fn hears_now(&self) -> bool {
        self.shards
            .iter()
            .any(|shard| shard.echo_ms.is_some_and(|at| self.is_fresh(at)))
    }

    fn is_fresh(&self, echo_ms: u64) -> bool {
        self.time.ms.saturating_sub(echo_ms) <= 2 * super::ANNOUNCE_MS
    }

    fn announced(&mut self, on: usize, from: u64, mut said: Announcement) {
        let (numbers, silent) = (
            std::mem::take(&mut said.numbers),
            std::mem::take(&mut said.silent),
        );
        let uptime_ms = said.about.uptime_ms;
        let clock = (self.time.ms, self.time.unix_ms);
        if self.members.heard(from, said, on, self.shards.len(), clock) {
            // It need not wait to learn who is here.
            self.shards[on].announce_ms = self.time.ms;
        }
        self.judge();
        if !self.join.is_joined() {
            return;
        }
        if self.known.contains_key(&from) || uptime_ms < self.time.uptime_ms || numbers.is_empty() {
            self.join.is_sure(from);
            self.resolve(from, &[], 0);
            self.known.insert(from, self.time.ms as i64);
            self.told(from, numbers);
        } else {
            self.meet(from, numbers);
        }
        let own = self.settings.origin;
        for (origin, numbers) in silent.into_iter().filter(|(origin, _)| *origin != own) {
            if !self.known.contains_key(&origin) {
                self.join.vague(std::iter::once(origin));
                // Whoever says so heard it not long ago: that is not to be said again.
                self.resolve(origin, &[], super::upkeep::LONG_SILENT_MS);
            }
            self.told(origin, numbers);
        }
    }

    /// A known node published up to these numbers.
    pub(super) fn told(&mut self, from: u64, numbers: Vec<(u32, u64)>) {
        let partitions = self.settings.partitions;
        for (partition, number) in numbers
            .into_iter()
            .filter(|(partition, _)| *partition < partitions)
        {
            self.exists(from, partition, number + 1);
        }
    }

    /// A node is about to end. What it published last others can tell.
    fn left(&mut self, from: u64, numbers: Vec<(u32, u64)>) {
        if self.join.is_joined() && self.known.contains_key(&from) {
            self.join.is_sure(from);
            self.told(from, numbers);
        }
        self.members.left(from);
        self.judge();
    }

    /// Whether this node fits in with those that were there before.
    pub(super) fn judge(&mut self) {
        let fresh = |at: &u64| self.is_fresh(*at);
        let up_since: Vec<_> = self
            .shards
            .iter()
            .map(|shard| shard.echo_ms.filter(fresh).and(shard.subscribed_ms))
            .collect();
        let about = self.about(0);
        let misfit = self
            .members
            .misfit((self.settings.origin, &about), &up_since, self.time.ms);
        if misfit != self.misfit {
            match &misfit {
                Some(misfit) => tracing::error!(
                    why = misfit.label(),
                    "this node stays out of the cluster: {misfit}"
                ),
                None => tracing::info!("this node fits in with the others again"),
            }
            self.misfit = misfit;
            (0..self.shards.len()).for_each(|on| self.look_up(on));
        }
    }

    pub(super) fn about(&self, shard: usize) -> About {
        About {
            id: self.identity.id.clone(),
            name: self.identity.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_ms: self.time.uptime_ms,
            clock_ms: self.time.unix_ms,
            joined: self.join.is_joined() && self.misfit.is_none(),
            partitions: self.settings.partitions,
            shard,
            up: self
                .shards
                .iter()
                .map(|shard| shard.up_since.is_some())
                .collect(),
            keys: self.identity.keys.clone(),
        }
    }
}
