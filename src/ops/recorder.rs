//! Who records the process's metrics, and shows them.
//!
//! Invariant: installed once a process; every metric has its help and its buckets before it is first counted.

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use crate::dialect::Descriptor;
use crate::metrics::incidents::{Adding, Tally};
use crate::metrics::{self, Metric, MetricKind};
use crate::version;

/// There is no recorder.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum RecorderError {
    /// A table of buckets is wrong.
    #[error("metrics cannot be recorded: {0}")]
    Buckets(#[from] BuildError),
    /// This process has one already.
    #[error("this process records its metrics already")]
    Twice,
}

impl RecorderError {
    /// What counters call it.
    pub fn label(&self) -> &'static str {
        self.into()
    }
}

/// The process's recorder, as those see it who show what was recorded.
#[derive(Clone)]
pub struct Recorder {
    prometheus: PrometheusHandle,
    tally: Tally,
}

impl Recorder {
    /// Installs it, with the metrics of `dialects` and the buckets that [`metrics`] fixes. Once a process.
    ///
    /// # Errors
    /// Where one is installed already.
    pub fn install(dialects: &[&'static Descriptor]) -> Result<Self, RecorderError> {
        let tables: Vec<&[Metric]> = dialects
            .iter()
            .map(|dialect| dialect.metrics)
            .chain([metrics::TABLE])
            .collect();
        let mut builder = PrometheusBuilder::new();
        for metric in tables.iter().copied().flatten() {
            let buckets = match metric.kind {
                MetricKind::Seconds => metrics::SECONDS_BUCKETS,
                MetricKind::Count => metrics::COUNT_BUCKETS,
                MetricKind::Counter | MetricKind::Gauge => continue,
            };
            builder =
                builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), buckets)?;
        }
        let (inner, tally) = (builder.build_recorder(), Tally::default());
        let this = Self {
            prometheus: inner.handle(),
            tally: tally.clone(),
        };
        ::metrics::set_global_recorder(Adding { inner, tally })
            .map_err(|_| RecorderError::Twice)?;
        tables.into_iter().for_each(metrics::describe);
        let build = [
            ("version", version::VERSION),
            ("commit", version::COMMIT),
            ("date", version::DATE),
        ];
        ::metrics::gauge!(metrics::BUILD_INFO, &build).set(1.0);
        Ok(this)
    }

    /// All metrics, in Prometheus' text format.
    pub fn render(&self) -> String {
        let mut page = self.prometheus.render();
        metrics::process::render(&mut page);
        page
    }

    /// What has to be done once in a while, so that distributions do not grow.
    pub fn run_upkeep(&self) {
        self.prometheus.run_upkeep();
    }

    /// Drops, refusals and resyncs of this process.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_there_is_no_recorder_is_told() {
        let twice = RecorderError::Twice;
        assert_eq!(
            (twice.label(), twice.to_string().as_str()),
            ("twice", "this process records its metrics already")
        );
    }
}
