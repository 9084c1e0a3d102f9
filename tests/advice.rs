//! What is said when something is wrong: each situation that a user may bring about, and what is said in it, by the commands
//! and by the log. The thing is named (host, port, file, variable), what was expected is, and no text is Rust's own.
//!
//! What doctor says of Redis, of the database and of proxies has tables of its own (`tests/doctor`, `src/cli/doctor/redis`), as
//! what the console says (`src/ops/condition.rs`) and what `publish` refuses (`src/cli/publish/fit.rs`).

mod common;

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use common::node::{Node, Plan, foghorn};
use common::ports::{free_port, free_ports};
use common::redis::Redis;
use common::{library, token};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto};

/// What Rust's `Debug` looks like.
const DEBUG: &[&str] = &[
    "Os {",
    "Custom {",
    "kind:",
    "code:",
    "ErrorKind",
    "Err(",
    "Some(",
    "InvalidCertificate",
    "UnknownIssuer",
    "AlertReceived",
    "Missing primary",
    "Error {",
];

/// One situation: what is run with which variables, and what is said.
struct Case<'a> {
    args: Vec<&'a str>,
    env: Vec<(&'a str, String)>,
    says: Vec<String>,
}

fn case<'a>(args: &[&'a str], env: &[(&'a str, &str)], says: &[&str]) -> Case<'a> {
    Case {
        args: args.to_vec(),
        env: env
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect(),
        says: says.iter().map(|text| (*text).to_owned()).collect(),
    }
}

/// Panics unless `text` says all of this, in words.
fn judge(what: &str, text: &str, says: &[String]) {
    for part in says {
        assert!(
            text.contains(part.as_str()),
            "{what}: no {part:?} in\n{text}"
        );
    }
    for debug in DEBUG {
        assert!(!text.contains(debug), "{what}: {debug:?} in\n{text}");
    }
}

/// Runs all of them; each must fail.
async fn all(cases: Vec<Case<'_>>) {
    for case in cases {
        let mut command = foghorn(&case.args);
        command
            .envs(case.env.iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output().expect("it starts"))
            .await
            .expect("it ends");
        let text = [output.stdout, output.stderr]
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .concat();
        let what = format!("{:?} {:?}", case.args, case.env);
        assert_ne!(output.status.code(), Some(0), "{what}:\n{text}");
        judge(&what, &text, &case.says);
    }
}

#[tokio::test]
async fn a_node_that_cannot_start() {
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let (ops, folder) = (
        format!("127.0.0.1:{port}"),
        tempfile::tempdir().expect("a folder"),
    );
    let file = folder.path().join("none.pem");
    std::fs::write(&file, "no certificate").expect("writing");
    let file = file.display().to_string();
    let free = format!("127.0.0.1:{}", free_port());
    let base = [
        ("JWT_PRIVATE_KEY", token::KEY),
        ("NOTIFICATION_SERVER_HOST", "127.0.0.1"),
        ("FOGHORN_OPS_ADDR", &*free),
        ("NOTIFICATION_SERVER_PORT", "0"),
    ];
    let with = |name: &'static str, value: &str, says: &[&str]| {
        let mut case = case(&[], &base, says);
        case.env.retain(|(given, _)| *given != name);
        case.env.push((name, value.to_owned()));
        case
    };
    let address = format!(
        "cannot listen on 127.0.0.1:{port} (NOTIFICATION_SERVER_HOST, NOTIFICATION_SERVER_PORT)"
    );
    let cases = vec![
        with(
            "NOTIFICATION_SERVER_PORT",
            &port,
            &[&address, "another program has this port"],
        ),
        with(
            "FOGHORN_OPS_ADDR",
            &ops,
            &[
                &format!("cannot listen on {ops} (FOGHORN_OPS_ADDR)"),
                "metadata",
            ],
        ),
        with(
            "NOTIFICATION_SERVER_HOST",
            "192.0.2.1",
            &[
                "192.0.2.1:0",
                "no interface of this machine has this address",
            ],
        ),
        with(
            "NOTIFICATION_SERVER_HOST",
            "no-such-host.invalid",
            &["no-such-host.invalid", "NOTIFICATION_SERVER_HOST"],
        ),
        with(
            "JWT_PRIVATE_KEY_FILE",
            "/nowhere/key",
            &["JWT_PRIVATE_KEY_FILE", "should be a file that exists"],
        ),
        with(
            "SEAFILE_MYSQL_DB_HOST",
            "db",
            &["SEAFILE_MYSQL_DB_USER: is missing", "SEAFILE_MYSQL_DB_HOST"],
        ),
        with(
            "NOTIFICATION_SERVER_PORT",
            "eighty",
            &["NOTIFICATION_SERVER_PORT: is \"eighty\"; it should be a port"],
        ),
        with(
            "FOGHORN_REDIS_URLS",
            "redis-sentinel://a",
            &["FOGHORN_REDIS_URLS"],
        ),
        with(
            "FOGHORN_REDIS_URL",
            "redis://a",
            &["FOGHORN_REDIS_URL", "FOGHORN_REDIS_URLS"],
        ),
    ];
    all(cases).await;
    let tls = [
        &base[..],
        &[
            ("FOGHORN_OPS_TLS_CERT", &*file),
            ("FOGHORN_OPS_TLS_KEY", &*file),
        ],
    ]
    .concat();
    all(vec![
        case(&[], &tls, &["FOGHORN_OPS_TLS_CERT", &file]),
        case(
            &["-l", "/nowhere/foghorn.log"],
            &base,
            &["cannot open the log file /nowhere/foghorn.log"],
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_demonstration_whose_ports_are_taken() {
    // It tries those behind it too.
    let before = free_ports(8);
    let page = before + 1;
    let says = format!("cannot listen on 127.0.0.1:{page} (--port): another program has this port");
    let _taken = TcpListener::bind(("127.0.0.1", page))
        .await
        .expect("a port");
    all(vec![case(
        &["demo", "--port", &page.to_string()],
        &[],
        &[&says],
    )])
    .await;
    // A node's port, not the page's own.
    let before = before.to_string();
    let says = format!(
        "cannot listen on 127.0.0.1:{page}: another program has this port. --port {before} takes the ports {before} to"
    );
    all(vec![case(&["demo", "--port", &before], &[], &[&says])]).await;
}

#[tokio::test]
async fn commands_that_find_nobody_or_somebody_else() {
    let node = Node::start().await;
    let (port, nobody) = (node.port(), free_port());
    let (to_nobody, client) = (
        format!("http://127.0.0.1:{nobody}"),
        format!("http://127.0.0.1:{port}"),
    );
    let secure = format!("https://127.0.0.1:{port}");
    let refused = format!("cannot connect to 127.0.0.1:{nobody}: connection refused");
    let key = [("JWT_PRIVATE_KEY", token::KEY)];
    let library = library();
    let event = [
        "publish",
        "repo-update",
        "commit_id=1",
        "--repo",
        &library,
        "--url",
    ];
    let with = |url| [&event[..], &[url]].concat();
    let no_ops = "is that a node's ops address";
    all(vec![
        case(&with(&to_nobody), &key, &[&refused]),
        case(
            &with("http://no-such-host.invalid:8083"),
            &key,
            &["no-such-host.invalid:8083: the name cannot be resolved"],
        ),
        case(
            &with("cloud.example.com"),
            &key,
            &["--url: \"cloud.example.com\" should be the address of a server"],
        ),
        case(
            &with(&secure),
            &key,
            &["it does not speak TLS on this port"],
        ),
        case(
            &with(&client),
            &[("JWT_PRIVATE_KEY", "another-key-another-key-another-0")],
            &["answered 400", "its JWT_PRIVATE_KEY is another one"],
        ),
        case(&with(&client), &[], &["JWT_PRIVATE_KEY: is not set"]),
        case(&["status", "--url", &to_nobody], &[], &[&refused]),
        case(&["status", "--url", &client], &[], &[no_ops]),
        case(&["nodes", "--url", &to_nobody], &[], &[&refused]),
        case(&["nodes", "--url", &client], &[], &[no_ops]),
        case(
            &["lookup", "--user", "a", "--url", &to_nobody],
            &[],
            &[&refused],
        ),
        case(
            &["disconnect", "--user", "a", "--url", &to_nobody],
            &[],
            &[&refused],
        ),
        case(
            &["doctor", "--inner", &to_nobody],
            &[],
            &[
                &refused,
                &format!("INNER_NOTIFICATION_SERVER_URL={to_nobody}"),
            ],
        ),
        case(
            &["doctor", "--url", &format!("{to_nobody}/notification")],
            &[],
            &[
                &refused,
                &format!("a firewall let 127.0.0.1:{nobody} through?"),
            ],
        ),
        case(
            &["doctor", "--inner", &secure],
            &[],
            &[
                "does not speak TLS",
                &format!("INNER_NOTIFICATION_SERVER_URL=http://127.0.0.1:{port}"),
            ],
        ),
        case(
            &["-l", "x", "nodes"],
            &[],
            &["-l is for `serve` and `check-config`"],
        ),
        case(&["-c", "/", "demo"], &[], &["-c has no meaning here"]),
    ])
    .await;
}

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

/// A node with these Redis URLs says all of this in its log.
async fn logs(urls: &str, env: &[(&str, &str)], says: &[&str]) {
    let mut plan = Plan::new().redis([urls]);
    for (name, value) in env {
        plan = plan.env(name, value);
    }
    let mut node = plan.launch();
    for part in says {
        node.process().logged(part).await;
    }
    let says: Vec<String> = says.iter().map(|part| (*part).to_owned()).collect();
    judge(urls, &node.log(), &says);
}

#[tokio::test]
async fn the_log_says_in_words_that_redis_is_not_there() {
    let nobody = free_port();
    logs(
        &format!("redis://127.0.0.1:{nobody}"),
        &[],
        &["connection refused", &format!("127.0.0.1:{nobody}")],
    )
    .await;
    logs(
        "redis://no-such-host.invalid",
        &[],
        &["the name cannot be resolved", "no-such-host.invalid:6379"],
    )
    .await;
    logs(
        &format!("redis-sentinel://127.0.0.1:{nobody}/main"),
        &[],
        &["none of the Sentinels can be reached"],
    )
    .await;
}

#[tokio::test]
#[ignore = "needs redis"]
async fn the_log_says_in_words_what_redis_refuses() {
    let (open, guarded) = (
        Redis::start().await,
        Redis::with(&["--requirepass", "redis-secret"]).await,
    );
    let at = |redis: &Redis, login: &str| format!("redis://{login}127.0.0.1:{}", redis.port());
    logs(
        &at(&guarded, ""),
        &[],
        &["it wants a password, and none is given"],
    )
    .await;
    logs(
        &at(&guarded, ":wrong-secret@"),
        &[],
        &["it refuses the password of user default", "REDIS_PASSWORD"],
    )
    .await;
    logs(
        &format!("rediss://127.0.0.1:{}", open.port()),
        &[],
        &[&format!("127.0.0.1:{}", open.port())],
    )
    .await;
    logs(
        &format!("redis-cluster://127.0.0.1:{}", open.port()),
        &[],
        &["not part of a Redis Cluster"],
    )
    .await;
}
