//! Accepts TCP connections and serves HTTP on them until they become WebSockets, or an answer that lasts takes them over
//! ([`Lasts`]): HTTP/1.1, and HTTP/2 too where a port is told to.
//!
//! * [`idle`]: who waits for a request, and who of them has to go.
//! * [`tls`]: connections that are encrypted.
//! * [`whole`]: bodies that are read to their end.
//!
//! Invariants: accepting never stops for one peer's sake; a peer that sends nothing, or slowly, is cut off.

mod again;
mod answer;
mod exchange;
mod http2;
pub mod idle;
mod lasting;
mod proxied;
mod room;
mod stall;
pub mod tls;
pub mod whole;

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use ::metrics::counter;
use axum::Router;
use http::Request;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use crate::admission::Admission;
use crate::drain::Tasks;
use crate::event::now_ms;
use crate::headroom::Headroom;
use crate::headroom::descriptors::DescriptorShare;
use crate::metrics;
use crate::throttle::{Throttle, and_more};
use crate::unfinished::Unfinished;
use crate::unfinished::lent::lend;
use crate::unfinished::metered::Metered;
use again::Again;
pub use answer::count_long_head;
use answer::{HEAD, answer};
pub use exchange::Cut;
use exchange::Exchange;
use idle::Idle;
use lasting::Lasting;
pub use lasting::Lasts;
use proxied::Beginning;
use tls::{Agreed, Tls};

/// The answer to who knocks while too many others do.
const BUSY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// How long peers may take.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// For the head of the first request.
    pub handshake: Duration,
    /// Between two requests, and for the head of the second.
    pub idle: Duration,
    /// For the body of a request.
    pub request: Duration,
}

/// What the listening sockets of a node have in common.
pub struct Common {
    /// How long peers may take.
    pub times: Times,
    /// How many connections may wait for a request, at each socket.
    pub idle: idle::Limits,
    /// What all connections have begun to send.
    pub unfinished: Arc<Unfinished>,
}

/// One listening socket and what it serves.
pub struct Server {
    router: Router,
    admission: Arc<Admission>,
    times: Times,
    unfinished: Arc<Unfinished>,
    /// Connections between two requests.
    idle: Arc<Idle>,
    /// Connections whose first request has not come.
    fresh: Arc<Idle>,
    /// The descriptors that its connections may have.
    share: DescriptorShare,
    /// Who is told when there is none; for clients' connections.
    headroom: Option<Arc<Headroom>>,
    /// Whether HTTP/2 is spoken too.
    http2: bool,
    warnings: Throttle,
}

impl Server {
    /// Serves `router` to whom `admission` lets in, on the descriptors of `share`.
    pub fn new(
        router: Router,
        admission: Arc<Admission>,
        share: DescriptorShare,
        common: &Common,
    ) -> Self {
        Self {
            router,
            admission,
            times: common.times,
            unfinished: Arc::clone(&common.unfinished),
            idle: Idle::new(common.idle),
            fresh: Idle::new(idle::Limits::default()),
            share,
            headroom: None,
            http2: false,
            warnings: Throttle::minutely(),
        }
    }

    /// Tells `headroom` when there is no descriptor for another connection.
    #[must_use]
    pub fn telling(self, headroom: &Arc<Headroom>) -> Self {
        Self {
            headroom: Some(Arc::clone(headroom)),
            ..self
        }
    }

    /// Speaks HTTP/2 too: over TLS where the peer wants it, in clear text where it begins with it.
    #[must_use]
    pub fn with_http2(self) -> Self {
        Self {
            http2: true,
            ..self
        }
    }

    /// Accepts until the tasks are stopped.
    pub fn run(self, listener: TcpListener, tasks: &Tasks) {
        self.run_with(listener, None, tasks);
    }

