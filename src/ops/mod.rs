//! What operators and orchestrators ask a node, on an address of its own.
//!
//! * [`guard`]: who may ask what.
//! * [`cluster`], [`view`], [`warnings`], [`alone`]: this node among the others.
//! * [`api`], [`ask`], [`tail`]: the JSON API.
//! * [`rates`]: how much and how fast.
//!
//! Invariant: nothing here is reachable from the clients' port; `/livez`, `/readyz` and `/metrics` wait for nobody.

pub mod alone;
pub mod api;
pub mod ask;
pub mod cluster;
pub mod console;
pub mod guard;
pub mod rates;
pub mod tail;
pub mod view;
pub mod warnings;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, middleware};
use bytes::Bytes;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use parking_lot::Mutex;
use serde_json::{Value, json};

use self::guard::Guard;
use self::rates::Sampler;
use self::view::NodeView;
use crate::auth::Keys;
use crate::broker::ShardHealth;
use crate::broker::cluster::Later;
use crate::connection::sweep::Register;
use crate::drain::{Life, Phase, Tasks};
use crate::event::now_ms;
use crate::metrics::{self, Kind};
use crate::node::Node;

/// Takes the JSON text of an event as a backend would post it. The error says why it can go to nobody.
pub type Poster = Box<dyn Fn(Bytes) -> Later<Result<(), String>> + Send + Sync>;

/// What stays the same about a node as long as it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// What it is called.
    pub name: String,
    /// Unique to this start of it.
    pub id: String,
    /// Where clients and backends connect.
    pub address: String,
    /// Where operators, and other nodes that wonder, connect.
    pub ops_url: String,
    /// When it started, Unix milliseconds.
    pub started_ms: u64,
    /// Equal where nodes are configured alike.
    pub configuration: String,
}

/// What [`Ops`] is made from.
pub struct Parts {
    /// Who the node is.
    pub identity: Identity,
    /// Its place in its life.
    pub life: Life,
    /// The node.
    pub node: Node,
    /// Its connections.
    pub register: Arc<Register>,
    /// Its keys.
    pub keys: Keys,
    /// The process's metrics.
    pub recorder: PrometheusHandle,
    /// How an operator's event gets in.
    pub post: Poster,
    /// The kind of channel that a library is.
    pub library_kind: &'static str,
    /// Whether the live tail may show what is in events.
    pub payloads: bool,
    /// Who runs what goes on by itself here.
    pub tasks: Tasks,
}

/// What the answers are made from.
pub struct Ops {
    identity: Identity,
    life: Life,
    node: Node,
    register: Arc<Register>,
    keys: Keys,
    recorder: PrometheusHandle,
    post: Poster,
    library_kind: &'static str,
    payloads: bool,
    tasks: Tasks,
    sampler: Sampler,
    /// The nodes as they were last seen.
    others: Mutex<Vec<NodeView>>,
    /// Whether this node alone has lost a shard.
    alone: AtomicBool,
    me: Weak<Self>,
}

impl Ops {
    /// Nothing is asked or seen yet; see [`Ops::start`].
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            identity: parts.identity,
            life: parts.life,
            node: parts.node,
            register: parts.register,
            keys: parts.keys,
            recorder: parts.recorder,
            post: parts.post,
            library_kind: parts.library_kind,
            payloads: parts.payloads,
            tasks: parts.tasks,
            sampler: Sampler::default(),
            others: Mutex::default(),
            alone: AtomicBool::new(false),
            me: me.clone(),
        })
    }

    fn phase(&self) -> &'static str {
        match self.life.phase() {
            Phase::Starting => "starting",
            Phase::Running => "running",
            Phase::Settling => "settling",
            Phase::Closing => "closing",
        }
    }

    /// Whether the node should be sent clients, and each thing that was looked at.
    fn readiness(&self) -> (bool, Value) {
        let (running, health) = (self.life.phase() == Phase::Running, self.node.health());
        let shard = |shard: &ShardHealth| json!({"name": shard.name, "up": shard.up});
        // A node whose shards all nodes have lost stays ready: sending its clients elsewhere would not help them.
        let alone = self.alone.load(Ordering::Relaxed) && health.shards.iter().any(|shard| !shard.up);
        let checks = json!({
            "ready": running && !alone,
            "node": self.identity.name,
            "phase": self.phase(),
            "checks": {"running": running, "not_alone_without_shards": !alone},
            "broker": health.kind,
            "partitions": health.partitions,
            "waiting": health.waiting,
            "shards": health.shards.iter().map(shard).collect::<Vec<_>>(),
        });
        (running && !alone, checks)
    }
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

/// The routes of the ops address: those that probes and Prometheus use are open, all others guarded.
pub fn router(ops: Arc<Ops>, guard: Arc<Guard>) -> Router {
    let page = middleware::from_fn_with_state(Arc::clone(&guard), guard::check_page);
    let check = middleware::from_fn_with_state(guard, guard::check);
    let guarded = api::router().route_layer(check).merge(console::router().route_layer(page));
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(scrape))
        .merge(guarded)
        .layer(middleware::from_fn(guard::headers))
        .with_state(ops)
}

async fn ready(State(ops): State<Arc<Ops>>) -> Response {
    let (ready, checks) = ops.readiness();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(header::CONTENT_TYPE, "application/json")], format!("{checks}\n")).into_response()
}

async fn scrape(State(ops): State<Arc<Ops>>) -> Response {
    let mut text = ops.recorder.render();
    metrics::process::render(&mut text);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

/// What this start of a node is called apart from all others.
pub fn new_id() -> String {
    format!("{:012x}-{:08x}", now_ms(), rand::random::<u32>())
}
