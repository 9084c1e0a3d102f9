//! Accepts TCP connections and serves HTTP/1.1 on them until they become WebSockets.
//!
//! Invariants: accepting never stops for one peer's sake; a peer that sends nothing, or slowly, is cut off; paths are
//! clean (no doubled or trailing slash) before anything routes by them.

pub mod tls;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::uri::PathAndQuery;
use http::{Request, Uri};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;

use crate::connection::door::{Door, Knocking, Remote};
use crate::drain::Tasks;
use tls::Tls;

/// How long a kept-alive connection may be idle between two requests. Backends keep theirs for a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// The answer to who knocks while too many others do.
const BUSY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// One listening socket and what it serves.
pub struct Server {
    /// Where requests go.
    pub router: Router,
    /// Who may come in.
    pub door: Arc<Door>,
    /// How long a new connection may take for its first request.
    pub handshake: Duration,
}

impl Server {
    /// Accepts until the tasks are stopped.
    pub fn run(self, listener: TcpListener, tasks: &Tasks) {
        self.run_with(listener, None, tasks);
    }

    /// The same, encrypted where `tls` is given. Clients' WebSockets need a bare TCP stream: not for their port.
    pub fn run_with(self, listener: TcpListener, tls: Option<Arc<Tls>>, tasks: &Tasks) {
        let (server, inner) = (Arc::new(self), tasks.clone());
        tasks.spawn("accept", async move {
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    () = inner.stopped() => return,
                };
                match accepted {
                    Ok((stream, remote)) => server.take(stream, remote, tls.as_ref(), &inner),
                    Err(error) => accept_failed(&error).await,
                }
            }
        });
    }

    fn take(self: &Arc<Self>, mut stream: TcpStream, remote: SocketAddr, tls: Option<&Arc<Tls>>, tasks: &Tasks) {
        // Only fails for a socket that is gone already.
        let _ = stream.set_nodelay(true);
        let (server, inner) = (Arc::clone(self), tasks.clone());
        let Ok(knocking) = self.door.knock() else {
            return tasks.spawn_connection(async move {
                let _ = tokio::time::timeout(Duration::from_secs(1), stream.write_all(BUSY)).await;
            });
        };
        match tls.cloned() {
            None => tasks.spawn_connection(async move { server.serve(stream, remote, knocking, &inner).await }),
            Some(tls) => tasks.spawn_connection(async move {
                // Whoever does not speak TLS here is a stranger; there is no way to tell them.
                if let Ok(Ok(stream)) = tokio::time::timeout(server.handshake, tls.accept(stream)).await {
                    server.serve(stream, remote, knocking, &inner).await;
                }
            }),
        }
    }

    async fn serve<I>(&self, stream: I, remote: SocketAddr, knocking: Knocking, tasks: &Tasks)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let knocking = Arc::new(Mutex::new(Some(knocking)));
        let first = Arc::clone(&knocking);
        let router = self.router.clone();
        let service = service_fn(move |request| {
            let router = router.clone();
            first.lock().take();
            async move { Ok::<_, Infallible>(answer(router, request, remote).await) }
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(KEEP_ALIVE).max_buf_size(32 * 1024);
        let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service).with_upgrades());
        tokio::select! {
            ended = tokio::time::timeout(self.handshake, connection.as_mut()) => {
                if ended.is_ok() || knocking.lock().is_some() {
                    return;
                }
            }
            () = tasks.stopped() => {}
        }
        tokio::select! {
            // How an HTTP connection ends is the peer's business; requests have been answered and counted.
            _ = connection.as_mut() => return,
            () = tasks.stopped() => connection.as_mut().graceful_shutdown(),
        }
        let _ = tokio::time::timeout(self.handshake, connection).await;
    }
}

async fn answer(router: Router, mut request: Request<Incoming>, remote: SocketAddr) -> Response {
    if let Some(uri) = clean(request.uri()) {
        *request.uri_mut() = uri;
    }
    request.extensions_mut().insert(Remote(remote));
    match router.oneshot(request.map(Body::new)).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// The URI with its path made clean; `None` where it is so already.
fn clean(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    if path == "/" || !(path.ends_with('/') || path.contains("//") || path.contains("/.")) {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let mut text = format!("/{}", parts.join("/"));
    if let Some(query) = uri.query() {
        text.push('?');
        text.push_str(query);
    }
    let mut cleaned = uri.clone().into_parts();
    cleaned.path_and_query = Some(PathAndQuery::try_from(text).ok()?);
    Uri::from_parts(cleaned).ok()
}

/// Out of descriptors or memory: others may go on, and a moment later so may this loop.
async fn accept_failed(error: &io::Error) {
    tracing::error!(%error, "a connection could not be accepted; is the limit of open files (LimitNOFILE) high enough?");
    tokio::time::sleep(Duration::from_millis(50)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned() {
        for (given, wanted) in [
            ("//events", "/events"),
            ("/./ping", "/ping"),
            ("/ping//", "/ping"),
            ("/notification/", "/notification"),
            ("/a/../ping?x=//", "/ping?x=//"),
            ("/../..", "/"),
            ("//", "/"),
        ] {
            let uri: Uri = given.parse().expect("a URI");
            assert_eq!(clean(&uri).expect("changed").to_string(), wanted, "{given}");
        }
        assert_eq!(clean(&"/ping?a=//b/".parse().expect("a URI")), None);
    }
}
