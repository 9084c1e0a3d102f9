//! A cluster that is not there: the console's page over an API whose figures the test makes up, for what a test cannot
//! have for real (many nodes, a lost shard, moving latencies).

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::{StatusCode, header};
use serde_json::{Value, json};

/// The password.
pub const PASSWORD: &str = "secret";
/// What the page makes of it: `Authorization` by HTTP Basic.
pub const AUTHORIZATION: &str = "Basic Zm9naG9ybjpzZWNyZXQ=";

/// The cluster.
#[derive(Default)]
pub struct Fake {
    asked: AtomicU64,
    held: AtomicBool,
}

impl Fake {
    /// Serves it for as long as the test runs; gives its address.
    pub async fn start() -> SocketAddr {
        Self::serve().await.0
    }

    /// The same, and what holds it and lets it go on.
    pub async fn serve() -> (SocketAddr, Arc<Self>) {
        let fake = Arc::new(Self::default());
        let api = Router::new()
            .route("/api/v1/overview", get(overview))
            .route("/api/v1/history", get(history))
            .route("/api/v1/lookup", get(lookup))
            .route("/api/v1/tail", get(tail))
            .route("/api/v1/events", post(take))
            .route("/api/v1/disconnect", post(take))
            .route("/api/v1/token", post(take))
            .layer(from_fn_with_state(Arc::clone(&fake), guard))
            .merge(foghorn::ops::console::router())
            .with_state(Arc::clone(&fake));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, api).await });
        (address, fake)
    }

    /// From now on it fails whatever it is asked.
    pub fn hold(&self) {
        self.held.store(true, Ordering::Relaxed);
    }

    /// No longer.
    pub fn go_on(&self) {
        self.held.store(false, Ordering::Relaxed);
    }
}

async fn guard(State(fake): State<Arc<Fake>>, request: Request, next: Next) -> Response {
    if fake.held.load(Ordering::Relaxed) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if request
        .headers()
        .get(header::AUTHORIZATION)
        .is_some_and(|given| given == AUTHORIZATION)
    {
        return next.run(request).await;
    }
    (
        StatusCode::UNAUTHORIZED,
        Json(json!({"error": "no_credentials", "accepts": ["password"]})),
    )
        .into_response()
}

fn node(n: u64, turn: u64) -> Value {
    let now = foghorn::event::now_ms();
    json!({
        "name": format!("foghorn-{n}"), "address": format!("10.0.0.1{n}:8083"), "version": "0.1.0",
        "started_ms": now - 86_400_000 * n - 5_000, "seen_ms": now - 700 * n, "phase": if n == 3 { "settling" } else { "running" },
        "connections": 8_000 + 500 * n + turn * 37, "subscriptions": 61_000 + 411 * n, "events_per_second": 41.5 + n as f64,
        "deliveries_per_second": 1_204.0 + turn as f64 * 10.0, "partitions": 64,
        "shards": [{"name": "redis-a:6379", "up": true}, {"name": "redis-b:6379", "up": n != 2}],
        "cpu_cores": 0.08 * n as f64, "memory_bytes": 71_303_168 + 9_000_000 * n, "ops_url": format!("http://10.0.0.1{n}:8084"),
        "lately": if n == 2 { Value::Null } else { json!({"drops": if n == 3 { 34 } else { 0 }, "refusals": 1_206 * n, "resyncs": 1}) },
        "configuration": "5d1c9a20", "key": "a91f33c7", "clock_offset_ms": n as i64 * 3 - 5,
    })
}

fn lost() -> Value {
    let mut node = node(4, 0);
    node["lost_ms"] = json!(foghorn::event::now_ms() - 60_000);
    node
}

async fn history() -> Json<Value> {
    let now = foghorn::event::now_ms();
    let moment = |ago: u64| {
        let swing = (ago % 17) as f64;
        json!({"at_ms": now - ago * 5_000,
            "totals": {"connections": 25_420 - ago * 21, "events_per_second": 120.0 + swing, "deliveries_per_second": 3_620.0 + 90.0 * swing},
            "latency": {"p50": 0.0006, "p90": 0.002, "p99": 0.008 + 0.0004 * swing},
            "shards": {"redis-a:6379": 0.0004, "redis-b:6379": if (60..80).contains(&ago) { None } else { Some(0.0007) }}})
    };
    Json(json!({"moments": (1..180).rev().map(moment).collect::<Vec<_>>()}))
}

