//! What is remembered of groups: who was in them a moment ago, and which look-ups are under way.
//!
//! Invariant: pure; bounded in groups and in names.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

/// A group's members, sorted, each once.
pub(super) type MemberList = Arc<[Arc<str>]>;

/// How long a look-up counts.
const FRESH: Duration = Duration::from_secs(5);
/// Groups remembered at most.
const MAX_GROUPS: usize = 1_000;
/// Names remembered at most, over all groups.
const MAX_NAMES: usize = 100_000;

/// Look-ups of late, and those under way, each known by an `R`.
#[derive(Debug)]
pub struct Cache<R> {
    known: HashMap<i64, (MemberList, Instant)>,
    names: usize,
    /// Look-ups under way.
    pub(super) running: HashMap<i64, R>,
}

impl<R> Default for Cache<R> {
    fn default() -> Self {
        Self {
            known: HashMap::new(),
            names: 0,
            running: HashMap::new(),
        }
    }
}

impl<R> Cache<R> {
    /// The group's members, if they were looked up a few seconds ago at most.
    pub fn fresh(&self, group: i64, now: Instant) -> Option<MemberList> {
        let (members, at) = self.known.get(&group)?;
        (now.duration_since(*at) < FRESH).then(|| Arc::clone(members))
    }

    /// A look-up ended, with `found` if it succeeded.
    pub fn finished(&mut self, group: i64, found: Option<&MemberList>, now: Instant) {
        self.running.remove(&group);
        let Some(found) = found else { return };
        self.known
            .retain(|_, (_, at)| now.duration_since(*at) < FRESH);
        self.known.remove(&group);
        self.names = self.known.values().map(|(members, _)| members.len()).sum();
        if self.known.len() >= MAX_GROUPS || self.names + found.len() > MAX_NAMES {
            self.known.clear();
            self.names = 0;
        }
        if found.len() <= MAX_NAMES {
            self.names += found.len();
            self.known.insert(group, (Arc::clone(found), now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: usize) -> MemberList {
        (0..names).map(|n| Arc::from(format!("u{n}"))).collect()
    }

    #[test]
    fn a_look_up_counts_for_five_seconds() {
        let (mut cache, now) = (Cache::<()>::default(), Instant::now());
        cache.running.insert(7, ());
        cache.finished(7, Some(&list(2)), now);
        assert!(cache.running.is_empty());
        assert_eq!(cache.fresh(7, now + FRESH / 2), Some(list(2)));
        assert_eq!(cache.fresh(7, now + FRESH), None);
        assert_eq!(cache.fresh(8, now), None);
        cache.finished(8, None, now);
        assert_eq!(cache.fresh(8, now), None);
    }

    #[test]
    fn memory_is_bounded() {
        let (mut cache, now) = (Cache::<()>::default(), Instant::now());
        for group in 0..3 * MAX_GROUPS as i64 {
            cache.finished(group, Some(&list(1)), now);
            assert!(cache.known.len() <= MAX_GROUPS);
        }
        for group in 0..5 {
            cache.finished(group, Some(&list(MAX_NAMES / 2)), now);
            assert!(cache.names <= MAX_NAMES);
        }
        cache.finished(1, Some(&list(MAX_NAMES + 1)), now);
        assert_eq!(cache.fresh(1, now), None);
    }
}
