//! A post that a proxy repeats: with the same `Idempotency-Key` it is one event, whichever nodes have taken it.

mod common;

use common::cluster::Cluster;
use common::node::{Node, Plan};
use common::{http, library, token};
use serde_json::json;

/// Posts a `repo-update` with a key; panics unless it is answered 200.
async fn post(node: &Node, key: &str, library: &str, commit: &str) {
    let body = json!({"type": "repo-update", "content": {"repo_id": library, "commit_id": commit}})
        .to_string();
    let authorization = format!("Token {}", token::event());
    let headers = [
        ("Authorization", authorization.as_str()),
        ("Idempotency-Key", key),
    ];
    http::request(
        node.port(),
        "POST",
        "/events",
        &headers,
        Some(body.as_bytes()),
    )
    .await
    .expect(200);
}

#[tokio::test]
async fn one_node_delivers_it_once() {
    // A replay long enough for the slowest machine to be within it.
    let plan = Plan::new().env("FOGHORN_REPLAY_SECONDS", "120");
    let node = plan.start().await;
    let library = library();
    let mut client = node.subscriber(&library, "ann@example.com").await;
    post(&node, "k1", &library, "a").await;
    post(&node, "k1", &library, "a").await;
    // A key given to another event, and another key for the same: both are events of their own.
    post(&node, "k1", &library, "b").await;
    post(&node, "k2", &library, "a").await;
    // Without a key nothing is told apart.
    node.post_update(&library, "c").await;
    node.post_update(&library, "c").await;
    for commit in ["a", "b", "a", "c", "c"] {
        client.expect_update(&library, commit).await;
    }
    assert!(client.pending().await.is_empty());
    node.counted("foghorn_events_repeated_total", "", 1.0).await;
    // Nor does who comes later get it twice.
    let mut later = node.subscriber(&library, "bob@example.com").await;
    for commit in ["a", "b", "a", "c", "c"] {
        later.expect_update(&library, commit).await;
    }
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn two_nodes_deliver_it_once() {
    let cluster = Cluster::start(2, 1, Plan::new).await;
    let library = library();
    let (a, b) = (&cluster.nodes[0], &cluster.nodes[1]);
    let mut clients = [
        a.subscriber(&library, "ann@example.com").await,
        b.subscriber(&library, "ann@example.com").await,
    ];
    post(a, "k1", &library, "1").await;
    post(b, "k1", &library, "1").await;
    // Only what one node takes has an order, so the others have it before another one takes the next.
    for client in &mut clients {
        client.expect_update(&library, "1").await;
    }
    post(b, "k2", &library, "2").await;
    for client in &mut clients {
        client.expect_update(&library, "2").await;
    }
    // While Redis is away each node serves its own clients, and later gets what the other has taken.
    cluster.redis[0].pause();
    post(a, "k3", &library, "3").await;
    post(b, "k3", &library, "3").await;
    for client in &mut clients {
        client.expect_update(&library, "3").await;
    }
    cluster.redis[0].resume();
    post(a, "k4", &library, "4").await;
    post(b, "k4", &library, "4").await;
    for (client, node) in clients.iter_mut().zip([a, b]) {
        client.expect_update(&library, "4").await;
        node.counted("foghorn_events_repeated_total", "", 3.0).await;
        assert!(client.pending().await.is_empty());
    }
}
