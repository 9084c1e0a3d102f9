//! `POST /webNotification`: takes one notification for one or more users.
//!
//! Invariants: who may not post is refused before a byte of the body is read; 200 means that the notification is ours to
//! lose; what cannot be used reaches nobody.

mod once;

use std::sync::Arc;
use std::time::Duration;

use ::metrics::counter;
use axum::body::{Body, Bytes};
use axum::http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use futures_util::future::join_all;

use super::addressees::{self, Addressee};
use super::answers::plain;
use super::posted::{Posted, Shape};
use super::rules::Rules;
use super::settings::FormJson;
use super::wire::DIALECT;
use super::{Inbox, cors, figures, identity, notice};
use crate::broker::keep::Fate;
use crate::credentials::{Shown, same};
use crate::listen::whole::whole;
use crate::metrics;

/// How long an answer may wait for the notification to be safe with the broker.
const CONFIRM: Duration = Duration::from_millis(150);
/// How long what comes behind one piece may wait for it.
const ROOM: Duration = Duration::from_secs(2);
/// How many events go to the broker at once, and about how many bytes of them.
const PIECE: usize = 1_000;
const PIECE_BYTES: usize = 8 << 20;

/// Why a post is refused.
struct Refusal {
    status: StatusCode,
    /// The counter's label.
    label: &'static str,
    advice: String,
}

impl Refusal {
    fn new(status: StatusCode, label: &'static str, advice: impl Into<String>) -> Self {
        Self {
            status,
            label,
            advice: advice.into(),
        }
    }
}

/// Takes one post.
pub async fn post(inbox: &Arc<Inbox>, rules: &Rules, parts: &Parts, body: Body) -> Response {
    match take(inbox, rules, parts, body).await {
        Ok(received) => {
            let mut answer = plain(StatusCode::OK, "");
            *answer.body_mut() = Body::from([b"received: ".as_slice(), &received].concat());
            answer.headers_mut().remove(CONTENT_LENGTH);
            answer
        }
        Err(refusal) => {
            counter!(metrics::EVENTS_REFUSED, "dialect" => DIALECT, "reason" => refusal.label)
                .increment(1);
            tracing::debug!(reason = refusal.label, "a notification was refused");
            let mut answer = plain(refusal.status, refusal.advice);
            let extra = match refusal.status {
                StatusCode::UNAUTHORIZED => Some((WWW_AUTHENTICATE, "Bearer realm=\"Foghorn\"")),
                StatusCode::SERVICE_UNAVAILABLE => Some((RETRY_AFTER, "2")),
                _ => None,
            };
            if let Some((name, value)) = extra {
                answer
                    .headers_mut()
                    .insert(name, HeaderValue::from_static(value));
            }
            answer
        }
    }
}

async fn take(
    inbox: &Arc<Inbox>,
    rules: &Rules,
    parts: &Parts,
    body: Body,
) -> Result<Vec<u8>, Refusal> {
    may_post(inbox, rules, parts)?;
    let shape = shape(&parts.headers, rules.form_json)?;
    let body = read(inbox, body).await?;
    let bad = |label, advice: String| Refusal::new(StatusCode::BAD_REQUEST, label, advice);
    let posted =
        Posted::read(shape, &body).map_err(|fault| bad(fault.label(), fault.to_string()))?;
    let read = addressees::read(&posted.id, &rules.types);
    let (users, refused) =
        read.ok_or_else(|| bad("too_many", "The id has more than 10,000 parts.".to_owned()))?;
    counter!(figures::ADDRESSEES_REFUSED).increment(refused as u64);
    if users.is_empty() {
        let advice =
            "No part of the id can be used: each is TYPE_USER, of a type that may be posted.";
        return Err(bad("addressees", advice.to_owned()));
    }
    if inbox.is_full() {
        return Err(full());
    }
    let address = inbox.context.connections.admission.sender(parts);
    let kinds: Vec<&str> = users.iter().map(|to| to.kind).take(10).collect();
    let names: Vec<&str> = users.iter().map(|to| to.user).take(10).collect();
    let (types, names) = (kinds.join(" "), names.join(" "));
    tracing::info!(types, users = names, count = users.len(), refused, bytes = body.len(), %address, "notification");
    match posted.data {
        Some(data) if rules.dedup.is_zero() => publish(inbox, &users, data.into())
            .await
            .map_err(|Full| full())?,
        Some(data) => once::publish(inbox, &users, data.into(), rules.dedup)
            .await
            .map_err(|Full| full())?,
        None => {
            counter!(metrics::EVENTS_UNDELIVERABLE, "dialect" => DIALECT, "reason" => "no_data")
                .increment(1)
        }
    }
    Ok(posted.received)
}

