//! Latencies, and the middle and spread of several rounds.
//!
//! Invariant: a distribution is kept whole (three digits, 1 µs to an hour), so runs can be added up before percentiles are taken.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// A distribution of times in microseconds.
#[derive(Clone, Debug)]
pub struct Times(Histogram<u64>);

/// A distribution on its way between processes: value and count of each bucket in use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packed(pub Vec<(u64, u64)>);

const HOUR_US: u64 = 3_600_000_000;

impl Default for Times {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, HOUR_US, 3).expect("the bounds are good"))
    }
}

impl Times {
    /// Adds one.
    pub fn record(&mut self, us: u64) {
        self.0.saturating_record(us.max(1));
    }

    /// Adds all of another.
    pub fn add(&mut self, p: &Packed) {
        for &(value, count) in &p.0 {
            self.0.saturating_record_n(value, count);
        }
    }

    /// Ready to be sent.
    pub fn pack(&self) -> Packed {
        Packed(
            self.0
                .iter_recorded()
                .map(|v| (v.value_iterated_to(), v.count_at_value()))
                .collect(),
        )
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.0.reset();
    }

    /// Percentile in milliseconds; 0 when empty.
    pub fn ms(&self, percent: f64) -> f64 {
        if self.0.is_empty() {
            0.0
        } else {
            self.0.value_at_percentile(percent) as f64 / 1000.0
        }
    }

    /// The worst, in milliseconds.
    pub fn max_ms(&self) -> f64 {
        if self.0.is_empty() {
            0.0
        } else {
            self.0.max() as f64 / 1000.0
        }
    }

    /// Points of the curve "share of the slowest" (1 = all, 0.001 = the slowest thousandth) to milliseconds.
    pub fn curve(&self) -> Vec<(f64, f64)> {
        let n = self.0.len() as f64;
        let mut out = Vec::new();
        let mut share = 1.0;
        while !self.0.is_empty() && share * n >= 1.0 {
            out.push((share, self.ms(100.0 * (1.0 - share))));
            share *= 0.8;
        }
        if !self.0.is_empty() {
            out.push((1.0 / n, self.max_ms()));
        }
        out
    }
}

/// The middle of several rounds and how far they lie apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The middle one (mean of the two middle ones).
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// How many.
    pub rounds: usize,
}

/// Middle and spread; `None` of nothing.
pub fn spread(values: &[f64]) -> Option<Spread> {
    let mut v: Vec<f64> = values.iter().copied().filter(|x| x.is_finite()).collect();
    v.sort_by(f64::total_cmp);
    let (min, max) = (*v.first()?, *v.last()?);
    let median = (v[(v.len() - 1) / 2] + v[v.len() / 2]) / 2.0;
    Some(Spread {
        median,
        min,
        max,
        rounds: v.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(spread(&[]), None);
        let s = spread(&[3.0, 1.0, 2.0]).unwrap();
        assert_eq!((s.median, s.min, s.max, s.rounds), (2.0, 1.0, 3.0, 3));
        assert_eq!(spread(&[1.0, 2.0, 3.0, 10.0]).unwrap().median, 2.5);
        assert_eq!(spread(&[f64::NAN, 4.0]).unwrap().median, 4.0);
    }

    #[test]
    fn distributions_add_up_after_packing() {
        let (mut a, mut b) = (Times::default(), Times::default());
        (1..=500).for_each(|us| a.record(us * 10));
        (501..=1000).for_each(|us| b.record(us * 10));
        a.add(&b.pack());
        assert_eq!(a.count(), 1000);
        assert!((a.ms(50.0) - 5.0).abs() < 0.02, "{}", a.ms(50.0));
        assert!((a.max_ms() - 10.0).abs() < 0.02);
        let curve = a.curve();
        assert!(
            curve
                .windows(2)
                .all(|w| w[0].1 <= w[1].1 && w[0].0 > w[1].0),
            "{curve:?}"
        );
    }

    #[test]
    fn nothing_is_zero() {
        let t = Times::default();
        assert_eq!((t.ms(99.0), t.max_ms(), t.curve().len()), (0.0, 0.0, 0));
    }
}
