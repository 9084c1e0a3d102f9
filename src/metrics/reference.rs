//! `docs/METRICS.md`, made from the table of metrics; a test compares the two.

use std::fmt::Write;

use super::{COUNT_BUCKETS, Metric, MetricKind, SECONDS_BUCKETS};

const HEAD: &str = "\
# Metrics

<!-- Made from the tables in src/metrics.rs and src/dialect/*/figures.rs: UPDATE_DOCS=1 cargo test --test metrics -->

Each node shows these at `/metrics` of its ops address, in Prometheus' text format. Counters and buckets add up across
nodes: sum them first, take rates and quantiles then. No label has a user, a channel or an address in it. A metric with
labels appears when it is first counted. What to do when one of them is not as it should be: [OPERATIONS.md](OPERATIONS.md).

| metric | kind | labels | what it says |
| --- | --- | --- | --- |
";

/// The page of these metrics.
pub fn markdown(metrics: impl Iterator<Item = &'static Metric>) -> String {
    let mut page = HEAD.to_owned();
    for metric in metrics {
        let kind = match metric.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Seconds => "histogram, seconds",
            MetricKind::Count => "histogram, counts",
        };
        let labels: Vec<String> = metric
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        // Writing to a string does not fail.
        let _ = writeln!(
            page,
            "| `{}` | {kind} | {} | {} |",
            metric.name,
            labels.join(" "),
            metric.help
        );
    }
    let _ = write!(
        page,
        "\nBuckets of seconds: {}.\n\nBuckets of counts: {}.\n",
        list(SECONDS_BUCKETS),
        list(COUNT_BUCKETS)
    );
    page
}

fn list(bounds: &[f64]) -> String {
    bounds
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}
