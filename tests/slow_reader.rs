//! One client that does not read costs the others nothing: what waits for it is bounded, and then it is closed.

mod common;

use common::library;
use common::node::{Node, Plan};
use common::socket::{End, Handshake};
use serde_json::json;

/// Posts big events until the counter says that an outbox overflowed; gives the number of events.
async fn post_until_overflow(node: &Node, library: &str, size: usize) -> usize {
    let mut posted = 0;
    while node.metric("foghorn_outbox_overflows_total", "").await == 0.0 {
        let content =
            json!({"repo_id": library, "commit_id": posted.to_string(), "pad": "x".repeat(size)});
        node.post("repo-update", &content).await.expect(200);
        posted += 1;
        assert!(
            posted < 2_000,
            "a reader that does not read is never closed"
        );
    }
    posted
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed_and_the_others_get_everything() {
    let plan = Plan::new()
        .no_replay()
        .env("FOGHORN_MAX_EVENT_BYTES", "128KiB")
        .env("FOGHORN_OUTBOX_BYTES", "256KiB");
    let (node, library) = (plan.start().await, library());
    let mut stuck = node.subscriber(&library, "ann@example.com").await;
    let mut reader = node.subscriber(&library, "bob@example.com").await;
    let reading = tokio::spawn(async move {
        let mut commits = Vec::new();
        while let Some(message) = reader.next().await {
            let commit = message["content"]["commit_id"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            if commit == "last" {
                return commits;
            }
            commits.push(commit);
        }
        panic!("the reading client was closed");
    });
    let posted = post_until_overflow(&node, &library, 100_000).await;
    node.post_update(&library, "last").await;
    let commits = reading.await.expect("it got the last event");
    assert_eq!(
        commits,
        (0..posted).map(|n| n.to_string()).collect::<Vec<_>>()
    );
    // What it finds when it reads again is whole messages in order, and the reason why there are no more.
    let mut got = 0;
    while let Some(message) = stuck.next().await {
        assert_eq!(message["content"]["commit_id"], got.to_string());
        got += 1;
    }
    assert!(got < posted, "it got everything and was closed");
    assert_eq!(
        node.metric("foghorn_outbox_overflows_total", "bound=\"bytes\"")
            .await,
        1.0
    );
    // The other has gone by itself.
    node.emptied("foghorn_subscriptions", "").await;
}

#[tokio::test]
async fn who_reads_slowly_but_reads_is_told_why_it_is_closed() {
    let plan = Plan::new().no_replay().env("FOGHORN_OUTBOX_MESSAGES", "20");
    let (node, library) = (plan.start().await, library());
    // It has three seconds to read what the systems hold for it and to answer the goodbye behind that: so not too much.
    let mut slow = Handshake::new(node.port()).buffer(128 << 10).open().await;
    slow.subscribe(&library, "ann@example.com").await;
    post_until_overflow(&node, &library, 100_000).await;
    match slow.ended().await {
        End::Closed(code, reason) => assert_eq!(code, 1013, "{reason}"),
        End::Cut => panic!("no close frame, though the client reads"),
    }
    node.counted("foghorn_outbox_overflows_total", "bound=\"messages\"", 1.0)
        .await;
}

#[tokio::test]
async fn nothing_stays_behind_for_closed_clients() {
    let plan = Plan::new()
        .no_replay()
        .env("FOGHORN_MAX_EVENT_BYTES", "128KiB")
        .env("FOGHORN_OUTBOX_BYTES", "256KiB");
    let (node, library) = (plan.start().await, library());
    let stuck = [
        node.subscriber(&library, "ann@example.com").await,
        node.subscriber(&library, "bob@example.com").await,
    ];
    post_until_overflow(&node, &library, 100_000).await;
    drop(stuck);
    common::eventually("empty outboxes", || async {
        let left = node.metric("foghorn_outbox_bytes", "").await
            + node.metric("foghorn_connections", "").await;
        (left == 0.0).then_some(())
    })
    .await;
}
