//! What every command says of a server whose certificate is not to be trusted, or that does not speak TLS.

use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto};

use super::{all, case};

/// A server that speaks TLS for `name` until `year`, and wants certificates of its clients where `clients` says so.
async fn tls_server(folder: &Path, name: &str, year: i32, clients: bool) -> u16 {
    let (ca_key, key) = (
        KeyPair::generate().expect("a key"),
        KeyPair::generate().expect("a key"),
    );
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority
        .distinguished_name
        .push(DnType::CommonName, "authority");
    let root = authority.self_signed(&ca_key).expect("a certificate");
    std::fs::write(folder.join("ca.pem"), root.pem()).expect("writing");
    let mut leaf = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    (leaf.not_before, leaf.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(year, 1, 1));
    let leaf = leaf
        .signed_by(&key, &Issuer::new(authority, ca_key))
        .expect("a certificate");
    let provider = Arc::new(crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions();
    let builder = builder.expect("versions");
    let builder = if clients {
        let mut roots = RootCertStore::empty();
        roots.add(root.der().clone()).expect("a root");
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .expect("a verifier");
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = builder
        .with_single_cert(vec![leaf.der().clone()], key)
        .expect("a key pair");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let port = listener.local_addr().expect("an address").port();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            // How a client likes it is the client's to say.
            tokio::spawn(async move { drop(acceptor.accept(stream).await) });
        }
    });
    port
}

#[tokio::test]
async fn tls_faults_get_tls_advice_from_every_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let ca = folder.path().join("ca.pem").display().to_string();
    let trusted = [("SSL_CERT_FILE", ca.as_str())];
    let port = tls_server(folder.path(), "localhost", 2100, false).await;
    let (by_name, by_number) = (
        format!("https://localhost:{port}/notification"),
        format!("https://127.0.0.1:{port}/notification"),
    );
    let plain = format!("http://localhost:{port}/notification");
    all(vec![
        case(
            &["doctor", "--url", &by_name],
            &[],
            &[
                "signed by an authority that is not trusted here",
                "SSL_CERT_FILE=AUTHORITY.pem",
                "FULLCHAIN",
            ],
        ),
        case(
            &["doctor", "--url", &by_number],
            &trusted,
            &[
                "not for the name it is asked by, but for localhost",
                "NOTIFICATION_SERVER_URL=https://localhost/notification",
            ],
        ),
        case(
            &["doctor", "--url", &plain],
            &[],
            &[
                "does not answer as an HTTP server does",
                &format!("NOTIFICATION_SERVER_URL=https://localhost:{port}/notification"),
            ],
        ),
        case(
            &["nodes", "--url", &by_name],
            &[],
            &["signed by an authority that is not trusted here"],
        ),
    ])
    .await;
    let port = tls_server(folder.path(), "localhost", 2021, false).await;
    let url = format!("https://localhost:{port}/notification");
    all(vec![case(
        &["doctor", "--url", &url],
        &trusted,
        &["its certificate has expired", "certbot renew"],
    )])
    .await;
    let port = tls_server(folder.path(), "localhost", 2100, true).await;
    let url = format!("https://localhost:{port}/notification");
    all(vec![case(
        &["doctor", "--url", &url],
        &trusted,
        &["wants a certificate of the client", "ssl_verify_client off"],
    )])
    .await;
}
