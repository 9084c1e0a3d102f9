//! Nothing outside of a node can hold it up: each thing it writes to, reads from or asks is stopped here, and `/ping`,
//! `/livez` and an event are served all the same.

mod common;

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use common::node::{Node, Plan};
use common::redis::Redis;
use common::socket::Socket;
use common::{eventually, http, library, token};
use serde_json::json;

const DROPPED: &str = "foghorn_log_lines_dropped_total";

/// A pipe with a name in `folder`.
fn pipe(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    assert!(
        Command::new("mkfifo")
            .arg(&path)
            .status()
            .expect("mkfifo runs")
            .success()
    );
    path
}

/// A server that takes connections and never says a word.
fn silent() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    (listener, port)
}

/// Clients can still come, events still go out, and probes are answered.
async fn is_served(node: &Node) {
    let library = library();
    let mut client = node.subscriber(&library, "ann@example.com").await;
    event_arrives(node, &mut client, &library, "c0ffee").await;
}

async fn event_arrives(node: &Node, client: &mut Socket, library: &str, commit: &str) {
    http::get(node.port(), "/ping").await.expect(200);
    http::get(node.ops(), "/livez").await.expect(200);
    node.post_update(library, commit).await;
    client.expect_update(library, commit).await;
}

/// Logs far more than any buffer holds: at debug level each message is shown.
async fn talk_much(node: &Node) {
    let library = library();
    let mut clients = Vec::new();
    for _ in 0..50 {
        clients.push(node.subscriber(&library, "ann@example.com").await);
    }
    for n in 0..120 {
        let commit = format!("{n}{}", "x".repeat(3_000));
        node.post_update(&library, &commit).await;
        for client in &mut clients {
            client.expect_update(&library, &commit).await;
        }
    }
}

#[tokio::test]
async fn standard_output_that_nobody_reads() {
    let plan = Plan::new().through(&["sh", "-c", "exec \"$0\" \"$@\" 1<>output.pipe"]);
    let path = pipe(plan.folder(), "output.pipe");
    let node = plan.start().await;
    talk_much(&node).await;
    node.counted(DROPPED, "reason=\"full\"", 1.0).await;
    is_served(&node).await;
    // Once it is read again, the log says what is missing.
    let reader = tokio::task::spawn_blocking(move || {
        let mut pipe = File::open(path).expect("it opens");
        let (mut text, mut piece) = (Vec::new(), [0; 65_536]);
        while !String::from_utf8_lossy(&text).contains("lines of this log were dropped") {
            let count = pipe.read(&mut piece).expect("it is read");
            assert!(count > 0, "the node has ended");
            text.drain(..text.len().saturating_sub(1_000));
            text.extend_from_slice(&piece[..count]);
        }
    });
    tokio::time::timeout(common::PATIENCE, reader)
        .await
        .expect("it is said")
        .expect("a reader");
    is_served(&node).await;
}

#[tokio::test]
async fn a_log_file_that_is_a_pipe_nobody_reads() {
    let plan = Plan::new()
        .without("SEAFILE_LOG_TO_STDOUT")
        .args(&["-l", "log.pipe"]);
    let path = pipe(plan.folder(), "log.pipe");
    let mut node = plan.start().await;
    is_served(&node).await;
    node.process()
        .logged("is it a pipe that nobody reads?")
        .await;
    // Whoever reads it after all finds what was logged from the start.
    let first = tokio::task::spawn_blocking(move || {
        let mut piece = [0; 4_096];
        let count = File::open(path)?.read(&mut piece)?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&piece[..count]).into_owned())
    });
    let first = tokio::time::timeout(common::PATIENCE, first)
        .await
        .expect("it opens")
        .expect("a reader");
    assert!(
        first.expect("it is read").contains("limit of open files"),
        "the first line is missing"
    );
}

#[tokio::test]
async fn a_disk_that_is_full() {
    let plan = Plan::new()
        .without("SEAFILE_LOG_TO_STDOUT")
        .args(&["-l", "/dev/full"]);
    let mut node = plan.start().await;
    is_served(&node).await;
    node.counted(DROPPED, "reason=\"error\"", 1.0).await;
    node.process()
        .logged("the log /dev/full cannot be written: No space left on device")
        .await;
    is_served(&node).await;
}

#[tokio::test]
async fn a_node_ends_though_nobody_reads_its_output() {
    let plan = Plan::new().through(&["sh", "-c", "exec \"$0\" \"$@\" 1<>output.pipe"]);
    pipe(plan.folder(), "output.pipe");
    let mut node = plan
        .env("FOGHORN_SETTLE_SECONDS", "0")
        .env("FOGHORN_DRAIN_SECONDS", "1")
        .start()
        .await;
    talk_much(&node).await;
    assert!(node.stop().await.success());
}

#[tokio::test]
async fn a_key_file_that_is_a_pipe() {
    let plan = Plan::new()
        .without("JWT_PRIVATE_KEY")
        .env("JWT_PRIVATE_KEY_FILE", "key.pipe");
    let path = pipe(plan.folder(), "key.pipe");
    let writer = std::thread::spawn(move || {
        OpenOptions::new()
            .write(true)
            .open(path)?
            .write_all(token::KEY.as_bytes())
    });
    let mut node = plan.env("FOGHORN_SETTLE_SECONDS", "0").start().await;
    writer.join().expect("it ends").expect("it was written");
    is_served(&node).await;
    // Now nobody writes into it.
    node.process().signal("HUP");
    is_served(&node).await;
    let log = node.process().logged("not read again").await;
    assert!(
        log.contains("JWT_PRIVATE_KEY_FILE") && log.contains("nobody wrote into the pipe"),
        "{log}"
    );
    is_served(&node).await;
    // Nor does it hold up the end.
    node.process().signal("HUP");
    assert!(node.stop().await.success());
}