    /// The same, encrypted where `tls` is given.
    pub fn run_with(self, listener: TcpListener, tls: Option<Arc<Tls>>, tasks: &Tasks) {
        let (server, inner) = (Arc::new(self), tasks.clone());
        tasks.spawn("accept", async move {
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    () = inner.stopped() => return,
                };
                match accepted {
                    Ok((stream, remote)) if server.share.includes(&stream) => {
                        server.take(stream, remote, tls.as_ref(), &inner);
                    }
                    Ok((stream, remote)) => match room::find(&server, stream, &inner).await {
                        Ok(Some(stream)) => server.take(stream, remote, tls.as_ref(), &inner),
                        Ok(None) => return,
                        Err(error) => server.accept_failed(&error).await,
                    },
                    Err(error) => server.accept_failed(&error).await,
                }
            }
        });
    }

    fn take(
        self: &Arc<Self>,
        mut stream: TcpStream,
        remote: SocketAddr,
        tls: Option<&Arc<Tls>>,
        tasks: &Tasks,
    ) {
        // Only fails for a socket that is gone already.
        let _ = stream.set_nodelay(true);
        let (server, inner) = (Arc::clone(self), tasks.clone());
        let Ok(pending) = self.admission.pending() else {
            return tasks.spawn_connection(async move {
                let _ = timeout(Duration::from_secs(1), stream.write_all(BUSY)).await;
            });
        };
        let exchange = Exchange::new(self, remote, pending);
        match tls.cloned() {
            None => {
                tasks.spawn_connection(
                    async move { server.serve_plain(stream, exchange, &inner).await },
                )
            }
            Some(tls) => tasks.spawn_connection(async move {
                server.serve_tls(stream, &tls, exchange, &inner).await
            }),
        }
    }

    async fn serve_plain(&self, mut stream: TcpStream, exchange: Arc<Exchange>, tasks: &Tasks) {
        let deadline = Instant::now() + self.times.handshake;
        let beginning = tokio::select! {
            beginning = timeout_at(deadline, proxied::beginning(&stream, self.http2)) => beginning,
            () = exchange.must_end() => return,
            () = tasks.stopped() => return,
        };
        match beginning {
            Err(_) => {}
            Ok(Beginning::Http1) => self.serve(stream, exchange, deadline, tasks).await,
            Ok(Beginning::Http2) => self.serve_http2(stream, exchange, deadline, tasks).await,
            Ok(Beginning::Proxied) => {
                counter!(metrics::CONNECTIONS_REFUSED, "reason" => "proxy-protocol").increment(1);
                if let Some(unsaid) = self.warnings.say("proxy-protocol", now_ms()) {
                    let (advice, more) = (proxied::ADVICE, and_more(unsaid));
                    tracing::warn!(peer = %exchange.remote(), "{advice}{more}");
                }
                let _ = timeout(Duration::from_secs(1), stream.write_all(&proxied::answer())).await;
            }
        }
    }

    async fn serve_tls(
        &self,
        stream: TcpStream,
        tls: &Tls,
        exchange: Arc<Exchange>,
        tasks: &Tasks,
    ) {
        let deadline = Instant::now() + self.times.handshake;
        let encrypted = tokio::select! {
            encrypted = timeout_at(deadline, tls.accept(exchange.meter().below(stream))) => encrypted,
            () = exchange.must_end() => return,
            () = tasks.stopped() => return,
        };
        // Whoever does not speak TLS here is a stranger; there is no way to tell them.
        if let Ok(Ok(stream)) = encrypted {
            match tls::agreed(&stream) {
                Agreed::Http1 => self.serve(stream, exchange, deadline, tasks).await,
                Agreed::Http2 => self.serve_http2(stream, exchange, deadline, tasks).await,
                Agreed::Proof => {}
            }
        }
    }

    async fn serve<I>(&self, stream: I, exchange: Arc<Exchange>, deadline: Instant, tasks: &Tasks)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (router, of_requests) = (self.router.clone(), Arc::clone(&exchange));
        let service = service_fn(move |request: Request<Incoming>| {
            let (router, exchange) = (router.clone(), Arc::clone(&of_requests));
            exchange.begins(request.body().is_end_stream());
            async move { Ok::<_, Infallible>(answer(router, request, exchange).await) }
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.times.idle)
            .max_buf_size(HEAD);
        let (lender, lent) = lend(Metered::new(stream, exchange.meter()));
        let lasting = {
            let connection = http.serve_connection(TokioIo::new(lent), service);
            until_one_lasts(
                pin!(connection.with_upgrades()),
                |connection| connection.graceful_shutdown(),
                || lender.is_flushed(),
                &exchange,
                tasks,
                deadline,
                self.times.handshake,
            )
            .await
        };
        if let Some(answer) = lasting
            && let Some(stream) = lender.take()
        {
            let (inner, patience) = (tasks.clone(), self.times.handshake);
            // A task of its own: this one has had room for all of HTTP.
            tasks.spawn_connection(async move {
                answer.serve(stream, &exchange, &inner, patience).await;
            });
        }
    }
}

/// Serves an HTTP connection until it ends, or an answer takes it over, which comes after all that was answered before.
/// `ends` has it end when it has answered. A first request has to come by `deadline`; what is under way when the node ends
/// has `patience` to end too.
async fn until_one_lasts<C: Future<Output = hyper::Result<()>>>(
    mut connection: Pin<&mut C>,
    ends: impl Fn(Pin<&mut C>),
    is_flushed: impl Fn() -> bool,
    exchange: &Exchange,
    tasks: &Tasks,
    deadline: Instant,
    patience: Duration,
) -> Option<Box<Lasting>> {
    let again = Again::new();
    let mut until = Some(deadline);
    let mut stops = false;
    let answer = loop {
        tokio::select! {
            // How an HTTP connection ends is the peer's business; requests have been answered and counted, but for one whose
            // head was too long to be read.
            ended = poll_fn(|cx| again.poll(connection.as_mut(), cx)) => {
                if ended.is_err_and(|error| error.is_parse_too_large()) {
                    count_long_head();
                }
                return None;
            }
            () = exchange.must_end() => return None,
            answer = exchange.lasting() => break answer,
            () = at(until) => match stops || exchange.is_new() {
                true => return None,
                false => until = None,
            },
            () = tasks.stopped(), if !stops => {
                stops = true;
                until = Some(Instant::now() + patience);
                ends(connection.as_mut());
            }
        }
    };
    let flushed = poll_fn(|cx| match is_flushed() {
        true => Poll::Ready(true),
        false => again.poll(connection.as_mut(), cx).map(|_| false),
    });
    tokio::select! {
        flushed = flushed => flushed.then_some(answer),
        () = exchange.must_end() => None,
    }
}

/// Waits until then, or for ever.
async fn at(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// Waits until a connection may stay beyond `deadline`, since a request came by then, or is to be ended in order. Returns
/// false where it has ended or must end now.
async fn has_begun(
    connection: impl Future,
    exchange: &Exchange,
    deadline: Instant,
    tasks: &Tasks,
) -> bool {
    tokio::select! {
        ended = timeout_at(deadline, connection) => ended.is_err() && !exchange.is_new(),
        () = exchange.must_end() => false,
        () = tasks.stopped() => true,
    }
}
