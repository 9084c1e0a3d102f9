//! The same over TLS: WebSockets and event streams.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::client::{Nodes, own};
use crate::common::process::{self, need};

/// A node with a certificate, the certificate, and where it lies.
async fn nodes() -> (Nodes, CertificateDer<'static>, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let key = KeyPair::generate().expect("a key");
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names)
        .expect("names")
        .self_signed(&key)
        .expect("a certificate");
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("cert.pem"), certificate.pem()).expect("written");
    std::fs::write(path("key.pem"), key.serialize_pem()).expect("written");
    let (cert, key) = (
        path("cert.pem").display().to_string(),
        path("key.pem").display().to_string(),
    );
    let settings = [
        ("FOGHORN_ECHO_TLS_CERT", &*cert),
        ("FOGHORN_ECHO_TLS_KEY", &*key),
    ];
    (
        Nodes::start(1, &settings).await,
        certificate.der().clone(),
        folder,
    )
}

async fn socket(
    nodes: &Nodes,
    certificate: &CertificateDer<'static>,
    query: &str,
) -> WebSocketStream<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).expect("a root");
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder
        .with_safe_default_protocol_versions()
        .expect("versions");
    let connector = TlsConnector::from(Arc::new(
        builder.with_root_certificates(roots).with_no_client_auth(),
    ));
    let stream = TcpStream::connect(own(&nodes.all[0]))
        .await
        .expect("a connection");
    let stream = connector
        .connect(ServerName::try_from("localhost").expect("a name"), stream)
        .await
        .expect("TLS");
    let url = format!("wss://localhost/echo?{query}");
    tokio_tungstenite::client_async(url, stream)
        .await
        .expect("a WebSocket")
        .0
}

async fn line(socket: &mut WebSocketStream<TlsStream<TcpStream>>) -> String {
    loop {
        match socket.next().await.expect("no end").expect("a message") {
            Message::Text(text) => return text.to_string(),
            Message::Close(close) => panic!("closed: {close:?}"),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn websockets_work_over_tls_whatever_their_size_and_are_closed_in_the_dialects_words() {
    let (nodes, certificate, _folder) = nodes().await;
    let mut one = socket(&nodes, &certificate, "user=ann&channel=hall").await;
    let mut two = socket(&nodes, &certificate, "user=bob&channel=hall").await;
    assert_eq!(
        (line(&mut one).await, line(&mut two).await),
        ("subscribed hall".into(), "subscribed hall".into())
    );
    for size in [1, 200, 70_000, 900_000] {
        let text = "x".repeat(size);
        one.send(Message::text(format!("publish hall {text}")))
            .await
            .expect("sent");
        assert_eq!(line(&mut two).await, format!("hall: {text}"));
        let both = [line(&mut one).await, line(&mut one).await];
        assert!(both.contains(&format!("hall: {text}")));
    }
    let ends = async {
        loop {
            match two.next().await {
                Some(Ok(Message::Close(close))) => break close.map(|close| u16::from(close.code)),
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    let (code, ()) = tokio::join!(ends, nodes.stop());
    assert_eq!(code, Some(1001));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs curl"]
async fn curl_reads_an_event_stream_by_every_http_over_tls() {
    let (nodes, certificate, folder) = nodes().await;
    let mut talks = socket(&nodes, &certificate, "user=ann").await;
    for how in ["--http1.0", "--http1.1", "--http2"] {
        let url = format!(
            "https://{}/stream?user=bob&channel={}",
            own(&nodes.all[0]),
            &how[2..]
        );
        let mut curl = process::command(&need("curl", "curl"));
        curl.args(["-sN", how, "--cacert"])
            .arg(folder.path().join("cert.pem"))
            .arg(url)
            .stdout(Stdio::piped());
        let mut curl = curl.spawn().expect("curl runs");
        let mut lines = BufReader::new(curl.stdout.take().expect("a pipe")).lines();
        let mut next =
            || tokio::task::block_in_place(|| lines.next().expect("no end").expect("read"));
        assert_eq!(next(), format!("data: subscribed {}", &how[2..]));
        talks
            .send(Message::text(format!("publish {} news", &how[2..])))
            .await
            .expect("sent");
        while !next().ends_with(": news") {}
        curl.kill().and_then(|()| curl.wait()).expect("curl ends");
    }
    nodes.stop().await;
}
