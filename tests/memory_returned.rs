//! What large events took goes back to the system when nobody may want them any more.

mod common;

use common::node::{Node, Plan};
use common::redis::Redis;
use common::{eventually, http, library, token};
use serde_json::json;

const MIB: f64 = 1_048_576.0;

async fn resident(node: &Node) -> f64 {
    node.metric("process_resident_memory_bytes", "").await
}

/// Posts so many events of so many bytes, over four connections at once; gives the most memory that was seen.
async fn post(node: &Node, events: usize, bytes: usize) -> f64 {
    let content = json!({"repo_id": library(), "commit_id": "1", "pad": "x".repeat(bytes)});
    // Written once: a connection that waits until others' bodies are written would be taken for one that says nothing.
    let body = json!({"type": "repo-update", "content": content}).to_string();
    let authorization = format!("Token {}", token::event());
    let headers = [
        ("Authorization", authorization.as_str()),
        ("Content-Type", "application/json"),
    ];
    let mut most = 0_f64;
    for round in 0..events / 4 {
        let post = || async {
            http::request(
                node.port(),
                "POST",
                "/events",
                &headers,
                Some(body.as_bytes()),
            )
            .await
            .expect(200)
        };
        tokio::join!(post(), post(), post(), post());
        // A page of metrics costs more than these four: asked for each time, a slow machine would forget the first events
        // before the last are posted.
        if round % 4 == 3 {
            most = most.max(resident(node).await);
        }
    }
    most
}

/// The replay holds the events first, then memory is what it was, but for what is `kept` for other nodes, a tenth of what
/// they took and what any node takes once it was at work.
async fn is_given_back(node: &Node, events: usize, bytes: usize, kept: f64) {
    let before = resident(node).await;
    let most = post(node, events, bytes).await;
    assert!(
        most > before + kept + 20.0 * MIB,
        "{before} and {most}: the test holds too little at once"
    );
    let may_be = before + kept + (most - before) / 10.0 + 6.0 * MIB;
    eventually(
        &format!("{most} bytes go down to {may_be}, as {before} before"),
        || async { (resident(node).await < may_be).then_some(()) },
    )
    .await;
}

#[tokio::test]
async fn of_events_of_megabytes() {
    // The client reads nothing meanwhile, not even a ping.
    let plan = Plan::new()
        .env("FOGHORN_REPLAY_SECONDS", "15")
        .env("FOGHORN_PING_SECONDS", "600");
    let node = plan.start().await;
    let mut client = node.subscriber(&library(), "ann@example.com").await;
    is_given_back(&node, 48, 3 << 20, 0.0).await;
    client.settle().await;
}

#[tokio::test]
async fn of_many_that_are_less_large() {
    let node = Plan::new()
        .env("FOGHORN_REPLAY_SECONDS", "15")
        .env("NOTIFICATION_SERVER_LOG_LEVEL", "error");
    is_given_back(&node.start().await, 2_400, 40_000, 0.0).await;
}

/// What other nodes may ask for has a bound.
#[tokio::test]
#[ignore = "needs redis-server"]
async fn of_events_that_other_nodes_may_ask_for() {
    let redis = Redis::start().await;
    let plan = || {
        let plan = Plan::new()
            .redis([redis.url().as_str()])
            .env("FOGHORN_REPLAY_SECONDS", "15");
        plan.env("FOGHORN_WAITING_BYTES", "16MiB")
            .env("NOTIFICATION_SERVER_LOG_LEVEL", "error")
    };
    let (node, other) = (plan().start().await, plan().start().await);
    for node in [&node, &other] {
        node.counted("foghorn_redis_up", "", 1.0).await;
    }
    let before = resident(&other).await;
    is_given_back(&node, 48, 3 << 20, 16.0 * MIB).await;
    let may_be = before + 16.0 * MIB + 48.0 * 3.0 * MIB / 10.0 + 6.0 * MIB;
    eventually(
        &format!("{may_be} bytes at the node that heard them"),
        || async { (resident(&other).await < may_be).then_some(()) },
    )
    .await;
}
