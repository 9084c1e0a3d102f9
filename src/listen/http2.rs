//! HTTP/2 on a connection: over TLS where both sides agreed on it, or in clear text by prior knowledge.
//!
//! Invariants: what a peer may have begun is bounded for each connection by its windows and header lists, and over all
//! connections by what its requests' bodies have sent ([`Unfinished`](crate::unfinished::Unfinished)); a connection without
//! a request ends as one of HTTP/1.1 does; a peer that is gone is noticed by pings, and one that takes nothing of an answer
//! loses that answer ([`stall`]).

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout};

use super::answer::{HEAD, answer};
use super::exchange::Exchange;
use super::{Server, has_begun, stall};
use crate::drain::Tasks;
use crate::unfinished::metered::Meter;

/// How a connection begins.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What peers may send of a request's body before it is read.
const STREAM_WINDOW: u32 = 64 << 10;
/// The same of all requests of one connection.
const CONNECTION_WINDOW: u32 = 256 << 10;
/// Requests of one connection that are answered at a time; event streams are among them.
const STREAMS: u32 = 256;
/// Bytes of a request's head that are read, as HTTP/2 counts them: more than are answered, since what is longer is refused
/// before anybody here could count it.
const READ_HEAD: u32 = 2 * HEAD as u32;
/// How often a peer is asked whether it is there.
const PING: Duration = Duration::from_secs(25);
/// How long it may take to answer.
const PONG: Duration = Duration::from_secs(20);

/// Answers of one connection are written by tasks that a node's end waits for.
#[derive(Clone)]
struct Streams(Tasks);

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        self.0.spawn_connection(stall::unless_stalled(stream));
    }
}

impl Server {
    /// Serves a connection that has sent no request yet, and has until `deadline` to.
    pub(super) async fn serve_http2<I>(
        &self,
        stream: I,
        exchange: Arc<Exchange>,
        deadline: Instant,
        tasks: &Tasks,
    ) where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (router, of_requests) = (self.router.clone(), Arc::clone(&exchange));
        let (unfinished, within) = (Arc::clone(&self.unfinished), self.times.request);
        let service = service_fn(move |request: Request<Incoming>| {
            let (router, exchange) = (router.clone(), Arc::clone(&of_requests));
            exchange.begins(true);
            let request =
                request.map(|body| MeteredBody::new(body, Meter::new(&unfinished, within)));
            async move {
                let answer = answer(router, request, exchange).await;
                Ok::<_, Infallible>(answer.map(stall::Pieces::new))
            }
        });
        let mut http = http2::Builder::new(Streams(tasks.clone()));
        http.timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(READ_HEAD)
            .keep_alive_interval(PING)
            .keep_alive_timeout(PONG);
        let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
        if !has_begun(connection.as_mut(), &exchange, deadline, tasks).await {
            return;
        }
        tokio::select! {
            // How a connection ends is the peer's business; requests have been answered and counted.
            _ = connection.as_mut() => return,
            () = exchange.must_end() => return,
            () = exchange.is_idle_for(self.times.idle) => connection.as_mut().graceful_shutdown(),
            () = tasks.stopped() => connection.as_mut().graceful_shutdown(),
        }
        let _ = timeout(self.times.handshake, connection).await;
    }
}

/// A request's body. Bytes that have come count as begun until all of it is here; where it takes too long, or there is no
/// room for it, it ends with an error, and with it the request.
struct MeteredBody {
    body: Incoming,
    meter: Arc<Meter>,
    over: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// A request's body did not come in time, or found no room.
#[derive(Debug, thiserror::Error)]
enum BodyError {
    #[error("the body took too long, or all bodies together are too large")]
    Over,
    #[error(transparent)]
    Http(#[from] hyper::Error),
}

impl MeteredBody {
    fn new(body: Incoming, meter: Arc<Meter>) -> Self {
        if !body.is_end_stream() {
            // Also a body without a byte so far has begun.
            meter.came(1);
        }
        let ends = Arc::clone(&meter);
        Self {
            body,
            meter,
            over: Box::pin(async move { ends.over().await }),
        }
    }
}

impl Body for MeteredBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.over.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(BodyError::Over)));
        }
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => self.meter.came(frame.data_ref().map_or(0, Bytes::len)),
            Poll::Ready(_) => self.meter.whole(),
            Poll::Pending => self.meter.waits(),
        }
        polled.map_err(BodyError::Http)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for MeteredBody {
    fn drop(&mut self) {
        self.meter.whole();
    }
}
