//! SockJS: Centrifugo's protocol for pages without a WebSocket.
//!
//! * [`frames`]: what is fetched and said, and how each transport writes it, pure. [`paths`]: what is where, pure.
//! * [`session`]: one client's session, pure: that of a WebSocket, but for messages that hold several.
//! * [`wire`]: the kinds of clients, and what waits for them. [`table`]: the sessions that requests fetch from, by name.
//! * `receive`: requests that fetch, with [`body`]; `send`: those that say something. [`pages`] and [`headers`]: the rest.
//! * [`elsewhere`]: requests at this node for sessions at others; [`relay`]: the other way round; [`talk`]: what nodes say of them.
//!
//! A WebSocket is a session by itself. All other transports share one: requests that fetch and requests that say something find it
//! by its name, and it is a [`detached`](crate::connection::detached) connection.

pub mod body;
pub mod elsewhere;
pub mod frames;
pub mod headers;
pub mod pages;
pub mod paths;
mod receive;
pub mod relay;
mod send;
pub mod session;
pub mod table;
pub mod talk;
pub mod wire;

use std::sync::Arc;
use std::time::Duration;

use ::metrics::counter;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{ALLOW, CONTENT_TYPE};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use tokio::sync::Semaphore;

use self::frames::{BadCallback, Transport, callback};
use self::paths::{Endpoint, Way};
use self::relay::Relays;
use self::session::PackedSession;
use self::table::Table;
use super::file::Fixed;
use super::session::ClientSession;
use super::totals::Count;
use super::{Centrifugo, Site, figures};
use crate::connection::Shared;
use crate::connection::detached::Manner;
use crate::connection::sweep::Liveness;
use crate::connection::upgrade::upgrade;
use crate::dialect::Route;

/// How long a session lives while nothing is fetched from it, and for how long its end can be fetched.
const PATIENCE: Duration = Duration::from_secs(5);
/// A request may be so many times as long as a client's message: texts in JSON are escaped once more, and it may hold several.
const LONGER: usize = 8;

/// What SockJS's clients share.
pub(super) struct SockJs {
    table: Table,
    /// Sessions of this node that requests at others fetch from.
    relays: Relays,
    /// Room for requests for sessions at other nodes.
    elsewhere: Arc<Semaphore>,
    /// Room for requests of which it is not known where their sessions are.
    looks: Arc<Semaphore>,
    connections: Arc<Shared>,
    manner: Manner,
    /// Where browsers get the client from.
    url: String,
    /// The longest message of a client, bytes.
    longest: usize,
    /// The longest body of a request, bytes.
    body: usize,
}

impl SockJs {
    /// No session yet. `connections` is what raw WebSockets share.
    pub fn new(connections: &Shared, fixed: &Fixed) -> Self {
        let body = LONGER * fixed.request_bytes + 1_024;
        let liveness = Liveness {
            ping: fixed.heartbeat.unwrap_or(fixed.ping),
            unauthenticated: None,
            pong: None,
        };
        let kind = if fixed.heartbeat.is_some() {
            &wire::REQUESTS
        } else {
            &wire::QUIET_REQUESTS
        };
        Self {
            table: Table::default(),
            relays: Relays::default(),
            elsewhere: Arc::new(Semaphore::new(elsewhere::MOST)),
            looks: Arc::new(Semaphore::new(elsewhere::LOOKS)),
            connections: Arc::new(Shared {
                liveness: Arc::new(liveness),
                max_message: body,
                ..Shared::clone(connections)
            }),
            manner: Manner {
                kind,
                patience: PATIENCE,
                said_bytes: body,
            },
            url: fixed.sockjs_url.clone(),
            longest: fixed.request_bytes,
            body,
        }
    }

    fn session(&self, site: &Arc<Site>) -> PackedSession {
        PackedSession::new(ClientSession::new(Arc::clone(site)), self.longest)
    }
}

