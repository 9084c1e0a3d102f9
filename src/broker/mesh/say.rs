//! What goes out on a shard: what is said of this node, its events in order and within a window, and what others asked for.
//!
//! Invariant: what was not taken is said again, in its order, under the stamp that it has.

use super::Mesh;
use super::shard::Batch;
use crate::broker::carrier::{Said, Topic};

/// What a batch may hold; one event may be larger.
const BATCH_COUNT: usize = 512;
const BATCH_BYTES: usize = 256 << 10;

impl Mesh {
    /// Whether there may be something to say on a shard.
    pub(in crate::broker) fn has_work(&self, on: usize) -> bool {
        self.shards[on].has_work() && (self.says_events() || !self.shards[on].only_events())
    }

    /// Whether its events may go out: it has joined, and fits in.
    fn says_events(&self) -> bool {
        self.join.is_joined() && self.misfit.is_none()
    }

    /// What to say next on a shard; nothing while a batch is under way. The outcome goes to [`Mesh::said`].
    pub fn batch(&mut self, on: usize) -> Option<Batch> {
        let shard = &mut self.shards[on];
        if shard.is_busy() || !shard.answers {
            return None;
        }
        let mut batch = Batch::default();
        shard.take_controls(&mut batch);
        if self.says_events() {
            self.take_events(on, &mut batch);
        }
        self.shards[on].take_fills(&mut batch);
        if batch.messages.is_empty() {
            return None;
        }
        self.shards[on].started(&batch);
        Some(batch)
    }

    /// An announcement, to find out whether a shard answers. The outcome goes to [`Mesh::said`].
    pub fn probe(&mut self, on: usize) -> Option<Batch> {
        if self.shards[on].is_busy() {
            return None;
        }
        let mut batch = Batch::default();
        batch.push(Topic::All, self.announcement(on), None);
        self.shards[on].started(&batch);
        Some(batch)
    }

    fn take_events(&mut self, on: usize, batch: &mut Batch) {
        while batch.messages.len() < BATCH_COUNT
            && batch.bytes < BATCH_BYTES
            && self.shards[on].is_open()
        {
            let Some((number, first)) = self.shards[on].queue.pop_front() else {
                return;
            };
            let Some(bytes) = self.partitions[number as usize].outgoing.send(first) else {
                continue;
            };
            let place = Self::place(number, self.shards.len());
            let topic = if place == on {
                Topic::Partition(number)
            } else {
                Topic::All
            };
            self.shards[on].sending(bytes.len());
            // Nodes with a shorter list of shards listen elsewhere; what they miss there they ask for.
            for shards in self.shorter_lists() {
                let other = Self::place(number, shards);
                if other != on && self.shards[other].answers {
                    self.shards[other].control(Topic::Partition(number), bytes.clone());
                }
            }
            batch.push(topic, bytes, Some((number, first)));
        }
    }

    /// How many shards those nodes have that have fewer.
    fn shorter_lists(&self) -> Vec<usize> {
        let mut lengths: Vec<usize> = self
            .members
            .all()
            .map(|(_, member)| member.about.up.len())
            .collect();
        lengths.retain(|length| (1..self.shards.len()).contains(length));
        lengths.sort_unstable();
        lengths.dedup();
        lengths
    }

    /// What became of a batch, message by message. Anything that was not taken is said again.
    pub fn said(&mut self, on: usize, outcome: &[Said]) {
        let sent = self.shards[on].ended();
        let mut again = Vec::new();
        for (at, event) in sent.iter().enumerate() {
            let taken = outcome.get(at).is_some_and(Result::is_ok);
            match event {
                Some((number, first)) if taken => self.confirm(*number, *first),
                Some(event) => again.push(*event),
                None => {}
            }
        }
        again
            .into_iter()
            .rev()
            .for_each(|event| self.shards[on].queue.push_front(event));
        let shard = &mut self.shards[on];
        if outcome.iter().any(Result::is_ok) {
            shard.answers = true;
            if let (1, Some(Ok(hearers))) = (outcome.len(), outcome.first())
                && shard.channels.is_empty()
            {
                shard.heard_by(*hearers);
            }
        } else {
            shard.refused();
        }
        self.look_up(on);
    }

    fn confirm(&mut self, number: u32, first: u64) {
        if let Some(cost) = self.partitions[number as usize].outgoing.confirm(first) {
            self.waiting = (self.waiting.0 - 1, self.waiting.1 - cost);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Misfit;
    use super::*;

    #[test]
    fn events_are_nothing_to_say_while_the_node_stays_out() {
        let mut mesh = Mesh::of_one_partition();
        let shard = &mut mesh.shards[0];
        (shard.answers, shard.proven) = (true, true);
        shard.queue.push_back((0, 1));
        assert!(mesh.has_work(0));
        mesh.misfit = Some(Misfit::Keys {
            with: "first".to_owned(),
        });
        assert!(!mesh.has_work(0) && mesh.batch(0).is_none());
        mesh.misfit = None;
        assert!(mesh.has_work(0));
    }
}
