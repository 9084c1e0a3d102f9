//! Says a thing that happens over and over at most once in a while.
//!
//! Invariant: pure. Kinds do not silence each other, and what was left unsaid is counted into what is said next.

use std::collections::HashMap;

use parking_lot::Mutex;

#[derive(Clone, Copy, Debug)]
struct Said {
    /// When it was said last, Unix milliseconds.
    at_ms: u64,
    /// How often it happened since, without a word.
    unsaid: u64,
}

/// One for all kinds of things that one place says.
#[derive(Debug)]
pub struct Throttle {
    every_ms: u64,
    kinds: Mutex<HashMap<&'static str, Said, ahash::RandomState>>,
}

impl Throttle {
    /// Each kind is said once in `every_ms` milliseconds at most.
    pub fn new(every_ms: u64) -> Self {
        Self {
            every_ms,
            kinds: Mutex::default(),
        }
    }

    /// Once a minute.
    pub fn minutely() -> Self {
        Self::new(60_000)
    }

    /// Something of this kind happened. Whether it is to be said now, and how many more there were since the last time
    /// that were not said. `now_ms` is Unix time in milliseconds.
    pub fn say(&self, kind: &'static str, now_ms: u64) -> Option<u64> {
        let mut kinds = self.kinds.lock();
        let Some(said) = kinds.get_mut(kind) else {
            kinds.insert(
                kind,
                Said {
                    at_ms: now_ms,
                    unsaid: 0,
                },
            );
            return Some(0);
        };
        // A clock that was set back does not silence it for long.
        if now_ms.abs_diff(said.at_ms) < self.every_ms {
            said.unsaid += 1;
            return None;
        }
        Some(
            std::mem::replace(
                said,
                Said {
                    at_ms: now_ms,
                    unsaid: 0,
                },
            )
            .unsaid,
        )
    }
}

/// How a line goes on that tells of one of several: nothing, where it is the only one.
pub fn and_more(unsaid: u64) -> String {
    if unsaid == 0 {
        String::new()
    } else {
        format!(", and {unsaid} more since this was last said")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_said_once_a_minute_with_what_was_left_out() {
        let throttle = Throttle::minutely();
        assert_eq!(throttle.say("a", 5), Some(0));
        assert_eq!(throttle.say("a", 5), None);
        assert_eq!(throttle.say("b", 6), Some(0));
        assert_eq!(throttle.say("a", 60_004), None);
        assert_eq!(throttle.say("a", 60_005), Some(2));
        assert_eq!(throttle.say("b", 60_006), Some(0));
        assert_eq!(throttle.say("a", 1), Some(0));
    }
}
