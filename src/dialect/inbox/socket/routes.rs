//! The WebSockets' port: which path is what, and how a page comes in.
//!
//! Invariant: who is no user is refused before there is a connection, in the words that pages know.

use std::sync::Arc;

use ::metrics::counter;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, UPGRADE};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};

use super::super::answers::{not_allowed, plain};
use super::super::{Inbox, figures};
use super::login::{LoginError, login};
use super::session::SocketSession;
use crate::connection::handshake::has_token;
use crate::connection::upgrade::upgrade;
use crate::event::now_ms;
use crate::throttle::and_more;

/// Where pages connect, and where they do behind a proxy that takes nothing off.
const PATHS: [&str; 2] = [
    "/api/v1/notification/ws",
    "/websocket/api/v1/notification/ws",
];

/// What pages are told that are not logged in.
const EXPIRED: &str = r#"{"errorCode":401,"data":{},"msg":"Current Session Expired"}"#;

/// Answers one request.
pub async fn answer(State(inbox): State<Arc<Inbox>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    if !PATHS.contains(&parts.uri.path()) {
        return plain(StatusCode::NOT_FOUND, "There is nothing at this path.");
    }
    if parts.method != Method::GET {
        return not_allowed("GET");
    }
    if !has_token(&parts.headers, &UPGRADE, "websocket") {
        let mut answer = plain(
            StatusCode::UPGRADE_REQUIRED,
            "This is for WebSockets; see docs/INBOX.md for proxies.",
        );
        answer
            .headers_mut()
            .insert(UPGRADE, HeaderValue::from_static("websocket"));
        return answer;
    }
    let (rules, query) = (inbox.rules(), parts.uri.query().unwrap_or_default());
    match login(
        inbox.store.as_ref(),
        &rules,
        &parts.headers,
        query,
        now_ms(),
    )
    .await
    {
        Ok(login) => {
            let manner = Arc::clone(&inbox.sockets);
            let kind = inbox.kind;
            let session = move |_| SocketSession::new(manner, login);
            upgrade(&inbox.context.connections, kind, parts, session).into_response()
        }
        Err(error) => refused(&inbox, &error),
    }
}

fn refused(inbox: &Inbox, error: &LoginError) -> Response {
    counter!(figures::USERS_REFUSED, "cause" => error.label()).increment(1);
    if let LoginError::SessionStore(_) = error {
        if let Some(unsaid) = inbox.warnings.say(error.label(), now_ms()) {
            tracing::warn!("pages cannot log in: {error}{}", and_more(unsaid));
        }
        let mut answer = plain(
            StatusCode::SERVICE_UNAVAILABLE,
            "Sessions cannot be looked up now; try again.",
        );
        answer
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from_static("5"));
        return answer;
    }
    let head = [
        (CONTENT_TYPE, "application/json; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
    ];
    (StatusCode::UNAUTHORIZED, head, EXPIRED).into_response()
}
