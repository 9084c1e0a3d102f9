//! What operators may do with users' inboxes, by console and API.
//!
//! Invariants: an operator's notification goes the way of a backend's; a token is judged as one that a page shows.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};

use super::addressees::{Addressee, is_kind, is_user};
use super::rules::Rules;
use super::session::CHANNEL_KIND;
use super::{Inbox, identity, post};
use crate::connection::tracked::Tracked;
use crate::dialect::{Ends, Operate, Words};
use crate::event::Channel;

impl Operate for Inbox {
    fn words(&self) -> Words {
        Words {
            channel: "inbox",
            name: "user",
            kind: CHANNEL_KIND,
            types: &["notify"],
        }
    }

    fn post(
        self: Arc<Self>,
        name: String,
        channel: Channel,
        content: Map<String, Value>,
    ) -> BoxFuture<'static, Result<(), String>> {
        Box::pin(async move {
            if channel.kind() != CHANNEL_KIND {
                return Err(format!(
                    "{channel} is no inbox: a user's inbox is {CHANNEL_KIND}/USER"
                ));
            }
            if !is_user(channel.name()) {
                return Err("A user's name is 1 to 256 bytes without control characters.".into());
            }
            if !is_kind(&name, &self.rules().types) {
                return Err(format!(
                    "{} is no type that may be posted (FOGHORN_SSE_TYPES).",
                    name.escape_debug()
                ));
            }
            let to = Addressee {
                kind: &name,
                user: channel.name(),
            };
            let data = Value::Object(content).to_string();
            post::publish(&self, &[to], data.into())
                .await
                .map_err(|post::Full| "Too many notifications wait for Redis.".into())
        })
    }

    fn explain(&self, token: &str, now_s: i64) -> Value {
        explain(&self.rules(), token, now_s)
    }

    /// Nodes do not compare them: each proof is for the node that it is shown to.
    fn keys(&self) -> Vec<String> {
        Vec::new()
    }

    /// A proof's end is not asked for: sessions end by themselves.
    fn ends(
        self: Arc<Self>,
        _held: Vec<(Arc<Tracked>, Vec<Channel>)>,
        _within: Duration,
    ) -> BoxFuture<'static, Ends> {
        Box::pin(std::future::ready(Ends::new()))
    }
}

fn explain(rules: &Rules, token: &str, now_s: i64) -> Value {
    let token = token.trim();
    let mut pieces = token.split('.').map(piece);
    let (header, claims) = (pieces.next().flatten(), pieces.next().flatten());
    let opens = |key: Option<&super::keys::Key>| {
        let said = key?.claims(token)?;
        Some(identity::claims(&said, now_s).is_some())
    };
    let ways = [
        (opens(rules.tokens.as_ref()), "event stream"),
        (opens(rules.socket_tokens.as_ref()), "WebSocket"),
    ];
    let good: Vec<&str> = ways
        .iter()
        .filter_map(|(opens, what)| (*opens == Some(true)).then_some(*what))
        .collect();
    let (cause, text) = match (good.is_empty(), &claims) {
        (false, _) => (
            None,
            format!("It opens its user's inbox as {}.", good.join(" and as ")),
        ),
        (true, _) if rules.tokens.is_none() && rules.socket_tokens.is_none() => (
            Some("no_key"),
            "No: neither FOGHORN_SSE_JWT_KEY nor FOGHORN_INBOX_JWT_KEY is set, so no token is looked at.".into(),
        ),
        (true, None) => (Some("malformed"), "No: it is no token (JWT).".into()),
        (true, Some(_)) if ways.iter().any(|(opens, _)| opens.is_some()) => (
            Some("claims"),
            "No: its signature is good, but it has no `sub`, has run out, has no end, or has not begun.".into(),
        ),
        (true, Some(_)) => (
            Some("signature"),
            "No: its signature fits neither FOGHORN_SSE_JWT_KEY nor FOGHORN_INBOX_JWT_KEY, or is not by HS256, HS384 or HS512."
                .into(),
        ),
    };
    let exp = claims
        .as_ref()
        .and_then(|claims| claims.get("exp")?.as_i64());
    let mut said = json!({
        "valid": cause.is_none(),
        "text": text,
        "header": header,
        "claims": claims,
        "uses": {"subscribe": cause.is_none(), "events": false},
        "expires_in_seconds": exp.map(|exp| exp.saturating_sub(now_s)),
    });
    if let Some(cause) = cause {
        said["cause"] = cause.into();
    }
    said
}

fn piece(piece: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(piece).ok()?).ok()
}
