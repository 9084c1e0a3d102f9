//! Clients that were written for Centrifugo v1, as they are: what they print here is what they printed against that server.
//!
//! `real/` has the programs, which use the clients' public interface, and what they printed against Centrifugo 1.8.0.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::common::cluster::Cluster;
use crate::common::node::{Node, Plan};
use crate::common::ports::free_port;
use crate::common::process::{command, need};
use crate::common::proxy::Proxy;
use crate::common::redis::Redis;
use crate::conversations::config;
use crate::site::plan;

const JS: &str = include_str!("real/printed-by-centrifuge-js.txt");
const CENT: &str = include_str!("real/printed-by-cent.txt");
/// As the client names them in its options; `ws` is the raw WebSocket.
const TRANSPORTS: [&str; 5] = [
    "ws",
    "websocket",
    "xhr-streaming",
    "xhr-polling",
    "eventsource",
];

/// Where the programs are.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/centrifugo/real")
}

/// The path that a script prints which installs something.
pub fn installed(script: &str, arguments: &[&str]) -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/deploy")
        .join(script);
    run(Command::new(script).args(arguments)).trim().into()
}

/// What a program prints that ends well.
pub fn run(command: &mut Command) -> String {
    let done = command.output().expect("it starts");
    let told = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(
        done.status.success(),
        "{told}{}",
        String::from_utf8_lossy(&done.stderr)
    );
    told
}

/// What was printed, by section: its lines without the JSON at their ends, and that. Their order within a section is left to
/// the server, but for messages: those stand once more behind the lines, as they came.
type Sections = BTreeMap<String, Vec<(String, Value)>>;

fn sections(printed: &str) -> Sections {
    let mut found = Sections::new();
    let (mut section, mut left) = (String::new(), false);
    for line in printed.lines() {
        if line.starts_with("# ") {
            line.clone_into(&mut section);
            left = false;
            continue;
        }
        // Its own leave is told to a client or not, as the server likes, but never twice.
        if line.starts_with("ann leave ") && line.contains("ann-ID") && !left {
            left = true;
            continue;
        }
        // The client closes its own connection there, and notices that before it has another one, or not.
        if line.starts_with("zed disconnect ") {
            continue;
        }
        let at = line.find(['{', '[']).unwrap_or(line.len());
        let value = serde_json::from_str(&line[at..]).unwrap_or(Value::Null);
        found
            .entry(section.clone())
            .or_default()
            .push((line[..at].to_owned(), value));
    }
    for lines in found.values_mut() {
        let messages = lines.iter().filter(|(words, _)| words == "ann message ");
        let messages = messages.map(|(_, value)| value.clone()).collect();
        lines.sort_by_key(|(words, value)| (words.clone(), value.to_string()));
        // How often it asks for them is the client's business: it has timers of its own.
        lines.dedup_by(|this, other| this == other && this.0 == "zed is given credentials");
        lines.push(("messages as they came".to_owned(), messages));
    }
    found
}

/// What the JavaScript client printed by a transport against v1, as it says itself: like by a raw WebSocket, but for a few words.
fn wanted(transport: &str) -> Sections {
    if transport == "ws" {
        return sections(JS);
    }
    let text = JS.replace("connect raw-websocket", &format!("connect {transport}"));
    sections(&text.replace("\"connection closed\"", "\"Normal closure\""))
}

