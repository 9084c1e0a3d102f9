//! Growing pauses for a client that keeps offering bad tokens for a library.
//!
//! Invariant: the first refusal of a library is answered at once, the next ones after 1, 2, 4 … 60 s, one answer owed at a
//! time; a good token starts anew. What is remembered is bounded in number and bytes.

use std::collections::BTreeMap;

/// The longest pause, in milliseconds.
const LONGEST_MS: u64 = 60_000;
/// A library that was answered this long ago, in milliseconds, and not offered since, starts anew.
const FORGET_MS: u64 = 2 * LONGEST_MS;
/// Bytes of ids that are remembered at most.
const MAX_ID_BYTES: usize = 256 * 1024;

/// What to do about a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Answer it.
    Now,
    /// An answer is owed; [`Pauses::pay`] gives it.
    Later,
    /// More libraries than may be remembered.
    TooMany,
}

#[derive(Debug)]
struct Pause {
    /// Answers given so far.
    answers: u8,
    /// When the next one is due; `None`: nothing is owed.
    owed_ms: Option<u64>,
    /// When the last one was given.
    last_ms: u64,
}

impl Pause {
    fn is_over(&self, now_ms: u64) -> bool {
        self.owed_ms.is_none() && now_ms >= self.last_ms.saturating_add(FORGET_MS)
    }
}

/// The libraries that were refused of late, and when to answer. Times are in milliseconds.
#[derive(Debug, Default)]
pub struct Pauses {
    libraries: BTreeMap<Box<str>, Pause>,
    bytes: usize,
}

impl Pauses {
    /// A bad token for `id` was offered; `max` libraries are remembered at most.
    pub fn refused(&mut self, id: &str, now_ms: u64, max: usize) -> Due {
        if let Some(pause) = self.libraries.get_mut(id) {
            if pause.is_over(now_ms) {
                *pause = Pause {
                    answers: 1,
                    owed_ms: None,
                    last_ms: now_ms,
                };
                return Due::Now;
            }
            let seconds = 1_u64 << (pause.answers - 1).min(6);
            pause
                .owed_ms
                .get_or_insert(now_ms.saturating_add((seconds * 1000).min(LONGEST_MS)));
            return Due::Later;
        }
        if self.is_full(id, max) {
            self.forget(now_ms);
            if self.is_full(id, max) {
                return Due::TooMany;
            }
        }
        self.bytes += id.len();
        self.libraries.insert(
            id.into(),
            Pause {
                answers: 1,
                owed_ms: None,
                last_ms: now_ms,
            },
        );
        Due::Now
    }

    fn is_full(&self, id: &str, max: usize) -> bool {
        self.libraries.len() >= max || self.bytes + id.len() > MAX_ID_BYTES
    }

    /// A good token came: the next bad one is answered at once again.
    pub(super) fn forgive(&mut self, id: &str) {
        if self.libraries.remove(id).is_some() {
            self.bytes -= id.len();
        }
    }

    /// The client lost interest: no answer is owed any more, though the pauses stay long.
    pub(super) fn waive(&mut self, id: &str) {
        if let Some(pause) = self.libraries.get_mut(id) {
            pause.owed_ms = None;
        }
    }

    /// Gives the answers that are due.
    pub(super) fn pay(&mut self, now_ms: u64, mut answer: impl FnMut(&str)) {
        for (id, pause) in &mut self.libraries {
            if pause.owed_ms.is_some_and(|due| due <= now_ms) {
                answer(id);
                *pause = Pause {
                    answers: pause.answers.saturating_add(1),
                    owed_ms: None,
                    last_ms: now_ms,
                };
            }
        }
        self.forget(now_ms);
    }

    fn forget(&mut self, now_ms: u64) {
        let bytes = &mut self.bytes;
        self.libraries.retain(|id, pause| {
            let keep = !pause.is_over(now_ms);
            *bytes -= if keep { 0 } else { id.len() };
            keep
        });
    }

    /// When the next answer is due.
    pub fn next(&self) -> Option<u64> {
        self.libraries
            .values()
            .filter_map(|pause| pause.owed_ms)
            .min()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.libraries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paid(pauses: &mut Pauses, now_ms: u64) -> Vec<String> {
        let mut ids = Vec::new();
        pauses.pay(now_ms, |id| ids.push(id.to_owned()));
        ids
    }

    #[test]
    fn answers_come_at_once_then_after_growing_pauses() {
        let mut pauses = Pauses::default();
        let mut now = 1_000;
        assert_eq!(pauses.refused("a", now, 10), Due::Now);
        for pause in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            assert_eq!(pauses.refused("a", now, 10), Due::Later);
            // Offered again and again: still one answer.
            assert_eq!(pauses.refused("a", now + 500, 10), Due::Later);
            let due = now + pause * 1000;
            assert_eq!(pauses.next(), Some(due));
            assert!(paid(&mut pauses, due - 1).is_empty());
            assert_eq!(paid(&mut pauses, due), ["a"]);
            assert_eq!(pauses.next(), None);
            now = due;
        }
        assert_eq!(pauses.refused("b", now, 10), Due::Now);
        pauses.forgive("a");
        assert_eq!(pauses.refused("a", now, 10), Due::Now);
    }

    #[test]
    fn a_quiet_library_starts_anew_and_a_waived_answer_is_not_given() {
        let mut pauses = Pauses::default();
        pauses.refused("a", 0, 10);
        pauses.refused("a", 0, 10);
        pauses.waive("a");
        assert!(paid(&mut pauses, 5_000).is_empty());
        assert_eq!(pauses.refused("a", 5_000, 10), Due::Later);
        paid(&mut pauses, 10_000);
        assert_eq!(pauses.refused("a", 10_000 + FORGET_MS, 10), Due::Now);
        paid(&mut pauses, 10_000 + 2 * FORGET_MS);
        assert!(pauses.is_empty() && pauses.bytes == 0);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut pauses = Pauses::default();
        for id in ["a", "b", "c"] {
            assert_eq!(pauses.refused(id, 0, 3), Due::Now);
        }
        assert_eq!(pauses.refused("d", 0, 3), Due::TooMany);
        assert_eq!(pauses.refused("d", FORGET_MS, 3), Due::Now);
        assert_eq!(
            pauses.refused(&"x".repeat(MAX_ID_BYTES), FORGET_MS, 3),
            Due::TooMany
        );
    }
}
