//! What is said once, though several may want to say it: one claims it, and then says whether it was said.
//!
//! Invariants: pure and bounded; with too much in it, something is said twice rather than never. A claim ends by itself, so
//! that what a node died over is said by another.

use std::collections::HashMap;
use std::time::Duration;

use ahash::RandomState;

/// How long a claim lasts that nobody settles.
pub const CLAIM: Duration = Duration::from_secs(10);
/// How much is remembered.
const MOST: usize = 100_000;
/// How often what has run out is dropped, milliseconds.
const SWEEP_MS: u64 = 10_000;

/// What is known of something that is to be said once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saying {
    /// It is for the asker to say, who settles by this number.
    Mine(u128),
    /// Another is about to say it, or has died over it: it may be asked again.
    Claimed,
    /// It was said.
    Said,
}

/// See the module.
#[derive(Default)]
pub struct SaidOnce {
    /// Whose it is, or nobody's, since it was said; and until when that is known.
    known: HashMap<String, (Option<u128>, u64), RandomState>,
    swept_ms: u64,
}

impl SaidOnce {
    /// Claims `what` by `me`, a number that nobody else has.
    pub fn claim(&mut self, what: String, me: u128, now_ms: u64) -> Saying {
        if now_ms.saturating_sub(self.swept_ms) >= SWEEP_MS {
            self.swept_ms = now_ms;
            self.known.retain(|_, (_, until)| *until > now_ms);
            self.known.shrink_to(2 * self.known.len());
        }
        match self.known.get(&what) {
            Some((None, until)) if *until > now_ms => Saying::Said,
            Some((Some(who), until)) if *until > now_ms && *who != me => Saying::Claimed,
            _ => {
                self.put(what, Some(me), now_ms + CLAIM.as_millis() as u64);
                Saying::Mine(me)
            }
        }
    }

    /// What `me` has claimed was said, and is not to be said again for so long; `None`: it was not said.
    pub fn settle(&mut self, what: String, me: u128, lasts_ms: Option<u64>, now_ms: u64) {
        if self
            .known
            .get(&what)
            .is_some_and(|(who, _)| *who != Some(me))
        {
            return;
        }
        match lasts_ms {
            Some(lasts_ms) => self.put(what, None, now_ms + lasts_ms),
            None => drop(self.known.remove(&what)),
        }
    }

    fn put(&mut self, what: String, who: Option<u128>, until_ms: u64) {
        if self.known.len() < MOST || self.known.contains_key(&what) {
            self.known.insert(what, (who, until_ms));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLAIM_MS: u64 = CLAIM.as_millis() as u64;

    fn claim(said: &mut SaidOnce, what: &str, me: u128, now_ms: u64) -> Saying {
        said.claim(what.to_owned(), me, now_ms)
    }

    #[test]
    fn what_was_said_is_free_again_when_it_has_run_out() {
        let mut said = SaidOnce::default();
        assert_eq!(claim(&mut said, "a", 1, 0), Saying::Mine(1));
        assert_eq!(claim(&mut said, "b", 2, 0), Saying::Mine(2));
        said.settle("a".to_owned(), 1, Some(30_000), 0);
        assert_eq!(claim(&mut said, "a", 3, 29_999), Saying::Said);
        assert_eq!(claim(&mut said, "a", 3, 30_000), Saying::Mine(3));
    }

    #[test]
    fn what_was_not_said_in_the_end_is_for_the_next_one() {
        let mut said = SaidOnce::default();
        assert_eq!(claim(&mut said, "a", 1, 0), Saying::Mine(1));
        assert_eq!(claim(&mut said, "a", 2, 0), Saying::Claimed);
        // Only the claimant settles.
        said.settle("a".to_owned(), 2, None, 0);
        assert_eq!(claim(&mut said, "a", 2, 0), Saying::Claimed);
        said.settle("a".to_owned(), 1, None, 0);
        assert_eq!(claim(&mut said, "a", 2, 0), Saying::Mine(2));
        // A claim that nobody settles ends by itself; who had it is too late then.
        assert_eq!(claim(&mut said, "a", 3, CLAIM_MS - 1), Saying::Claimed);
        assert_eq!(claim(&mut said, "a", 3, CLAIM_MS), Saying::Mine(3));
        said.settle("a".to_owned(), 2, Some(30_000), CLAIM_MS);
        assert_eq!(claim(&mut said, "a", 4, CLAIM_MS), Saying::Claimed);
    }

    #[test]
    fn it_is_bounded_and_gives_its_room_back() {
        let mut said = SaidOnce::default();
        for n in 0..2 * MOST {
            assert_eq!(claim(&mut said, &n.to_string(), 1, 0), Saying::Mine(1));
            said.settle(n.to_string(), 1, Some(1_000), 0);
        }
        assert_eq!(said.known.len(), MOST);
        assert_eq!(claim(&mut said, "1", 2, 0), Saying::Said);
        assert_eq!(claim(&mut said, "a", 2, SWEEP_MS), Saying::Mine(2));
        assert!(said.known.len() == 1 && said.known.capacity() < 1_000);
    }
}
