//! The console and the API ask for a password, are not served to the world without one, and speak TLS with whatever
//! certificate lies there.

mod common;

use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::eventually;
use common::http;
use common::node::Plan;
use rcgen::{CertificateParams, KeyPair};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

const GUARDED: &[&str] = &[
    "/nodes",
    "/api/v1/nodes",
    "/api/v1/overview",
    "/api/v1/tail",
    "/api/v1/openapi.json",
];
const OPEN: &[&str] = &["/livez", "/readyz", "/metrics"];
/// Open where it can ask for the password itself.
const PAGE: &[&str] = &["/console", "/console/console.js"];

fn basic(password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("anyone:{password}")))
}

#[tokio::test]
async fn what_shows_or_does_something_needs_the_password_and_probes_do_not() {
    let plan = Plan::new()
        .env("FOGHORN_OPS_PASSWORD", "pass:word")
        .env("FOGHORN_OPS_TOKEN", "a-token");
    let node = plan.start().await;
    let get = async |path: &str, authorization: &str| {
        http::request(
            node.ops(),
            "GET",
            path,
            &[("Authorization", authorization)],
            None,
        )
        .await
    };
    for path in OPEN.iter().chain(PAGE) {
        http::get(node.ops(), path).await.expect(200);
    }
    for path in GUARDED {
        let refused = http::get(node.ops(), path).await.expect(401).json();
        assert_eq!(
            (&refused["error"], &refused["accepts"]),
            (&json!("no_credentials"), &json!(["password", "token"]))
        );
        get(path, &basic("wrong")).await.expect(401);
        get(path, "Bearer pass:word").await.expect(401);
        if *path != "/api/v1/tail" {
            get(path, &basic("pass:word")).await.expect(200);
            get(path, "Bearer a-token").await.expect(200);
        }
    }
    for path in ["/api/v1/events", "/api/v1/disconnect", "/api/v1/token"] {
        http::request(node.ops(), "POST", path, &[], Some(b"{}"))
            .await
            .expect(401);
        let password = basic("pass:word");
        let form = [
            ("Authorization", password.as_str()),
            ("Content-Type", "text/plain"),
        ];
        http::request(node.ops(), "POST", path, &form, Some(b"{}"))
            .await
            .expect(415);
        let json = [
            ("Authorization", password.as_str()),
            ("Content-Type", "application/json"),
        ];
        http::request(node.ops(), "POST", path, &json, Some(b"{}"))
            .await
            .expect(400);
        let foreign = [json[0], json[1], ("Sec-Fetch-Site", "cross-site")];
        http::request(node.ops(), "POST", path, &foreign, Some(b"{}"))
            .await
            .expect(403);
    }
    node.counted(
        "foghorn_ops_refused_total",
        "reason=\"wrong_credentials\"",
        2.0,
    )
    .await;
    let log = node.log_so_far().await;
    assert!(!log.contains("pass:word") && !log.contains("a-token"));
}

/// A browser that is asked for Basic opens its own dialog: only where that can be answered.
#[tokio::test]
async fn only_what_is_accepted_is_asked_for() {
    for (name, challenge, kind) in [
        ("FOGHORN_OPS_PASSWORD", "Basic ", "password"),
        ("FOGHORN_OPS_TOKEN", "Bearer ", "token"),
    ] {
        let node = Plan::new().env(name, "secret").start().await;
        let refused = http::get(node.ops(), "/nodes").await.expect(401);
        assert!(
            refused.headers["www-authenticate"].starts_with(challenge),
            "{refused:?}"
        );
        assert_eq!(refused.json()["accepts"], json!([kind]));
    }
}

#[tokio::test]
async fn passwords_may_lie_in_files_that_a_hangup_reads_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let [password, token] = ["password", "token"].map(|name| folder.path().join(name));
    let write = |path: &Path, text: &str| std::fs::write(path, text).expect("writing");
    write(&password, "first\n");
    write(&token, "token-1\r\n");
    let plan = Plan::new().env("FOGHORN_OPS_PASSWORD_FILE", &password.display().to_string());
    let mut node = plan
        .env("FOGHORN_OPS_TOKEN_FILE", &token.display().to_string())
        .start()
        .await;
    let ops = node.ops();
    let get = async |authorization: &str| {
        http::request(
            ops,
            "GET",
            "/nodes",
            &[("Authorization", authorization)],
            None,
        )
        .await
        .status
    };
    assert_eq!(
        (get(&basic("first")).await, get("Bearer token-1").await),
        (200, 200)
    );

    write(&password, "second");
    write(&token, "token-2");
    node.process().signal("HUP");
    eventually("the new password", || async {
        (get(&basic("second")).await == 200).then_some(())
    })
    .await;
    assert_eq!(
        [
            get(&basic("first")).await,
            get("Bearer token-1").await,
            get("Bearer token-2").await
        ],
        [401, 401, 200]
    );
    let log = node.process().logged("configuration read again").await;
    assert!(
        log.contains("FOGHORN_OPS_PASSWORD_FILE, FOGHORN_OPS_TOKEN_FILE")
            && !log.contains("second"),
        "{log}"
    );

    // An emptied file does not open the address to everybody: nothing changes.
    write(&password, "\n");
    node.process().signal("HUP");
    node.process().logged("not read again").await;
    assert_eq!(
        (get(&basic("second")).await, get(&basic("")).await),
        (200, 401)
    );
}

