//! What is said when something is wrong: each situation that a user may bring about, and what is said in it, by the commands
//! and by the log. The thing is named (host, port, file, variable), what was expected is, and no text is Rust's own.
//!
//! What doctor says of Redis, of the database and of proxies has tables of its own (`tests/doctor`, `src/cli/doctor/redis`), as
//! what the console says (`src/ops/condition.rs`) and what `publish` refuses (`src/cli/publish/fit.rs`).

#[path = "../common/mod.rs"]
mod common;
mod log;
mod tls;

use std::process::Stdio;

use common::node::{Node, foghorn};
use common::ports::{free_port, free_ports};
use common::{library, token};
use tokio::net::TcpListener;

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
