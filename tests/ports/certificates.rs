//! Certificates that change, under load, and certificates that cannot be used.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{self, ClientConfig, DigitallySignedStruct, SignatureScheme};

use crate::common::eventually;
use crate::site::{Site, certify};

/// Takes whatever certificate it is shown; the test looks at it.
#[derive(Debug)]
struct Anything;

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

async fn connect(site: &Site, protocol: &[u8]) -> TlsStream<TcpStream> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder
        .with_safe_default_protocol_versions()
        .expect("versions");
    let mut config = builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anything))
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(site.at("encrypted"))
        .await
        .expect("a connection");
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .expect("a handshake")
}

/// The certificate that a new connection is shown.
async fn shown(site: &Site) -> Vec<u8> {
    let stream = connect(site, b"h2").await;
    stream
        .get_ref()
        .1
        .peer_certificates()
        .expect("a certificate")[0]
        .to_vec()
}

fn ticks(version: http::Version) -> Request<Empty<Bytes>> {
    let request = Request::get("https://localhost/ticks")
        .version(version)
        .header("host", "localhost");
    request.body(Empty::new()).expect("a request")
}

/// Streams that are read for as long as the test lasts, each line one more than the one before.
#[derive(Clone, Default)]
struct Reading {
    lines: Arc<AtomicU64>,
    over: Arc<AtomicU64>,
}

impl Reading {
    fn read(&self, mut body: Incoming) {
        let reading = self.clone();
        tokio::spawn(async move {
            let (mut next, mut rest) = (0_u64, String::new());
            while let Some(Ok(frame)) = body.frame().await {
                rest.push_str(std::str::from_utf8(frame.data_ref().expect("data")).expect("text"));
                while let Some((line, more)) = rest.split_once('\n') {
                    assert_eq!(line.parse(), Ok(next), "a line is missing");
                    (next, rest) = (next + 1, more.to_owned());
                    reading.lines.fetch_add(1, Ordering::Relaxed);
                }
            }
            reading.over.fetch_add(1, Ordering::Relaxed);
        });
    }

    async fn goes_on(&self) {
        let so_far = self.lines.load(Ordering::Relaxed);
        eventually("lines of all streams", || async {
            (self.lines.load(Ordering::Relaxed) > so_far + 1_000).then_some(())
        })
        .await;
        assert_eq!(self.over.load(Ordering::Relaxed), 0, "a stream has ended");
    }
}

/// Forty streams by HTTP/2 over four connections, and four by HTTP/1.1.
async fn streams(site: &Site) -> Reading {
    let reading = Reading::default();
    for _ in 0..4 {
        let io = TokioIo::new(connect(site, b"h2").await);
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io)
            .await
            .expect("HTTP/2");
        tokio::spawn(connection);
        for _ in 0..10 {
            let answer = sender
                .send_request(ticks(http::Version::HTTP_2))
                .await
                .expect("an answer");
            reading.read(answer.into_body());
        }
        let io = TokioIo::new(connect(site, b"http/1.1").await);
        let (mut sender, connection) = http1::handshake(io).await.expect("HTTP/1.1");
        tokio::spawn(connection);
        let answer = sender
            .send_request(ticks(http::Version::HTTP_11))
            .await
            .expect("an answer");
        reading.read(answer.into_body());
        // The sender is what keeps the connection open.
        std::mem::forget(sender);
    }
    reading
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_changes_disturbs_no_stream_and_is_shown_to_who_comes_next() {
    let site = Site::start(&[]).await;
    let reading = streams(&site).await;
    for _ in 0..3 {
        let new = certify(site.folder.path());
        eventually("the new certificate", || async {
            (shown(&site).await == new).then_some(())
        })
        .await;
        reading.goes_on().await;
    }
    assert!(site.counted("foghorn_certificate_reads_total", "result=\"ok\"") >= 3.0);

    let last = shown(&site).await;
    std::fs::write(site.folder.path().join("cert.pem"), "no certificate").expect("written");
    eventually("the fault counted", || async {
        (site.counted("foghorn_certificate_reads_total", "result=\"unusable\"") >= 1.0)
            .then_some(())
    })
    .await;
    assert_eq!(shown(&site).await, last, "the former one stays in use");
    reading.goes_on().await;
    site.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_reads_the_files_again_though_nothing_shows_that_they_changed() {
    let site = Site::start(&[]).await;
    let first = shown(&site).await;
    let reads = site.counted("foghorn_certificate_reads_total", "");
    site.running
        .reload(&crate::site::config(site.folder.path(), &[]));
    eventually("a reading", || async {
        (site.counted("foghorn_certificate_reads_total", "") > reads).then_some(())
    })
    .await;
    assert_eq!(shown(&site).await, first);
    site.running.stop().await;
}
