//! From an HTTP request to a WebSocket connection that is served: the way in for every dialect.
//!
//! Invariant: a client that is let in is counted, registered and served by a tracked task until its connection ends,
//! and all of it ends with that task.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tracing::{Instrument, Level};

use super::entry::{self, Open, Visit, Wish};
use super::websocket::deflate;
use super::websocket::io::Io;
use super::{ClientInfo, Shared, handshake, websocket};
use crate::outbox::Kind;
use crate::session::Session;
use crate::unfinished::lent::Lent;
use crate::unfinished::metered::{Below, Metered};

/// Answers a handshake; where it is a good one, the connection is served from now on by what `session` makes.
pub fn upgrade<S, F>(
    shared: &Arc<Shared>,
    kind: &'static Kind,
    mut request: Parts,
    session: F,
) -> Response<String>
where
    S: Session,
    F: FnOnce(ClientInfo) -> S,
{
    let accept = match handshake::accept(&request) {
        Ok(accept) => accept,
        Err(refused) => {
            entry::count(kind, refused.label);
            entry::warn(
                shared,
                Wish::WebSocket,
                shared.admission.sender(&request),
                refused.label,
                &refused.advice,
            );
            return plain(refused.status, refused.advice);
        }
    };
    let Some(upgrade) = request.extensions.remove::<OnUpgrade>() else {
        entry::count(kind, "no-upgrade");
        return plain(
            StatusCode::BAD_REQUEST,
            "Bad WebSocket handshake: this connection cannot be upgraded.\n".into(),
        );
    };
    let (kind, extensions) = deflate::agree(kind, &request.headers);
    let visit = match entry::enter(shared, kind, Wish::WebSocket, &request) {
        Ok(visit) => visit,
        Err(refused) if refused.is_temporary() => return unavailable(refused.advice()),
        Err(refused) => return plain(StatusCode::FORBIDDEN, refused.advice().into()),
    };
    let client = visit.client;
    let serve = run(Arc::clone(shared), upgrade, visit, session(client));
    // A span of the connection's own costs memory for as long as the client is idle: it has one only where each step has a
    // line. At other levels a line that is logged gets one of its own.
    if tracing::enabled!(Level::DEBUG) {
        shared
            .tasks
            .spawn_connection(serve.instrument(client.span(&shared.name, None)));
    } else {
        shared.tasks.spawn_connection(serve);
    }
    switching(&accept, extensions)
}

async fn run<S: Session>(shared: Arc<Shared>, upgrade: OnUpgrade, visit: Visit, session: S) {
    let _inside = visit.admitted;
    let upgraded = match upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => return tracing::debug!(%error, "the client left during the handshake"),
    };
    let Some((io, early)) = apart(upgraded) else {
        return tracing::error!(
            "an upgraded connection is neither a TCP stream nor an encrypted one"
        );
    };
    let open = Open::new(visit.client.kind);
    let end = websocket::serve(shared, visit.client, io, early, session).await;
    open.ended(end.label, &end.reason);
}

/// The connection itself, and what came in one packet with the handshake.
fn apart(upgraded: Upgraded) -> Option<(Io, Bytes)> {
    let upgraded = match upgraded.downcast::<TokioIo<Lent<Metered<TcpStream>>>>() {
        Ok(parts) => {
            let stream = parts.io.into_inner().into_inner()?;
            return Some((Io::Plain(stream.into_inner()), parts.read_buf));
        }
        Err(upgraded) => upgraded,
    };
    let parts = upgraded
        .downcast::<TokioIo<Lent<Metered<TlsStream<Below<TcpStream>>>>>>()
        .ok()?;
    let stream = parts.io.into_inner().into_inner()?;
    Some((Io::Tls(Box::new(stream.into_inner())), parts.read_buf))
}

fn switching(accept: &str, extensions: Option<HeaderValue>) -> Response<String> {
    let mut response = Response::new(String::new());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(accept) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    if let Some(extensions) = extensions {
        headers.insert(SEC_WEBSOCKET_EXTENSIONS, extensions);
    }
    response
}

fn unavailable(advice: &str) -> Response<String> {
    let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, advice.to_owned());
    response.headers_mut().insert(RETRY_AFTER, retry_after());
    response
}

/// In how many seconds one who is turned away may come back: spread, so that those turned away together do not come together.
pub fn retry_after() -> HeaderValue {
    HeaderValue::from(rand::random_range(1..=10_u16))
}

fn plain(status: StatusCode, advice: String) -> Response<String> {
    let mut response = Response::new(advice);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    if status == StatusCode::BAD_REQUEST {
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Turn;

    /// As large as a session may be; the dialects' own tests hold theirs to it.
    struct Quiet([u8; 72]);

    impl Session for Quiet {
        fn on_message(&mut self, _: &mut Turn<'_>, _: &[u8]) {}
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
        assert!(
            bytes <= 1_312,
            "{bytes} bytes for each connection: what is new that lives across its waiting?"
        );
    }
}
