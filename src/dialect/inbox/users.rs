//! `/users`, who is connected to any node, and `/`, a page to try event streams by hand.
//!
//! Invariant: they show who is online, so they are guarded as the console is, unless the configuration says otherwise.

use std::collections::BTreeSet;

use axum::body::Bytes;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::Inbox;
use super::answers::plain;
use super::rules::Rules;
use super::settings::Page;
use super::wire::DIALECT;
use crate::credentials::Shown;

/// What other nodes are asked.
const QUESTION: &[u8] = b"users";
/// Names the nodes whose users are not in the list.
const MISSING: HeaderName = HeaderName::from_static("x-foghorn-missing");
/// The page has one script and one style of its own, and asks this server only.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const PAGE: &str = include_str!("page.html");

/// One node's streams.
#[derive(Serialize, Deserialize)]
struct Open {
    node: String,
    /// Users, and their streams' milliseconds, in order of connecting.
    streams: Vec<(String, u64)>,
}

/// Who of this node's streams are open, for another node that asks.
pub fn answer(inbox: &Inbox, question: &[u8]) -> Option<Bytes> {
    let node = inbox.context.cluster.identity().name.clone();
    let open = Open {
        node,
        streams: inbox.roster.list(),
    };
    (question == QUESTION)
        .then(|| serde_json::to_vec(&open).ok())
        .flatten()
        .map(Bytes::from)
}

/// The list.
pub async fn list(inbox: &Inbox) -> Response {
    let cluster = &inbox.context.cluster;
    let answers = cluster.ask(DIALECT, QUESTION).await;
    let answers: Vec<Open> = answers
        .iter()
        .filter_map(|answer| serde_json::from_slice(answer).ok())
        .collect();
    let answered: BTreeSet<&str> = answers.iter().map(|open| &*open.node).collect();
    let view = cluster.view();
    let silent = view
        .nodes
        .iter()
        .map(|node| &*node.name)
        .filter(|name| !answered.contains(name));
    let missing = silent.collect::<Vec<_>>().join(",");
    let mut streams: Vec<&(String, u64)> = answers.iter().flat_map(|open| &open.streams).collect();
    streams.sort_by_key(|(_, ms)| *ms);
    let keys: Vec<String> = streams
        .iter()
        .map(|(user, ms)| format!("{user}_{ms}"))
        .collect();
    let body = serde_json::to_vec(&keys).unwrap_or_default();
    let head = [
        (CONTENT_TYPE, "application/json; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    let mut answer = (head, body).into_response();
    if let (false, Ok(missing)) = (missing.is_empty(), HeaderValue::from_str(&missing)) {
        answer.headers_mut().insert(MISSING, missing);
    }
    answer
}

/// The page.
pub fn page() -> Response {
    let head = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (head, PAGE).into_response()
}

/// Who may not see them is answered here.
pub fn refuse(inbox: &Inbox, rules: &Rules, parts: &Parts) -> Option<Response> {
    match rules.page {
        Page::Open => return None,
        Page::Off => {
            return Some(plain(
                StatusCode::NOT_FOUND,
                "There is nothing at this path.",
            ));
        }
        Page::Protected => {}
    }
    let operators = &rules.operators;
    if !operators.any() {
        let address = inbox.context.connections.admission.sender(parts);
        let advice = "This needs a password: set FOGHORN_OPS_PASSWORD or FOGHORN_OPS_TOKEN, or see FOGHORN_SSE_PAGE.";
        return (!address.is_loopback()).then(|| plain(StatusCode::FORBIDDEN, advice));
    }
    if operators.shown(&parts.headers) == Shown::Good {
        return None;
    }
    let advice =
        "The password (FOGHORN_OPS_PASSWORD) or bearer token (FOGHORN_OPS_TOKEN) is needed.";
    let mut answer = plain(StatusCode::UNAUTHORIZED, advice);
    for (_, challenge) in operators.accepted() {
        answer
            .headers_mut()
            .append(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    Some(answer)
}
