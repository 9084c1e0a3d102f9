//! From an HTTP request to a WebSocket connection that is served: the way in for every dialect.
//!
//! Invariant: a client that is let in is counted, registered and served by a tracked task until its connection ends,
//! and all of it ends with that task.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ::metrics::{counter, gauge};
use http::header::{
    CONNECTION, CONTENT_TYPE, ORIGIN, RETRY_AFTER, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tracing::{Instrument, Level, Span};

use super::door::{Door, Entered};
use super::outbox::Bounds;
use super::sweep::Register;
use super::{Client, Session, handshake, websocket};
use crate::drain::{Life, Phase, Tasks};
use crate::metrics;
use crate::node::Node;

/// What all WebSocket connections of a node share.
pub struct Shared {
    /// Where they subscribe.
    pub node: Node,
    /// Where they are swept.
    pub register: Arc<Register>,
    /// Who may come in.
    pub door: Arc<Door>,
    /// Who runs their tasks.
    pub tasks: Tasks,
    /// Whether new ones are still taken.
    pub life: Life,
    /// How much may wait for each.
    pub outbox: Bounds,
    /// The longest message a client may send, in bytes.
    pub max_message: usize,
    /// What logs call this node.
    pub name: String,
    /// The last connection's number.
    pub ids: AtomicU64,
}

/// How a dialect's clients are told apart.
#[derive(Clone, Copy, Debug)]
pub struct Dialect {
    /// What metrics and logs call it.
    pub name: &'static str,
    /// What its desktop clients offer as `Sec-WebSocket-Protocol`.
    pub subprotocol: &'static str,
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug)]
pub struct Who {
    /// The connection's number, unique in this process.
    pub id: u64,
    /// The client's address, as far as proxies told the truth.
    pub address: IpAddr,
    /// What kind of client it is.
    pub client: Client,
}

impl Who {
    /// What every line about this connection carries. `user` may be recorded later.
    pub fn span(&self, node: &str, user: Option<&str>) -> Span {
        tracing::info_span!("connection", id = self.id, client = %self.address, kind = self.client.label(), node, user)
    }
}

/// Answers a handshake; where it is a good one, the connection is served from now on by what `session` makes.
pub fn upgrade<S, F>(shared: &Arc<Shared>, dialect: Dialect, mut request: Parts, session: F) -> Response<String>
where
    S: Session,
    F: FnOnce(Who) -> S,
{
    let result = |result: &'static str| {
        counter!(metrics::HANDSHAKES, "dialect" => dialect.name, "result" => result).increment(1);
    };
    let address = shared.door.sender(&request);
    let accept = match handshake::accept(&request) {
        Ok(accept) => accept,
        Err(refused) => {
            result(refused.label);
            tracing::debug!(client = %address, why = refused.label, "handshake refused");
            return plain(refused.status, refused.advice);
        }
    };
    if shared.life.phase() == Phase::Closing {
        result("draining");
        return unavailable("This node is about to end; another one will take you.\n");
    }
    let entered = match shared.door.enter(address, request.headers.get(ORIGIN)) {
        Ok(entered) => entered,
        Err(turned) => {
            result(turned.label());
            tracing::debug!(client = %address, why = turned.label(), "handshake turned away");
            let advice = turned.advice();
            return if turned.passes() { unavailable(advice) } else { plain(StatusCode::FORBIDDEN, advice.into()) };
        }
    };
    let Some(upgrade) = request.extensions.remove::<OnUpgrade>() else {
        result("no-upgrade");
        return plain(StatusCode::BAD_REQUEST, "Bad WebSocket handshake: this connection cannot be upgraded.\n".into());
    };
    result("accepted");
    let id = shared.ids.fetch_add(1, Ordering::Relaxed) + 1;
    let who = Who { id, address, client: handshake::client(&request.headers, dialect.subprotocol) };
    let visit = Visit { dialect, who, entered };
    let serve = run(Arc::clone(shared), upgrade, visit, session(who));
    // One for the whole connection costs every idle client its memory: only where each step has a line. At other levels
    // a line that is logged gets one of its own.
    if tracing::enabled!(Level::DEBUG) {
        shared.tasks.spawn_connection(serve.instrument(who.span(&shared.name, None)));
    } else {
        shared.tasks.spawn_connection(serve);
    }
    switching(&accept)
}

struct Visit {
    dialect: Dialect,
    who: Who,
    entered: Entered,
}

async fn run<S: Session>(shared: Arc<Shared>, upgrade: OnUpgrade, visit: Visit, session: S) {
    let _inside = visit.entered;
    let upgraded = match upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => return tracing::debug!(%error, "the client left during the handshake"),
    };
    let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else {
        return tracing::error!("an upgraded connection is not a TCP stream");
    };
    let (stream, early) = (parts.io.into_inner(), parts.read_buf);
    let (dialect, who) = (visit.dialect.name, visit.who);
    let open = gauge!(metrics::CONNECTIONS, "dialect" => dialect, "client" => who.client.label());
    open.increment(1.0);
    tracing::debug!("connected");
    let end = websocket::serve(&shared, who, stream, early, session).await;
    open.decrement(1.0);
    counter!(metrics::CLOSES, "dialect" => dialect, "reason" => end.label).increment(1);
    tracing::debug!(why = end.label, reason = end.reason, "disconnected");
}

fn switching(accept: &str) -> Response<String> {
    let mut response = Response::new(String::new());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(accept) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

fn unavailable(advice: &str) -> Response<String> {
    let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, advice.to_owned());
    // Spread, so that those turned away together do not come back together.
    let seconds = HeaderValue::from(rand::random_range(1..=10_u16));
    response.headers_mut().insert(RETRY_AFTER, seconds);
    response
}

fn plain(status: StatusCode, advice: String) -> Response<String> {
    let mut response = Response::new(advice);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if status == StatusCode::BAD_REQUEST {
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Action;

    /// As large as a session may be; the dialects' own tests hold theirs to it.
    struct Quiet([u8; 72]);

    impl Session for Quiet {
        fn on_message(&mut self, _: u64, _: &[u8], _: &mut Vec<Action>) {}
        fn on_tick(&mut self, _: u64, _: &mut Vec<Action>) {}
        fn next_tick(&self) -> Option<u64> {
            self.0.first().map(|n| u64::from(*n))
        }
    }

    fn size_of_future<A, B, C, D, F>(_: impl FnOnce(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_connections_task_stays_small() {
        let bytes = size_of_future(run::<Quiet>);
        assert!(bytes <= 1_312, "{bytes} bytes for each connection: what is new that lives across its waiting?");
    }
}
