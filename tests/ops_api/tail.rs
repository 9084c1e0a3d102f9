//! The live tail: events are seen passing, and nobody waits for who looks on.

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::common::node::Plan;
use super::common::{self, PATIENCE, library, schema};
use super::{description, post};

/// Reads Server-Sent Events.
struct Tail(BufReader<TcpStream>);

impl Tail {
    async fn open(port: u16, path: &str) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", port))
            .await
            .expect("the ops address listens");
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(head.as_bytes()).await.expect("it reads");
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).await.expect("it answers");
        assert!(line.contains(" 200 "), "{line}");
        while line.trim() != "" {
            line.clear();
            reader.read_line(&mut line).await.expect("headers");
        }
        Self(reader)
    }

    async fn next(&mut self) -> Value {
        loop {
            let mut line = String::new();
            let read = tokio::time::timeout(PATIENCE, self.0.read_line(&mut line)).await;
            assert!(
                read.expect("an event in time").expect("a line") > 0,
                "the tail ended"
            );
            if let Some(data) = line.strip_prefix("data: ") {
                return serde_json::from_str(data).expect("JSON");
            }
        }
    }
}

#[tokio::test]
async fn an_event_can_be_sent_and_seen_passing() {
    let node = Plan::new()
        .env("FOGHORN_OPS_PAYLOADS", "true")
        .start()
        .await;
    let library = library();
    let mut client = node.subscriber(&library, "a@x").await;
    let mut shown = Tail::open(
        node.ops(),
        &format!("/api/v1/tail?channel={library}&payload=1"),
    )
    .await;
    let mut hidden = Tail::open(node.ops(), "/api/v1/tail?type=repo-update").await;
    node.post_update(&common::library(), "elsewhere").await;
    let event =
        json!({"type": "repo-update", "channel": library, "content": {"commit_id": "c0ffee"}});
    assert_eq!(
        post(&node, "/api/v1/events", &event)
            .await
            .expect(200)
            .json(),
        json!({"accepted": true})
    );
    client.expect_update(&library, "c0ffee").await;

    let seen = shown.next().await;
    let document = description();
    let faults = schema::faults(
        &document,
        &document["components"]["schemas"]["Tailed"],
        &seen,
        "tail",
    );
    assert!(faults.is_empty(), "{faults:#?}");
    assert_eq!(
        (&seen["subscribers"], &seen["recipients"]),
        (&json!(1), &json!("all"))
    );
    assert_eq!(seen["payload"]["content"]["commit_id"], json!("c0ffee"));
    let (other, same) = (hidden.next().await, hidden.next().await);
    assert!(
        other["channel"] != json!(format!("repo/{library}"))
            && same["channel"] == json!(format!("repo/{library}"))
    );
    assert!(same.get("payload").is_none() && same["type"] == "repo-update");

    let unknown = json!({"type": "no-such-type", "channel": library});
    post(&node, "/api/v1/events", &unknown).await.expect(422);
    post(&node, "/api/v1/events", &json!({"type": 1}))
        .await
        .expect(400);
}

#[tokio::test]
async fn a_drain_does_not_wait_for_who_looks_on() {
    let plan = Plan::new()
        .env("FOGHORN_SETTLE_SECONDS", "0")
        .env("FOGHORN_DRAIN_SECONDS", "2");
    let mut node = plan.start().await;
    let _tail = Tail::open(node.ops(), "/api/v1/tail").await;
    assert_eq!(node.stop().await.code(), Some(0));
}