async fn overview(State(fake): State<Arc<Fake>>) -> Json<Value> {
    let turn = fake.asked.fetch_add(1, Ordering::Relaxed);
    let swing = |step: u64| ((turn * step) % 17) as f64;
    Json(json!({
        "node": "foghorn-1", "version": "0.1.0", "now_ms": foghorn::event::now_ms(), "nodes": [node(1, turn), node(2, turn), node(3, turn)],
        "totals": {"connections": 25_420 + turn * 113, "subscriptions": 185_466, "channels": 12_034,
            "events_per_second": 120.0 + swing(5), "deliveries_per_second": 3_620.5 + 90.0 * swing(7)},
        "latency": {"p50": 0.0006 + 0.0001 * swing(3), "p90": 0.002 + 0.0002 * swing(4), "p99": 0.008 + 0.001 * swing(5)},
        "shards": [{"name": "redis-a:6379", "up": true, "round_trip_seconds": 0.0004 + 0.00003 * swing(6)},
            {"name": "redis-b:6379", "up": turn % 20 < 15, "round_trip_seconds": 0.0007 + 0.00004 * swing(5)}],
        "dialects": [{"dialect": "seafile", "channel": "library", "name": "library ID", "kind": "repo", "types": ["repo-update", "comment-update"]}],
        "payloads": true, "warnings": [{"code": "deaf", "text": "foghorn-2 does not hear from Redis at redis-b:6379."}],
        "lost": [lost()], "condition": {"state": "degraded", "since_ms": foghorn::event::now_ms() - 95_000, "problems": [
            {"code": "redis", "since_ms": foghorn::event::now_ms() - 95_000, "what": "Redis at redis-b:6379 is away for foghorn-2.",
                "whom": "34 events wait for it; clients of other nodes get them late. The oldest are given up in 12 s (FOGHORN_WAITING_SECONDS).",
                "mend": "Other nodes have it: `foghorn doctor` on foghorn-2 says what is in the way (network, firewall, password)."},
            {"code": "lost", "since_ms": foghorn::event::now_ms() - 60_000, "what": "foghorn-4 (10.0.0.14:8083) ended without a word, or cannot be heard.",
                "whom": "It had 8,000 clients, which connect to other nodes: desktop clients within a minute.",
                "mend": "Look at its log on its machine (`journalctl -u foghorn -n 50`) and start it."}]},
    }))
}

async fn lookup() -> Json<Value> {
    let now = foghorn::event::now_ms();
    let client = |id: usize| {
        json!({"id": id, "address": format!("192.0.2.{id}"), "kind": "desktop", "user": "a@example.com",
            "channel": "repo/5a6bcd0e-7a3c-4c1e-9c4b-1f2d3e4a5b6c", "connected_ms": now - 3_700_000, "expires_ms": now + 7_200_000})
    };
    let clients: Vec<_> = (1..4).map(client).collect();
    let nodes = json!([{"node": "foghorn-1", "clients": clients, "total": clients.len()},
        {"node": "foghorn-2", "clients": [client(9)], "total": 1}]);
    Json(json!({"nodes": nodes, "total": clients.len() + 1, "truncated": false}))
}

async fn tail(Query(query): Query<Vec<(String, String)>>) -> Response {
    let wanted = |name: &str| {
        query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.clone())
    };
    let (payload, kind) = (
        wanted("payload").is_some(),
        wanted("type").unwrap_or_else(|| "repo-update".into()),
    );
    let library =
        wanted("channel").unwrap_or_else(|| "5a6bcd0e-7a3c-4c1e-9c4b-1f2d3e4a5b6c".into());
    let events = futures_util::stream::unfold(0_u64, move |n| {
        let mut event = json!({"at_ms": foghorn::event::now_ms(), "channel": format!("repo/{library}"), "type": kind,
            "recipients": if n % 3 == 2 { json!(2) } else { json!("all") }, "subscribers": n % 5, "bytes": 140 + n});
        if payload {
            event["payload"] = json!({"type": kind, "content": {"note": format!("<b>{n}</b>")}});
        }
        async move {
            tokio::time::sleep(Duration::from_millis(if n == 0 { 0 } else { 150 })).await;
            Some((
                Ok::<_, Infallible>(format!("event: event\ndata: {event}\n\n")),
                n + 1,
            ))
        }
    });
    (
        [(header::CONTENT_TYPE, "text/event-stream")],
        Body::from_stream(events),
    )
        .into_response()
}

async fn take(request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let body = axum::body::to_bytes(request.into_body(), 1 << 20)
        .await
        .expect("a body");
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    let answer = match path.as_str() {
        "/api/v1/token" if body["token"] == "good" => {
            json!({"valid": true, "text": "It is good for subscribing to its library. It names a user: not for posting events.", "header": {"alg": "HS256", "typ": "JWT"},
            "claims": {"exp": 4_102_444_800_u64, "repo_id": "5a6bcd0e-7a3c-4c1e-9c4b-1f2d3e4a5b6c", "username": "a@example.com"},
            "uses": {"subscribe": true, "events": false}, "expires_in_seconds": 7_265})
        }
        "/api/v1/token" => {
            json!({"valid": false, "cause": "malformed", "text": "No: it is not a JWT.", "header": null, "claims": null,
            "uses": {"subscribe": false, "events": false}, "expires_in_seconds": null})
        }
        "/api/v1/disconnect" => json!({"disconnected": 1}),
        _ => json!({"accepted": true}),
    };
    Json(answer).into_response()
}
