//! Requests that say something to a session.
//!
//! Invariants: a body that is too long is not read to its end; what cannot be read is refused before the session is looked for; a
//! request is answered at once, whatever the session has to wait for. A session that is not here is looked for at the other nodes.

use std::sync::Arc;

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use super::super::Centrifugo;
use super::super::api::{FORM, field, media_type};
use super::elsewhere::{self, Failed};
use super::frames::{Unreadable, unpack};
use super::{Counted, nowhere, text};
use crate::connection::detached::TooMuch;
use crate::listen::whole::{Unread, whole};

/// Why nothing is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Unread(Unread),
    Unreadable(Unreadable),
    Unknown,
    TooMuch,
    Full,
}

impl Refusal {
    fn label(self) -> &'static str {
        match self {
            Self::Unread(why) => why.label(),
            Self::Unreadable(_) => "unreadable",
            Self::Unknown => "unknown",
            Self::TooMuch => "too_much",
            Self::Full => "full",
        }
    }

    fn answer(self) -> Response {
        match self {
            Self::Unread(why) => {
                let status = why.status();
                text(
                    status,
                    &format!("{}\n", status.canonical_reason().unwrap_or_default()),
                )
            }
            Self::Unreadable(why) => text(StatusCode::INTERNAL_SERVER_ERROR, &why.to_string()),
            Self::Unknown => nowhere(),
            Self::TooMuch => text(
                StatusCode::SERVICE_UNAVAILABLE,
                "What was said before is not done yet.\n",
            ),
            Self::Full => text(
                StatusCode::SERVICE_UNAVAILABLE,
                "This node answers too many requests for others.\n",
            ),
        }
    }
}

/// Answers `xhr_send`.
pub async fn xhr(centrifugo: &Arc<Centrifugo>, name: &str, body: Body) -> Counted {
    let said = match read(centrifugo, body).await {
        Ok(body) => say(centrifugo, name, body).await,
        Err(refusal) => Err(refusal),
    };
    counted("xhr_send", said, || {
        // SockJS's specification wants a type even of nothing.
        (
            StatusCode::NO_CONTENT,
            [(CONTENT_TYPE, "text/plain; charset=UTF-8")],
        )
            .into_response()
    })
}

/// Answers `jsonp_send`.
pub async fn jsonp(centrifugo: &Arc<Centrifugo>, name: &str, parts: &Parts, body: Body) -> Counted {
    let said = match read(centrifugo, body).await {
        Ok(body) => say(centrifugo, name, of_form(parts, body)).await,
        Err(refusal) => Err(refusal),
    };
    counted("jsonp_send", said, || {
        ([(CONTENT_TYPE, "text/plain; charset=UTF-8")], "ok").into_response()
    })
}

fn counted(
    transport: &'static str,
    said: Result<(), Refusal>,
    done: impl FnOnce() -> Response,
) -> Counted {
    match said {
        Ok(()) => (done(), transport, "ok"),
        Err(refusal) => (refusal.answer(), transport, refusal.label()),
    }
}

/// What a form says in its field `d`; a body that is no form says it by itself.
fn of_form(parts: &Parts, body: Bytes) -> Bytes {
    match media_type(&parts.headers).eq_ignore_ascii_case(FORM) {
        true => field(&body, "d").into(),
        false => body,
    }
}

async fn read(centrifugo: &Centrifugo, body: Body) -> Result<Bytes, Refusal> {
    whole(body, centrifugo.sockjs.body, centrifugo.request)
        .await
        .map_err(Refusal::Unread)
}

async fn say(centrifugo: &Centrifugo, name: &str, packed: Bytes) -> Result<(), Refusal> {
    unpack(&packed).map_err(Refusal::Unreadable)?;
    match centrifugo.sockjs.table.find(name) {
        Some(desk) => desk.say(packed).map_err(|TooMuch| Refusal::TooMuch),
        None => elsewhere::say(centrifugo, name, &packed)
            .await
            .map_err(|failed| match failed {
                Failed::TooMuch => Refusal::TooMuch,
                Failed::Full => Refusal::Full,
                Failed::Nowhere | Failed::Taken => Refusal::Unknown,
            }),
    }
}
