//! Clients that take nothing of their stream lose it, over every HTTP; those that take a little do not.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertificateParams, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::common::eventually;
use crate::site::Inbox;
use crate::stream::post;

const STALLED: (&str, &str) = ("foghorn_unfinished_ended_total", "reason=\"stalled\"");

type Sender = http2::SendRequest<Empty<Bytes>>;

/// A connection by HTTP/2 on which each stream may bring `window` bytes until more are asked for, which is done by reading.
async fn http2(port: u16, window: u32) -> Sender {
    let stream = TcpStream::connect(("127.0.0.1", port))
        .await
        .expect("a connection");
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.initial_stream_window_size(window)
        .initial_connection_window_size(64 << 20);
    let (sender, connection) = http.handshake(TokioIo::new(stream)).await.expect("HTTP/2");
    tokio::spawn(connection);
    sender
}

async fn open(sender: &mut Sender, user: &str) -> Incoming {
    let request = Request::get(format!("http://localhost/sse/{user}"))
        .body(Empty::new())
        .expect("a request");
    let answer = sender.send_request(request).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    answer.into_body()
}

/// Reads until `text` has come.
async fn read_until(body: &mut Incoming, text: &str) {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(text) {
        let frame = body.frame().await.expect("no end").expect("no reset");
        read.extend_from_slice(frame.data_ref().expect("data"));
    }
}

async fn one_is_left(node: &Inbox) {
    eventually("one stream is left", || async {
        (node
            .metric("foghorn_connections", "dialect=\"inbox\"")
            .await
            == 1.0)
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_by_http_2_that_grants_no_window_is_ended_and_no_other_beside_it() {
    let node = Inbox::start(&[("FOGHORN_OUTBOX_BYTES", "64MiB")]).await;
    // Not even the first block fits.
    let mut sender = http2(node.port, 10).await;
    let mut deaf = open(&mut sender, "ann").await;
    let mut reads = open(&mut sender, "bob").await;
    post(node.port, "ann", "\"for ann\"").await;
    post(node.port, "bob", "\"first\"").await;
    read_until(&mut reads, "first").await;
    node.counted(STALLED.0, STALLED.1, 1.0).await;
    one_is_left(&node).await;
    post(node.port, "bob", "\"second\"").await;
    read_until(&mut reads, "second").await;
    let end = async {
        while let Some(frame) = deaf.frame().await {
            frame?;
        }
        Ok::<_, hyper::Error>(())
    };
    end.await.expect_err("it was reset");
    assert_eq!(node.metric(STALLED.0, STALLED.1).await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_by_http_2_that_overflows_takes_no_other_with_it() {
    let node = Inbox::start(&[("FOGHORN_OUTBOX_MESSAGES", "20")]).await;
    let mut sender = http2(node.port, 10).await;
    let _deaf = open(&mut sender, "ann").await;
    let mut reads = open(&mut sender, "bob").await;
    for n in 0..30 {
        post(node.port, "ann", &n.to_string()).await;
    }
    let overflow = "bound=\"messages\"";
    node.counted("foghorn_outbox_overflows_total", overflow, 1.0)
        .await;
    one_is_left(&node).await;
    post(node.port, "bob", "\"still there\"").await;
    read_until(&mut reads, "still there").await;
}

/// A node whose inboxes are reached over TLS alone, and its certificate.
async fn encrypted() -> (Inbox, CertificateDer<'static>, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])
        .expect("a name")
        .self_signed(&key)
        .expect("a certificate");
    fs::write(at("key.pem"), key.serialize_pem()).expect("written");
    fs::write(at("cert.pem"), certificate.pem()).expect("written");
    let node = Inbox::start(&[
        ("FOGHORN_OUTBOX_BYTES", "64MiB"),
        ("FOGHORN_SSE_TLS_CERT", &at("cert.pem")),
        ("FOGHORN_SSE_TLS_KEY", &at("key.pem")),
    ])
    .await;
    let certificate = CertificateDer::from_pem_file(at("cert.pem")).expect("a certificate");
    (node, certificate, folder)
}

/// A connection over TLS, for which the system keeps little.
async fn connect(port: u16, certificate: &CertificateDer<'static>) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).expect("a root");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(16 << 10).expect("a size");
    let stream = socket
        .connect(([127, 0, 0, 1], port).into())
        .await
        .expect("a connection");
    TlsConnector::from(Arc::new(config))
        .connect(ServerName::try_from("localhost").expect("a name"), stream)
        .await
        .expect("TLS")
}

/// Posts to a user over TLS.
struct Poster(http1::SendRequest<Full<Bytes>>);

impl Poster {
    async fn post(&mut self, user: &str, text: &str) {
        let body = format!(r#"{{"id":"notify_{user}","data":"{text}"}}"#);
        let request = Request::post("/webNotification")
            .header("host", "localhost")
            .header("content-type", "application/json")
            .body(Full::from(body))
            .expect("a request");
        self.0.ready().await.expect("a connection");
        let answer = self.0.send_request(request).await.expect("an answer");
        assert_eq!(answer.status(), 200);
        answer.into_body().collect().await.expect("a body");
    }
}

/// What encryption takes in is flushed only when all of it has gone, which is never as long as more comes: what the socket
/// takes is what counts.
#[tokio::test(flavor = "multi_thread")]
async fn who_takes_a_little_all_the_time_over_tls_is_not_cut_off() {
    let (node, certificate, _folder) = encrypted().await;
    let mut reads = connect(node.port, &certificate).await;
    let request = b"GET /sse/ann HTTP/1.1\r\nHost: localhost\r\n\r\n";
    reads.write_all(request).await.expect("sent");
    let io = TokioIo::new(connect(node.port, &certificate).await);
    let (sender, connection) = http1::handshake(io).await.expect("HTTP/1.1");
    tokio::spawn(connection);
    let mut poster = Poster(sender);
    // Until the socket takes no more, for good: by then encryption holds the end of one of these, which is to be flushed.
    let piece = "x".repeat(20_000);
    while node.metric("foghorn_outbox_bytes", "").await < 10.0 * piece.len() as f64 {
        poster.post("ann", &piece).await;
    }
    let large = "x".repeat(1_000_000);
    let mut some = vec![0; 16 << 10];
    for _ in 0..18 {
        poster.post("ann", &large).await;
        // However long posting takes: a little is taken all the time.
        let read = reads.read(&mut some).await.expect("it is not cut off");
        assert!(read > 0, "it is ended");
    }
    poster.post("ann", "that is all").await;
    // At this pace all of it takes longer than a peer may take nothing.
    let mut last = Vec::new();
    loop {
        let read = reads.read(&mut some).await.expect("it is not cut off");
        assert!(read > 0, "it is ended");
        last.drain(..last.len().saturating_sub(100));
        last.extend_from_slice(&some[..read]);
        if String::from_utf8_lossy(&last).contains("that is all") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    assert_eq!(node.metric(STALLED.0, STALLED.1).await, 0.0);
}
