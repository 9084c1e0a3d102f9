//! `GET /sse`: opens an event stream.
//!
//! Invariants: a stream is subscribed before its user's past is read, so that nothing lies between the two; whoever can come
//! back later is told so in the one way that does not end an `EventSource` for good.

use std::sync::Arc;

use ::metrics::counter;
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use tokio::time::Instant;

use super::answers::{again, event_stream, plain};
use super::id::{Mark, Position};
use super::identity::{self, Identity, identify};
use super::recovery::Recovery;
use super::rules::Rules;
use super::session::{InboxSession, Progress, channel};
use super::stream::{InboxStream, Opening};
use super::wire::STREAM;
use super::{Inbox, figures};
use crate::broker::keep::{KeepError, Past};
use crate::connection::{ClientInfo, stream};
use crate::event::{Channel, now_ms};
use crate::listen::{Cut, Lasts};

/// Answers a request for the stream of `path`'s user, or of whom the cookies name.
pub async fn open(inbox: &Inbox, rules: &Rules, parts: &Parts, path: Option<&str>) -> Response {
    let query = parts.uri.query().unwrap_or_default();
    let identity = match identify(rules, path, &parts.headers, query, now_ms()) {
        Ok(identity) => identity,
        Err(refusal) => {
            counter!(figures::USERS_REFUSED, "cause" => refusal.label()).increment(1);
            return plain(StatusCode::UNAUTHORIZED, refusal.to_string());
        }
    };
    let Identity { user, until_ms } = identity;
    let (channel, listed_as) = (channel(&user), Arc::clone(&user));
    answer(
        inbox,
        rules,
        parts,
        Wanted {
            channel,
            user,
            listed_as,
            until_ms,
            is_kept: true,
        },
    )
    .await
}

/// What is to be listened to, and as whom.
pub struct Wanted {
    /// What the stream brings.
    pub(super) channel: Channel,
    /// As whom it is subscribed to.
    pub(super) user: Arc<str>,
    /// What the list of who is connected says.
    pub(super) listed_as: Arc<str>,
    /// When the proof runs out, Unix milliseconds; `None`: never.
    pub(super) until_ms: Option<u64>,
    /// Whether the channel's past is kept here.
    pub(super) is_kept: bool,
}

/// Opens the stream that is wanted.
pub async fn answer(inbox: &Inbox, rules: &Rules, parts: &Parts, wanted: Wanted) -> Response {
    if parts.method == Method::HEAD {
        return event_stream(Body::empty());
    }
    match begin(inbox, rules, parts, wanted).await {
        Ok(stream) => {
            let mut answer = event_stream(Body::new(stream));
            answer.extensions_mut().insert(Lasts);
            answer
        }
        Err(Refusal::Later(reason)) => {
            counter!(figures::STREAMS_REFUSED, "reason" => reason).increment(1);
            again()
        }
        Err(Refusal::Never(advice)) => plain(StatusCode::FORBIDDEN, advice),
    }
}

/// Why there is no stream.
enum Refusal {
    /// It may be tried again.
    Later(&'static str),
    /// It may not.
    Never(&'static str),
}

/// What the client has had last, in its own words, and what they mean.
fn last_id(parts: &Parts, query: &str) -> Option<(String, Position)> {
    let header = parts.headers.get("last-event-id");
    let text = match header {
        Some(value) => String::from_utf8_lossy(value.as_bytes()).into_owned(),
        None => identity::parameter(query, "lastEventId")?,
    };
    let position = Position::parse(&text, now_ms())?;
    Some((text, position))
}

async fn begin(
    inbox: &Inbox,
    rules: &Rules,
    parts: &Parts,
    wanted: Wanted,
) -> Result<InboxStream, Refusal> {
    let Wanted {
        channel,
        user,
        listed_as,
        until_ms,
        is_kept,
    } = wanted;
    let given = last_id(parts, parts.uri.query().unwrap_or_default());
    let entered = inbox.roster.enter(&listed_as, rules.max_per_user, now_ms());
    let here = entered.map_err(|_| Refusal::Later("per_user"))?;
    let progress = Arc::<Progress>::default();
    progress.note(now_ms());
    let session = {
        let (user, progress) = (Arc::clone(&user), Arc::clone(&progress));
        move |_: ClientInfo| InboxSession::new(channel, user, progress, inbox.quiet_ms, until_ms)
    };
    let cut = parts.extensions.get::<Cut>().cloned();
    let hang_up = Box::new(move || cut.iter().for_each(Cut::now));
    let since = Instant::now();
    let opened = stream::open(&inbox.context.connections, &STREAM, parts, hang_up, session);
    let inner = opened.map_err(|refused| match refused.is_temporary() {
        true => Refusal::Later(refused.label()),
        false => Refusal::Never(refused.advice()),
    })?;
    let past = if is_kept {
        inbox.past(&user, since).await
    } else {
        Ok(None)
    };
    let opening = opening(inbox, past, given)?;
    Ok(InboxStream::new(
        inner,
        here,
        progress,
        inbox.manner,
        opening,
    ))
}

/// What the client is told of its past.
fn opening(
    inbox: &Inbox,
    past: Result<Option<Past>, KeepError>,
    given: Option<(String, Position)>,
) -> Result<Opening, Refusal> {
    let past = match (past, &given) {
        (Ok(past), _) => past,
        // It can be told later what followed its id; by then something may have.
        (Err(_), Some(_)) => return Err(Refusal::Later("past")),
        (Err(_), None) => None,
    };
    let recovery = match (&given, &past) {
        (None, _) => Recovery::default(),
        (Some(_), None) => Recovery {
            resync: true,
            events: Vec::new(),
        },
        (Some((_, position)), Some(past)) => Recovery::new(*position, past, inbox.replay, now_ms()),
    };
    if given.is_some() {
        let result = if recovery.resync { "resync" } else { "whole" };
        counter!(figures::STREAMS_RESUMED, "result" => result).increment(1);
        counter!(figures::REPLAYED).increment(recovery.events.len() as u64);
    }
    let start = past
        .as_ref()
        .map_or(Mark::Unknown, |past| recovery.start(past));
    let known = past.map(|past| past.had()).unwrap_or_default();
    Ok(Opening {
        recovery,
        start,
        known,
        given: given.map(|(text, _)| text),
    })
}
