//! Operators: a password is exchanged for a token over HTTP, and with that the admin socket takes API commands and shows the
//! messages of watched channels as they are delivered. [`page`] is where people do that.
//!
//! Invariants: nothing is compared in a time that tells of it, nobody tries passwords without end, and a page of another
//! origin does not get in. Who watches is told to come back where something may be missing.

pub mod attempts;
mod page;
pub mod session;
pub mod tokens;
mod wire;

use std::net::IpAddr;
use std::sync::Arc;

use ::metrics::counter;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{ALLOW, CONTENT_TYPE, HOST, ORIGIN, RETRY_AFTER};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use bytes::Bytes;
use tokio::sync::broadcast::error::RecvError;
use url::{Host, Url};

use self::session::{AdminSession, QUESTION};
use self::tokens::Tokens;
use self::wire::ADMIN;
use super::answers::api_answer;
use super::message::{self, quoted};
use super::{Centrifugo, figures, info, posted};
use crate::connection::upgrade::upgrade;
use crate::credentials::same;
use crate::dialect::Route;
use crate::event::{Channel, Event, now_ms};
use crate::json;
use crate::listen::whole::whole;
use crate::session::Why;

/// Bytes of a login's body.
const LOGIN: usize = 4_096;
/// For how long a token is good, seconds.
const TOKEN_S: u64 = 86_400;
/// What stands for a token where none is needed.
const NO_TOKEN: &str = "insecure";

/// Who may do what operators do.
#[derive(Default)]
pub struct Admin {
    /// Whether anybody may.
    pub(super) insecure: bool,
    /// What is exchanged for a token.
    pub(super) password: Option<String>,
    /// What tokens are made with; `None`: none is good.
    pub(super) tokens: Option<Tokens>,
}

/// The channel of those who watch; nothing is published there.
pub(super) fn watchers() -> Channel {
    Channel::new("c-watch", "all")
}

/// What answers where.
pub(super) fn routes(centrifugo: &Arc<Centrifugo>) -> Vec<Route> {
    let prefix = &centrifugo.prefix;
    let page = centrifugo.has_page.then(|| page::route(centrifugo));
    let mut routes = vec![
        (
            format!("{prefix}/auth"),
            any(login).with_state(Arc::clone(centrifugo)),
        ),
        (
            format!("{prefix}/socket"),
            any(connect).with_state(Arc::clone(centrifugo)),
        ),
    ];
    routes.extend(page);
    routes
}

async fn connect(State(centrifugo): State<Arc<Centrifugo>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    // A page that is not on the list is turned away with all others of its kind.
    if listed(&centrifugo, &parts).is_none() && !is_own(&centrifugo, &parts) {
        counter!(figures::API_REFUSED, "reason" => "origin").increment(1);
        let line =
            "Pages of other origins do not get in here; FOGHORN_ALLOWED_ORIGINS may list them.\n";
        return (StatusCode::FORBIDDEN, line).into_response();
    }
    let site = Arc::clone(&centrifugo.site);
    upgrade(&centrifugo.connections, &ADMIN, parts, |_| {
        AdminSession::new(site)
    })
    .map(Body::from)
}

fn is_own(centrifugo: &Centrifugo, parts: &Parts) -> bool {
    is_own_page(&parts.headers, !centrifugo.site.rules().admin.insecure)
}

fn listed(centrifugo: &Centrifugo, parts: &Parts) -> Option<bool> {
    let admission = &centrifugo.context.connections.admission;
    admission.lists(parts.headers.get(ORIGIN))
}

/// Whether a request comes from no page, or from one that this server's own address has brought. A name that leads here may
/// be anybody's, so where no proof is asked for only addresses count.
fn is_own_page(headers: &HeaderMap, by_name: bool) -> bool {
    let Some(origin) = headers.get(ORIGIN) else {
        return true;
    };
    let read = || {
        let origin = Url::parse(origin.to_str().ok()?).ok()?;
        let host = Url::parse(&format!(
            "{}://{}",
            origin.scheme(),
            headers.get(HOST)?.to_str().ok()?
        ))
        .ok()?;
        let is_here = by_name || !matches!(host.host()?, Host::Domain(name) if name != "localhost");
        Some(
            is_here
                && host.host() == origin.host()
                && host.port_or_known_default() == origin.port_or_known_default(),
        )
    };
    read().unwrap_or(false)
}

async fn login(State(centrifugo): State<Arc<Centrifugo>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    match token(&centrifugo, &parts, body).await {
        Ok(token) => {
            let text = format!(r#"{{"token":{}}}"#, quoted(&token));
            ([(CONTENT_TYPE, "application/json")], text).into_response()
        }
        Err(turned) => {
            counter!(figures::API_REFUSED, "reason" => turned.label()).increment(1);
            turned.into_response()
        }
    }
}

/// Why nobody is logged in.
enum Turned {
    Method,
    /// A page of another origin would use up the tries of whoever looks at it.
    Origin,
    Body(StatusCode),
    Password,
    /// There were too many tries; the next may be made in so many seconds.
    Throttled(u64),
}

impl Turned {
    fn label(&self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Origin => "origin",
            Self::Body(_) => "login_body",
            Self::Password => "login",
            Self::Throttled(_) => "login_throttled",
        }
    }
}