#[tokio::test]
async fn a_settings_file_that_becomes_a_pipe() {
    let plan = Plan::new().env("FOGHORN_ENV_FILE", "settings");
    let path = plan.folder().join("settings");
    std::fs::write(&path, "FOGHORN_OPS_PASSWORD=secret\n").expect("written");
    let mut node = plan.start().await;
    std::fs::remove_file(&path).expect("removed");
    pipe(node.folder(), "settings");
    node.process().signal("HUP");
    is_served(&node).await;
    node.process()
        .logged("FOGHORN_ENV_FILE: cannot read settings: nobody wrote into the pipe")
        .await;
    is_served(&node).await;
}

#[tokio::test]
async fn a_collector_of_traces_that_does_not_answer() {
    let (_collector, port) = silent();
    let plan = Plan::new().env("FOGHORN_OTLP_ENDPOINT", &format!("http://127.0.0.1:{port}"));
    let mut node = plan
        .env("FOGHORN_SETTLE_SECONDS", "0")
        .env("FOGHORN_DRAIN_SECONDS", "5")
        .start()
        .await;
    is_served(&node).await;
    assert!(
        node.stop().await.success(),
        "its end was held up:\n{}",
        node.log()
    );
}

#[tokio::test]
async fn a_database_that_does_not_answer() {
    let (_database, port) = silent();
    let plan = Plan::new()
        .env("SEAFILE_MYSQL_DB_HOST", "127.0.0.1")
        .env("SEAFILE_MYSQL_DB_PORT", &port.to_string())
        .env("SEAFILE_MYSQL_DB_USER", "seafile")
        .env("SEAFILE_MYSQL_DB_PASSWORD", "database-secret");
    let node = plan.start().await;
    let library = library();
    let mut client = node.subscriber(&library, "ann@example.com").await;
    let group = json!({"repo_id": library, "path": "/", "type": "group", "change_event": "add", "group": 7, "perm": "rw"});
    node.post("folder-perm-changed", &group).await.expect(200);
    is_served(&node).await;
    // What stands behind it in its own library does not wait for long either.
    node.post_update(&library, "behind it").await;
    client.expect_update(&library, "behind it").await;
    http::get(node.ops(), "/readyz").await.expect(200);
}

/// A resolver that takes questions and never answers: each name costs whoever waits for it ten seconds and more.
#[tokio::test]
#[ignore = "needs root"]
async fn a_resolver_that_does_not_answer() {
    let _resolver =
        std::net::UdpSocket::bind("127.53.53.53:53").expect("port 53 of an address of our own");
    let plan = Plan::new().through(&[
        "unshare",
        "--mount",
        "sh",
        "-c",
        "mount --bind resolv.conf /etc/resolv.conf && exec \"$0\" \"$@\"",
    ]);
    std::fs::write(
        plan.folder().join("resolv.conf"),
        "nameserver 127.53.53.53\n",
    )
    .expect("written");
    let plan = plan
        .redis(["redis://redis.nowhere.test:6379"])
        .env(
            "FOGHORN_OTLP_ENDPOINT",
            "http://collector.nowhere.test:4318",
        )
        .env("SEAFILE_MYSQL_DB_HOST", "database.nowhere.test")
        .env("SEAFILE_MYSQL_DB_USER", "seafile")
        .env("SEAFILE_MYSQL_DB_PASSWORD", "database-secret")
        .env("FOGHORN_SETTLE_SECONDS", "0")
        .env("FOGHORN_DRAIN_SECONDS", "1");
    let mut node = plan.launch();
    let (port, ops) = (node.port(), node.ops());
    node.process().listening(port).await;
    node.process().listening(ops).await;
    for _ in 0..3 {
        is_served(&node).await;
    }
    let group = json!({"repo_id": library(), "path": "/", "type": "group", "change_event": "add", "group": 7, "perm": "rw"});
    node.post("folder-perm-changed", &group).await.expect(200);
    is_served(&node).await;
    node.process().logged("the name cannot be resolved").await;
    is_served(&node).await;
    // What waits for Redis went to nobody else: that is said by the exit code, and the end is not held up by a name.
    assert_eq!(node.stop().await.code(), Some(1), "{}", node.log());
}

#[tokio::test]
#[ignore = "needs Redis"]
async fn a_redis_that_stands_still() {
    let mut redis = Redis::start().await;
    let node = Plan::new().redis([redis.url().as_str()]).start().await;
    is_served(&node).await;
    redis.process().signal("STOP");
    is_served(&node).await;
    node.emptied("foghorn_redis_up", "").await;
    is_served(&node).await;
    redis.process().signal("CONT");
    eventually("Redis back", || async {
        (node.metric("foghorn_redis_up", "").await == 1.0).then_some(())
    })
    .await;
    is_served(&node).await;
}

#[tokio::test]
async fn peers_that_send_half_of_something() {
    let node = Plan::new()
        .env("FOGHORN_HANDSHAKE_SECONDS", "600")
        .env("FOGHORN_REQUEST_SECONDS", "600")
        .start()
        .await;
    let mut open = Vec::new();
    for half in [
        "",
        "GET /ping HT",
        "POST /events HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{",
    ] {
        let mut stream =
            std::net::TcpStream::connect(("127.0.0.1", node.port())).expect("it listens");
        stream.write_all(half.as_bytes()).expect("it reads");
        open.push(stream);
    }
    is_served(&node).await;
    tokio::time::timeout(Duration::from_secs(60), is_served(&node))
        .await
        .expect("served");
}
