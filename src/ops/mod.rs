//! What operators and orchestrators ask a node, on an address of its own.
//!
//! * [`guard`]: who may ask what.
//! * [`api`], [`questions`], [`tail`], [`answer`]: the JSON API.
//! * [`console`]: its page. [`recorder`]: the metrics.
//!
//! Invariant: nothing here is reachable from the clients' port; `/livez`, `/readyz` and `/metrics` wait for nobody.

pub mod answer;
pub mod api;
pub mod console;
pub mod guard;
pub mod questions;
pub mod recorder;
pub mod tail;

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, middleware};
use serde_json::{Value, json};

use self::guard::Guard;
use self::recorder::Recorder;
use crate::broker::ShardHealth;
use crate::cluster::Cluster;
use crate::connection::sweep::Registry;
use crate::dialect::{Note, Operate};
use crate::drain::{Life, Phase, Tasks};
use crate::headroom::Headroom;
use crate::node::Node;

/// What dialects tell of themselves, and what is told of certificates that are ordered, when asked.
pub type Notes = Box<dyn Fn() -> Vec<Note> + Send + Sync>;

/// A dialect that operators work on.
pub struct Operated {
    /// Its name.
    pub dialect: &'static str,
    /// What they may do with it.
    pub operate: Arc<dyn Operate>,
}

/// What the answers are made from.
pub struct Ops {
    /// The node's place in its life.
    pub life: Life,
    /// The node.
    pub node: Node,
    /// The node among the others.
    pub cluster: Arc<Cluster>,
    /// Its connections.
    pub register: Arc<Registry>,
    /// What the process still has to give.
    pub headroom: Arc<Headroom>,
    /// What else `/readyz` shows.
    pub notes: Notes,
    /// The process's metrics.
    pub recorder: Recorder,
    /// What operators may do with dialects that run, for those that offer it.
    pub operated: Vec<Operated>,
    /// Whether the live tail may show what is in events.
    pub payloads: bool,
    /// Who runs what goes on by itself here.
    pub tasks: Tasks,
}

impl Ops {
    /// Whether the node should be sent clients, and each thing that was looked at.
    fn readiness(&self) -> (bool, Value) {
        let (running, health) = (self.life.phase() == Phase::Running, self.node.health());
        let shard = |shard: &ShardHealth| json!({"name": shard.name, "up": shard.up});
        // A node whose shards all nodes have lost stays ready: sending its clients elsewhere would not help them.
        let alone = self.cluster.is_alone() && health.shards.iter().any(|shard| !shard.up);
        let fits = health.misfit.is_none();
        let (descriptors, memory) = (
            !self.headroom.lacks_descriptors(),
            !self.headroom.lacks_memory(),
        );
        let ready = running && !alone && fits && descriptors && memory;
        let mut shown = json!({
            "ready": ready,
            "node": self.cluster.identity().name,
            "phase": self.life.phase().label(),
            "checks": {
                "running": running,
                "not_alone_without_shards": !alone,
                "fits_in": fits,
                "descriptors": descriptors,
                "memory": memory,
            },
            "misfit": health.misfit,
            "broker": health.kind,
            "partitions": health.partitions,
            "waiting": health.waiting,
            "waiting_left_seconds": self.cluster.waiting_left(&health),
            "shards": health.shards.iter().map(shard).collect::<Vec<_>>(),
        });
        for (name, words) in (self.notes)() {
            shown[name] = words.into();
        }
        (ready, shown)
    }
}

/// The routes of the ops address: those that probes and Prometheus use are open, all others guarded.
pub fn router(ops: Arc<Ops>, guard: Arc<Guard>) -> Router {
    let page = middleware::from_fn_with_state(Arc::clone(&guard), guard::check_page);
    let check = middleware::from_fn_with_state(guard, guard::check);
    let guarded = api::router()
        .route_layer(check)
        .merge(console::router().route_layer(page));
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
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        status,
        [(header::CONTENT_TYPE, "application/json")],
        format!("{checks}\n"),
    )
        .into_response()
}

async fn scrape(State(ops): State<Arc<Ops>>) -> Response {
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        ops.recorder.render(),
    )
        .into_response()
}