impl IntoResponse for Turned {
    fn into_response(self) -> Response {
        let (status, header) = match self {
            Self::Method => (
                StatusCode::METHOD_NOT_ALLOWED,
                Some((ALLOW, HeaderValue::from_static("POST"))),
            ),
            Self::Origin => (StatusCode::FORBIDDEN, None),
            Self::Body(status) => (status, None),
            Self::Password => (StatusCode::BAD_REQUEST, None),
            Self::Throttled(seconds) => (
                StatusCode::TOO_MANY_REQUESTS,
                Some((RETRY_AFTER, HeaderValue::from(seconds))),
            ),
        };
        let line = format!("{}\n", status.canonical_reason().unwrap_or_default());
        let mut answer = (status, line).into_response();
        answer.headers_mut().extend(header);
        answer
    }
}

async fn token(centrifugo: &Centrifugo, parts: &Parts, body: Body) -> Result<String, Turned> {
    if parts.method != Method::POST {
        return Err(Turned::Method);
    }
    if !listed(centrifugo, parts).unwrap_or_else(|| is_own(centrifugo, parts)) {
        return Err(Turned::Origin);
    }
    let rules = centrifugo.site.rules();
    if rules.admin.insecure {
        return Ok(NO_TOKEN.to_owned());
    }
    let body = whole(body, LOGIN, centrifugo.request)
        .await
        .map_err(|unread| Turned::Body(unread.status()))?;
    let address = centrifugo.context.connections.admission.sender(parts);
    let now_ms = now_ms();
    centrifugo
        .attempts
        .lock()
        .begin(address, now_ms)
        .map_err(Turned::Throttled)?;
    let given = url::form_urlencoded::parse(&body).find(|(key, _)| key == "password");
    let given = given
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default();
    let wanted = rules
        .admin
        .password
        .as_ref()
        .zip(rules.admin.tokens.as_ref());
    match wanted {
        Some((password, tokens)) if same(password.as_bytes(), given.as_bytes()) => {
            centrifugo.attempts.lock().succeeded(address);
            tracing::info!(%address, "an operator has logged in to the admin socket");
            Ok(tokens.issue(now_ms / 1_000 + TOKEN_S))
        }
        _ => {
            warn(centrifugo, address);
            Err(Turned::Password)
        }
    }
}

fn warn(centrifugo: &Centrifugo, address: IpAddr) {
    if let Some(unsaid) = centrifugo
        .connections
        .warnings
        .say("admin-password", now_ms())
    {
        let more = crate::throttle::and_more(unsaid);
        let advice = "where that is no operator, admin_port or the proxy may keep others off";
        tracing::warn!(%address, "a wrong admin_password was tried: {advice}{more}");
    }
}

/// Answers what an admin's session asks: one command that is known to be right.
pub(super) async fn asked(centrifugo: &Centrifugo, question: &[u8]) -> Option<Bytes> {
    let text = std::str::from_utf8(question.strip_prefix(QUESTION)?).ok()?;
    let [uid, method] = json::fields(text, ["uid", "method"])?;
    if method.and_then(json::text).as_deref() == Some("info") {
        let body = info::info(centrifugo).to_string();
        return Some(api_answer(uid, "info", None, false, &body).into());
    }
    let command = posted::read(text).ok()?.pop()?;
    Some(centrifugo.perform(command).await.into())
}

/// Shows those who watch what is delivered in channels that are watched.
pub(super) fn watch(centrifugo: &Arc<Centrifugo>) {
    let (tasks, node) = (
        centrifugo.context.tasks.clone(),
        centrifugo.connections.node.clone(),
    );
    let Some(mut events) = node.hub().tap(usize::MAX) else {
        return;
    };
    let site = Arc::clone(&centrifugo.site);
    tasks.clone().spawn("centrifugo-watch", async move {
        let is_shown = |event: &Event| {
            message::is_message(event)
                && site
                    .rules()
                    .options(event.channel.name())
                    .is_some_and(|options| options.watch)
        };
        loop {
            let next = tokio::select! {
                next = events.recv() => next,
                () = tasks.stopped() => return,
            };
            match next {
                Ok(delivered) if is_shown(&delivered.event) => {
                    let frame = wire::shown(&message::body(&delivered.event));
                    for watcher in node.subscribers(&watchers()) {
                        watcher.push(&frame);
                    }
                }
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => {
                    for watcher in node.subscribers(&watchers()) {
                        watcher.end(&Why::Missed);
                    }
                }
                Err(RecvError::Closed) => return,
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_this_servers_own_address_get_in() {
        let own = |origin: Option<&str>, host: &str, by_name: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().expect("a value"));
            if let Some(origin) = origin {
                headers.insert(ORIGIN, origin.parse().expect("a value"));
            }
            is_own_page(&headers, by_name)
        };
        assert!(own(None, "push.example.com", false), "a program");
        for (origin, host) in [
            ("http://push.example.com:8000", "push.example.com:8000"),
            ("https://push.example.com", "push.example.com"),
            ("http://127.0.0.1:8000", "127.0.0.1:8000"),
        ] {
            assert!(own(Some(origin), host, true), "{origin}");
        }
        for (origin, host) in [
            ("https://evil.example", "push.example.com"),
            ("http://push.example.com:81", "push.example.com:8000"),
            ("null", "push.example.com"),
            ("", "push.example.com"),
        ] {
            assert!(!own(Some(origin), host, true), "{origin}");
        }
        // A name may be made to lead to a server on the reader's own network.
        assert!(!own(
            Some("http://evil.example:8000"),
            "evil.example:8000",
            false
        ));
        for here in [
            "127.0.0.1:8000",
            "localhost:8000",
            "[::1]:8000",
            "192.168.1.9:8000",
        ] {
            assert!(own(Some(&format!("http://{here}")), here, false), "{here}");
        }
    }
}
