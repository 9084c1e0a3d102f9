//! A node that is asked to end says so first, closes its clients with 1001, and ends in time without an error.

mod common;

use std::time::Duration;

use common::http;
use common::library;
use common::node::{Node, Plan};
use common::socket::{End, Handshake};

fn plan(settle: &str, drain: &str) -> Plan {
    Plan::new()
        .env("FOGHORN_SETTLE_SECONDS", settle)
        .env("FOGHORN_DRAIN_SECONDS", drain)
}

#[tokio::test]
async fn clients_are_closed_with_1001_and_the_exit_is_clean() {
    let (mut node, library) = (plan("0", "4").start().await, library());
    let mut sockets = Vec::new();
    for _ in 0..20 {
        sockets.push(node.subscriber(&library, "ann@example.com").await);
    }
    node.process().signal("TERM");
    for socket in &mut sockets {
        match socket.ended().await {
            End::Closed(code, reason) => assert_eq!(code, 1001, "{reason}"),
            End::Cut => panic!("a client was cut off"),
        }
    }
    let status = node.process().end().await;
    assert!(status.success(), "{status}\n{}", node.log());
}

#[tokio::test]
async fn while_it_settles_it_serves_everybody_and_says_that_it_is_not_ready() {
    let (mut node, library) = (plan("30", "2").start().await, library());
    let mut old = node.subscriber(&library, "ann@example.com").await;
    node.process().signal("TERM");
    common::eventually("not ready any more", || async {
        http::try_request(node.ops(), "GET", "/readyz", &[], None)
            .await
            .filter(|answer| answer.status == 503)
    })
    .await;
    let mut new = node.subscriber(&library, "bob@example.com").await;
    node.post_update(&library, "1").await;
    old.expect_update(&library, "1").await;
    new.expect_update(&library, "1").await;
    http::get(node.port(), "/ping").await.expect(200);
    http::get(node.ops(), "/livez").await.expect(200);
}

#[tokio::test]
async fn clients_that_do_not_answer_a_goodbye_do_not_hold_it_up() {
    let mut node = plan("0", "2").start().await;
    // One that never reads nor answers, one that has not begun its handshake.
    let _silent = node.connect().await;
    let _knocking = tokio::net::TcpStream::connect(("127.0.0.1", node.port()))
        .await
        .expect("it listens");
    let status = node.stop().await;
    assert!(status.code().is_some(), "it had to be killed");
}

#[tokio::test]
async fn web_pages_are_closed_last() {
    // Two seconds pass from one close to the next.
    let (mut node, library) = (plan("0", "17").start().await, library());
    let mut page = Handshake::new(node.port()).browser().open().await;
    page.subscribe(&library, "ann@example.com").await;
    let mut desktops = Vec::new();
    for _ in 0..5 {
        let mut desktop = Handshake::new(node.port()).desktop().open().await;
        desktop.subscribe(&library, "bob@example.com").await;
        desktops.push(desktop);
    }
    node.process().signal("TERM");
    assert!(matches!(page.ended().await, End::Closed(1001, _)));
    // However late this is seen: what was closed before lies there to be read, and what would be closed after is not.
    for desktop in &mut desktops {
        let closed = tokio::time::timeout(Duration::from_secs(1), desktop.ended()).await;
        assert!(
            matches!(closed, Ok(End::Closed(1001, _))),
            "the page was not the last: {closed:?}"
        );
    }
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let mut node = plan("600", "600").start().await;
    node.process().signal("TERM");
    node.process().logged("ending").await;
    node.process().signal("TERM");
    node.process().end().await;
}

#[tokio::test]
async fn a_node_started_again_takes_its_port_at_once() {
    let (mut node, library) = (plan("0", "1").start().await, library());
    let _left = node.subscriber(&library, "ann@example.com").await;
    assert!(node.stop().await.code().is_some());
    node.restart().await;
    let mut socket = node.subscriber(&library, "ann@example.com").await;
    node.post_update(&library, "1").await;
    socket.expect_update(&library, "1").await;
}

#[tokio::test]
async fn ping_answers_as_long_as_the_process_lives() {
    let node = Node::start().await;
    for method in ["GET", "HEAD", "POST", "DELETE"] {
        for path in [
            "/ping",
            "/ping/",
            "/notification/ping",
            "/notification/ping/",
        ] {
            let answer = http::request(node.port(), method, path, &[], None)
                .await
                .expect(200);
            assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
            assert_eq!(
                answer.body,
                if method == "HEAD" {
                    ""
                } else {
                    "{\"ret\": \"pong\"}\n"
                }
            );
        }
    }
}