/// What answers where.
pub fn routes(centrifugo: &Arc<Centrifugo>) -> [Route; 2] {
    let root = format!("{}/connection", centrifugo.prefix);
    let below = format!("{root}/{{*rest}}");
    [root, below].map(|path| (path, any(answer).with_state(Arc::clone(centrifugo))))
}

async fn answer(State(centrifugo): State<Arc<Centrifugo>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let below = path
        .strip_prefix(&centrifugo.prefix)
        .and_then(|path| path.strip_prefix("/connection"));
    let Some(endpoint) = below.and_then(|below| Endpoint::find(below.trim_matches('/'))) else {
        return nowhere();
    };
    if !endpoint.takes(request.method().as_str()) {
        let mut answer = StatusCode::METHOD_NOT_ALLOWED.into_response();
        answer
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static(endpoint.methods()));
        return answer;
    }
    let (asks, asked) = (
        request.method() == Method::OPTIONS,
        request.headers().clone(),
    );
    let mut answer = match endpoint {
        Endpoint::Greeting => return pages::greeting(),
        Endpoint::Iframe => return pages::iframe(&centrifugo.sockjs.url, &asked),
        Endpoint::Info if asks => headers::preflight("OPTIONS, GET"),
        Endpoint::Session(..) if asks => headers::preflight("OPTIONS, POST"),
        Endpoint::Info => pages::info(),
        Endpoint::Session(name, way) => {
            centrifugo.site.totals.add(Count::SockJs, 1);
            let (answer, transport, result) = of_session(&centrifugo, name, way, request).await;
            counter!(figures::SOCKJS, "transport" => transport, "result" => result).increment(1);
            if way == Way::WebSocket {
                return answer;
            }
            answer
        }
    };
    if !asks {
        headers::forbid_keeping(answer.headers_mut());
    }
    headers::add_cors(&asked, answer.headers_mut());
    answer
}

/// An answer, and how metrics call the transport and what became of it.
type Counted = (Response, &'static str, &'static str);

async fn of_session(
    centrifugo: &Arc<Centrifugo>,
    name: &str,
    way: Way,
    request: Request,
) -> Counted {
    let (parts, body) = request.into_parts();
    let called = || callback(parts.uri.query().unwrap_or_default());
    let transport = match way {
        Way::WebSocket => return socket(centrifugo, parts),
        Way::XhrSend => return send::xhr(centrifugo, name, body).await,
        Way::JsonpSend => return send::jsonp(centrifugo, name, &parts, body).await,
        Way::XhrStreaming => Ok(Transport::XhrStreaming),
        Way::Xhr => Ok(Transport::Xhr),
        Way::EventSource => Ok(Transport::EventSource),
        Way::HtmlFile => called().map(Transport::HtmlFile),
        Way::Jsonp => called().map(Transport::Jsonp),
    };
    match transport {
        Ok(transport) => receive::receive(centrifugo, name, transport, &parts).await,
        Err(bad) => {
            let status = match bad {
                BadCallback::Missing => StatusCode::INTERNAL_SERVER_ERROR,
                BadCallback::Invalid => StatusCode::BAD_REQUEST,
            };
            (text(status, &format!("{bad}\n")), "script", "callback")
        }
    }
}

fn socket(centrifugo: &Arc<Centrifugo>, parts: axum::http::request::Parts) -> Counted {
    let sockjs = &centrifugo.sockjs;
    let kind = if sockjs.manner.kind.wire.heartbeat().is_empty() {
        &wire::QUIET_SOCKET
    } else {
        &wire::SOCKET
    };
    let answer = upgrade(&sockjs.connections, kind, parts, |_| {
        sockjs.session(&centrifugo.site)
    })
    .map(Body::from);
    let result = if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        "ok"
    } else {
        "refused"
    };
    (answer, "websocket", result)
}

fn text(status: StatusCode, text: &str) -> Response {
    (
        status,
        [(CONTENT_TYPE, "text/plain; charset=utf-8")],
        text.to_owned(),
    )
        .into_response()
}

fn nowhere() -> Response {
    text(StatusCode::NOT_FOUND, "404 page not found\n")
}
