//! What peers begin to send and do not end has one bound over all connections, and a time: the largest and slowest go,
//! and nobody else notices.

mod common;

use std::time::{Duration, Instant};

use common::node::{Node, Plan};
use common::socket::{End, Socket, TEXT, frame};
use common::{PATIENCE, http, library, token};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const ENDED: &str = "foghorn_unfinished_ended_total";

/// A node where a mebibyte is all that may be unfinished.
fn small() -> Plan {
    Plan::new()
        .env("FOGHORN_UNFINISHED_BYTES", "1MiB")
        .env("FOGHORN_MAX_MESSAGE_BYTES", "512KiB")
        .env("FOGHORN_MAX_EVENT_BYTES", "512KiB")
        .env("FOGHORN_REQUEST_SECONDS", "600")
        .env("FOGHORN_HANDSHAKE_SECONDS", "600")
}

async fn is_served(node: &Node) {
    let library = library();
    let mut client = node.subscriber(&library, "ann@example.com").await;
    http::get(node.port(), "/ping").await.expect(200);
    node.post_update(&library, "1").await;
    client.expect_update(&library, "1").await;
}

/// All but the end of a message.
fn most_of_a_message(bytes: usize) -> Vec<u8> {
    let mut message = frame(TEXT, true, &vec![b' '; bytes]);
    message.truncate(message.len() - 100);
    message
}

#[tokio::test]
async fn messages_together_have_a_bound_and_the_largest_end() {
    let node = small().start().await;
    let mut small_one = node.connect().await;
    small_one.send_raw(&most_of_a_message(1_000)).await;
    let mut large: Vec<Socket> = Vec::new();
    for _ in 0..10 {
        let mut socket = node.connect().await;
        socket.send_raw(&most_of_a_message(400_000)).await;
        large.push(socket);
    }
    node.counted(ENDED, "reason=\"bound\"", 8.0).await;
    assert!(node.metric("foghorn_unfinished_bytes", "").await <= 1_048_576.0);
    // Their goodbyes may be on the way yet.
    let (mut ended, started) = (0, Instant::now());
    while ended < 8 {
        assert!(started.elapsed() < PATIENCE, "{ended} of 10 ended");
        ended = 0;
        for socket in &mut large {
            if let Ok(end) = tokio::time::timeout(Duration::from_millis(500), socket.ended()).await
            {
                assert!(matches!(end, End::Closed(1013, _)), "{end:?}");
                ended += 1;
            }
        }
    }
    assert!(ended < 10, "{ended} of 10 ended");
    is_served(&node).await;
    // The small one may go on.
    small_one.send_raw(&[b' '; 100]).await;
    assert!(
        matches!(small_one.ended().await, End::Closed(..)),
        "blanks are no message of ours"
    );
    assert!(
        node.metric("foghorn_closes_total", "reason=\"crowded\"")
            .await
            <= 10.0
    );
}

#[tokio::test]
async fn heads_count_too() {
    let node = small().start().await;
    let head = format!(
        "GET /ping HTTP/1.1\r\nHost: x\r\nX-Pad: {}",
        "x".repeat(20_000)
    );
    let mut open = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(("127.0.0.1", node.port()))
            .await
            .expect("it listens");
        stream.write_all(head.as_bytes()).await.expect("it reads");
        open.push(stream);
    }
    node.counted(ENDED, "reason=\"bound\"", 40.0).await;
    is_served(&node).await;
}

#[tokio::test]
async fn bodies_count_too() {
    let node = small().start().await;
    let authorization = format!("Authorization: Token {}\r\n", token::event());
    let head = format!(
        "POST /events HTTP/1.1\r\nHost: x\r\n{authorization}Content-Length: 500000\r\n\r\n"
    );
    let mut open = Vec::new();
    for _ in 0..10 {
        let mut stream = TcpStream::connect(("127.0.0.1", node.port()))
            .await
            .expect("it listens");
        stream.write_all(head.as_bytes()).await.expect("it reads");
        // It may be cut off meanwhile.
        let _ = stream.write_all(&[b' '; 400_000]).await;
        open.push(stream);
    }
    node.counted(ENDED, "reason=\"bound\"", 6.0).await;
    is_served(&node).await;
}

#[tokio::test]
async fn a_message_that_does_not_end_in_time_is_1008() {
    let node = Plan::new()
        .env("FOGHORN_REQUEST_SECONDS", "1")
        .start()
        .await;
    let mut idle = node.connect().await;
    for begun in [
        most_of_a_message(1_000),
        vec![0x81],
        frame(TEXT, false, b""),
        frame(TEXT, false, b"{\"type\""),
    ] {
        let mut socket = node.connect().await;
        socket.send_raw(&begun).await;
        match socket.ended().await {
            End::Closed(1008, reason) => assert!(reason.contains("in time"), "{reason}"),
            end => panic!("{end:?}"),
        }
    }
    node.counted("foghorn_closes_total", "reason=\"unfinished\"", 4.0)
        .await;
    assert_eq!(node.metric(ENDED, "reason=\"time\"").await, 4.0);
    idle.settle().await;
    is_served(&node).await;
}

#[tokio::test]
async fn what_comes_slowly_and_ends_is_taken() {
    let (node, library) = (small().start().await, library());
    let mut socket = node.connect().await;
    let entry = serde_json::json!({"id": library, "jwt_token": token::subscription(&library, "ann@example.com")});
    let message =
        serde_json::json!({"type": "subscribe", "content": {"repos": [entry]}}).to_string();
    for byte in frame(TEXT, true, message.as_bytes()) {
        socket.send_raw(&[byte]).await;
    }
    socket.settle().await;
    node.post_update(&library, "1").await;
    socket.expect_update(&library, "1").await;
    node.counted("foghorn_frames_received_total", "kind=\"message\"", 1.0)
        .await;
    node.emptied("foghorn_unfinished_bytes", "").await;
}

#[tokio::test]
async fn a_body_that_nobody_waits_for_has_a_time() {
    let node = Plan::new()
        .env("FOGHORN_REQUEST_SECONDS", "1")
        .start()
        .await;
    let mut stream = TcpStream::connect(("127.0.0.1", node.ops()))
        .await
        .expect("it listens");
    let head = "POST /api/v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("it reads");
    stream.write_all(b"{").await.expect("it reads");
    let mut rest = Vec::new();
    let read = tokio::time::timeout(common::PATIENCE, stream.read_to_end(&mut rest)).await;
    assert!(read.is_ok(), "the connection stays open");
}
