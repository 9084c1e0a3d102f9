//! What Redis has wrong: each is found as a node would meet it, named with its address, and mended by the line that is
//! printed, which is about nothing else.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use super::common::ports::free_port;
use super::common::process::{self, Process, need};
use super::common::redis::Redis;
use super::{Report, acl_line, foghorn, run};

/// One report on these shards alone, with these variables besides.
async fn look_with(urls: &str, more: &[(&str, &str)]) -> Report {
    let mut command = foghorn(&["doctor", "--json", "--inner", "http://127.0.0.1:1"]);
    command
        .env("FOGHORN_REDIS_URLS", urls)
        .envs(more.iter().copied());
    let (_, text) = run(command).await;
    assert!(!text.contains("-secret"), "a password is shown: {text}");
    for debug in [
        "Os {",
        "Custom {",
        "ConnectionRefused",
        "UnknownIssuer",
        "Missing primary",
    ] {
        assert!(!text.contains(debug), "{debug}: {text}");
    }
    Report(serde_json::from_str(&text).unwrap_or_else(|e| panic!("not JSON ({e}): {text}")))
}

async fn look(urls: &str) -> Report {
    look_with(urls, &[]).await
}

/// Panics unless `check` failed and says all of this.
fn failed(report: &Report, check: &str, parts: &[&str]) {
    let said = report.expect("redis", check, "fail");
    for part in parts {
        assert!(said.contains(part), "{part:?} in {said}");
    }
}

fn well(report: &Report) {
    for check in ["connect", "rights", "events"] {
        report.expect("redis", check, "ok");
    }
}

#[tokio::test]
#[ignore = "needs redis"]
async fn a_user_lacks_a_right_and_the_line_that_is_printed_gives_it() {
    let redis = Redis::start().await;
    let rights = ["reset", "on", ">rights-secret", "+ping", "+auth", "+hello"];
    redis
        .command(&[&["ACL", "SETUSER", "fog"], &rights[..]].concat())
        .await;
    let url = format!("redis://fog:rights-secret@127.0.0.1:{}", redis.port());
    // Neither the commands nor, when it has those, the channels.
    for missing in [&["+subscribe", "+publish"][..], &["&foghorn*"]] {
        let report = look(&url).await;
        failed(&report, "rights", &["the user fog may not use", missing[0]]);
        let said = report.expect("redis", "rights", "fail");
        let words = acl_line(&said);
        assert_eq!(words[3..], *missing, "{said}");
        assert_eq!(redis.command(&words).await, "+OK\r\n");
    }
    well(&look(&url).await);
    let other = look_with(&url, &[("FOGHORN_REDIS_PREFIX", "cloud-b")]).await;
    failed(&other, "rights", &["ACL SETUSER fog &cloud-b*"]);
}

#[tokio::test]
#[ignore = "needs redis"]
async fn passwords_wrong_missing_and_not_wanted() {
    let redis = Redis::with(&["--requirepass", "redis-secret"]).await;
    let (port, open) = (redis.port(), Redis::start().await);
    well(&look(&format!("redis://:redis-secret@127.0.0.1:{port}")).await);
    failed(
        &look(&format!("redis://:other-secret@127.0.0.1:{port}")).await,
        "connect",
        &["refuses the password of user default", "redis://:PASSWORD@"],
    );
    failed(
        &look(&redis.url()).await,
        "connect",
        &["wants a password, and none is given", "redis://:PASSWORD@"],
    );
    // A node lives with a password that is not wanted, and so does doctor, but not in silence.
    let needless = look(&format!("redis://:not-secret@127.0.0.1:{}", open.port())).await;
    well(&needless);
    let said = needless.expect("redis", "password", "warn");
    assert!(
        said.contains("has no password, and one is given")
            && said.contains(&format!("FOGHORN_REDIS_URLS={} ", open.url())),
        "{said}"
    );
    let number = port.to_string();
    let seafiles = [
        ("REDIS_HOST", "127.0.0.1"),
        ("REDIS_PORT", &*number),
        ("REDIS_PASSWORD", "not-secret"),
    ];
    let report = look_with("", &seafiles).await;
    failed(&report, "connect", &["REDIS_PASSWORD="]);
    assert!(
        !report
            .expect("redis", "connect", "fail")
            .contains("FOGHORN_REDIS_URLS")
    );
}