/// Runs the JavaScript client by these transports, against the server at `port` and the one that ends connections at `life`, which
/// agree to these extensions of the raw WebSocket.
async fn pages_print_what_they_printed(
    transports: &[&'static str],
    extensions: &str,
    port: u16,
    life: u16,
) {
    let modules = installed("get-npm.sh", &[folder().to_str().expect("a path")]);
    let mut running = Vec::new();
    for transport in transports {
        let mut node = command(&need("node", "nodejs"));
        node.arg(folder().join("real.js"))
            .env("NODE_PATH", &modules)
            .env("PATIENCE", "3")
            .env("EXTENSIONS", extensions);
        let [base, life] = [port, life].map(|port| format!("http://127.0.0.1:{port}"));
        node.args([base.as_str(), *transport, "secret", life.as_str()]);
        running.push((
            *transport,
            tokio::task::spawn_blocking(move || run(&mut node)),
        ));
    }
    for (transport, running) in running {
        let printed = running.await.expect("it runs");
        let (had, wanted) = (sections(&printed), wanted(transport));
        for (section, lines) in &wanted {
            assert_eq!(
                had.get(section),
                Some(lines),
                "by {transport}, {section}\n{printed}"
            );
        }
        assert_eq!(had.len(), wanted.len(), "by {transport}: {printed}");
    }
}

async fn cent_prints_what_it_printed(port: u16) {
    let python = installed("get-pypi.sh", &["cent", "python3"]);
    let mut client = command(&python);
    let path = [
        python.parent().expect("a folder").to_path_buf(),
        "/usr/bin".into(),
        "/bin".into(),
    ];
    client.env("PATH", std::env::join_paths(path).expect("a path"));
    client
        .arg(folder().join("real.py"))
        .arg(format!("http://127.0.0.1:{port}"));
    let printed = tokio::task::spawn_blocking(move || run(&mut client))
        .await
        .expect("it runs");
    assert_eq!(printed, CENT);
}

fn configured() -> Value {
    config("config.json")
}

/// The same, with connections that end if they are not refreshed. A busy machine has ten seconds for that, so one that is not
/// refreshed ends 13 s after it began, and the program looks after 18.
fn with_lifetime() -> Value {
    let mut config = config("config-lifetime.json");
    config["connection_lifetime"] = 3.into();
    config["expired_connection_close_delay"] = 10.into();
    config
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs node, npm and a registry"]
async fn centrifuge_js_prints_by_every_transport_what_it_printed_against_v1() {
    let [node, life] = [
        plan(Plan::new(), &configured()),
        plan(Plan::new(), &with_lifetime()),
    ];
    let (node, life) = tokio::join!(node.start(), life.start());
    pages_print_what_they_printed(&TRANSPORTS, "", node.port(), life.port()).await;
}

/// `ws`, with which it speaks the raw WebSocket, offers compression by itself.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs node, npm and a registry"]
async fn centrifuge_js_prints_the_same_where_messages_are_compressed() {
    let [node, life] = [configured(), with_lifetime()].map(|mut config| {
        config["websocket_compression"] = true.into();
        plan(Plan::new(), &config)
    });
    let (node, life) = tokio::join!(node.start(), life.start());
    pages_print_what_they_printed(&["ws"], "permessage-deflate", node.port(), life.port()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 with venv and a registry"]
async fn cent_prints_what_it_printed_against_v1() {
    let node = plan(Plan::new(), &configured()).start().await;
    cent_prints_what_it_printed(node.port()).await;
}

/// HAProxy in front of nodes, which sends requests to one after another, whosever they are.
async fn haproxy(nodes: &[Node]) -> (Proxy, u16) {
    let port = free_port();
    let mut servers = String::new();
    for (at, node) in nodes.iter().enumerate() {
        servers += &format!("    server n{at} 127.0.0.1:{}\n", node.port());
    }
    let text = format!(
        "defaults\n    mode http\n    timeout connect 5s\n    timeout client 60s\n    timeout server 60s\n    timeout tunnel 60s\n\
         frontend in\n    bind 127.0.0.1:{port}\n    default_backend nodes\nbackend nodes\n    balance roundrobin\n    http-reuse never\n{servers}"
    );
    (Proxy::haproxy(&text, port).await, port)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs node, npm, python3 with venv, a registry, HAProxy and Redis"]
async fn they_print_the_same_through_haproxy_over_three_nodes_without_stickiness() {
    let mut proxies = Vec::new();
    let mut clusters = Vec::new();
    for config in [configured(), with_lifetime()] {
        let mut cluster = Cluster {
            redis: vec![Redis::start().await],
            nodes: Vec::new(),
        };
        for _ in 0..3 {
            let member = plan(cluster.member(Plan::new()), &config);
            cluster.nodes.push(member.start().await);
        }
        proxies.push(haproxy(&cluster.nodes).await);
        clusters.push(cluster);
    }
    let (port, life) = (proxies[0].1, proxies[1].1);
    pages_print_what_they_printed(&TRANSPORTS, "", port, life).await;
    cent_prints_what_it_printed(port).await;
    drop((proxies, clusters));
}
