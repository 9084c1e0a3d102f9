//! The JSON API, as `openapi.json` beside this file describes it: what the console and the commands are made of.
//!
//! Invariants: every failure is JSON with a word for programs and a sentence for people; tokens that are to be explained
//! are neither logged nor kept.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Ops;
use super::ask::{ClientView, Question};
use super::rates::Percentiles;
use super::tail::tail;
use super::view::{ClusterView, NodeView, ShardView, Warning};
use crate::event::{Channel, now_ms};

/// The description of this API, OpenAPI 3.1.
pub const DESCRIPTION: &str = include_str!("openapi.json");

/// What cannot be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    status: StatusCode,
    error: &'static str,
    text: String,
}

impl Failure {
    /// A failure that programs know as `error`.
    pub fn new(status: StatusCode, error: &'static str, text: impl Into<String>) -> Self {
        Self { status, error, text: text.into() }
    }

    fn bad(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", text)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = json!({"error": self.error, "text": self.text});
        (self.status, [(header::CONTENT_TYPE, "application/json")], format!("{body}\n")).into_response()
    }
}

type Answer<T> = Result<Said<T>, Failure>;

/// A JSON answer.
pub struct Said<T>(pub T);

impl<T: Serialize> IntoResponse for Said<T> {
    fn into_response(self) -> Response {
        match serde_json::to_string(&self.0) {
            Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text + "\n").into_response(),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

/// The routes under `/api/v1`, and `/nodes`.
pub fn router() -> Router<Arc<Ops>> {
    Router::new()
        .route("/nodes", get(nodes))
        .route("/api/v1/nodes", get(nodes))
        .route("/api/v1/overview", get(overview))
        .route("/api/v1/lookup", get(lookup))
        .route("/api/v1/tail", get(tail))
        .route("/api/v1/events", post(event))
        .route("/api/v1/disconnect", post(disconnect))
        .route("/api/v1/token", post(token))
        .route("/api/v1/openapi.json", get(async || ([(header::CONTENT_TYPE, "application/json")], DESCRIPTION)))
}

#[derive(Serialize)]
struct Overview {
    node: String,
    version: &'static str,
    now_ms: u64,
    nodes: Vec<NodeView>,
    totals: Sums,
    latency: Percentiles,
    shards: Vec<ShardView>,
    warnings: Vec<Warning>,
    payloads: bool,
}

#[derive(Serialize)]
struct Sums {
    connections: u64,
    subscriptions: u64,
    /// The largest number of one node: most channels are on several.
    channels: u64,
    events_per_second: f64,
    deliveries_per_second: f64,
}

async fn nodes(State(ops): State<Arc<Ops>>) -> Said<ClusterView> {
    Said(ops.cluster())
}

async fn overview(State(ops): State<Arc<Ops>>) -> Said<Overview> {
    let ClusterView { nodes, warnings } = ops.cluster();
    let totals = Sums {
        connections: nodes.iter().map(|node| node.connections).sum(),
        subscriptions: nodes.iter().map(|node| node.subscriptions).sum(),
        channels: nodes.iter().map(|node| node.channels).max().unwrap_or(0),
        events_per_second: nodes.iter().map(|node| node.events_per_second).sum(),
        deliveries_per_second: nodes.iter().map(|node| node.deliveries_per_second).sum(),
    };
    Said(Overview {
        node: ops.identity.name.clone(),
        version: env!("CARGO_PKG_VERSION"),
        now_ms: now_ms(),
        totals,
        latency: ops.sampler.percentiles(),
        shards: ops.own_view().shards,
        nodes,
        warnings,
        payloads: ops.payloads,
    })
}

#[derive(Deserialize)]
struct Whose {
    library: Option<String>,
    user: Option<String>,
}

/// Who holds a library, or a user's subscriptions.
#[derive(Debug, Serialize, Deserialize)]
pub struct Found {
    /// By node.
    pub nodes: Vec<NodeClients>,
    /// How many subscriptions, shown or not.
    pub total: usize,
    /// Whether some are not shown.
    pub truncated: bool,
}

/// What one node has of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct NodeClients {
    /// The node's name.
    pub node: String,
    /// The clients.
    pub clients: Vec<ClientView>,
    /// How many subscriptions, shown or not.
    pub total: usize,
}

async fn lookup(State(ops): State<Arc<Ops>>, Query(whose): Query<Whose>) -> Answer<Found> {
    let question = match (whose.library, whose.user) {
        (Some(library), None) if !library.is_empty() => {
            Question::Channel(Channel::new(ops.library_kind, &library).as_str().to_owned())
        }
        (None, Some(user)) if !user.is_empty() => Question::User(user),
        _ => return Err(Failure::bad("Ask for ?library=ID or for ?user=NAME.")),
    };
    let mut nodes = Vec::new();
    for reply in ops.ask_all(&question).await {
        nodes.push(NodeClients { node: reply.node, clients: reply.clients, total: reply.total });
    }
    let total = nodes.iter().map(|node| node.total).sum();
    let truncated = nodes.iter().map(|node| node.clients.len()).sum::<usize>() < total;
    Ok(Said(Found { nodes, total, truncated }))
}

/// Reads a request's body. What is wrong is told without quoting it: it may hold a token.
fn read<'a, T: Deserialize<'a>>(body: &'a Bytes) -> Result<T, Failure> {
    let wrong = |error: serde_json::Error| {
        Failure::bad(format!(
            "The body is not what is expected here (line {}, column {}).",
            error.line(),
            error.column()
        ))
    };
    serde_json::from_slice(body).map_err(wrong)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewEvent {
    #[serde(rename = "type")]
    kind: String,
    library: String,
    content: Option<serde_json::Map<String, Value>>,
}

async fn event(State(ops): State<Arc<Ops>>, body: Bytes) -> Answer<Value> {
    let new: NewEvent = read(&body)?;
    let mut content = new.content.unwrap_or_default();
    content.insert("repo_id".to_owned(), new.library.into());
    let posted = json!({"type": new.kind, "content": content}).to_string();
    match (ops.post)(posted.into()).await {
        Ok(()) => Ok(Said(json!({"accepted": true}))),
        Err(text) => Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "undeliverable", text)),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Whom {
    node: Option<String>,
    id: Option<u64>,
    user: Option<String>,
}

async fn disconnect(State(ops): State<Arc<Ops>>, body: Bytes) -> Answer<Value> {
    let question = match read::<Whom>(&body)? {
        Whom { node: Some(node), id: Some(id), user: None } => Question::DisconnectClient { node, id },
        Whom { node: None, id: None, user: Some(user) } if !user.is_empty() => Question::DisconnectUser(user),
        _ => return Err(Failure::bad("Give node and id of one client, or user.")),
    };
    let replies = ops.ask_all(&question).await;
    Ok(Said(json!({"disconnected": replies.iter().map(|reply| reply.disconnected).sum::<usize>()})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Token<'a> {
    #[serde(borrow)]
    token: std::borrow::Cow<'a, str>,
}

async fn token(State(ops): State<Arc<Ops>>, body: Bytes) -> Answer<crate::auth::explain::Explained> {
    let asked: Token<'_> = read(&body)?;
    Ok(Said(ops.keys.explain(&asked.token, (now_ms() / 1_000) as i64)))
}
