//! What a node tells another one that starts, or that missed something.
//!
//! Invariants: one that has not joined tells nothing; what it is not sure of it says so of.

use super::Mesh;
use super::join::PART;
use super::upkeep::LONG_SILENT_MS;
use crate::broker::carrier::Topic;
use crate::broker::control::{Control, Known, Sync};

/// Origins that were not heard for this long are not told of: whoever asks need not know them, in milliseconds.
const TELL_MS: u64 = 300_000;

impl Mesh {
    /// Another node wants to know what this one knows.
    pub(super) fn sync_asked(
        &mut self,
        on: usize,
        from: u64,
        id: u64,
        (cursor, replay_ms, most): (u64, u64, u32),
    ) {
        if !self.join.is_joined() {
            return;
        }
        let (next, silent) = if cursor == 0 {
            (self.table(), self.ages())
        } else {
            Default::default()
        };
        let (recent, cursor) = if replay_ms == 0 {
            (Vec::new(), None)
        } else {
            self.memory
                .recent(cursor, replay_ms, self.time.ms, most.min(PART) as usize)
        };
        let unsure = [&self.join.unsure[..], &self.join.hearsay].concat();
        let sync = Control::Sync(Sync {
            id,
            next,
            silent,
            unsure,
            recent,
            cursor,
        })
        .write(self.settings.origin);
        // Whoever asks is heard there, and hears there.
        self.shards[on].control(Topic::Node(from), sync);
    }

    fn is_told(&self, origin: u64) -> bool {
        origin == self.settings.origin
            || self
                .silent_ms(origin)
                .is_some_and(|silent_ms| silent_ms <= TELL_MS)
    }

    /// For how long each origin that is told of was not heard, at the least.
    fn ages(&self) -> Vec<(u64, u64)> {
        let own = self.settings.origin;
        let age = |origin: &u64| {
            let silent_ms = if *origin == own {
                0
            } else if self.join.hearsay.contains(origin) {
                // It may be known by what was announced of it alone, and then so much was added.
                self.silent_ms(*origin)?.saturating_sub(LONG_SILENT_MS)
            } else {
                self.silent_ms(*origin)?
            };
            self.is_told(*origin).then_some((*origin, silent_ms))
        };
        self.known.keys().filter_map(age).collect()
    }

    fn table(&self) -> Vec<Known> {
        let told = |origin: &u64| self.is_told(*origin);
        // One that published nothing yet is known all the same: its first event must not seem to be from before.
        let silent = |origin: &&u64| {
            !self
                .partitions
                .iter()
                .any(|partition| partition.inbounds.contains_key(*origin))
        };
        let at_start = |origin| Known {
            origin,
            partition: 0,
            next: 1,
            head: 1,
        };
        let mut table: Vec<_> = self
            .known
            .keys()
            .filter(|origin| told(origin))
            .filter(silent)
            .map(|origin| at_start(*origin))
            .collect();
        for (number, partition) in self.partitions.iter().enumerate() {
            for (origin, inbound) in partition.inbounds.iter().filter(|(origin, _)| told(origin)) {
                let own = *origin == self.settings.origin;
                let confirmed = partition.outgoing.confirmed() + 1;
                let (next, head) = if own {
                    (confirmed, confirmed)
                } else {
                    (inbound.next(), inbound.head())
                };
                if next > 0 {
                    table.push(Known {
                        origin: *origin,
                        partition: number as u32,
                        next,
                        head,
                    });
                }
            }
        }
        table
    }
}
