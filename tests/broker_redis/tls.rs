//! TLS: the certificate is checked against the system's authorities or against one's own, a certificate is shown where
//! Redis wants one, logins are used and never shown, and Sentinels are spoken with in the same way.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use foghorn::broker::redis::{Certificates, Config, examine};

use super::node::{Node, config};
use super::servers::{Redis, free_port, program};

const URL: &str = "FOGHORN_TEST_TLS_URL";

fn openssl(dir: &Path, args: &[&str]) -> Output {
    let output = Command::new("openssl")
        .current_dir(dir)
        .args(args)
        .output()
        .expect("openssl is installed");
    assert!(
        output.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// An authority of the test's own, a certificate for 127.0.0.1 and one for a client.
struct Authority(tempfile::TempDir);

impl Authority {
    fn make() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = [
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=authority",
        ];
        openssl(
            dir.path(),
            &[&authority[..], &["-keyout", "ca.key", "-out", "ca.pem"]].concat(),
        );
        std::fs::write(
            dir.path().join("names"),
            "subjectAltName=IP:127.0.0.1,DNS:localhost",
        )
        .unwrap();
        for (name, key) in [("cert", "key"), ("client", "client.key")] {
            let subject = format!("/CN={name}");
            let ask = [
                "req", "-newkey", "rsa:2048", "-nodes", "-subj", &subject, "-keyout", key, "-out",
                "csr",
            ];
            openssl(dir.path(), &ask);
            let sign = [
                "x509",
                "-req",
                "-in",
                "csr",
                "-CA",
                "ca.pem",
                "-CAkey",
                "ca.key",
                "-CAcreateserial",
                "-days",
                "2",
            ];
            openssl(
                dir.path(),
                &[&sign[..], &["-extfile", "names", "-out", name]].concat(),
            );
        }
        Self(dir)
    }

    fn file(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    /// Options for a server that speaks TLS on `port`.
    fn options(&self, port: u16, wants_clients: &str) -> Vec<String> {
        let pairs = [
            ("--tls-port", port.to_string()),
            ("--tls-cert-file", self.file("cert")),
            ("--tls-key-file", self.file("key")),
            ("--tls-ca-cert-file", self.file("ca.pem")),
            ("--tls-auth-clients", wants_clients.to_owned()),
        ];
        pairs
            .into_iter()
            .flat_map(|(name, value)| [name.to_owned(), value])
            .collect()
    }

    fn server(&self, port: u16, wants_clients: &str, more: &[&str]) -> Redis {
        let options = self.options(port, wants_clients);
        let options: Vec<&str> = options
            .iter()
            .map(String::as_str)
            .chain(more.iter().copied())
            .collect();
        Redis::start(&options)
    }

    /// A node's configuration that trusts this authority alone, and shows a certificate if `known`.
    fn config(&self, url: &str, known: bool) -> Config {
        let mut config = config(url, 4);
        let own = known.then(|| (self.file("client").into(), self.file("client.key").into()));
        config.shards[0].certificates = Certificates {
            ca: Some(self.file("ca.pem").into()),
            own,
        };
        config
    }
}

async fn events_flow(config: Config) {
    let (one, two) = (Node::up(config.clone()).await, Node::up(config).await);
    for number in 0..50 {
        one.publish_confirmed("a", number).await;
    }
    two.expect(&["a"], 50).await;
    assert!(
        one.broker
            .health()
            .shards
            .iter()
            .all(|shard| !shard.name.contains("s3cret"))
    );
}

/// Runs in a process of its own, whose certificates are the test's.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by another test"]
async fn over_tls() {
    let Ok(url) = std::env::var(URL) else { return };
    events_flow(config(&url, 4)).await;
}

#[test]
#[ignore = "needs redis-server"]
fn events_flow_over_tls_with_a_login() {
    let (authority, port) = (Authority::make(), free_port());
    let _redis = authority.server(
        port,
        "no",
        &["--user", "foghorn", "on", ">s3cret", "~*", "&*", "+@all"],
    );
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tls::over_tls", "--include-ignored"])
        .env("SSL_CERT_FILE", authority.file("ca.pem"))
        .env(URL, format!("rediss://foghorn:s3cret@127.0.0.1:{port}/1"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn a_private_authority_and_a_client_certificate_are_settings() {
    let (authority, port) = (Authority::make(), free_port());
    let _redis = authority.server(port, "yes", &["--requirepass", "s3cret"]);
    let url = format!("rediss://:s3cret@127.0.0.1:{port}");
    events_flow(authority.config(&url, true)).await;
    let stranger = examine(&authority.config(&url, false).shards[0], "foghorn").await;
    assert_eq!(
        stranger.as_ref().map_err(|error| error.label()),
        Err("tls"),
        "a Redis that wants certificates took none: {stranger:?}"
    );
    let distrustful = examine(&config(&url, 4).shards[0], "foghorn").await;
    assert_eq!(
        distrustful.as_ref().map_err(|error| error.label()),
        Err("tls"),
        "a certificate of nobody known was taken: {distrustful:?}"
    );
}

/// A Sentinel that speaks TLS and has a password of its own; it ends with the test.
struct Sentinel {
    process: Child,
    _dir: tempfile::TempDir,
}

impl Sentinel {
    fn start(authority: &Authority, port: u16, master: u16) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = authority.options(port, "yes");
        let mut lines: Vec<String> = options
            .chunks(2)
            .map(|pair| format!("{} {}", &pair[0][2..], pair[1]))
            .collect();
        lines.extend([
            "port 0".to_owned(),
            "bind 127.0.0.1".to_owned(),
            "tls-replication yes".to_owned(),
            "requirepass sent1nel".to_owned(),
            format!("sentinel monitor main 127.0.0.1 {master} 1"),
            "sentinel auth-pass main s3cret".to_owned(),
        ]);
        let file = dir.path().join("sentinel.conf");
        std::fs::write(&file, lines.join("\n")).unwrap();
        let child = Command::new(program())
            .arg(file)
            .arg("--sentinel")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            process: child,
            _dir: dir,
        }
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn sentinels_speak_tls_too_and_have_a_login_of_their_own() {
    let (authority, port, watch) = (Authority::make(), free_port(), free_port());
    let _redis = authority.server(port, "yes", &["--requirepass", "s3cret"]);
    let _sentinel = Sentinel::start(&authority, watch, port);
    let url = |password: &str| {
        format!("rediss-sentinel://:s3cret@127.0.0.1:{watch}/main?sentinelPassword={password}")
    };
    events_flow(authority.config(&url("sent1nel"), true)).await;
    let refused = examine(
        &authority.config(&url("another"), true).shards[0],
        "foghorn",
    )
    .await;
    assert_eq!(
        refused.as_ref().map_err(|error| error.label()),
        Err("login"),
        "{refused:?}"
    );
}
