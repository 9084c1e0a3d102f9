//! `publish` and `tail` reach a server behind HTTPS, and only one whose certificate this machine trusts.

mod common;

use std::path::Path;
use std::sync::Arc;

use common::node::foghorn;
use common::process::Process;
use futures_util::{SinkExt, StreamExt};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto};
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::tungstenite::Message;

/// A TLS listener for `localhost`, whose authority is written to `ca`.
async fn listen(ca: &Path) -> (TcpListener, TlsAcceptor) {
    let (ca_key, key) = (
        KeyPair::generate().expect("a key"),
        KeyPair::generate().expect("a key"),
    );
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    std::fs::write(
        ca,
        authority.self_signed(&ca_key).expect("a certificate").pem(),
    )
    .expect("writing");
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let leaf = leaf
        .signed_by(&key, &Issuer::new(authority, ca_key))
        .expect("a certificate");
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .expect("a key pair");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    (listener, TlsAcceptor::from(Arc::new(config)))
}

async fn accept(
    (listener, acceptor): &(TcpListener, TlsAcceptor),
) -> std::io::Result<TlsStream<TcpStream>> {
    let (stream, _) = listener.accept().await?;
    acceptor.accept(stream).await
}

/// Starts a subcommand against `server`.
fn start(
    name: &str,
    folder: &Path,
    server: &(TcpListener, TlsAcceptor),
    args: &[&str],
    ca: Option<&Path>,
) -> Process {
    let url = format!(
        "https://localhost:{}/notification",
        server.0.local_addr().expect("an address").port()
    );
    let mut command = foghorn(&[&[name, "--url", &url], args].concat());
    command.env("JWT_PRIVATE_KEY", "k");
    if let Some(ca) = ca {
        command.env("SSL_CERT_FILE", ca);
    }
    Process::start(name, command, &folder.join(name))
}

#[tokio::test]
async fn publish_and_tail_speak_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let ca = folder.path().join("ca.pem");
    let server = listen(&ca).await;

    let mut publish = start(
        "publish",
        folder.path(),
        &server,
        &["repo-update", "--force", "--repo", "r"],
        Some(&ca),
    );
    let mut stream = accept(&server).await.expect("TLS");
    let mut head = String::new();
    while !head.ends_with("}}") {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).await.expect("a request");
        assert_ne!(read, 0, "{head}");
        head.push_str(std::str::from_utf8(&piece[..read]).expect("text"));
    }
    assert!(
        head.starts_with("POST /notification/events HTTP/1.1\r\n"),
        "{head}"
    );
    stream
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        .await
        .expect("an answer");
    assert!(publish.end().await.success());

    let mut tail = start(
        "tail",
        folder.path(),
        &server,
        &["--count", "1", "r"],
        Some(&ca),
    );
    let mut socket = tokio_tungstenite::accept_async(accept(&server).await.expect("TLS"))
        .await
        .expect("a WebSocket");
    let subscribe = socket.next().await.expect("a message").expect("a message");
    assert!(subscribe.to_text().expect("text").contains("\"subscribe\""));
    socket
        .send(Message::text("{\"type\":\"t\",\"content\":{}}\n"))
        .await
        .expect("sending");
    assert!(tail.end().await.success());
    assert!(
        tail.log().contains("{\"type\":\"t\",\"content\":{}}\n"),
        "{}",
        tail.log()
    );
}

#[tokio::test]
async fn a_certificate_nobody_vouches_for_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ca, other) = (
        folder.path().join("ca.pem"),
        folder.path().join("other.pem"),
    );
    let server = listen(&ca).await;
    listen(&other).await;
    let mut publish = start(
        "publish",
        folder.path(),
        &server,
        &["repo-update", "--force", "--repo", "r"],
        Some(&other),
    );
    assert!(accept(&server).await.is_err());
    assert_eq!(publish.end().await.code(), Some(1));
    assert!(
        publish.log().contains("UnknownIssuer") || publish.log().contains("certificate"),
        "{}",
        publish.log()
    );
}
