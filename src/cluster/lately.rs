//! How often something went wrong at this node in the last quarter of an hour: from totals looked at once a second.
//!
//! Invariant: bounded, whatever happens; what was before the node started is not its own.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::metrics::incidents::Incidents;

/// How far back it goes.
const BACK: Duration = Duration::from_secs(15 * 60);
/// Between two totals that are kept.
const EVERY: Duration = Duration::from_secs(15);

/// See the module's description.
#[derive(Default)]
pub(super) struct Lately(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// The oldest first; one of them at most is older than is looked back.
    kept: VecDeque<(Instant, Incidents)>,
    newest: Incidents,
}

impl Lately {
    /// Takes the totals of the process.
    pub fn look(&self, now: Instant, totals: Incidents) {
        let mut inner = self.0.lock();
        inner.newest = totals;
        let last = inner.kept.back();
        if last.is_none_or(|(at, _)| now.duration_since(*at) >= EVERY) {
            inner.kept.push_back((now, totals));
        }
        while inner
            .kept
            .get(1)
            .is_some_and(|(at, _)| now.duration_since(*at) >= BACK)
        {
            inner.kept.pop_front();
        }
    }

    /// What has happened since; since the start, where that is less.
    pub fn incidents(&self) -> Incidents {
        let inner = self.0.lock();
        let before = inner.kept.front().map(|(_, totals)| *totals);
        inner.newest.since(before.unwrap_or(inner.newest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_an_hour_counts_and_no_more() {
        let (lately, start) = (Lately::default(), Instant::now());
        let totals = |refusals| Incidents {
            refusals,
            ..Incidents::default()
        };
        assert_eq!(lately.incidents(), totals(0));
        // What another node of this process had counted before is not this one's.
        lately.look(start, totals(1_000));
        assert_eq!(lately.incidents(), totals(0));
        for second in 1..=3_600 {
            lately.look(start + Duration::from_secs(second), totals(1_000 + second));
            if second == 60 {
                assert_eq!(lately.incidents(), totals(60));
            }
        }
        let last = lately.incidents().refusals;
        assert!((900..=915).contains(&last), "{last}");
        assert!(lately.0.lock().kept.len() <= 62);
    }
}
