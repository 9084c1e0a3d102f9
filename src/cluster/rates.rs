//! How much happens a second, and how fast: from totals looked at once a second.
//!
//! Invariant: a minute of samples is kept, whatever happens.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Serialize;

use crate::hub::counts::{self, Latency};

/// What rates are taken over.
const SHORT: Duration = Duration::from_secs(5);
/// What latency is taken over; also how much is kept.
const LONG: Duration = Duration::from_secs(60);

/// Totals at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Events accepted from backends.
    pub(super) events: u64,
    /// Messages given to single subscribers.
    pub(super) deliveries: u64,
    /// Events by the time until the last subscriber had them.
    pub(super) latency: Latency,
    /// CPU time of the process, seconds; `None`: not known.
    pub(super) cpu: Option<f64>,
}

/// A second's share.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Events accepted.
    pub(super) events: f64,
    /// Messages given to single subscribers.
    pub(super) deliveries: f64,
    /// CPU time: cores in use. `None`: not known.
    pub(super) cpu: Option<f64>,
}

/// Seconds within which half, nine tenths and 99 hundredths of the last minute's events had reached this node's last
/// subscriber; `None` where there was none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Percentiles {
    p50: Option<f64>,
    p90: Option<f64>,
    p99: Option<f64>,
}

/// See the module's description.
#[derive(Default)]
pub struct Sampler(Mutex<VecDeque<(Instant, Totals)>>);

impl Sampler {
    /// Takes a sample. To be called once a second.
    pub fn sample(&self, now: Instant, totals: Totals) {
        let mut samples = self.0.lock();
        samples.push_back((now, totals));
        while samples
            .get(1)
            .is_some_and(|(at, _)| now.duration_since(*at) >= LONG)
        {
            samples.pop_front();
        }
    }

    /// Rates over the last seconds.
    pub fn rates(&self) -> Rates {
        let Some((from, to)) = self.span(SHORT) else {
            return Rates::default();
        };
        let seconds = to.0.duration_since(from.0).as_secs_f64();
        let rate = |before: u64, after: u64| after.saturating_sub(before) as f64 / seconds;
        Rates {
            events: rate(from.1.events, to.1.events),
            deliveries: rate(from.1.deliveries, to.1.deliveries),
            cpu: from
                .1
                .cpu
                .zip(to.1.cpu)
                .map(|(before, after)| (after - before).max(0.0) / seconds),
        }
    }

    /// Latency over the last minute.
    pub fn percentiles(&self) -> Percentiles {
        let Some((from, to)) = self.span(LONG) else {
            return Percentiles::default();
        };
        let events: Latency =
            std::array::from_fn(|n| to.1.latency[n].saturating_sub(from.1.latency[n]));
        let quantile = |share| counts::quantile(&events, share);
        Percentiles {
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
        }
    }

    /// The last sample, and the newest one that is `length` older, or else the oldest.
    fn span(&self, length: Duration) -> Option<((Instant, Totals), (Instant, Totals))> {
        let samples = self.0.lock();
        let to = *samples.back()?;
        let old = |(at, _): &&(Instant, Totals)| to.0.duration_since(*at) >= length;
        let from = *samples.iter().rev().find(old).or(samples.front())?;
        (to.0 > from.0).then_some((from, to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_the_last_seconds() {
        let (sampler, start) = (Sampler::default(), Instant::now());
        assert_eq!(sampler.rates(), Rates::default());
        for second in 0..200_u64 {
            let mut latency = Latency::default();
            latency[0] = second;
            let cpu = Some(second as f64 / 4.0);
            let totals = Totals {
                events: second * 10,
                deliveries: second * second,
                latency,
                cpu,
            };
            sampler.sample(start + Duration::from_secs(second), totals);
        }
        let rates = sampler.rates();
        assert!((rates.events - 10.0).abs() < 1e-9, "{rates:?}");
        assert!(
            rates.cpu.is_some_and(|cores| (cores - 0.25).abs() < 1e-9),
            "{rates:?}"
        );
        assert!(
            (rates.deliveries - f64::from(199 * 199 - 194 * 194) / 5.0).abs() < 1e-9,
            "{rates:?}"
        );
        assert!(
            sampler
                .percentiles()
                .p99
                .is_some_and(|seconds| seconds <= 0.0005)
        );
        assert!(sampler.0.lock().len() <= 62);
    }
}