#[tokio::test]
#[ignore = "needs redis"]
async fn servers_that_are_something_else() {
    let (master, nobody) = (Redis::start().await, free_port());
    let replica = Redis::with(&["--replicaof", "127.0.0.1", &master.port().to_string()]).await;
    failed(
        &look(&replica.url()).await,
        "role",
        &[
            "is a replica of 127.0.0.1:",
            &format!("FOGHORN_REDIS_URLS={}", master.url()),
        ],
    );
    failed(
        &look(&format!("redis://127.0.0.1:{nobody}")).await,
        "connect",
        &[
            &format!("127.0.0.1:{nobody}: connection refused"),
            "FOGHORN_REDIS_URLS=",
        ],
    );
    failed(
        &look("redis://no-such-host.invalid").await,
        "connect",
        &["no-such-host.invalid:6379: the name cannot be resolved"],
    );
    failed(
        &look(&format!("redis-cluster://127.0.0.1:{}", master.port())).await,
        "connect",
        &["is not part of a Redis Cluster", &master.url()],
    );
    failed(
        &look(&format!(
            "redis-sentinel://127.0.0.1:{}/main",
            master.port()
        ))
        .await,
        "connect",
        &["is no Sentinel", &master.url()],
    );
    // Channels are the same in all databases: a number only tells installations apart.
    well(&look(&format!("{}/99", master.url())).await);
    let node = super::Node::start().await;
    failed(
        &look(&format!("redis://127.0.0.1:{}", node.port())).await,
        "connect",
        &["is no Redis; it says \"HTTP/1.1"],
    );

    // Full memory is nothing to a carrier: what is published is heard.
    let full = Redis::with(&["--maxmemory", "100kb", "--maxmemory-policy", "noeviction"]).await;
    assert!(
        full.command(&["SET", "a", "b"]).await.starts_with("-OOM"),
        "its memory is full"
    );
    well(&look(&full.url()).await);
}

/// A Sentinel of its own over `master`.
async fn sentinel(master: &Redis, more: &str) -> (Process, TempDir, u16) {
    let (folder, port) = (tempfile::tempdir().expect("a folder"), free_port());
    let file = folder.path().join("sentinel.conf");
    let text = format!(
        "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor main 127.0.0.1 {} 1\n{more}\n",
        folder.path().display(),
        master.port()
    );
    std::fs::write(&file, text).expect("writing");
    let mut command = process::command(&need("redis-server", "redis-server"));
    command.arg(&file).arg("--sentinel");
    let mut process = Process::start("sentinel", command, &folder.path().join("output"));
    process.listening(port).await;
    (process, folder, port)
}

#[tokio::test]
#[ignore = "needs redis"]
async fn sentinels_by_the_wrong_url_name_or_password() {
    let master = Redis::start().await;
    let (_process, _folder, port) = sentinel(&master, "").await;
    well(&look(&format!("redis-sentinel://127.0.0.1:{port}/main")).await);
    let line = format!("redis-sentinel://127.0.0.1:{port}/main");
    failed(
        &look(&format!("redis://127.0.0.1:{port}")).await,
        "connect",
        &[
            "is a Sentinel, which carries no events; it knows main",
            &line,
        ],
    );
    failed(
        &look(&format!("redis-sentinel://127.0.0.1:{port}/mian")).await,
        "connect",
        &["no master called \"mian\"; it knows main", &line],
    );
    let two = look(&format!(
        "redis-sentinel://127.0.0.1:1,127.0.0.1:{port}/main"
    ))
    .await;
    well(&two);
    assert!(
        two.expect("redis", "hosts", "warn")
            .contains("127.0.0.1:1: connection refused")
    );

    let (_process, _folder, port) = sentinel(&master, "requirepass sentinel-secret").await;
    failed(
        &look(&format!("redis-sentinel://127.0.0.1:{port}/main")).await,
        "connect",
        &[
            "(a Sentinel) wants a password",
            "?sentinelPassword=PASSWORD",
        ],
    );
    well(
        &look(&format!(
            "redis-sentinel://127.0.0.1:{port}/main?sentinelPassword=sentinel-secret"
        ))
        .await,
    );
}

