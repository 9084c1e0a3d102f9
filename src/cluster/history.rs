//! The cluster's last quarter of an hour, as this node saw it: what an operator who comes late looks at first.
//!
//! Invariant: bounded by [`KEPT`] moments, whatever happens; a node that starts has none, and gets none from others.

use std::collections::{BTreeMap, VecDeque};

use parking_lot::Mutex;
use serde::Serialize;

use super::rates::Percentiles;
use super::view::{ShardView, Sums};

/// Between two moments at least, milliseconds.
const EVERY_MS: u64 = 5_000;
/// How far back it goes, milliseconds.
const BACK_MS: u64 = 15 * 60 * 1_000;
/// So many moments are kept at most.
const KEPT: usize = (BACK_MS / EVERY_MS) as usize;

/// How the cluster was.
#[derive(Clone, Debug, Serialize)]
pub struct Moment {
    /// When, Unix milliseconds.
    at_ms: u64,
    /// Over all nodes.
    totals: Sums,
    /// This node's latency over the minute before.
    latency: Percentiles,
    /// Round trips of this node to each shard, seconds; `None`: it was away, or is not measured.
    shards: BTreeMap<String, Option<f64>>,
}

impl Moment {
    /// What is seen now.
    pub fn new(at_ms: u64, totals: Sums, latency: Percentiles, shards: &[ShardView]) -> Self {
        let round_trip = |shard: &ShardView| shard.round_trip_seconds.filter(|_| shard.up);
        let shards = shards
            .iter()
            .map(|shard| (shard.name.clone(), round_trip(shard)))
            .collect();
        Self {
            at_ms,
            totals,
            latency,
            shards,
        }
    }
}

/// See the module's description.
#[derive(Default)]
pub struct History(Mutex<VecDeque<Moment>>);

impl History {
    /// Keeps a moment, unless the last one has just been.
    pub fn add(&self, moment: Moment) {
        let mut moments = self.0.lock();
        // A clock that was put back makes what was later wrong.
        moments.retain(|before| before.at_ms <= moment.at_ms);
        if moments
            .back()
            .is_some_and(|last| moment.at_ms < last.at_ms + EVERY_MS)
        {
            return;
        }
        while moments
            .front()
            .is_some_and(|first| first.at_ms + BACK_MS < moment.at_ms)
            || moments.len() >= KEPT
        {
            moments.pop_front();
        }
        moments.push_back(moment);
    }

    /// All that is kept, the oldest first.
    pub fn list(&self) -> Vec<Moment> {
        self.0.lock().iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_an_hour_is_kept_and_no_more() {
        let history = History::default();
        let shard = |up| ShardView {
            name: "r:6379".to_owned(),
            up,
            round_trip_seconds: Some(0.001),
        };
        for second in 0..3_600 {
            let shards = [shard(second < 3_590)];
            history.add(Moment::new(
                second * 1_000,
                Sums::default(),
                Percentiles::default(),
                &shards,
            ));
        }
        let moments = history.list();
        assert_eq!(
            (moments.len(), moments.last().map(|last| last.at_ms)),
            (KEPT, Some(3_595_000))
        );
        assert!(moments[0].at_ms >= 3_595_000 - BACK_MS);
        assert_eq!(
            (
                moments[0].shards["r:6379"],
                moments[KEPT - 1].shards["r:6379"]
            ),
            (Some(0.001), None)
        );
        // A clock that is put back does not stop it.
        history.add(Moment::new(
            3_590_000,
            Sums::default(),
            Percentiles::default(),
            &[],
        ));
        history.add(Moment::new(
            3_600_000,
            Sums::default(),
            Percentiles::default(),
            &[],
        ));
        let last: Vec<u64> = history
            .list()
            .iter()
            .rev()
            .take(2)
            .map(|moment| moment.at_ms)
            .collect();
        assert_eq!(last, [3_600_000, 3_590_000]);
        // After a standstill what is too old is gone.
        history.add(Moment::new(
            9_000_000,
            Sums::default(),
            Percentiles::default(),
            &[],
        ));
        assert_eq!(history.list().len(), 1);
    }
}