fn full() -> Refusal {
    let advice = "Too many notifications wait for Redis; post it again later.";
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "room", advice)
}

fn may_post(inbox: &Inbox, rules: &Rules, parts: &Parts) -> Result<(), Refusal> {
    let admission = &inbox.context.connections.admission;
    if let Err(rejection) = admission.may_post(admission.sender(parts)) {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            rejection.label(),
            rejection.advice(),
        ));
    }
    if !cors::may_come(&rules.origins, &parts.headers) {
        let advice = "Pages of this origin may not post (FOGHORN_SSE_ORIGINS).";
        return Err(Refusal::new(StatusCode::FORBIDDEN, "origin", advice));
    }
    if !rules.posters.any() || rules.posters.shown(&parts.headers) == Shown::Good {
        return Ok(());
    }
    let in_query = identity::parameter(parts.uri.query().unwrap_or_default(), "key");
    let secret = rules.posters.token.as_ref();
    if in_query
        .zip(secret)
        .is_some_and(|(key, secret)| same(secret.as_bytes(), key.as_bytes()))
    {
        return Ok(());
    }
    let advice =
        "Posting needs the secret (FOGHORN_SSE_SECRET): as bearer token, as password, or as ?key=.";
    Err(Refusal::new(StatusCode::UNAUTHORIZED, "secret", advice))
}

/// How the body is to be read.
fn shape(headers: &HeaderMap, form_json: FormJson) -> Result<Shape, Refusal> {
    let unsupported =
        |label, advice: &str| Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, label, advice);
    if headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        return Err(unsupported(
            "encoding",
            "Send the body as it is, without a Content-Encoding.",
        ));
    }
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let mut pieces = value.split(';').map(str::trim);
    let kind = pieces.next().unwrap_or_default().to_ascii_lowercase();
    let shape = match kind.as_str() {
        "application/json" => Shape::Json,
        "application/x-www-form-urlencoded" => Shape::Form {
            literal: form_json == FormJson::Literal,
        },
        _ => {
            let advice =
                "Send Content-Type: application/x-www-form-urlencoded or application/json.";
            return Err(unsupported("type", advice));
        }
    };
    let charsets = pieces
        .filter_map(|piece| piece.split_once('='))
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
    for (_, charset) in charsets {
        if !charset
            .trim()
            .trim_matches('"')
            .eq_ignore_ascii_case("utf-8")
        {
            return Err(unsupported("charset", "Send the body in UTF-8."));
        }
    }
    Ok(shape)
}

async fn read(inbox: &Inbox, body: Body) -> Result<Bytes, Refusal> {
    let (most, within) = (inbox.max_event, inbox.request);
    whole(body, most, within).await.map_err(|unread| {
        Refusal::new(unread.status(), unread.label(), unread.advice(most, within))
    })
}

/// There is no room for what was to be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// Each addressee gets an event of his own, in their order.
///
/// # Errors
/// [`Full`]: some of it was dropped, and those whom it was for are told that something may be missing.
pub(super) async fn publish(
    inbox: &Inbox,
    users: &[Addressee<'_>],
    data: Bytes,
) -> Result<(), Full> {
    let fates = fates(inbox, users, data).await;
    if fates.contains(&Fate::Dropped) {
        Err(Full)
    } else {
        Ok(())
    }
}

/// The same, with what became of each. It goes to the broker piece by piece, so that a large one takes no room from others'; where
/// Redis is slow or away nobody waits for it more than once.
pub(super) async fn fates(inbox: &Inbox, users: &[Addressee<'_>], data: Bytes) -> Vec<Fate> {
    let many = (PIECE_BYTES / data.len().max(1)).clamp(1, PIECE);
    let (mut fates, mut is_away) = (Vec::with_capacity(users.len()), false);
    for piece in users.chunks(many) {
        let within = match fates.len() + piece.len() < users.len() {
            _ if is_away => Duration::ZERO,
            true => ROOM,
            false => CONFIRM,
        };
        let receipts: Vec<_> = piece
            .iter()
            .map(|to| {
                let (user, kind) = (to.user, to.kind);
                inbox.keep(notice::new(user, kind, data.clone(), rand::random(), ""))
            })
            .collect();
        // Not confirmed in time: it is on its way all the same.
        let found = join_all(receipts.into_iter().map(|receipt| receipt.fate(within))).await;
        is_away |= found.contains(&Fate::Waiting);
        fates.extend(found);
    }
    let dropped = fates.iter().filter(|fate| **fate == Fate::Dropped).count();
    counter!(metrics::EVENTS_ACCEPTED, "dialect" => DIALECT, "type" => "notification")
        .increment((fates.len() - dropped) as u64);
    fates
}
