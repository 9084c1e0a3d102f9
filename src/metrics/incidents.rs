//! Drops, refusals and resyncs: the few counters that an operator looks at first, added up beside Prometheus' own.
//!
//! Invariant: what happened once counts once, whichever counters tell of it; all of it is on `/metrics` too, by reason.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ::metrics::{
    Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use serde::{Deserialize, Serialize};

use super::{CONNECTIONS_REFUSED, HANDSHAKES, OPS_REFUSED};
use super::{OUTBOX_OVERFLOWS, RESYNCS, WAITING_DROPPED};

/// Reasons why handshakes are refused: a counter of a dialect's own that names one of them tells of the same handshake.
const OF_HANDSHAKES: [&str; 5] = [
    "draining",
    "handshake-rate",
    "memory",
    "connections",
    "connections-per-address",
];

/// How often something went wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Incidents {
    /// Events given up before everybody had them, and clients cut off since they took too little.
    pub drops: u64,
    /// Connections, requests, tokens and posts turned away.
    pub refusals: u64,
    /// Clients told to check everything anew, since events are missing that no node has.
    pub resyncs: u64,
}

impl Incidents {
    /// Those since `before`.
    pub fn since(self, before: Self) -> Self {
        Self {
            drops: self.drops.saturating_sub(before.drops),
            refusals: self.refusals.saturating_sub(before.refusals),
            resyncs: self.resyncs.saturating_sub(before.resyncs),
        }
    }
}

/// Totals of this process.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    drops: Arc<AtomicU64>,
    refusals: Arc<AtomicU64>,
    resyncs: Arc<AtomicU64>,
}

impl Tally {
    /// All that has been counted so far.
    pub fn incidents(&self) -> Incidents {
        let read = |total: &AtomicU64| total.load(Ordering::Relaxed);
        Incidents {
            drops: read(&self.drops),
            refusals: read(&self.refusals),
            resyncs: read(&self.resyncs),
        }
    }

    /// Where a counter is added up, if it tells of such. Dialects' own counters are known by the ends of their names.
    fn total(&self, key: &Key) -> Option<&Arc<AtomicU64>> {
        let has = |name: &str, values: &[&str]| {
            let mut labels = key.labels();
            labels.any(|label| label.key() == name && values.contains(&label.value()))
        };
        match key.name() {
            OUTBOX_OVERFLOWS | WAITING_DROPPED => Some(&self.drops),
            RESYNCS => Some(&self.resyncs),
            HANDSHAKES => (!has("result", &["accepted"])).then_some(&self.refusals),
            // The others are handshakes or posts, which count as such.
            CONNECTIONS_REFUSED => {
                has("reason", &["handshakes", "proxy-protocol"]).then_some(&self.refusals)
            }
            // An operator who has forgotten the password hurts nobody.
            OPS_REFUSED => None,
            name if name.ends_with("_events_dropped_total") => Some(&self.drops),
            // The post that names them counts, where it is refused.
            name if name.ends_with("_addressees_refused_total") => None,
            name if name.ends_with("_refused_total") => {
                // The token of a refused post counts with its post.
                let again = has("use", &["events"]) || has("reason", &OF_HANDSHAKES);
                (!again).then_some(&self.refusals)
            }
            _ => None,
        }
    }
}

/// A counter that is added up as well.
struct Added {
    counter: Counter,
    total: Arc<AtomicU64>,
}

impl CounterFn for Added {
    fn increment(&self, value: u64) {
        self.counter.increment(value);
        self.total.fetch_add(value, Ordering::Relaxed);
    }

    fn absolute(&self, value: u64) {
        self.counter.absolute(value);
    }
}

/// A recorder that adds up such counters, and leaves all else to `inner`.
pub struct Adding<R> {
    /// Who records.
    pub inner: R,
    /// What is added up.
    pub tally: Tally,
}

impl<R: Recorder> Recorder for Adding<R> {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.inner.describe_counter(key, unit, description);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.inner.describe_gauge(key, unit, description);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.inner.describe_histogram(key, unit, description);
    }

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        let counter = self.inner.register_counter(key, metadata);
        match self.tally.total(key) {
            Some(total) => Counter::from_arc(Arc::new(Added {
                counter,
                total: Arc::clone(total),
            })),
            None => counter,
        }
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        self.inner.register_gauge(key, metadata)
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        self.inner.register_histogram(key, metadata)
    }
}

#[cfg(test)]
mod tests {
    use ::metrics::{NoopRecorder, counter, with_local_recorder};

    use super::*;

    #[test]
    fn what_happens_once_counts_once() {
        let tally = Tally::default();
        let recorder = Adding {
            inner: NoopRecorder,
            tally: tally.clone(),
        };
        with_local_recorder(&recorder, || {
            counter!(HANDSHAKES, "dialect" => "x", "result" => "accepted").increment(9);
            assert_eq!(tally.incidents(), Incidents::default());
            // A stream that comes too fast is counted as a handshake, by the limit, and by its dialect.
            counter!(HANDSHAKES, "dialect" => "x", "result" => "handshake-rate").increment(1);
            counter!(CONNECTIONS_REFUSED, "reason" => "handshake-rate").increment(1);
            counter!("foghorn_x_streams_refused_total", "reason" => "handshake-rate").increment(1);
            assert_eq!(tally.incidents().refusals, 1);
            // A post with a bad token, by its token too; one from a strange address, by the limit too.
            counter!("foghorn_x_tokens_refused_total", "use" => "events").increment(1);
            counter!("foghorn_events_refused_total", "reason" => "token").increment(1);
            counter!(CONNECTIONS_REFUSED, "reason" => "events-from").increment(1);
            counter!("foghorn_events_refused_total", "reason" => "events-from").increment(1);
            assert_eq!(tally.incidents().refusals, 3);
            counter!("foghorn_x_addressees_refused_total").increment(9);
            assert_eq!(tally.incidents().refusals, 3);
            counter!("foghorn_x_tokens_refused_total", "use" => "subscribe").increment(1);
            counter!(CONNECTIONS_REFUSED, "reason" => "handshakes").increment(1);
            counter!(OPS_REFUSED, "reason" => "wrong").increment(1);
            counter!(OUTBOX_OVERFLOWS, "bound" => "bytes").increment(1);
            counter!(WAITING_DROPPED, "bound" => "age").increment(5);
            counter!("foghorn_x_events_dropped_total").increment(1);
            counter!("foghorn_spans_dropped_total", "reason" => "queue").increment(1);
            counter!(RESYNCS).increment(4);
        });
        let all = Incidents {
            drops: 7,
            refusals: 5,
            resyncs: 4,
        };
        assert_eq!(tally.incidents(), all);
        assert_eq!(all.since(all), Incidents::default());
    }
}
