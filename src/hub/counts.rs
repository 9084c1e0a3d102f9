//! What a hub has done so far, in numbers that can be read back: for the console and the cluster's view.
//!
//! Invariant: counting costs a delivery nothing and an event a few relaxed additions.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::metrics::SECONDS_BUCKETS;

/// Buckets of latency, the last one for whatever is above all bounds.
const BUCKETS: usize = SECONDS_BUCKETS.len() + 1;

/// Events by the time they took.
pub type Latency = [u64; BUCKETS];

/// Totals since the start.
#[derive(Default)]
pub struct Counts {
    deliveries: AtomicU64,
    subscriptions: AtomicI64,
    latency: [AtomicU64; BUCKETS],
}

impl Counts {
    /// An event went to `subscribers`, the last of whom had it `seconds` after it was accepted.
    pub fn delivered(&self, subscribers: u64, seconds: f64) {
        self.deliveries.fetch_add(subscribers, Ordering::Relaxed);
        let bucket = SECONDS_BUCKETS.partition_point(|bound| *bound < seconds);
        self.latency[bucket].fetch_add(1, Ordering::Relaxed);
    }

    /// So many subscriptions more, or fewer.
    pub fn subscribed(&self, change: i64) {
        self.subscriptions.fetch_add(change, Ordering::Relaxed);
    }

    /// Messages given to single subscribers.
    pub fn deliveries(&self) -> u64 {
        self.deliveries.load(Ordering::Relaxed)
    }

    /// Subscriptions now.
    pub fn subscriptions(&self) -> u64 {
        self.subscriptions.load(Ordering::Relaxed).max(0) as u64
    }

    /// Events so far, by the time they took.
    pub fn latency(&self) -> Latency {
        std::array::from_fn(|bucket| self.latency[bucket].load(Ordering::Relaxed))
    }
}

/// The time in seconds within which the share `quantile` of `events` was delivered; `None` where there was none. As
/// exact as the buckets are: within one, events count as spread evenly.
pub fn quantile(events: &Latency, quantile: f64) -> Option<f64> {
    let total: u64 = events.iter().sum();
    let wanted = quantile * total as f64;
    let mut below = 0.0;
    for (bucket, &count) in events.iter().enumerate() {
        let count = count as f64;
        if count > 0.0 && below + count >= wanted {
            let low = if bucket == 0 {
                0.0
            } else {
                SECONDS_BUCKETS[bucket - 1]
            };
            let high = SECONDS_BUCKETS.get(bucket).copied().unwrap_or(low);
            return Some(low + (high - low) * ((wanted - below) / count).clamp(0.0, 1.0));
        }
        below += count;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_come_from_the_buckets() {
        let tally = Counts::default();
        assert_eq!(quantile(&tally.latency(), 0.5), None);
        for _ in 0..90 {
            tally.delivered(2, 0.0008);
        }
        for _ in 0..10 {
            tally.delivered(1, 0.09);
        }
        tally.delivered(0, 1_000.0);
        let latency = tally.latency();
        assert!(quantile(&latency, 0.5).is_some_and(|s| (0.0005..=0.001).contains(&s)));
        assert!(quantile(&latency, 0.95).is_some_and(|s| (0.05..=0.1).contains(&s)));
        assert_eq!(quantile(&latency, 1.0), Some(60.0));
        assert_eq!(tally.deliveries(), 190);
    }
}
