//! `GET /sse/KIND/NAME`: another dialect's channel as an event stream, for whoever has a token that the dialect takes.
//!
//! Invariants: which dialect that is, is not known here: it judges the token, and an event is written as all are; nothing of such a channel is
//! kept, so whoever comes back is told that something may be missing.

use std::sync::Arc;

use ::metrics::counter;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::Response;

use super::answers::plain;
use super::identity::{Cookies, shown_tokens};
use super::open::{Wanted, answer};
use super::rules::Rules;
use super::{Inbox, figures};
use crate::dialect::Grant;
use crate::event::{Channel, now_ms};

/// Answers a request for the stream of `channel`.
pub async fn watch(inbox: &Inbox, rules: &Rules, parts: &Parts, channel: Channel) -> Response {
    let query = parts.uri.query().unwrap_or_default();
    let shown = shown_tokens(&parts.headers, &Cookies::of(&parts.headers), query);
    let mut judged = shown
        .iter()
        .filter_map(|token| inbox.context.grants.of(&channel, token, now_ms()));
    let first = judged
        .next()
        .or_else(|| inbox.context.grants.of(&channel, "", now_ms()));
    // The cookie may be the proof for something else.
    let good = first
        .as_ref()
        .filter(|first| first.is_err())
        .and_then(|_| judged.find(Result::is_ok));
    let Grant { user, until_ms } = match good.or(first) {
        Some(Ok(grant)) => grant,
        Some(Err(why)) => {
            counter!(figures::USERS_REFUSED, "cause" => "channel_token").increment(1);
            return refused(&why);
        }
        None => return plain(StatusCode::NOT_FOUND, "There is nothing at this path."),
    };
    // Who follows many channels has as many streams, and the own inbox beside them.
    let listed_as: Arc<str> = format!("{channel} {user}").trim_end().into();
    answer(
        inbox,
        rules,
        parts,
        Wanted {
            channel,
            user,
            listed_as,
            until_ms: Some(until_ms),
            is_kept: false,
        },
    )
    .await
}

fn refused(why: &str) -> Response {
    let advice = format!(
        "A token for this channel is needed (Authorization: Bearer, cookie foghornToken, or ?token=): {why}"
    );
    let mut answer = plain(StatusCode::UNAUTHORIZED, advice);
    answer.headers_mut().insert(
        header::CACHE_CONTROL,
        header::HeaderValue::from_static("no-store"),
    );
    answer
}
