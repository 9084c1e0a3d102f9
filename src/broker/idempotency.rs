//! Which events were posted before: a proxy that sees no answer posts an event again, to another node, and both may have
//! taken it.
//!
//! Invariant: an event with an idempotency key is first once within [`KEEP_MS`], as long as no more than [`KEEP`] others
//! came after it; what carries no key is always first.

use std::collections::{HashSet, VecDeque};

use ahash::RandomState;

use crate::event::Event;
use crate::metrics;

/// How long a key is remembered, in milliseconds: longer than proxies try, and than a machine is paused as a rule.
const KEEP_MS: u64 = 300_000;

/// How many keys of a partition are remembered.
const KEEP: usize = 16_384;

/// The keys of one partition's events of late.
#[derive(Default)]
pub(super) struct Repeats {
    keys: HashSet<u64, RandomState>,
    order: VecDeque<(u64, u64)>,
}

impl Repeats {
    /// Whether `event` was not posted before; it is now. `now_ms` is any clock that never goes back.
    pub fn is_first(&mut self, event: &Event, now_ms: u64) -> bool {
        let Some(key) = event.idempotency_key else {
            return true;
        };
        self.forget(now_ms);
        let first = self.keys.insert(key);
        if first {
            self.order.push_back((now_ms, key));
        } else {
            ::metrics::counter!(metrics::EVENTS_REPEATED).increment(1);
        }
        first
    }

    /// Whether `event` was posted before. That it is now is not noted.
    pub fn has(&mut self, event: &Event, now_ms: u64) -> bool {
        let Some(key) = event.idempotency_key else {
            return false;
        };
        self.forget(now_ms);
        self.keys.contains(&key)
    }

    fn forget(&mut self, now_ms: u64) {
        while let Some((at, key)) = self.order.front()
            && (self.order.len() >= KEEP || now_ms.saturating_sub(*at) > KEEP_MS)
        {
            self.keys.remove(key);
            self.order.pop_front();
        }
        if self.keys.capacity() > 8 * self.keys.len().max(64) {
            self.keys.shrink_to_fit();
            self.order.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Channel;

    fn event(idempotency_key: Option<u64>) -> Event {
        Event {
            idempotency_key,
            ..Event::new(Channel::new("c", "x"), "news", "")
        }
    }

    #[test]
    fn a_key_is_first_once() {
        let mut repeats = Repeats::default();
        assert!(!repeats.has(&event(Some(1)), 0) && !repeats.has(&event(None), 0));
        assert!(repeats.is_first(&event(Some(1)), 0));
        assert!(repeats.has(&event(Some(1)), 0) && !repeats.has(&event(Some(2)), 0));
        assert!(repeats.is_first(&event(Some(2)), 0));
        assert!(!repeats.is_first(&event(Some(1)), KEEP_MS));
        assert!(repeats.is_first(&event(None), 0) && repeats.is_first(&event(None), 0));
    }

    #[test]
    fn it_is_forgotten_in_time_and_takes_no_more_than_its_room() {
        let mut repeats = Repeats::default();
        (0..3 * KEEP as u64)
            .for_each(|key| assert!(repeats.is_first(&event(Some(key)), key / 1_000)));
        assert!(repeats.keys.len() <= KEEP && repeats.order.len() <= KEEP);
        assert!(repeats.is_first(&event(Some(0)), 100), "pushed out");
        assert!(
            repeats.is_first(&event(Some(3 * KEEP as u64 - 1)), 2 * KEEP_MS),
            "too long ago"
        );
        assert!(repeats.keys.len() == 1 && repeats.keys.capacity() < 1_024);
    }
}