#[tokio::test]
#[ignore = "needs redis"]
async fn a_cluster_and_one_of_its_servers_alone() {
    // Its bus would be at a port that connections of others may have.
    let bus = free_port().to_string();
    let server = Redis::with(&[
        "--cluster-enabled",
        "yes",
        "--cluster-port",
        &bus,
        "--cluster-announce-ip",
        "127.0.0.1",
    ])
    .await;
    let url = format!("redis-cluster://127.0.0.1:{}", server.port());
    failed(
        &look(&url).await,
        "connect",
        &["does not serve all of its slots", "CLUSTER INFO"],
    );
    server
        .command(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"])
        .await;
    super::eventually("a cluster that serves", || async {
        server
            .command(&["CLUSTER", "INFO"])
            .await
            .contains("cluster_state:ok")
            .then_some(())
    })
    .await;
    well(&look(&url).await);
    let alone = look(&server.url()).await;
    assert!(
        alone
            .expect("redis", "role", "warn")
            .contains(&format!("FOGHORN_REDIS_URLS={url}"))
    );
    server
        .command(&["CONFIG", "SET", "cluster-announce-ip", "127.0.0.9"])
        .await;
    server
        .command(&["CONFIG", "SET", "cluster-announce-port", "1"])
        .await;
    failed(
        &look(&url).await,
        "connect",
        &[
            "sends its clients to \"127.0.0.9:1\"",
            "cluster-announce-ip",
        ],
    );
}

/// An authority, and a certificate of it for `name`, in PEM files of this folder.
pub fn certificates(folder: &Path, name: &str) {
    let (ca_key, key) = (
        KeyPair::generate().expect("a key"),
        KeyPair::generate().expect("a key"),
    );
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // Else both have one name, and OpenSSL takes the other certificate for one that signed itself.
    authority
        .distinguished_name
        .push(DnType::CommonName, "authority");
    let write =
        |file: &str, text: String| std::fs::write(folder.join(file), text).expect("writing");
    write(
        "ca.pem",
        authority.self_signed(&ca_key).expect("a certificate").pem(),
    );
    let leaf = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    write(
        "cert.pem",
        leaf.signed_by(&key, &Issuer::new(authority, ca_key))
            .expect("a certificate")
            .pem(),
    );
    write("key.pem", key.serialize_pem());
}

/// A Redis that speaks TLS, for `name`, and its port for it.
async fn tls(name: &str, clients: &str) -> (Redis, TempDir, u16) {
    let (folder, port) = (tempfile::tempdir().expect("a folder"), free_port());
    certificates(folder.path(), name);
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (cert, key, ca) = (file("cert.pem"), file("key.pem"), file("ca.pem"));
    let files = [
        "--tls-cert-file",
        &cert,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &ca,
    ];
    let rest = [
        "--tls-port",
        &port.to_string(),
        "--tls-auth-clients",
        clients,
    ];
    let redis = Redis::with(&[&files[..], &rest[..]].concat()).await;
    (redis, folder, port)
}

#[tokio::test]
#[ignore = "needs redis"]
async fn tls_faults_get_tls_advice() {
    let (redis, folder, port) = tls("localhost", "no").await;
    let ca = folder.path().join("ca.pem").display().to_string();
    let trusted = [("SSL_CERT_FILE", ca.as_str())];
    let secure = format!("rediss://localhost:{port}");
    well(&look_with(&secure, &trusted).await);
    failed(
        &look(&secure).await,
        "connect",
        &["authority that is not trusted here", "FOGHORN_REDIS_CA="],
    );
    let by_number = look_with(&format!("rediss://127.0.0.1:{port}"), &trusted).await;
    failed(
        &by_number,
        "connect",
        &["asked by, but for localhost", &secure],
    );
    failed(
        &look(&format!("redis://localhost:{port}")).await,
        "connect",
        &["speaks TLS, and the URL says", &secure],
    );
    let plain = format!("localhost:{}", redis.port());
    failed(
        &look(&format!("rediss://{plain}")).await,
        "connect",
        &["does not speak TLS", &format!("redis://{plain}")],
    );

    let (_redis, folder, port) = tls("localhost", "yes").await;
    let ca = folder.path().join("ca.pem").display().to_string();
    let report = look_with(
        &format!("rediss://localhost:{port}"),
        &[("SSL_CERT_FILE", &ca)],
    )
    .await;
    failed(
        &report,
        "connect",
        &["certificate of the client", "FOGHORN_REDIS_CERT="],
    );
    // What was advised, given.
    let [cert, key] =
        ["cert.pem", "key.pem"].map(|name| folder.path().join(name).display().to_string());
    let advised = [
        ("FOGHORN_REDIS_CA", ca.as_str()),
        ("FOGHORN_REDIS_CERT", &cert),
        ("FOGHORN_REDIS_KEY", &key),
    ];
    well(&look_with(&format!("rediss://localhost:{port}"), &advised).await);
}
