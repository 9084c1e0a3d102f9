//! One library may have more receivers than the reference can count (65,536), and each of them gets an event.

mod common;

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::Arc;

use common::node::{Node, Plan};
use common::process::{self, need};
use common::socket::{Handshake, Socket, TEXT, frame};
use common::{library, token};
use serde_json::json;

const RECEIVERS: usize = 65_536 + 64;
/// Connections are made by so many tasks.
const LANES: usize = 16;

/// Raises this process's limit of open files, which its children inherit.
fn allow_files(count: usize) {
    let own = std::process::id().to_string();
    let prlimit = need("prlimit", "util-linux");
    let mut now = Command::new(&prlimit);
    now.args(["--pid", &own, "--nofile", "--output", "SOFT", "--noheadings"]);
    let now = process::run("prlimit", now).trim().parse().unwrap_or(usize::MAX);
    if now < count {
        let mut raise = Command::new(&prlimit);
        raise.args(["--pid", &own, &format!("--nofile={count}:{count}")]);
        process::run("prlimit (raising the limit of open files needs root)", raise);
    }
}

/// Connects one client that is subscribed when this returns.
async fn subscriber(node: u16, lane: usize, message: &[u8]) -> Socket {
    let from = Ipv4Addr::new(127, 0, 1, lane as u8 + 1);
    let mut socket = Handshake::new(node).from(from).early(message.to_vec()).open().await;
    socket.settle().await;
    socket
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root, for many open files"]
async fn an_event_reaches_more_receivers_than_the_reference_can_count() {
    allow_files(RECEIVERS + 1_000);
    // Pings would only slow it down, and the log.
    let plan = Plan::new().no_replay().env("FOGHORN_PING_SECONDS", "3600").env("NOTIFICATION_SERVER_LOG_LEVEL", "info");
    let (node, library): (Node, _) = (plan.env("FOGHORN_HANDSHAKE_RATE", "0").start().await, library());
    let entry = json!({"id": library, "jwt_token": token::subscription(&library, "ann@example.com")});
    let message = json!({"type": "subscribe", "content": {"repos": [entry]}}).to_string();
    let message: Arc<[u8]> = frame(TEXT, true, message.as_bytes()).into();
    let lanes = (0..LANES).map(|lane| {
        let (port, message) = (node.port(), Arc::clone(&message));
        tokio::spawn(async move {
            let mut sockets = Vec::new();
            for _ in 0..RECEIVERS / LANES {
                sockets.push(subscriber(port, lane, &message).await);
            }
            sockets
        })
    });
    let mut sockets = Vec::new();
    for lane in lanes.collect::<Vec<_>>() {
        sockets.extend(lane.await.expect("all connect"));
    }
    assert_eq!(node.metric("foghorn_subscriptions", "").await, RECEIVERS as f64);
    node.post_update(&library, "1").await;
    for socket in &mut sockets {
        socket.expect_update(&library, "1").await;
    }
}
