//! The dialect's paths: clients' WebSockets, and the API that backends post to.
//!
//! Invariants: nothing of a body is looked at before its sign is found good, but that it is no longer than it may be; secrets
//! come in the body and the header only, so that no log or cache has them.

use std::sync::Arc;

use ::metrics::counter;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{ALLOW, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use bytes::Bytes;

use super::file::node::{NodeKeys, OwnPort};
use super::posted::{self, ApiCommand};
use super::rules::Rules;
use super::session::ClientSession;
use super::totals::Count;
use super::{Centrifugo, admin, figures, sockjs};
use crate::connection::upgrade::upgrade;
use crate::dialect::Route;
use crate::listen::whole::whole;

/// The header with a body's sign.
const SIGN: &str = "x-api-sign";

/// At which of the dialect's own ports something answers; `None`: at the clients' port, which others may share.
#[derive(Clone, Copy)]
pub struct Places {
    clients: Option<&'static str>,
    api: Option<&'static str>,
    admin: Option<&'static str>,
}

impl Places {
    /// What the configuration says.
    pub fn of(node: &NodeKeys) -> Self {
        let clients = node.is_encrypted().then(|| OwnPort::Clients.into());
        let api = node.api_port.map(|_| OwnPort::Api.into()).or(clients);
        let admin = node.place_of_admin().map(Into::into).or(clients);
        Self {
            clients,
            api,
            admin,
        }
    }
}

/// What answers at a port.
pub fn routes(centrifugo: &Arc<Centrifugo>, port: Option<&str>) -> Vec<Route> {
    let (places, mut routes) = (centrifugo.places, Vec::new());
    if places.clients == port {
        let socket = format!("{}/connection/websocket", centrifugo.prefix);
        routes.push((socket, get(connect).with_state(Arc::clone(centrifugo))));
        routes.extend(sockjs::routes(centrifugo));
    }
    if places.api == port {
        // Before anything is looked for, a slash at a path's end is taken off: `/api/` comes here as `/api`.
        let api = format!("{}/api", centrifugo.prefix);
        let paths = [format!("{api}/{{*rest}}"), api];
        routes.extend(paths.map(|path| (path, any(take).with_state(Arc::clone(centrifugo)))));
    }
    if places.admin == port && centrifugo.has_admin {
        routes.extend(admin::routes(centrifugo));
    }
    routes
}

async fn connect(State(centrifugo): State<Arc<Centrifugo>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    centrifugo.site.totals.add(Count::WebSockets, 1);
    let site = Arc::clone(&centrifugo.site);
    upgrade(&centrifugo.connections, centrifugo.socket, parts, |_| {
        ClientSession::new(site)
    })
    .map(Body::from)
}

/// Why nothing of a request is done: the answer, and the counter's label.
struct Refused(StatusCode, &'static str);

const UNSIGNED: Refused = Refused(StatusCode::BAD_REQUEST, "sign");
const NO_BODY: Refused = Refused(StatusCode::BAD_REQUEST, "body");
const BAD_SIGN: Refused = Refused(StatusCode::UNAUTHORIZED, "sign");

const JSON: &str = "application/json";
/// Of a body with fields.
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// What a body is said to be, without parameters.
pub(super) fn media_type(headers: &HeaderMap) -> &str {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next());
    kind.unwrap_or_default().trim()
}

/// A field of a form, or nothing.
pub(super) fn field(form: &[u8], name: &str) -> String {
    let field = url::form_urlencoded::parse(form).find(|(key, _)| key == name);
    field
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

/// Answers one request to the API.
async fn take(State(centrifugo): State<Arc<Centrifugo>>, request: Request) -> Response {
    centrifugo.site.totals.add(Count::Api, 1);
    match read(&centrifugo, request).await {
        Ok(commands) => {
            let mut answers = Vec::with_capacity(commands.len());
            for command in commands {
                answers.push(centrifugo.perform(command).await);
            }
            ([(CONTENT_TYPE, JSON)], format!("[{}]", answers.join(","))).into_response()
        }
        Err(Refused(status, reason)) => {
            counter!(figures::API_REFUSED, "reason" => reason).increment(1);
            let line = format!("{}\n", status.canonical_reason().unwrap_or_default());
            let mut answer =
                (status, [(CONTENT_TYPE, "text/plain; charset=utf-8")], line).into_response();
            if status == StatusCode::METHOD_NOT_ALLOWED {
                answer
                    .headers_mut()
                    .insert(ALLOW, HeaderValue::from_static("POST"));
            }
            answer
        }
    }
}

async fn read(centrifugo: &Centrifugo, request: Request) -> Result<Vec<ApiCommand>, Refused> {
    let (parts, body) = request.into_parts();
    if parts.method != Method::POST {
        return Err(Refused(StatusCode::METHOD_NOT_ALLOWED, "method"));
    }
    let admission = &centrifugo.context.connections.admission;
    let address = admission.sender(&parts);
    if let Err(rejection) = admission.may_post(address) {
        return Err(Refused(StatusCode::FORBIDDEN, rejection.label()));
    }
    let body = whole(body, centrifugo.max_body, centrifugo.request)
        .await
        .map_err(|unread| Refused(unread.status(), unread.label()))?;
    let data = signed(&centrifugo.site.rules(), &parts, &body)?;
    let text = std::str::from_utf8(&data).map_err(|_| Refused(StatusCode::BAD_REQUEST, "json"))?;
    posted::read(text).map_err(|bad| {
        tracing::debug!(%address, "nothing of a post is done: {bad}");
        Refused(StatusCode::BAD_REQUEST, bad.label())
    })
}

/// The commands in a body whose sign is good.
fn signed(rules: &Rules, parts: &Parts, body: &Bytes) -> Result<Bytes, Refused> {
    let kind = media_type(&parts.headers);
    let (data, sign) = if kind.eq_ignore_ascii_case(JSON) {
        let sign = parts
            .headers
            .get(SIGN)
            .and_then(|sign| sign.to_str().ok())
            .unwrap_or_default();
        (body.clone(), sign.to_owned())
    } else if kind.eq_ignore_ascii_case(FORM) {
        (Bytes::from(field(body, "data")), field(body, "sign"))
    } else {
        return Err(NO_BODY);
    };
    match (rules.insecure_api, &rules.secret) {
        (true, _) => {}
        (false, _) if sign.is_empty() => return Err(UNSIGNED),
        (false, None) => return Err(UNSIGNED),
        (false, Some(_)) if data.is_empty() => return Err(NO_BODY),
        (false, Some(secret)) if !secret.signed_bytes(&data, &sign) => return Err(BAD_SIGN),
        (false, Some(_)) => {}
    }
    if data.is_empty() {
        Err(NO_BODY)
    } else {
        Ok(data)
    }
}
