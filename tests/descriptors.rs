//! File descriptors: raised as far as the system allows, some kept back, and nobody who only waits can take them all.

mod common;

use common::node::{Node, Plan};
use common::socket::{Handshake, Socket};
use common::{eventually, http, library};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection that has asked `/ping` once and stays.
async fn idler(node: &Node) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", node.port()))
        .await
        .expect("it listens");
    stream
        .write_all(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .expect("it reads");
    let mut answer = [0; 1_024];
    let count = tokio::time::timeout(common::PATIENCE, stream.read(&mut answer))
        .await
        .expect("an answer")
        .expect("one");
    assert!(
        answer[..count].starts_with(b"HTTP/1.1 200"),
        "{}",
        String::from_utf8_lossy(&answer[..count])
    );
    stream
}

/// Whether the node has closed it; waits until it has.
async fn was_closed(stream: &mut TcpStream) {
    let mut byte = [0; 1];
    let read = tokio::time::timeout(common::PATIENCE, stream.read(&mut byte))
        .await
        .expect("it is closed");
    assert!(matches!(read, Ok(0) | Err(_)), "something came");
}

async fn ready(node: &Node) -> (u16, serde_json::Value) {
    let answer = http::get(node.ops(), "/readyz").await;
    (answer.status, answer.json())
}

/// An operator's connection that stays. One for each question would take descriptors that clients are about to get, and a node
/// that is full would not be for a moment.
struct Operator(TcpStream);

impl Operator {
    async fn of(node: &Node) -> Self {
        Self(
            TcpStream::connect(("127.0.0.1", node.ops()))
                .await
                .expect("it listens"),
        )
    }

    async fn ready(&mut self) -> (u16, serde_json::Value) {
        self.0
            .write_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .expect("it reads");
        let mut bytes = Vec::new();
        let answer = async {
            loop {
                assert!(
                    self.0.read_buf(&mut bytes).await.expect("it answers") > 0,
                    "the connection ended"
                );
                let answer = http::parse(&bytes);
                if let Some(answer) =
                    answer.filter(|it| it.headers["content-length"] == it.body.len().to_string())
                {
                    return (answer.status, answer.json());
                }
            }
        };
        tokio::time::timeout(common::PATIENCE, answer)
            .await
            .expect("an answer")
    }
}

#[tokio::test]
async fn the_limit_is_raised_as_far_as_it_goes_and_said() {
    let mut node = Plan::new().open_files(300, 1_000).start().await;
    assert_eq!(node.metric("process_max_fds", "").await, 1_000.0);
    let log = node.process().logged("few clients can connect").await;
    assert!(log.contains("1000") && log.contains("LimitNOFILE"), "{log}");
}

#[tokio::test]
async fn a_node_that_is_full_waits_and_says_so_and_operators_still_get_in() {
    let mut node = Plan::new().open_files(128, 128).start().await;
    let library = library();
    let mut client = node.subscriber(&library, "ann@example.com").await;
    let mut operator = Operator::of(&node).await;
    // Clients that are in for good; some of them find no place.
    let mut open: Vec<Socket> = Vec::new();
    let mut waiting = None;
    while waiting.is_none() {
        assert!(open.len() < 128, "more are in than there are descriptors");
        let next = tokio::spawn(Handshake::new(node.port()).attempt());
        let settled = async { while !next.is_finished() && operator.ready().await.0 != 503 {} };
        tokio::time::timeout(common::PATIENCE, settled)
            .await
            .expect("a place, or a node that has none");
        if next.is_finished() {
            open.push(
                next.await
                    .expect("it ends")
                    .expect("it is answered")
                    .expect("it is not turned away"),
            );
        } else {
            waiting = Some(next);
        }
    }
    assert!(open.len() > 50, "only {} are in", open.len());
    let (_, checks) = operator.ready().await;
    assert_eq!(
        (
            &checks["checks"]["descriptors"],
            &checks["checks"]["running"]
        ),
        (&false.into(), &true.into())
    );
    assert_eq!(node.metric("foghorn_accept_paused", "").await, 1.0);
    assert!(node.metric("process_open_fds", "").await < 125.0);
    for _ in 0..20 {
        http::get(node.ops(), "/livez").await.expect(200);
    }
    // Who is in is served. A post needs a connection, so it comes through the ops address.
    let event = serde_json::json!({"type": "repo-update", "channel": library, "content": {"commit_id": "1"}});
    let json = [("Content-Type", "application/json")];
    let posted = http::request(
        node.ops(),
        "POST",
        "/api/v1/events",
        &json,
        Some(event.to_string().as_bytes()),
    )
    .await;
    assert_eq!(posted.status, 200, "{posted:?}");
    client.expect_update(&library, "1").await;
    node.process().logged("no file descriptor is left").await;
    // And when some leave, others get in.
    open.truncate(20);
    eventually("a ready node", || async {
        (ready(&node).await.0 == 200).then_some(())
    })
    .await;
    assert_eq!(node.metric("foghorn_accept_paused", "").await, 0.0);
    // Who waited is in as well.
    let waiting = waiting.expect("somebody waits").await.expect("it ends");
    waiting
        .expect("it is answered")
        .expect("it is not turned away")
        .settle()
        .await;
    let log = node.log_so_far().await;
    assert_eq!(
        log.matches("no file descriptor is left").count(),
        1,
        "{log}"
    );
    node.process().must_run();
}

