//! Requests that fetch: the first of a name opens its session.
//!
//! Invariant: a session is fetched from by one request at a time, wherever that is; a second one is told so, and the first is not
//! disturbed.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::super::Centrifugo;
use super::body::{self, FrameBody, Source};
use super::elsewhere::{Failed, RemoteFetch};
use super::frames::{self, Transport};
use super::{Counted, text};
use crate::connection::Refused;
use crate::connection::detached::{self, Desk};
use crate::connection::upgrade::retry_after;
use crate::listen::{Cut, Lasts};

/// What asks a proxy (nginx) not to gather an answer before it passes it on.
const ACCEL: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Why nothing can be fetched.
enum Turned {
    Refused(Refused),
    Taken,
    Full,
}

/// Answers a request that fetches from the session `name`.
pub async fn receive(
    centrifugo: &Arc<Centrifugo>,
    name: &str,
    transport: Transport,
    parts: &Parts,
) -> Counted {
    let label = transport.label();
    match source(centrifugo, name, parts).await {
        Ok(source) if transport.is_polled() => {
            let frame = body::one(source).await;
            let written = if frame.is_empty() {
                frame
            } else {
                transport.write(&frame)
            };
            (answer(&transport, Body::from(written)), label, "ok")
        }
        Ok(source) => {
            let body = Body::new(FrameBody::new(source, transport.clone()));
            let mut answer = answer(&transport, body);
            answer.extensions_mut().insert(Lasts);
            (answer, label, "ok")
        }
        Err(Turned::Taken) => {
            let whole = transport.prelude() + &transport.write(&frames::taken());
            (answer(&transport, Body::from(whole)), label, "taken")
        }
        Err(Turned::Full) => (
            later("This node answers too many requests for others.\n"),
            label,
            "full",
        ),
        Err(Turned::Refused(refused)) if refused.is_temporary() => {
            (later(refused.advice()), label, "refused")
        }
        Err(Turned::Refused(refused)) => (
            text(StatusCode::FORBIDDEN, refused.advice()),
            label,
            "refused",
        ),
    }
}

/// Where frames come from: the session here, or elsewhere, or a new one.
async fn source(centrifugo: &Arc<Centrifugo>, name: &str, parts: &Parts) -> Result<Source, Turned> {
    let sockjs = &centrifugo.sockjs;
    if let Some(desk) = sockjs.table.find(name) {
        return fetch(&desk, parts);
    }
    match RemoteFetch::begin(centrifugo, name).await {
        Ok(remote) => return Ok(Source::Elsewhere(Box::new(remote))),
        Err(Failed::Taken) => return Err(Turned::Taken),
        Err(Failed::Full) => return Err(Turned::Full),
        Err(Failed::Nowhere | Failed::TooMuch) => {}
    }
    let opened = sockjs.table.find_or(name, |place| {
        let session = |_| sockjs.session(&centrifugo.site);
        detached::open(&sockjs.connections, sockjs.manner, parts, session, place)
    });
    fetch(&opened.map_err(Turned::Refused)?, parts)
}

fn fetch(desk: &Arc<Desk>, parts: &Parts) -> Result<Source, Turned> {
    let cut = parts.extensions.get::<Cut>().cloned();
    desk.fetch(Box::new(move || cut.iter().for_each(Cut::now)))
        .map(Source::Here)
        .map_err(|_| Turned::Taken)
}

fn answer(transport: &Transport, body: Body) -> Response {
    let kind = HeaderValue::from_static(transport.content_type());
    (
        [
            (CONTENT_TYPE, kind),
            (ACCEL, HeaderValue::from_static("no")),
        ],
        body,
    )
        .into_response()
}

fn later(advice: &str) -> Response {
    let mut answer = text(StatusCode::SERVICE_UNAVAILABLE, advice);
    answer.headers_mut().insert(RETRY_AFTER, retry_after());
    answer
}
