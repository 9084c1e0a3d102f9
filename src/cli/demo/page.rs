//! The demonstration's page, on a listener of its own: shows what the nodes do, posts to them by real HTTP, stops and starts
//! them and what is between them.
//!
//! Invariants: the page asks nobody but this listener and the nodes; it is guarded as a node's operators' address without a
//! password is, so another site's page can neither read here nor stop anything; what is begun is finished, whoever leaves.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post as on_post};
use axum::{Json, Router, middleware};
use http::{HeaderName, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use tokio::sync::oneshot;

use super::nodes::{DemoError, Nodes};
use super::poster::Poster;
use crate::cli::Mint;
use crate::cli::client::{PATIENCE, post};
use crate::client::dial::Server;
use crate::client::{ClientError, exchange};
use crate::credentials::Credentials;
use crate::drain::Tasks;
use crate::ops::guard::{self, Guard};

const HTML: &str = include_str!("page.html");
const CSS: &str = include_str!("page.css");
const JS: &str = include_str!("page.js");

/// Tokens of the page and of the printed command are good for a day, in seconds.
pub const TTL: u32 = 86_400;
/// The node the page posts to, unless told otherwise.
const POST: usize = 1;
/// The node the printed command posts to.
const CURL: usize = 2;

/// What the page shows.
pub struct Stage {
    /// Signs tokens with the made key.
    pub(super) mint: Mint,
    /// The library everything is about.
    pub(super) library: String,
    /// The nodes.
    pub(super) nodes: Nodes,
    /// Where each node takes clients, and where operators.
    pub(super) addresses: Vec<(SocketAddr, SocketAddr)>,
    /// Who posts.
    pub(super) poster: Poster,
    /// This run, told from others.
    pub(super) run: u64,
    /// Who finishes what was begun.
    pub(super) tasks: Tasks,
}

impl Stage {
    /// A command that posts an event to one of the nodes.
    pub fn curl(&self) -> String {
        let name = Nodes::name(CURL);
        let content =
            json!({"repo_id": self.library, "text": "Hello from a shell", "posted_to": name});
        let (token, event) = (
            self.mint.events(TTL),
            json!({"type": "repo-update", "content": content}),
        );
        format!(
            "curl -i -H 'Authorization: Token {token}' -d '{event}' http://{}/events",
            self.addresses[CURL].0
        )
    }

    /// Posts an event to a node.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn send(
        &self,
        node: usize,
        content: &Value,
    ) -> Result<exchange::Answer, ClientError> {
        let event = json!({"type": "repo-update", "content": content}).to_string();
        let server = Server::parse(&format!("http://{}", self.addresses[node].0))?;
        post::event(&server, &self.mint.events(TTL), event, PATIENCE).await
    }

    async fn turn(&self, switch: Switch) -> Result<(), DemoError> {
        match switch.what {
            Switched::Node(name) => {
                let index = self.nodes.named(&name).ok_or(DemoError::Unknown)?;
                match switch.on {
                    true => self.nodes.start_one(index).await?,
                    false => self.nodes.stop_one(index).await?,
                }
            }
            Switched::Broker => self.nodes.set_broker(switch.on).await,
            Switched::Posting => self.poster.set_running(switch.on),
        }
        Ok(())
    }

    fn describe(&self) -> Value {
        let node = |(index, (client, ops)): (usize, &(SocketAddr, SocketAddr))| {
            json!({
                "name": Nodes::name(index),
                "address": client,
                "websocket": format!("ws://{client}/"),
                "console": format!("http://{ops}/console"),
            })
        };
        json!({
            "library": self.library,
            "nodes": self.addresses.iter().enumerate().map(node).collect::<Vec<_>>(),
            "post": Nodes::name(POST),
            "curl": self.curl(),
        })
    }

    async fn state(&self) -> Value {
        json!({
            "nodes": self.nodes.running().await,
            "broker": self.nodes.network().is_running(),
            "posting": self.poster.is_running(),
            "accepted": self.poster.accepted(),
            "run": self.run.to_string(),
        })
    }
}

/// The page's routes.
pub fn router(stage: Arc<Stage>) -> Router {
    let guard = Arc::new(Guard::new(Credentials::default(), true));
    Router::new()
        .route("/", get(async || asset("text/html; charset=utf-8", HTML)))
        .route(
            "/demo.css",
            get(async || asset("text/css; charset=utf-8", CSS)),
        )
        .route(
            "/demo.js",
            get(async || asset("text/javascript; charset=utf-8", JS)),
        )
        .route(
            "/demo.json",
            get(async |State(stage): State<Arc<Stage>>| Json(stage.describe())),
        )
        .route(
            "/state.json",
            get(async |State(stage): State<Arc<Stage>>| Json(stage.state().await)),
        )
        .route("/token", get(token))
        .route("/publish", on_post(publish))
        .route("/switch", on_post(switch))
        .layer(middleware::from_fn_with_state(guard, guard::check))
        .layer(middleware::from_fn(guard::headers))
        .with_state(stage)
}

/// Only what comes from this listener may run, and the page may connect to the nodes on this machine.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ws://127.0.0.1:*; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

fn asset(kind: &'static str, text: &'static str) -> Response {
    let headers: [(HeaderName, &str); 2] = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
    ];
    (headers, text).into_response()
}

async fn token(State(stage): State<Arc<Stage>>) -> Json<Value> {
    Json(json!({"token": stage.mint.subscription(&stage.library, "demo@example.com", TTL)}))
}

fn refused(error: &DemoError) -> Response {
    let status = match error {
        DemoError::Unknown => StatusCode::NOT_FOUND,
        _ => StatusCode::CONFLICT,
    };
    (status, error.to_string()).into_response()
}

/// What the page's form sends.
#[derive(Deserialize)]
struct Posting {
    node: String,
    text: String,
    sent_ms: u64,
}

async fn publish(State(stage): State<Arc<Stage>>, Json(posting): Json<Posting>) -> Response {
    let Some(index) = stage.nodes.named(&posting.node) else {
        return refused(&DemoError::Unknown);
    };
    let content = json!({
        "repo_id": stage.library,
        "text": posting.text,
        "posted_to": posting.node,
        "sent_ms": posting.sent_ms,
    });
    match stage.send(index, &content).await {
        Ok(answer) if answer.status == 200 => StatusCode::OK.into_response(),
        Ok(answer) => (
            StatusCode::BAD_GATEWAY,
            format!("{} {}", answer.status, answer.body),
        )
            .into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

/// Something that runs or does not.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Switched {
    Node(String),
    Broker,
    Posting,
}

/// What the page's buttons send.
#[derive(Deserialize)]
struct Switch {
    what: Switched,
    on: bool,
}

async fn switch(State(stage): State<Arc<Stage>>, Json(switch): Json<Switch>) -> Response {
    let (answer, answered) = oneshot::channel();
    let inner = Arc::clone(&stage);
    // A page that is left in the middle must not leave a node half stopped.
    stage.tasks.spawn("demo-switch", async move {
        // Whoever asked may be gone.
        let _ = answer.send(inner.turn(switch).await);
    });
    match answered.await {
        Ok(Ok(())) => Json(stage.state().await).into_response(),
        Ok(Err(error)) => refused(&error),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}
