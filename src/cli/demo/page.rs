//! The demonstration's page, on a listener of its own: shows what the nodes do, and posts to them by real HTTP.
//!
//! Invariant: the page asks nobody but this listener and the node it subscribes through.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post as on_post};
use axum::{Json, Router};
use http::{HeaderName, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cli::Mint;
use crate::cli::client::dial::Server;
use crate::cli::client::{PATIENCE, exchange, post};

const HTML: &str = include_str!("page.html");
const CSS: &str = include_str!("page.css");
const JS: &str = include_str!("page.js");

/// Tokens of the page and of the printed command are good for a day, in seconds.
pub const TTL: u32 = 86_400;
/// The node the page listens to.
const LISTEN: usize = 0;
/// The node the page posts to, unless told otherwise.
const POST: usize = 1;
/// The node the printed command posts to.
const CURL: usize = 2;

/// What the page shows.
pub struct Stage {
    /// Signs tokens with the made key.
    pub mint: Mint,
    /// The library everything is about.
    pub library: String,
    /// Where the nodes take clients.
    pub nodes: Vec<SocketAddr>,
}

impl Stage {
    fn name(index: usize) -> String {
        format!("node {}", index + 1)
    }

    /// A command that posts an event to another node than the page listens to.
    pub fn curl(&self) -> String {
        let name = Self::name(CURL);
        let content = json!({"repo_id": self.library, "text": "Hello from a shell", "posted_to": name});
        let (token, event) = (self.mint.events(TTL), json!({"type": "repo-update", "content": content}));
        format!("curl -i -H 'Authorization: Token {token}' -d '{event}' http://{}/events", self.nodes[CURL])
    }

    fn describe(&self) -> Value {
        let node = |(index, address): (usize, &SocketAddr)| json!({"name": Self::name(index), "address": address, "websocket": format!("ws://{address}/")});
        json!({
            "library": self.library,
            "nodes": self.nodes.iter().enumerate().map(node).collect::<Vec<_>>(),
            "listen": Self::name(LISTEN),
            "post": Self::name(POST),
            "curl": self.curl(),
        })
    }
}

/// The page's routes.
pub fn router(stage: Arc<Stage>) -> Router {
    Router::new()
        .route("/", get(async || asset("text/html; charset=utf-8", HTML)))
        .route("/demo.css", get(async || asset("text/css; charset=utf-8", CSS)))
        .route("/demo.js", get(async || asset("text/javascript; charset=utf-8", JS)))
        .route("/demo.json", get(async |State(stage): State<Arc<Stage>>| Json(stage.describe())))
        .route("/token", get(token))
        .route("/publish", on_post(publish))
        .with_state(stage)
}

/// Only what comes from this listener may run, and the page may connect to the nodes on this machine.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ws://127.0.0.1:*; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

fn asset(kind: &'static str, text: &'static str) -> Response {
    let headers: [(HeaderName, &str); 5] = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, text).into_response()
}

async fn token(State(stage): State<Arc<Stage>>) -> Json<Value> {
    Json(json!({"token": stage.mint.subscription(&stage.library, "demo@example.com", TTL)}))
}

/// What the page's form sends.
#[derive(Deserialize)]
struct Posting {
    node: String,
    text: String,
    sent_ms: u64,
}

async fn publish(State(stage): State<Arc<Stage>>, Json(posting): Json<Posting>) -> Response {
    let found = (0..stage.nodes.len()).find(|index| Stage::name(*index) == posting.node);
    let Some(index) = found else { return (StatusCode::NOT_FOUND, "there is no such node").into_response() };
    let content = json!({
        "repo_id": stage.library,
        "text": posting.text,
        "posted_to": posting.node,
        "sent_ms": posting.sent_ms,
    });
    let event = json!({"type": "repo-update", "content": content}).to_string();
    match send(&stage, index, event).await {
        Ok(answer) if answer.status == 200 => StatusCode::OK.into_response(),
        Ok(answer) => (StatusCode::BAD_GATEWAY, format!("{} {}", answer.status, answer.body)).into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

async fn send(stage: &Stage, node: usize, event: String) -> Result<exchange::Answer, crate::cli::client::ClientError> {
    let server = Server::parse(&format!("http://{}", stage.nodes[node]))?;
    post::event(&server, &stage.mint.events(TTL), event, PATIENCE).await
}
