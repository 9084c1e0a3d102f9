//! What a library saw in the last seconds reaches a new subscriber once, in order, before anything newer.

mod common;

use common::library;
use common::node::Plan;
use serde_json::json;

/// A replay long enough for the slowest machine to be within it.
fn long() -> Plan {
    Plan::new().env("FOGHORN_REPLAY_SECONDS", "120")
}

#[tokio::test]
async fn a_new_subscriber_gets_what_was_missed_then_what_comes() {
    let (node, library) = (long().start().await, library());
    for n in 0..10 {
        node.post_update(&library, &n.to_string()).await;
    }
    let mut socket = node.subscriber(&library, "ann@example.com").await;
    node.post_update(&library, "10").await;
    for n in 0..=10 {
        socket.expect_update(&library, &n.to_string()).await;
    }
    assert!(socket.pending().await.is_empty());
    assert_eq!(node.metric("foghorn_replayed_total", "").await, 10.0);
}

#[tokio::test]
async fn each_event_comes_once_however_subscribing_and_posting_meet() {
    let (node, library) = (long().start().await, library());
    let posting = {
        let (port, library) = (node.port(), library.clone());
        tokio::spawn(async move {
            for n in 0..200 {
                common::http::post_update(port, &library, &n.to_string()).await;
            }
        })
    };
    let mut sockets = Vec::new();
    while !posting.is_finished() {
        sockets.push(node.subscriber(&library, "ann@example.com").await);
        tokio::task::yield_now().await;
    }
    posting.await.expect("all are posted");
    sockets.push(node.subscriber(&library, "ann@example.com").await);
    for socket in &mut sockets {
        for n in 0..200 {
            socket.expect_update(&library, &n.to_string()).await;
        }
        assert!(socket.pending().await.is_empty());
    }
}

#[tokio::test]
async fn subscribing_again_repeats_nothing() {
    let (node, library) = (long().start().await, library());
    node.post_update(&library, "1").await;
    let mut socket = node.subscriber(&library, "ann@example.com").await;
    socket.expect_update(&library, "1").await;
    socket.subscribe(&library, "ann@example.com").await;
    socket.unsubscribe(&library).await;
    node.post_update(&library, "2").await;
    socket.subscribe(&library, "ann@example.com").await;
    // Only what this connection has not had yet.
    socket.expect_update(&library, "2").await;
    assert!(socket.pending().await.is_empty());
}

#[tokio::test]
async fn what_was_for_somebody_else_stays_so() {
    let (node, library) = (long().start().await, library());
    let content = json!({"repo_id": library, "path": "/", "type": "user", "change_event": "add", "user": "bob@example.com", "perm": "r"});
    node.post("folder-perm-changed", &content).await.expect(200);
    let mut ann = node.subscriber(&library, "ann@example.com").await;
    assert!(ann.pending().await.is_empty());
    let mut bob = node.subscriber(&library, "bob@example.com").await;
    assert_eq!(
        bob.recv().await,
        json!({"type": "folder-perm-changed", "content": content})
    );
}

#[tokio::test]
async fn off_means_off() {
    let (node, library) = (Plan::new().no_replay().start().await, library());
    node.post_update(&library, "1").await;
    let mut socket = node.subscriber(&library, "ann@example.com").await;
    node.post_update(&library, "2").await;
    socket.expect_update(&library, "2").await;
}

#[tokio::test]
async fn what_is_older_than_the_window_is_gone() {
    let (node, library) = (
        Plan::new().env("FOGHORN_REPLAY_SECONDS", "1").start().await,
        library(),
    );
    node.post_update(&library, "1").await;
    // The channel of a library without subscribers is dropped once nothing recent is left in it.
    node.emptied("foghorn_channels", "").await;
    let mut socket = node.subscriber(&library, "ann@example.com").await;
    assert!(socket.pending().await.is_empty());
}

#[tokio::test]
async fn another_connection_starts_anew() {
    let (node, library) = (long().start().await, library());
    let mut first = node.subscriber(&library, "ann@example.com").await;
    node.post_update(&library, "1").await;
    first.expect_update(&library, "1").await;
    drop(first);
    let mut second = node.subscriber(&library, "ann@example.com").await;
    second.expect_update(&library, "1").await;
}
