//! What operators and orchestrators ask a node, on an address of its own.
//!
//! Invariant: nothing here is reachable from the clients' port, and nothing here waits for Redis or a database.

pub mod console;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use serde_json::{Value, json};

use crate::drain::{Life, Phase};
use crate::metrics::{self, Kind};
use crate::node::Node;

/// What the answers are made from.
pub struct Ops {
    /// The node's place in its life.
    pub life: Life,
    /// The node.
    pub node: Node,
    /// The process's metrics.
    pub recorder: PrometheusHandle,
}

/// Installs the process's recorder of metrics, with the buckets that [`metrics`] fixes. Once a process.
///
/// # Errors
/// Where one is installed already.
pub fn install_recorder() -> Result<PrometheusHandle, BuildError> {
    let mut builder = PrometheusBuilder::new();
    for metric in metrics::TABLE {
        let buckets = match metric.kind {
            Kind::Seconds => metrics::SECONDS_BUCKETS,
            Kind::Count => metrics::COUNT_BUCKETS,
            Kind::Counter | Kind::Gauge => continue,
        };
        builder = builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), buckets)?;
    }
    let handle = builder.install_recorder()?;
    metrics::describe();
    ::metrics::gauge!(metrics::BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(handle)
}

/// The routes of the ops address.
pub fn router(ops: Arc<Ops>) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(scrape))
        .merge(console::router())
        .with_state(ops)
}

/// Whether the node should be sent clients, and each thing that was looked at.
fn readiness(ops: &Ops) -> (bool, Value) {
    let (phase, health) = (ops.life.phase(), ops.node.health());
    let shards: serde_json::Map<String, Value> = health.shards.iter().map(|s| (s.name.clone(), s.up.into())).collect();
    // A node that has served and lost its shards stays ready: most likely all nodes have, and sending the clients
    // elsewhere would not help them.
    let ready = phase == Phase::Running;
    let checks = json!({
        "ready": ready,
        "phase": format!("{phase:?}").to_lowercase(),
        "broker": health.kind,
        "partitions": health.partitions,
        "waiting": health.waiting,
        "shards": shards,
    });
    (ready, checks)
}

async fn ready(State(ops): State<Arc<Ops>>) -> Response {
    let (ready, checks) = readiness(&ops);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(header::CONTENT_TYPE, "application/json")], format!("{checks}\n")).into_response()
}

async fn scrape(State(ops): State<Arc<Ops>>) -> Response {
    let mut text = ops.recorder.render();
    metrics::process::render(&mut text);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}
