//! The JSON API, as `openapi.json` beside this file describes it: what the console and the commands are made of.
//!
//! Invariants: every failure is JSON with a word for programs and a sentence for people; tokens that are to be explained
//! are neither logged nor kept.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::{Answer, Failure, Said, asked};
use super::questions::{ClientView, Question};
use super::tail::tail;
use super::{Operated, Ops};
use crate::cluster::condition::Condition;
use crate::cluster::history::Moment;
use crate::cluster::rates::Percentiles;
use crate::cluster::view::{ClusterView, NodeView, ShardView, Sums, Warning};
use crate::dialect::{Operate, Words};
use crate::event::{Channel, now_ms};

/// The description of this API, OpenAPI 3.1.
pub const DESCRIPTION: &str = include_str!("openapi.json");

/// The routes under `/api/v1`, and `/nodes`.
pub fn router() -> Router<Arc<Ops>> {
    Router::new()
        .route("/nodes", get(nodes))
        .route("/api/v1/nodes", get(nodes))
        .route("/api/v1/overview", get(overview))
        .route("/api/v1/history", get(history))
        .route("/api/v1/lookup", get(lookup))
        .route("/api/v1/tail", get(tail))
        .route("/api/v1/events", post(event))
        .route("/api/v1/disconnect", post(disconnect))
        .route("/api/v1/token", post(token))
        .route("/api/v1/openapi.json", get(description))
}

async fn description() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DESCRIPTION)
}

#[derive(Serialize)]
struct Overview {
    node: String,
    version: &'static str,
    now_ms: u64,
    nodes: Vec<NodeView>,
    lost: Vec<NodeView>,
    condition: Condition,
    totals: Sums,
    latency: Percentiles,
    shards: Vec<ShardView>,
    warnings: Vec<Warning>,
    words: Option<Words>,
    dialects: Vec<Spoken>,
    payloads: bool,
}

/// A dialect that operators work on.
#[derive(Serialize)]
struct Spoken {
    dialect: &'static str,
    #[serde(flatten)]
    words: Words,
}

async fn nodes(State(ops): State<Arc<Ops>>) -> Said<ClusterView> {
    Said(ops.cluster.view())
}

async fn overview(State(ops): State<Arc<Ops>>) -> Said<Overview> {
    let ClusterView {
        nodes,
        lost,
        warnings,
        condition,
    } = ops.cluster.view();
    let totals = Sums::of(&nodes);
    Said(Overview {
        node: ops.cluster.identity().name.clone(),
        version: env!("CARGO_PKG_VERSION"),
        now_ms: now_ms(),
        totals,
        latency: ops.cluster.percentiles(),
        shards: ops.cluster.own_view().shards,
        nodes,
        lost,
        condition,
        warnings,
        payloads: ops.payloads,
        words: ops
            .operated
            .first()
            .map(|operated| operated.operate.words()),
        dialects: ops
            .operated
            .iter()
            .map(|operated| Spoken {
                dialect: operated.dialect,
                words: operated.operate.words(),
            })
            .collect(),
    })
}

#[derive(Serialize)]
struct Past {
    moments: Vec<Moment>,
}

async fn history(State(ops): State<Arc<Ops>>) -> Said<Past> {
    Said(Past {
        moments: ops.cluster.history(),
    })
}

/// What can be done with the first dialect for which `wanted` holds.
fn operate(ops: &Ops, wanted: impl Fn(&Operated) -> bool) -> Result<Arc<dyn Operate>, Failure> {
    let none = || {
        Failure::new(
            StatusCode::NOT_FOUND,
            "no_dialect",
            "No dialect that runs here has this.",
        )
    };
    let found = ops.operated.iter().find(|operated| wanted(operated));
    found
        .map(|operated| Arc::clone(&operated.operate))
        .ok_or_else(none)
}

/// The channel that is meant by `words`: `KIND/NAME`, or only the name, where the first dialect that operators work on says of
/// what kind it is.
fn channel(ops: &Ops, words: &str) -> Result<Channel, Failure> {
    match words.contains('/') {
        true => Ok(Channel::from_text(words)),
        false => Ok(Channel::new(operate(ops, |_| true)?.words().kind, words)),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LookupQuery {
    channel: Option<String>,
    user: Option<String>,
}

/// Who holds a channel, or a user's subscriptions.
#[derive(Debug, Serialize, Deserialize)]
pub struct LookupAnswer {
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

async fn lookup(
    State(ops): State<Arc<Ops>>,
    query: Result<Query<LookupQuery>, QueryRejection>,
) -> Answer<LookupAnswer> {
    let whose = asked(query)?;
    let question = match (whose.channel, whose.user) {
        (Some(words), None) if !words.is_empty() => {
            Question::Channel(channel(&ops, &words)?.as_str().to_owned())
        }
        (None, Some(user)) if !user.is_empty() => Question::User(user),
        _ => {
            return Err(Failure::bad(
                "Ask for ?channel=KIND/NAME or for ?user=NAME.",
            ));
        }
    };
    let mut nodes = Vec::new();
    for reply in ops.ask_all(&question).await {
        nodes.push(NodeClients {
            node: reply.node,
            clients: reply.clients,
            total: reply.total,
        });
    }
    let total = nodes.iter().map(|node| node.total).sum();
    let truncated = nodes.iter().map(|node| node.clients.len()).sum::<usize>() < total;
    Ok(Said(LookupAnswer {
        nodes,
        total,
        truncated,
    }))
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
    channel: String,
    content: Option<serde_json::Map<String, Value>>,
}

async fn event(State(ops): State<Arc<Ops>>, body: Bytes) -> Answer<Value> {
    let new: NewEvent = read(&body)?;
    let channel = channel(&ops, &new.channel)?;
    // The dialect whose channel it is; the first one says what is wrong with others.
    let whose = |operated: &Operated| operated.operate.words().kind == channel.kind();
    match operate(&ops, whose)
        .or_else(|_| operate(&ops, |_| true))?
        .post(new.kind, channel, new.content.unwrap_or_default())
        .await
    {
        Ok(()) => Ok(Said(json!({"accepted": true}))),
        Err(text) => Err(Failure::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "undeliverable",
            text,
        )),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DisconnectRequest {
    node: Option<String>,
    id: Option<u64>,
    user: Option<String>,
}

async fn disconnect(State(ops): State<Arc<Ops>>, body: Bytes) -> Answer<Value> {
    let question = match read::<DisconnectRequest>(&body)? {
        DisconnectRequest {
            node: Some(node),
            id: Some(id),
            user: None,
        } => Question::DisconnectClient { node, id },
        DisconnectRequest {
            node: None,
            id: None,
            user: Some(user),
        } if !user.is_empty() => Question::DisconnectUser(user),
        _ => return Err(Failure::bad("Give node and id of one client, or user.")),
    };
    let replies = ops.ask_all(&question).await;
    Ok(Said(
        json!({"disconnected": replies.iter().map(|reply| reply.disconnected).sum::<usize>()}),
    ))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Token<'a> {
    #[serde(borrow)]
    token: std::borrow::Cow<'a, str>,
    dialect: Option<std::borrow::Cow<'a, str>>,
}

async fn token(State(ops): State<Arc<Ops>>, body: Bytes) -> Answer<Value> {
    let asked: Token<'_> = read(&body)?;
    let whose = |operated: &Operated| {
        let wanted = asked.dialect.as_deref();
        wanted.is_none_or(|wanted| wanted == operated.dialect)
    };
    Ok(Said(
        operate(&ops, whose)?.explain(&asked.token, (now_ms() / 1_000) as i64),
    ))
}
