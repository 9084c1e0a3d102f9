//! Who is present by this node, and whose entry in Redis has to be renewed when.
//!
//! Invariant: pure. An entry is due three times while it would last by itself; a guard takes away its own entry, never one
//! that came after it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use bytes::Bytes;

use crate::event::Channel;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// In which channel.
    pub(super) channel: Channel,
    /// The connection's name.
    pub(super) id: Arc<str>,
    /// What is said of it.
    pub(super) who: Bytes,
    /// For how long it is to outlive this node.
    pub(super) outlives: Duration,
}

/// See the module.
#[derive(Default)]
pub struct Entries {
    entries: HashMap<u64, (Entry, u64)>,
    guards: HashMap<(Channel, Arc<str>), u64, RandomState>,
    /// When each is to be renewed, in milliseconds, and its guard.
    due: BTreeSet<(u64, u64)>,
    last: u64,
}

impl Entries {
    /// How many.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Adds an entry, in the place of one with its channel and id; gives its guard.
    pub fn enter(&mut self, entry: Entry, now_ms: u64) -> u64 {
        self.last += 1;
        if let Some(before) = self
            .guards
            .insert((entry.channel.clone(), Arc::clone(&entry.id)), self.last)
        {
            self.forget(before);
        }
        let due_ms = now_ms + third(&entry);
        self.due.insert((due_ms, self.last));
        self.entries.insert(self.last, (entry, due_ms));
        self.last
    }

    /// Takes away the guard's entry, if it is still the one.
    pub fn leave(&mut self, guard: u64) -> Option<Entry> {
        let entry = self.forget(guard)?;
        self.guards
            .remove(&(entry.channel.clone(), Arc::clone(&entry.id)));
        Some(entry)
    }

    fn forget(&mut self, guard: u64) -> Option<Entry> {
        let (entry, due_ms) = self.entries.remove(&guard)?;
        self.due.remove(&(due_ms, guard));
        Some(entry)
    }

    /// All entries that are to be renewed by now; they are due again a third of their time later.
    pub fn due(&mut self, now_ms: u64) -> Vec<Entry> {
        let mut found = Vec::new();
        while let Some((at, guard)) = self.due.first().copied().filter(|(at, _)| *at <= now_ms) {
            self.due.remove(&(at, guard));
            let Some((entry, due_ms)) = self.entries.get_mut(&guard) else {
                continue;
            };
            *due_ms = now_ms + third(entry).max(1);
            self.due.insert((*due_ms, guard));
            found.push(entry.clone());
        }
        found
    }

    /// Redis may have lost all entries for which `lost` holds: they are due now.
    pub fn lost(&mut self, lost: impl Fn(&Channel) -> bool) {
        for (guard, (entry, due_ms)) in &mut self.entries {
            if lost(&entry.channel) {
                self.due.remove(&(*due_ms, *guard));
                *due_ms = 0;
                self.due.insert((0, *guard));
            }
        }
    }
}

fn third(entry: &Entry) -> u64 {
    (entry.outlives.as_millis() / 3) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(channel: &str, id: &str, seconds: u64) -> Entry {
        let (who, outlives) = (Bytes::from_static(b"{}"), Duration::from_secs(seconds));
        Entry {
            channel: Channel::new("c", channel),
            id: id.into(),
            who,
            outlives,
        }
    }

    #[test]
    fn each_is_renewed_three_times_while_it_would_last() {
        let mut entries = Entries::default();
        entries.enter(entry("a", "1", 60), 0);
        entries.enter(entry("a", "2", 30), 5_000);
        assert!(entries.due(14_999).is_empty());
        assert_eq!(entries.due(15_000), [entry("a", "2", 30)]);
        assert_eq!(entries.due(20_000), [entry("a", "1", 60)]);
        assert_eq!(entries.due(25_000), [entry("a", "2", 30)]);
        entries.lost(|channel| channel.name() == "a");
        assert_eq!(entries.due(25_000).len(), 2, "Redis came back empty");
        assert!(entries.due(25_000).is_empty());
    }

    #[test]
    fn a_guard_takes_away_its_own_entry_alone() {
        let mut entries = Entries::default();
        let first = entries.enter(entry("a", "1", 60), 0);
        let second = entries.enter(entry("a", "1", 30), 0);
        assert_eq!(
            entries.leave(first),
            None,
            "another one has come in its place"
        );
        assert_eq!((entries.len(), entries.due(20_000).len()), (1, 1));
        assert_eq!(entries.leave(second), Some(entry("a", "1", 30)));
        assert_eq!(entries.leave(second), None);
        assert!(
            entries.due(u64::MAX / 2).is_empty()
                && entries.due.is_empty()
                && entries.guards.is_empty()
        );
    }
}
