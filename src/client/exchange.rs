//! One HTTP/1.1 request on a connection of its own, and the answer: a body, or the stream that a 101 leaves.
//!
//! Invariant: nothing outlives the exchange, and no more than a fixed part of an answer is read.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;

use super::ClientError;
use crate::client::dial::Server;

/// Of an answer's body so much is read, in bytes; of a longer one, nothing is.
const BODY: usize = 64 * 1024;

/// What the server said.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; empty where it is too long.
    pub body: String,
    /// How long it took from the first byte sent on a connected stream.
    pub took: Duration,
}

/// An answer, with the stream where protocols were switched.
pub type Reply = (Answer, Option<TokioIo<Upgraded>>);

/// Connects, sends `request` and reads the answer, all of it in `within`. `Host` and `User-Agent` are added where they
/// are missing.
///
/// # Errors
/// [`ClientError`], where there is no answer. One with an unwelcome status is an answer.
pub async fn send(
    server: &Server,
    request: Request<impl Into<Bytes>>,
    within: Duration,
) -> Result<Reply, ClientError> {
    send_for(server, request, within, BODY).await
}

/// The same, for an answer whose body has `most` bytes at most.
///
/// # Errors
/// As [`send`].
pub async fn send_for(
    server: &Server,
    request: Request<impl Into<Bytes>>,
    within: Duration,
    most: usize,
) -> Result<Reply, ClientError> {
    let late = |_| ClientError::Timeout(server.authority(), within.as_secs());
    let request = request.map(|body| Full::new(body.into()));
    tokio::time::timeout(within, exchange(server, request, most))
        .await
        .map_err(late)?
}

/// Adds `Host` and `User-Agent` where they are missing.
///
/// # Errors
/// [`ClientError::Url`]: the host is no name for one.
pub fn introduce<B>(server: &Server, request: &mut Request<B>) -> Result<(), ClientError> {
    let host = HeaderValue::try_from(server.authority())
        .map_err(|_| ClientError::Url { url: server.url() })?;
    let agent = HeaderValue::from_static(concat!("foghorn/", env!("CARGO_PKG_VERSION")));
    let headers = request.headers_mut();
    headers.entry(HOST).or_insert(host);
    headers.entry(USER_AGENT).or_insert(agent);
    Ok(())
}

async fn exchange(
    server: &Server,
    mut request: Request<Full<Bytes>>,
    most: usize,
) -> Result<Reply, ClientError> {
    let failed = |source| ClientError::Http {
        authority: server.authority(),
        source,
    };
    introduce(server, &mut request)?;
    let stream = TokioIo::new(server.connect().await?);
    let mut http = http1::Builder::new();
    let (mut sender, connection) = http
        .title_case_headers(true)
        .handshake(stream)
        .await
        .map_err(failed)?;
    let talk = async {
        let sent = Instant::now();
        let response = sender.send_request(request).await.map_err(failed)?;
        read(response, sent, most).await.map_err(failed)
    };
    // The connection moves the bytes of the talk; it ends by itself only where the talk has failed or is over.
    let connection = connection.with_upgrades();
    tokio::pin!(talk, connection);
    let (reply, ended) = tokio::select! {
        reply = &mut talk => (reply, None),
        ended = &mut connection => (talk.await, Some(ended)),
    };
    match reply {
        // The request knows only that it was given up: the connection knows why.
        Err(ClientError::Http { authority, source })
            if source.is_canceled() || source.is_closed() =>
        {
            let ended = match ended {
                Some(ended) => ended,
                None => connection.await,
            };
            Err(ClientError::broken(
                authority,
                ended.err().unwrap_or(source),
            ))
        }
        Err(ClientError::Http { authority, source }) => Err(ClientError::broken(authority, source)),
        reply => reply,
    }
}

async fn read(
    response: Response<Incoming>,
    sent: Instant,
    most: usize,
) -> Result<Reply, hyper::Error> {
    let (status, headers) = (response.status(), response.headers().clone());
    let took = sent.elapsed();
    let mut answer = Answer {
        status: status.as_u16(),
        headers,
        body: String::new(),
        took,
    };
    if status == StatusCode::SWITCHING_PROTOCOLS {
        let stream = hyper::upgrade::on(response).await?;
        return Ok((answer, Some(TokioIo::new(stream))));
    }
    let body = Limited::new(response.into_body(), most).collect().await;
    answer.body = body
        .map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned())
        .unwrap_or_default();
    Ok((answer, None))
}
