//! `rediss://` with a login: the certificate is checked against the system's, the password is used and never shown.

use std::path::Path;
use std::process::{Command, Output};

use super::node::{Node, config};
use super::servers::{Redis, free_port};

const URL: &str = "FOGHORN_TEST_TLS_URL";

fn openssl(dir: &Path, args: &[&str]) -> Output {
    Command::new("openssl").current_dir(dir).args(args).output().expect("openssl is installed")
}

/// Runs in a process of its own, whose certificates are the test's.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by another test"]
async fn over_tls() {
    let Ok(url) = std::env::var(URL) else { return };
    let (one, two) = (Node::up(config(&url, 4)).await, Node::up(config(&url, 4)).await);
    for number in 0..50 {
        one.publish_confirmed("a", number).await;
    }
    two.expect(&["a"], 50).await;
    assert!(one.broker.health().shards.iter().all(|shard| !shard.name.contains("s3cret")));
}

#[test]
#[ignore = "needs redis-server"]
fn events_flow_over_tls_with_a_login() {
    let dir = tempfile::tempdir().unwrap();
    let authority = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=authority"];
    openssl(dir.path(), &[&authority[..], &["-keyout", "ca.key", "-out", "ca.pem"]].concat());
    std::fs::write(dir.path().join("names"), "subjectAltName=IP:127.0.0.1,DNS:localhost").unwrap();
    openssl(
        dir.path(),
        &["req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=redis", "-keyout", "key", "-out", "csr"],
    );
    let sign = ["x509", "-req", "-in", "csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"];
    openssl(dir.path(), &[&sign[..], &["-extfile", "names", "-out", "cert"]].concat());
    let (file, port) = (|name: &str| dir.path().join(name).display().to_string(), free_port());
    let tls = ["--tls-port", &port.to_string(), "--tls-cert-file", &file("cert"), "--tls-key-file", &file("key")];
    let rest = ["--tls-auth-clients", "no", "--user", "foghorn", "on", ">s3cret", "~*", "&*", "+@all"];
    let _redis = Redis::start(&[&tls[..], &rest[..]].concat());
    let run = |login: &str| {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tls::over_tls", "--include-ignored"])
            .env("SSL_CERT_FILE", file("ca.pem"))
            .env(URL, format!("rediss://{login}@127.0.0.1:{port}/1"))
            .output()
            .unwrap()
    };
    let output = run("foghorn:s3cret");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
