//! How SockJS's sessions end, and what is bounded of those that nobody fetches from.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::common::cluster::Cluster;
use crate::common::node::Plan;
use crate::common::redis::Redis;
use crate::common::{PATIENCE, eventually, http};
use crate::site::{call, plan};
use crate::sockjs::{config, open_node};
use crate::sockjs_page::{Session, Stream, messages};

/// What ends the body of an answer in pieces.
const END_OF_BODY: &[u8] = b"\r\n0\r\n\r\n";

const SESSIONS: (&str, &str) = ("foghorn_connections", "client=\"sockjs\"");

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_is_gone_at_once_and_nothing_of_the_session_is_left() {
    let node = open_node(json!({})).await;
    let session = Session::new(node.port());
    let mut stream = Stream::open(&session).await;
    session.subscribe("news").await;
    stream.answer("2").await;
    assert_eq!(node.metric(SESSIONS.0, SESSIONS.1).await, 1.0);
    drop(stream);
    node.counted("foghorn_closes_total", "reason=\"gone\"", 1.0)
        .await;
    session.is_forgotten().await;
    let there = call(node.port(), "presence", json!({"channel": "news"})).await;
    assert_eq!(
        (
            &there["body"]["data"],
            node.metric(SESSIONS.0, SESSIONS.1).await
        ),
        (&json!({}), 0.0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_nobody_fetches_from_ends_and_its_name_is_free() {
    let node = open_node(json!({})).await;
    let session = Session::new(node.port());
    assert_eq!(session.poll().await, "o");
    session.subscribe("news").await;
    assert!(session.poll().await.starts_with("a["));
    // What comes meanwhile waits for nobody.
    call(
        node.port(),
        "publish",
        json!({"channel": "news", "data": 1}),
    )
    .await;
    node.counted("foghorn_closes_total", "reason=\"away\"", 1.0)
        .await;
    session.is_forgotten().await;
    assert_eq!(
        (
            session.poll().await,
            node.metric("foghorn_outbox_bytes", "").await
        ),
        ("o".to_owned(), 0.0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_is_told_to_every_request_for_a_while_and_then_the_name_is_free() {
    let node = open_node(json!({})).await;
    let session = Session::new(node.port());
    assert_eq!(session.poll().await, "o");
    session.say(&[json!({"method": "ping"})]).await.expect(204);
    let end = r#"c[3000,"{\"reason\":\"unauthorized\",\"reconnect\":false}"]"#;
    assert_eq!(
        (session.poll().await, session.poll().await),
        (end.to_owned(), end.to_owned())
    );
    // Nothing of what is said now is done, and nobody is surprised by it.
    session
        .say(&[json!({"method": "connect", "params": {}})])
        .await
        .expect(204);
    session.is_forgotten().await;
    assert_eq!(session.poll().await, "o");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_request_that_fetches_is_turned_away_by_every_transport() {
    let node = open_node(json!({})).await;
    let session = Session::new(node.port());
    let mut stream = Stream::open(&session).await;
    assert_eq!(stream.line().await.as_deref(), Some("o"));
    let taken = r#"c[2010,"Another connection still open"]"#;
    assert_eq!(session.poll().await, taken);
    assert_eq!(
        session.fetch("GET", "eventsource").await,
        format!("\r\ndata: {taken}\r\n\r\n")
    );
    assert!(
        session
            .fetch("POST", "xhr_streaming")
            .await
            .ends_with(&format!("\n{taken}\n"))
    );
    assert!(
        session
            .fetch("GET", "jsonp?c=cb")
            .await
            .starts_with("cb(\"c[2010,")
    );
    session.subscribe("news").await;
    stream.answer("2").await;
}

/// A page that fetches and reads nothing but the first byte.
async fn deaf(session: &Session) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    // What the kernel takes for it has a bound.
    socket.set_recv_buffer_size(16 << 10).expect("a size");
    let mut stream = socket
        .connect(([127, 0, 0, 1], session.port).into())
        .await
        .expect("a connection");
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
        session.path("xhr_streaming")
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream.read_exact(&mut [0; 1]).await.expect("an answer");
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_does_not_read_is_cut_at_its_bound_and_the_others_get_everything() {
    let node = open_node(json!({"client_queue_max_size": 100_000})).await;
    let (slow, quick) = (Session::new(node.port()), Session::new(node.port()));
    let mut deaf = deaf(&slow).await;
    let mut stream = Stream::open(&quick).await;
    for session in [&slow, &quick] {
        session.subscribe("news").await;
    }
    stream.answer("2").await;
    let reads = tokio::spawn(async move {
        loop {
            let Some(frame) = stream.line().await else {
                stream = Stream::open(&quick).await;
                continue;
            };
            if messages(&frame)
                .iter()
                .any(|message| message["body"]["data"] == "last")
            {
                return;
            }
        }
    });
    let data = "x".repeat(10_000);
    eventually("it is cut", || async {
        for _ in 0..5 {
            call(
                node.port(),
                "publish",
                json!({"channel": "news", "data": data}),
            )
            .await;
        }
        let waits = node.metric("foghorn_outbox_bytes", "").await;
        assert!(waits <= 220_000.0, "{waits} bytes wait for two clients");
        (node
            .metric("foghorn_closes_total", "reason=\"overflow\"")
            .await
            > 0.0)
            .then_some(())
    })
    .await;
    call(
        node.port(),
        "publish",
        json!({"channel": "news", "data": "last"}),
    )
    .await;
    reads.await.expect("the other page has the last message");
    // Who begins to read then is told so, or finds itself cut off.
    let mut had = Vec::new();
    let read = async {
        while deaf.read_buf(&mut had).await.is_ok_and(|n| n > 0) && !had.ends_with(END_OF_BODY) {}
    };
    assert!(
        tokio::time::timeout(PATIENCE, read).await.is_ok(),
        "it goes on"
    );
    assert!(had.len() < 10_000_000);
    node.emptied(SESSIONS.0, SESSIONS.1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_count_for_the_nodes_bound_on_connections() {
    let node = plan(
        Plan::new().env("FOGHORN_MAX_CONNECTIONS", "1"),
        &config(json!({})),
    )
    .start()
    .await;
    let (first, second) = (Session::new(node.port()), Session::new(node.port()));
    assert_eq!(first.poll().await, "o");
    let page = [("Origin", "https://a.example.com")];
    let refused = http::request(node.port(), "POST", &second.path("xhr"), &page, Some(b""))
        .await
        .expect(503);
    assert_eq!(
        refused.headers["access-control-allow-origin"],
        "https://a.example.com"
    );
    assert!(refused.headers.contains_key("retry-after"));
    // Once the first is gone, there is room.
    first.is_forgotten().await;
    assert_eq!(second.poll().await, "o");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_ends_tells_every_session_to_come_back_and_waits_for_none() {
    let quick = Plan::new()
        .env("FOGHORN_SETTLE_SECONDS", "0")
        .env("FOGHORN_DRAIN_SECONDS", "4");
    let mut node = plan(quick, &config(json!({}))).start().await;
    let (streamed, polled, idle) = (
        Session::new(node.port()),
        Session::new(node.port()),
        Session::new(node.port()),
    );
    let mut stream = Stream::open(&streamed).await;
    assert_eq!(stream.line().await.as_deref(), Some("o"));
    assert_eq!(
        (polled.poll().await, idle.poll().await),
        ("o".to_owned(), "o".to_owned())
    );
    let end = r#"c[3000,"{\"reason\":\"shutting down\",\"reconnect\":true}"]"#;
    let ((first, rest), second, status) = tokio::join!(
        async { (stream.line().await, stream.line().await) },
        polled.poll(),
        node.stop()
    );
    assert_eq!(
        (first.as_deref(), rest, second.as_str()),
        (Some(end), None, end)
    );
    assert!(status.success());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis"]
async fn what_a_page_says_while_its_session_waits_is_bounded() {
    let cluster = Cluster {
        redis: vec![Redis::start().await],
        nodes: Vec::new(),
    };
    let recovers = json!({"client_request_max_size": 1_000, "history_size": 5, "history_lifetime": 60, "recover": true});
    let node = plan(cluster.member(Plan::new()), &config(recovers))
        .start()
        .await;
    let session = Session::new(node.port());
    let _stream = Stream::open(&session).await;
    cluster.redis[0].pause();
    session.subscribe("news").await;
    let long = json!({"method": "ping", "params": {"data": "x".repeat(800)}});
    let (mut taken, mut rounds) = (0, 0);
    while session.say(std::slice::from_ref(&long)).await.status == 204 {
        taken += 1;
        if taken < 20 {
            continue;
        }
        // It waits for Redis for a second, and all this took longer: it has to wait once more.
        rounds += 1;
        assert!(rounds < 10, "all of it is taken");
        cluster.redis[0].resume();
        eventually("Redis answers", || async {
            let history = call(node.port(), "history", json!({"channel": "news"})).await;
            history["body"]["data"].is_array().then_some(())
        })
        .await;
        cluster.redis[0].pause();
        let again = json!({"method": "subscribe", "params": {"channel": format!("news{rounds}")}});
        session.say(&[again]).await.expect(204);
        taken = 0;
    }
    assert!(taken > 2);
    let refused = "transport=\"xhr_send\",result=\"too_much\"";
    assert_eq!(
        node.metric("foghorn_centrifugo_sockjs_requests_total", refused)
            .await,
        1.0
    );
    cluster.redis[0].resume();
}
