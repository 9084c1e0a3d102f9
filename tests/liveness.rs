//! A client that is gone is let go; one that lives is not.

mod common;

use std::time::{Duration, Instant};

use common::node::{Node, Plan};
use common::socket::{End, Handshake, PING, PONG};
use common::{PATIENCE, library};

#[tokio::test]
async fn a_client_that_answers_no_ping_is_closed_and_forgotten() {
    let (node, library) = (
        Plan::new().env("FOGHORN_PING_SECONDS", "1").start().await,
        library(),
    );
    let mut dead = node.subscriber(&library, "ann@example.com").await;
    dead.pong = false;
    let mut alive = node.subscriber(&library, "bob@example.com").await;
    let living = tokio::spawn(async move {
        while let Some(frame) = alive.frame().await {
            if frame.opcode == 1 {
                return true;
            }
        }
        false
    });
    dead.ended().await;
    node.counted("foghorn_closes_total", "reason=\"dead\"", 1.0)
        .await;
    common::eventually("one subscription left", || async {
        (node.metric("foghorn_subscriptions", "").await == 1.0).then_some(())
    })
    .await;
    node.post_update(&library, "1").await;
    assert!(
        living.await.expect("the task ends"),
        "a client that answers pings was closed"
    );
}

#[tokio::test]
async fn a_client_that_pinged_each_second_and_stops_is_closed_long_before_its_pings() {
    // With pings this far apart only the client's own habit can tell that it is gone.
    let node = Plan::new()
        .env("FOGHORN_PING_SECONDS", "3600")
        .start()
        .await;
    let mut socket = Handshake::new(node.port()).desktop().open().await;
    let mut pace = tokio::time::interval(Duration::from_secs(1));
    // Four in a row make a habit of it, as long as no two are more than two seconds apart: where the machine stands still
    // meanwhile it is begun anew.
    let (started, mut last, mut in_a_row) = (Instant::now(), Instant::now(), 0);
    while in_a_row < 6 {
        assert!(started.elapsed() < PATIENCE, "no six pings in a row");
        pace.tick().await;
        let sent = Instant::now();
        // A ping, and its pong.
        socket.settle().await;
        in_a_row = if last.elapsed() < Duration::from_secs(2) {
            in_a_row + 1
        } else {
            0
        };
        last = sent;
    }
    socket.pong = false;
    socket.ended().await;
    node.counted("foghorn_closes_total", "reason=\"dead\"", 1.0)
        .await;
}

#[tokio::test]
async fn any_frame_counts_as_life() {
    let node = Plan::new().env("FOGHORN_PING_SECONDS", "1").start().await;
    let mut socket = node.connect().await;
    socket.pong = false;
    // Far more pings go unanswered than a dead client is allowed, but something else is sent after each.
    for _ in 0..8 {
        loop {
            let frame = socket.frame().await.expect("the connection lives");
            if frame.opcode == PING {
                break;
            }
        }
        socket.send(PONG, b"not what was asked").await;
    }
    socket.settle().await;
}

#[tokio::test]
async fn pings_are_answered_with_their_payload() {
    let node = Node::start().await;
    let mut socket = node.connect().await;
    for payload in [&b""[..], b"x", &[7; 125]] {
        socket.send(PING, payload).await;
        let pong = socket.frame_beside_pings().await.expect("a pong");
        assert_eq!((pong.opcode, pong.payload.as_slice()), (PONG, payload));
    }
}

#[tokio::test]
async fn a_connection_that_breaks_takes_its_subscriptions_along() {
    let (node, library) = (Plan::new().no_replay().start().await, library());
    let socket = node.subscriber(&library, "ann@example.com").await;
    assert_eq!(node.metric("foghorn_subscriptions", "").await, 1.0);
    drop(socket);
    common::eventually("nothing left of it", || async {
        let left = node.metric("foghorn_subscriptions", "").await
            + node.metric("foghorn_connections", "").await;
        (left == 0.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_library_that_nobody_watches_any_more_leaves_nothing_behind() {
    let node = Plan::new().no_replay().start().await;
    let mut socket = node.connect().await;
    for _ in 0..50 {
        let library = library();
        socket.subscribe(&library, "ann@example.com").await;
        socket.unsubscribe(&library).await;
    }
    node.emptied("foghorn_channels", "").await;
}

#[tokio::test]
async fn a_goodbye_is_not_waited_for_twice() {
    let node = Node::start().await;
    let mut socket = node.connect().await;
    socket.send(8, &1000_u16.to_be_bytes()).await;
    assert_eq!(socket.ended().await, End::Closed(1000, String::new()));
    assert_eq!(socket.frame().await, None);
}
