//! Seafile's desktop client, which is built on libwebsockets, stays connected and gets every message whole.

mod common;

use std::process::Command;
use std::time::{Duration, Instant};

use common::node::Node;
use common::process::{self, Process, need};
use common::{library, token};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long it must stay: several times the five seconds after which it gives up on a server that is silent.
const STAY: Duration = Duration::from_secs(30);
/// Other clients that get each event too.
const CROWD: usize = 200;

struct Client {
    process: Process,
    _folder: TempDir,
}

impl Client {
    /// Compiles the client and connects it; it subscribes to `library`.
    async fn start(port: u16, path: &str, library: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let program = folder.path().join("client");
        let flags = process::run("pkg-config", {
            let mut flags = Command::new(need("pkg-config", "pkg-config"));
            flags.args(["--cflags", "--libs", "libwebsockets"]);
            flags
        });
        process::run("cc", {
            let mut compile = Command::new(need("cc", "gcc"));
            compile
                .args(["-Wall", "-Wextra", "-Werror", "-o"])
                .arg(&program);
            compile
                .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/c/lws_client.c"))
                .args(flags.split_whitespace());
            compile
        });
        let message = json!({"type": "subscribe", "content": {"repos": [
            {"id": library, "jwt_token": token::subscription(library, "ann@example.com")}]}});
        let mut command = process::command(&program);
        command.args([&port.to_string(), path, &message.to_string()]);
        let mut process = Process::start(
            "the libwebsockets client",
            command,
            &folder.path().join("output"),
        );
        process.logged("connected\n").await;
        Self {
            process,
            _folder: folder,
        }
    }

    /// The messages it has got whole.
    fn messages(&self) -> Vec<Value> {
        let log = self.process.log();
        let lines = log.lines().filter_map(|line| line.strip_prefix("message "));
        lines
            .filter_map(|text| serde_json::from_str(text).ok())
            .collect()
    }

    /// Posts `content` until the client has it, as it does not hear when its subscription has taken effect.
    async fn first_event(&mut self, node: &Node, library: &str) {
        common::eventually("the client's first event", || async {
            node.post_update(library, "first").await;
            self.process.log().contains("message ").then_some(())
        })
        .await;
    }
}

/// A lock event whose message is `size` bytes on the wire, newline included.
fn lock_event(library: &str, size: usize) -> Value {
    let content = |pad: usize| json!({"repo_id": library, "path": "p".repeat(pad), "change_event": "locked", "lock_user": "ann@example.com"});
    let bare = json!({"type": "file-lock-changed", "content": content(0)})
        .to_string()
        .len()
        + 1;
    content(size - bare)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs libwebsockets and a C compiler"]
async fn stays_connected_under_a_fan_out() {
    let (node, library) = (Node::start().await, library());
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        let mut socket = node.subscriber(&library, "bob@example.com").await;
        crowd.push(tokio::spawn(async move {
            while socket.next().await.is_some() {}
        }));
    }
    let mut client = Client::start(node.port(), "/notification", &library).await;
    client.first_event(&node, &library).await;
    let (started, mut posted) = (Instant::now(), 0);
    while started.elapsed() < STAY {
        node.post_update(&library, &format!("commit {posted}"))
            .await;
        posted += 1;
        client.process.must_run();
        // A busy library: some events a second, with idle seconds between the bursts in which the client pings.
        let pause = if posted % 50 == 0 {
            Duration::from_millis(2_500)
        } else {
            Duration::from_millis(20)
        };
        tokio::time::sleep(pause).await;
    }
    let last = format!("commit {}", posted - 1);
    client.process.logged(&last).await;
    let got = client
        .messages()
        .into_iter()
        .filter_map(|m| Some(m["content"]["commit_id"].as_str()?.to_owned()));
    let got = got.filter(|commit| commit != "first").collect::<Vec<_>>();
    assert_eq!(
        got,
        (0..posted)
            .map(|n| format!("commit {n}"))
            .collect::<Vec<_>>()
    );
    assert!(!client.process.log().contains("closed"));
    assert!(
        crowd.iter().all(|task| !task.is_finished()),
        "another client was disconnected"
    );
}

#[tokio::test]
#[ignore = "needs libwebsockets and a C compiler"]
async fn gets_messages_of_any_size_whole() {
    let (node, library) = (Node::start().await, library());
    let mut client = Client::start(node.port(), "/", &library).await;
    client.first_event(&node, &library).await;
    // It was posted until one was seen. Behind this one none is on its way any more: what comes together is handed over in
    // other pieces.
    node.post_update(&library, "the last of these").await;
    client.process.logged("the last of these").await;
    for size in [4095, 4096, 8192, 70_000] {
        let content = lock_event(&library, size);
        node.post("file-lock-changed", &content).await.expect(200);
        let wanted = json!({"type": "file-lock-changed", "content": content});
        common::eventually(&format!("a message of {size} bytes"), || async {
            client
                .messages()
                .last()
                .is_some_and(|message| *message == wanted)
                .then_some(())
        })
        .await;
    }
    let log = client.process.log();
    assert!(!log.contains("fragmented"));
    // Up to its receive buffer's size the library hands a message over at once, which is what the desktop client parses.
    assert!(
        log.contains("piece 4095\n") && log.contains("piece 4096\n"),
        "{log}"
    );
}
