//! Which events were seen already: for each origin the highest counter and a bitmap of those below it.
//!
//! Invariant: a counter is fresh once. So an event may come any number of times, live, from the log, from this node's
//! own queue or published again, and is delivered once.

use std::collections::HashMap;

/// Counters below the highest that are still told apart.
pub const WIDTH: u64 = 4_096;

/// An origin unheard for this long is forgotten, in milliseconds.
const IDLE_MS: u64 = 600_000;

/// What a counter turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Never seen before; it is now.
    Fresh,
    /// Seen before.
    Again,
    /// Too far below the highest to tell; taken as seen.
    TooOld,
}

struct Window {
    highest: u64,
    bits: [u64; (WIDTH / 64) as usize],
    used_ms: u64,
}

impl Window {
    fn see(&mut self, counter: u64) -> Seen {
        if counter > self.highest {
            if counter - self.highest >= WIDTH {
                self.bits = [0; (WIDTH / 64) as usize];
            } else {
                (self.highest + 1..counter).for_each(|between| self.clear(between));
            }
            self.highest = counter;
            self.set(counter);
            return Seen::Fresh;
        }
        if self.highest - counter >= WIDTH {
            return Seen::TooOld;
        }
        let (word, bit) = place(counter);
        if self.bits[word] & bit != 0 {
            return Seen::Again;
        }
        self.set(counter);
        Seen::Fresh
    }

    fn set(&mut self, counter: u64) {
        let (word, bit) = place(counter);
        self.bits[word] |= bit;
    }

    fn clear(&mut self, counter: u64) {
        let (word, bit) = place(counter);
        self.bits[word] &= !bit;
    }
}

fn place(counter: u64) -> (usize, u64) {
    let index = counter % WIDTH;
    ((index / 64) as usize, 1 << (index % 64))
}

/// The windows of every origin heard lately.
#[derive(Default)]
pub struct Windows {
    origins: HashMap<u64, Box<Window>>,
    pruned_ms: u64,
}

impl Windows {
    /// Marks `counter` of `origin` as seen. `now_ms` is any clock that never goes back.
    pub fn see(&mut self, origin: u64, counter: u64, now_ms: u64) -> Seen {
        if now_ms.saturating_sub(self.pruned_ms) > IDLE_MS / 10 {
            self.origins.retain(|_, window| now_ms.saturating_sub(window.used_ms) <= IDLE_MS);
            self.pruned_ms = now_ms;
        }
        let window = self
            .origins
            .entry(origin)
            .or_insert_with(|| Box::new(Window { highest: 0, bits: [0; (WIDTH / 64) as usize], used_ms: now_ms }));
        window.used_ms = now_ms;
        window.see(counter)
    }

    /// How many origins are remembered.
    pub fn len(&self) -> usize {
        self.origins.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.origins.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn idle_origins_are_forgotten() {
        let mut windows = Windows::default();
        for origin in 0..100 {
            windows.see(origin, 1, 0);
        }
        windows.see(100, 1, 2 * IDLE_MS);
        assert_eq!(windows.len(), 1);
    }

    #[test]
    fn a_counter_too_far_back_is_not_taken_for_new() {
        let mut windows = Windows::default();
        assert_eq!(windows.see(1, 10_000, 0), Seen::Fresh);
        assert_eq!(windows.see(1, 10_001 - WIDTH, 0), Seen::Fresh);
        assert_eq!(windows.see(1, 10_000 - WIDTH, 0), Seen::TooOld);
    }

    proptest! {
        #[test]
        fn agrees_with_a_set(steps in prop::collection::vec((0i64..6_000, prop::bool::ANY), 1..300)) {
            let (mut windows, mut set, mut highest) = (Windows::default(), HashSet::new(), 0u64);
            for (distance, up) in steps {
                let counter = if up { highest + distance as u64 } else { highest.saturating_sub(distance as u64) }.max(1);
                let expected = if highest >= counter && highest - counter >= WIDTH {
                    Seen::TooOld
                } else if set.insert(counter) {
                    Seen::Fresh
                } else {
                    Seen::Again
                };
                highest = highest.max(counter);
                prop_assert_eq!(windows.see(1, counter, 0), expected);
            }
        }
    }
}