#[tokio::test]
async fn who_only_waits_makes_room_for_others() {
    let node = Plan::new().open_files(128, 128).start().await;
    let mut idlers = Vec::new();
    for _ in 0..300 {
        idlers.push(idler(&node).await);
    }
    for _ in 0..20 {
        http::get(node.port(), "/ping").await.expect(200);
        http::get(node.ops(), "/livez").await.expect(200);
    }
    was_closed(&mut idlers[0]).await;
    assert!(
        node.metric("foghorn_idle_closed_total", "reason=\"descriptors\"")
            .await
            >= 180.0
    );
}

#[tokio::test]
async fn who_never_says_a_word_makes_room_for_others() {
    let node = Plan::new()
        .open_files(128, 128)
        .env("FOGHORN_HANDSHAKE_SECONDS", "600")
        .start()
        .await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(
            TcpStream::connect(("127.0.0.1", node.port()))
                .await
                .expect("it listens"),
        );
    }
    http::get(node.ops(), "/livez").await.expect(200);
    http::get(node.port(), "/ping").await.expect(200);
}

#[tokio::test]
async fn operators_that_only_wait_leave_room_for_each_other_and_for_clients() {
    let node = Plan::new().open_files(128, 128).start().await;
    let mut idlers = Vec::new();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(("127.0.0.1", node.ops()))
            .await
            .expect("it listens");
        stream
            .write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .expect("it reads");
        idlers.push(stream);
    }
    http::get(node.ops(), "/livez").await.expect(200);
    drop(idlers);
    let library = library();
    let mut client = node.subscriber(&library, "ann@example.com").await;
    node.post_update(&library, "1").await;
    client.expect_update(&library, "1").await;
}

#[tokio::test]
async fn of_one_address_the_oldest_that_wait_go_first() {
    let node = Plan::new()
        .env("FOGHORN_IDLE_CONNECTIONS_PER_ADDRESS", "3")
        .start()
        .await;
    let mut idlers = Vec::new();
    for _ in 0..5 {
        idlers.push(idler(&node).await);
    }
    was_closed(&mut idlers[0]).await;
    was_closed(&mut idlers[1]).await;
    for idler in &mut idlers[2..] {
        idler
            .write_all(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .expect("it is open");
        let mut answer = [0; 1_024];
        assert!(
            idler.read(&mut answer).await.expect("an answer") > 0,
            "it was closed"
        );
    }
    assert_eq!(
        node.metric("foghorn_idle_closed_total", "reason=\"address\"")
            .await,
        2.0
    );
}

#[tokio::test]
async fn over_all_the_oldest_that_wait_go_first() {
    let node = Plan::new()
        .env("FOGHORN_IDLE_CONNECTIONS", "2")
        .start()
        .await;
    let mut idlers = [idler(&node).await, idler(&node).await, idler(&node).await];
    was_closed(&mut idlers[0]).await;
    assert_eq!(
        node.metric("foghorn_idle_closed_total", "reason=\"all\"")
            .await,
        1.0
    );
}

#[tokio::test]
async fn who_waits_too_long_for_its_next_request_is_closed() {
    let node = Plan::new().env("FOGHORN_IDLE_SECONDS", "1").start().await;
    let mut idler = idler(&node).await;
    was_closed(&mut idler).await;
}
