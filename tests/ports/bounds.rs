//! What bounds peers at the clients' port bounds them at a dialect's: by HTTP/2 as by HTTP/1.1.

use std::convert::Infallible;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::site::Site;

/// Sends `bytes` and waits until the node has hung up.
async fn cut_off(site: &Site, bytes: &[u8]) {
    let mut stream = TcpStream::connect(site.at("plain"))
        .await
        .expect("a connection");
    stream.write_all(bytes).await.expect("sent");
    let mut all = Vec::new();
    let read = tokio::time::timeout(crate::common::PATIENCE, stream.read_to_end(&mut all)).await;
    // A reset is an end too.
    drop(read.expect("the node hangs up"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_slow_with_the_first_request_is_cut_off() {
    let site = Site::start(&[("FOGHORN_HANDSHAKE_SECONDS", "1")]).await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    // Nothing; half a head; half a preface; a preface and no request.
    for begun in [&b""[..], b"GET /version HT", &preface[..9], &preface[..]] {
        cut_off(&site, begun).await;
    }
    let settings = [&preface[..], &[0, 0, 0, 4, 0, 0, 0, 0, 0]].concat();
    cut_off(&site, &settings).await;
    site.running.stop().await;
}

type Sender<B> = http2::SendRequest<B>;

async fn http2<B>(site: &Site) -> (Sender<B>, tokio::task::JoinHandle<bool>)
where
    B: hyper::body::Body + Send + 'static + Unpin,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let stream = TcpStream::connect(site.at("plain"))
        .await
        .expect("a connection");
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .expect("HTTP/2");
    (
        sender,
        tokio::spawn(async move { connection.await.is_ok() }),
    )
}

type Part = StreamBody<Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>>;

/// A body that begins with `first`, and ends there or never.
fn part(first: &str, ends: bool) -> Part {
    let first = stream::iter([Ok(Frame::data(Bytes::from(first.to_owned())))]);
    StreamBody::new(if ends {
        Box::pin(first)
    } else {
        Box::pin(first.chain(stream::pending()))
    })
}

fn get(path: &str) -> http::request::Builder {
    Request::get(format!("http://localhost{path}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_by_http_2_is_ended_in_peace() {
    let site = Site::start(&[("FOGHORN_IDLE_SECONDS", "1")]).await;
    let (mut sender, connection) = http2::<Empty<Bytes>>(&site).await;
    let answer = sender
        .send_request(get("/version").body(Empty::new()).expect("a request"))
        .await
        .expect("an answer");
    assert_eq!(
        answer
            .into_body()
            .collect()
            .await
            .expect("a body")
            .to_bytes(),
        "plain HTTP/2.0\n"
    );
    assert!(
        connection.await.expect("a task"),
        "the node says that it goes"
    );
    drop(sender);
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_not_idle() {
    let site = Site::start(&[
        ("FOGHORN_IDLE_SECONDS", "1"),
        ("FOGHORN_REQUEST_SECONDS", "1"),
    ])
    .await;
    let (mut sender, _connection) = http2::<Empty<Bytes>>(&site).await;
    let answer = sender
        .send_request(get("/ticks").body(Empty::new()).expect("a request"))
        .await
        .expect("an answer");
    let (mut body, mut lines) = (answer.into_body(), 0);
    // So many take longer than a connection without a request has.
    while lines < 1_500 {
        let frame = body.frame().await.expect("no end").expect("no error");
        lines += frame
            .data_ref()
            .map_or(0, |data| data.iter().filter(|byte| **byte == b'\n').count());
    }
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_long_is_refused() {
    let site = Site::start(&[]).await;
    let (mut sender, _connection) = http2::<Empty<Bytes>>(&site).await;
    let long = get("/version")
        .header("x-long", "y".repeat(40 << 10))
        .body(Empty::new())
        .expect("a request");
    let answer = sender.send_request(long).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    let refused = "reason=\"head-too-large\"";
    assert_eq!(
        site.counted("foghorn_connections_refused_total", refused),
        1.0
    );
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_ends_its_request_and_no_other() {
    let site = Site::start(&[("FOGHORN_REQUEST_SECONDS", "1")]).await;
    let (mut sender, _connection) = http2(&site).await;
    let post = Request::post("http://localhost/length")
        .body(part("half", false))
        .expect("a request");
    let answer = sender.send_request(post).await;
    assert!(answer.map_or(true, |answer| !answer.status().is_success()));
    let whole = sender
        .send_request(get("/version").body(part("", true)).expect("a request"))
        .await
        .expect("an answer");
    assert_eq!(
        whole.status(),
        StatusCode::OK,
        "others on the same connection go on"
    );
    crate::common::eventually("it is counted", || async {
        (site.counted("foghorn_unfinished_ended_total", "reason=\"time\"") >= 1.0).then_some(())
    })
    .await;
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_sends_too_much_at_once_finds_no_room() {
    let site = Site::start(&[
        ("FOGHORN_UNFINISHED_BYTES", "256KiB"),
        ("FOGHORN_MAX_EVENT_BYTES", "64KiB"),
        ("FOGHORN_MAX_MESSAGE_BYTES", "64KiB"),
    ])
    .await;
    let mut ended = Vec::new();
    for _ in 0..8 {
        let (mut sender, connection) = http2(&site).await;
        let body = part(&"x".repeat(60 << 10), false);
        let post = Request::post("http://localhost/length")
            .body(body)
            .expect("a request");
        ended.push(tokio::spawn(async move {
            let _connection = connection;
            sender
                .send_request(post)
                .await
                .map_or(true, |answer| !answer.status().is_success())
        }));
    }
    crate::common::eventually("somebody had to go", || async {
        (site.counted("foghorn_unfinished_ended_total", "reason=\"bound\"") >= 1.0).then_some(())
    })
    .await;
    ended.iter().for_each(tokio::task::JoinHandle::abort);
    site.running.stop().await;
}
