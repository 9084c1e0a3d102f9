//! Event streams: the same sessions and outboxes as WebSockets have, in the body of an answer.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Nodes, Stream, ask, http2_to, line, own, recorder, say, socket};
use crate::common::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_goes_out_by_socket_and_by_stream_over_http_1_and_2() {
    let nodes = Nodes::start(2, &[]).await;
    let mut one = Stream::open(own(&nodes.all[0]), "user=ann&channel=hall").await;
    let mut sender = http2_to(own(&nodes.all[1])).await;
    let request = || {
        Request::get("http://localhost/stream?user=bob&channel=hall").body(Full::<Bytes>::default())
    };
    let mut two = Vec::new();
    for _ in 0..3 {
        let answer = sender
            .send_request(request().expect("a request"))
            .await
            .expect("an answer");
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        two.push(Stream::of(answer.into_body()));
    }
    for stream in two.iter_mut().chain([&mut one]) {
        assert_eq!(
            stream.block().await.as_deref(),
            Some("data: subscribed hall")
        );
    }
    let mut talks = socket(nodes.all[0].client_addr.port(), "user=cat").await;
    for n in 0..100 {
        say(&mut talks, &format!("publish hall {n}")).await;
        assert_eq!(line(&mut talks).await, format!("{n}: published"));
    }
    for stream in two.iter_mut().chain([&mut one]) {
        for n in 0..100 {
            assert_eq!(stream.block().await, Some(format!("data: hall: {n}")));
        }
    }
    tokio::join!(
        async {
            for stream in two.iter_mut().chain([&mut one]) {
                assert_eq!(
                    stream.block().await.as_deref(),
                    Some("event: bye\ndata: another node will take you")
                );
                assert_eq!(stream.block().await, None);
            }
        },
        nodes.stop()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_its_client_leaves_ends_its_session() {
    let nodes = Nodes::start(1, &[]).await;
    let mut stays = Stream::open(own(&nodes.all[0]), "user=ann&channel=lobby").await;
    assert_eq!(
        stays.block().await.as_deref(),
        Some("data: subscribed lobby")
    );
    let goes = Stream::open(own(&nodes.all[0]), "user=bob&channel=x").await;
    drop(goes);
    assert_eq!(
        stays.block().await.as_deref(),
        Some("data: lobby: bob left")
    );
    nodes.stop().await;
}

/// A client that asks for a stream and does not read it.
async fn deaf(nodes: &Nodes) -> TcpStream {
    let mut stream = TcpStream::connect(own(&nodes.all[0]))
        .await
        .expect("a connection");
    let request = b"GET /stream?user=deaf&channel=hall HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request).await.expect("sent");
    let mut head = [0; 1];
    stream.read_exact(&mut head).await.expect("an answer");
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_is_cut_off_and_holds_nobody_up() {
    let nodes = Nodes::start(
        1,
        &[
            ("FOGHORN_PING_SECONDS", "1"),
            ("FOGHORN_OUTBOX_MESSAGES", "50"),
        ],
    )
    .await;
    let deaf = deaf(&nodes).await;
    let mut reads = Stream::open(own(&nodes.all[0]), "user=ann&channel=hall").await;
    let mut lobby = Stream::open(own(&nodes.all[0]), "user=bob&channel=lobby").await;
    assert_eq!(
        reads.block().await.as_deref(),
        Some("data: subscribed hall")
    );
    assert_eq!(
        lobby.block().await.as_deref(),
        Some("data: subscribed lobby")
    );
    let large = "x".repeat(300_000);
    for _ in 0..100 {
        ask(own(&nodes.all[0]), "POST", "/say/hall", &large).await;
        assert_eq!(
            reads.block().await.map(|block| block.len()),
            Some(large.len() + "data: hall: ".len())
        );
    }
    // Its session ends, though its client has neither read nor left.
    assert_eq!(
        lobby.block().await.as_deref(),
        Some("data: lobby: deaf left")
    );
    drop(deaf);
    let ended = "foghorn_closes_total{dialect=\"echo\",reason=\"overflow\"}";
    eventually("it is counted", || async {
        recorder().render().contains(ended).then_some(())
    })
    .await;
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_node_refuses_streams_in_the_dialects_words() {
    let nodes = Nodes::start(1, &[("FOGHORN_MAX_CONNECTIONS", "1")]).await;
    let mut first = Stream::open(own(&nodes.all[0]), "user=ann&channel=hall").await;
    assert_eq!(
        first.block().await.as_deref(),
        Some("data: subscribed hall")
    );
    let refused = ask(own(&nodes.all[0]), "GET", "/stream?user=bob", "").await;
    assert_eq!(
        refused,
        "retry: 1000\n\nevent: refused\ndata: connections\n\n"
    );
    drop(first);
    eventually("room", || async {
        let mut next = Stream::open(own(&nodes.all[0]), "user=bob&channel=hall").await;
        (next.block().await.as_deref() == Some("data: subscribed hall")).then_some(())
    })
    .await;
    nodes.stop().await;
}