#[tokio::test]
async fn without_a_password_only_this_machine_is_served() {
    let plan = Plan::new();
    let here = plan.start().await;
    for path in GUARDED
        .iter()
        .chain(PAGE)
        .filter(|path| **path != "/api/v1/tail")
    {
        http::get(here.ops(), path).await.expect(200);
        let other = [("Host", "rebound.example:80")];
        http::request(here.ops(), "GET", path, &other, None)
            .await
            .expect(403);
    }
    let port = common::ports::free_port();
    let plan = Plan::on(common::ports::free_port(), port)
        .env("FOGHORN_OPS_ADDR", &format!("0.0.0.0:{port}"));
    let everywhere = plan.start().await;
    for path in GUARDED.iter().chain(PAGE) {
        let refused = http::get(everywhere.ops(), path).await.expect(403);
        assert!(
            refused.body.contains("FOGHORN_OPS_PASSWORD"),
            "{}",
            refused.body
        );
    }
    for path in OPEN {
        http::get(everywhere.ops(), path).await.expect(200);
    }
}

#[tokio::test]
async fn every_answer_carries_the_headers_that_browsers_heed() {
    let node = Plan::new().start().await;
    for path in OPEN.iter().chain(PAGE).chain(&["/nodes", "/nothing-here"]) {
        let answer = http::get(node.ops(), path).await;
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(
                answer.headers.get(name).map(String::as_str),
                Some(value),
                "{name} of {path}"
            );
        }
        assert!(
            answer.headers["content-security-policy"].contains("default-src 'none'"),
            "{path}"
        );
    }
}

/// Writes a new certificate for `localhost`, signed by itself.
fn certificate(folder: &Path) -> CertificateDer<'static> {
    let key = KeyPair::generate().expect("a key");
    let made = CertificateParams::new(vec!["localhost".to_owned()])
        .expect("a name")
        .self_signed(&key);
    let made = made.expect("a certificate");
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).expect("writing");
    std::fs::write(folder.join("cert.pem"), made.pem()).expect("writing");
    made.der().clone()
}

/// `GET /livez` from a server whose certificate must be `trusted`.
async fn livez(port: u16, trusted: &CertificateDer<'static>) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).expect("a certificate");
    let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let name = ServerName::try_from("localhost").expect("a name");
    let mut stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await?;
    stream
        .write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await?;
    let mut answer = String::new();
    // The server may leave out TLS' own goodbye.
    let _ = stream.read_to_string(&mut answer).await;
    Ok(answer)
}

#[tokio::test]
async fn the_ops_address_speaks_tls_and_takes_a_new_certificate_without_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = certificate(folder.path());
    let file = |name: &str| folder.path().join(name).display().to_string();
    let plan = Plan::new()
        .env("FOGHORN_OPS_TLS_CERT", &file("cert.pem"))
        .env("FOGHORN_OPS_TLS_KEY", &file("key.pem"));
    let node = plan.launch();
    let ops = node.ops();
    let speaks = async |trusted: &CertificateDer<'static>| {
        livez(ops, trusted)
            .await
            .is_ok_and(|answer| answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok\n"))
    };
    eventually("TLS", || async { speaks(&first).await.then_some(()) }).await;
    assert!(
        http::try_request(ops, "GET", "/livez", &[], None)
            .await
            .is_none_or(|answer| answer.status != 200)
    );

    // A file that is only half there changes nothing.
    std::fs::write(folder.path().join("cert.pem"), "nonsense").expect("writing");
    eventually("a complaint", || async {
        assert!(speaks(&first).await);
        node.log()
            .contains("the former one stays in use")
            .then_some(())
    })
    .await;
    let second = certificate(folder.path());
    eventually("the new certificate", || async {
        speaks(&second).await.then_some(())
    })
    .await;
    assert!(!speaks(&first).await);
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_keeps_the_node_from_starting() {
    let folder = tempfile::tempdir().expect("a folder");
    certificate(folder.path());
    let cert = folder.path().join("cert.pem").display().to_string();
    let plan = || Plan::new().env("FOGHORN_OPS_TLS_CERT", &cert);
    let (_, said) = plan().refused().await;
    assert!(said.contains("FOGHORN_OPS_TLS_KEY"), "{said}");
    let (_, said) = plan().env("FOGHORN_OPS_TLS_KEY", &cert).refused().await;
    assert!(
        said.contains("FOGHORN_OPS_TLS_CERT, FOGHORN_OPS_TLS_KEY: cannot read"),
        "{said}"
    );
}
