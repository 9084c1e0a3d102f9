//! How streams end, on one node: with it, or because nobody reads them.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::common::node::Plan;
use crate::common::{eventually, http};
use crate::site::Inbox;
use crate::stream::{Stream, post};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_ends_tells_its_streams_when_to_come_back_and_ends_them_properly() {
    let mut node = Inbox::start(&[
        ("FOGHORN_SETTLE_SECONDS", "0"),
        ("FOGHORN_DRAIN_SECONDS", "20"),
    ])
    .await;
    let (mut stream, _) = Stream::connect(node.port, "ann", "").await;
    let (last, status) = tokio::join!(
        async {
            let last = stream.block().await.expect("a last block");
            assert_eq!(stream.block().await, None);
            last
        },
        node.stop()
    );
    assert!(status.success());
    assert!(
        (1_000..=20_000).contains(&last.retry.parse::<u32>().expect("a number")),
        "{last:?}"
    );
    assert_eq!(
        (&*last.event, &*last.data, &*last.id),
        ("", "", ""),
        "it keeps the id that it has"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_node_tells_pages_to_come_back() {
    let node = Inbox::start(&[("FOGHORN_MAX_CONNECTIONS", "1")]).await;
    let (first, _) = Stream::connect(node.port, "ann", "").await;
    let mut second = Stream::open(node.port, "bob", "").await;
    let told = second.block().await.expect("a block");
    assert!(
        (5_000..=15_000).contains(&told.retry.parse::<u32>().expect("a number")),
        "{told:?}"
    );
    assert_eq!(second.block().await, None);
    node.counted(
        "foghorn_inbox_streams_refused_total",
        "reason=\"connections\"",
        1.0,
    )
    .await;
    drop(first);
}

/// A page that asks for its stream and reads nothing but the first byte.
async fn deaf(port: u16) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    // What the kernel takes for it has a bound.
    socket.set_recv_buffer_size(16 << 10).expect("a size");
    let mut stream = socket
        .connect(([127, 0, 0, 1], port).into())
        .await
        .expect("a connection");
    stream
        .write_all(b"GET /sse/ann HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .expect("sent");
    stream.read_exact(&mut [0; 1]).await.expect("an answer");
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_is_ended_and_the_others_get_everything() {
    let node = Inbox::start(&[
        ("FOGHORN_OUTBOX_MESSAGES", "20"),
        ("FOGHORN_SSE_REPLAY_SECONDS", "120"),
    ])
    .await;
    let deaf = deaf(node.port).await;
    let (mut reads, first) = Stream::connect(node.port, "ann", "").await;
    let large = "x".repeat(300_000);
    for n in 0..60 {
        post(node.port, "ann", &format!("\"{n} {large}\"")).await;
        assert!(reads.data(1).await[0].starts_with(&format!("\"{n} ")));
    }
    node.counted("foghorn_closes_total", "reason=\"overflow\"", 1.0)
        .await;
    drop(deaf);
    // Whoever lost its stream comes back to all of it.
    let (mut back, _) = Stream::connect(node.port, "ann", &first.id).await;
    for (n, data) in back.data(60).await.into_iter().enumerate() {
        assert!(data.starts_with(&format!("\"{n} ")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_long_is_refused() {
    let node = Inbox::start(&[]).await;
    let long = "x".repeat(16 << 10);
    let many: Vec<(String, &str)> = (0..101).map(|n| (format!("X-{n}"), "1")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (&**name, *value)).collect();
    for headers in [&[("X-Long", &*long)][..], &many] {
        http::request(node.port, "GET", "/users", headers, None)
            .await
            .expect(431);
    }
    // Longer than anybody's: what serves HTTP refuses it.
    let longer = "x".repeat(40 << 10);
    let longer = http::try_request(node.port, "GET", "/users", &[("X-Long", &longer)], None).await;
    assert!(longer.is_none_or(|answer| answer.status == 431));
    let refused = "reason=\"head-too-large\"";
    node.counted("foghorn_connections_refused_total", refused, 3.0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_ends_tells_new_streams_to_come_back() {
    let mut node = Inbox::start(&[
        ("FOGHORN_SETTLE_SECONDS", "0"),
        ("FOGHORN_DRAIN_SECONDS", "600"),
    ])
    .await;
    // They are let go one after another, over all that time, so the node stays for long.
    let mut held = Vec::new();
    for n in 0..30 {
        held.push(Stream::connect(node.port, &format!("ann{n}"), "").await);
    }
    node.process().signal("TERM");
    let (told, mut stream) = eventually("a stream that is told to come back", || async {
        let mut stream = Stream::open(node.port, "bob", "").await;
        let first = stream.block().await?;
        first.event.is_empty().then_some((first, stream))
    })
    .await;
    let pause: u32 = told.retry.parse().expect("milliseconds");
    assert!((5_000..=15_000).contains(&pause), "{told:?}");
    assert_eq!(stream.block().await, None);
    node.process().kill();
}

/// Who may read streams is said by FOGHORN_SSE_ORIGINS alone: a page that is refused by 403 would give up for good.
#[tokio::test(flavor = "multi_thread")]
async fn the_origins_of_other_clients_are_none_of_its_business() {
    let node = Inbox::start(&[
        ("FOGHORN_ALLOWED_ORIGINS", "https://seafile.example.com"),
        ("FOGHORN_SSE_ORIGINS", "https://gw.example.com"),
    ])
    .await;
    let ask = async |origin: &str| {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", node.port))
            .await
            .expect("a connection");
        let head = format!("GET /sse/ann HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.expect("sent");
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.expect("an answer");
        String::from_utf8_lossy(&status).into_owned()
    };
    assert_eq!(ask("https://gw.example.com").await, "HTTP/1.1 200");
    assert_eq!(ask("https://seafile.example.com").await, "HTTP/1.1 403");
}

/// With room for all that it does not read, it is a write without progress that ends it.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_takes_nothing_for_half_a_minute_is_cut_off() {
    let node = Inbox::start(&[("FOGHORN_OUTBOX_BYTES", "64MiB")]).await;
    let deaf = deaf(node.port).await;
    let large = "x".repeat(1_000_000);
    for _ in 0..20 {
        post(node.port, "ann", &format!("\"{large}\"")).await;
    }
    node.counted("foghorn_unfinished_ended_total", "reason=\"stalled\"", 1.0)
        .await;
    node.emptied("foghorn_connections", "").await;
    drop(deaf);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_again_is_sent_once_where_that_is_wanted() {
    let node = Inbox::start(&[("FOGHORN_SSE_DEDUP_SECONDS", "3600")]).await;
    let (mut ann, _) = Stream::connect(node.port, "ann", "").await;
    let (mut bob, _) = Stream::connect(node.port, "bob", "").await;
    for data in ["1", "1", "2", "1"] {
        post(node.port, "ann", data).await;
    }
    post(node.port, "bob", "1").await;
    assert_eq!(bob.data(1).await, ["1"]);
    post(node.port, "ann", "3").await;
    assert_eq!(ann.data(3).await, ["1", "2", "3"]);
    assert_eq!(node.metric("foghorn_inbox_repeated_total", "").await, 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_for_no_time_is_not_sent_again_and_pages_are_told() {
    let node = Inbox::start(&[("FOGHORN_SSE_REPLAY_SECONDS", "0")]).await;
    let (mut stream, _) = Stream::connect(node.port, "ann", "").await;
    post(node.port, "ann", "1").await;
    let last = stream.block().await.expect("a block");
    assert_eq!((&*last.event, &*last.data), ("notify", "1"));
    let (mut back, _) = Stream::connect(node.port, "ann", &last.id).await;
    let told = back.block().await.expect("a block");
    assert_eq!(
        (told.event, told.data),
        (
            "resync".to_owned(),
            format!("{{\"after\":\"{}\"}}", last.id)
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_and_origins_change_on_sighup() {
    let plan = Plan::new();
    let file = plan.folder().join("settings");
    std::fs::write(&file, "FOGHORN_SSE_TYPES=notify\n").expect("written");
    let plan = plan.env("FOGHORN_ENV_FILE", &file.display().to_string());
    let mut node = Inbox::from(plan, &[]).await;
    let (mut stream, _) = Stream::connect(node.port, "ann", "").await;
    post(node.port, "ann", "1").await;
    std::fs::write(
        &file,
        "FOGHORN_SSE_TYPES=notify\nFOGHORN_SSE_SECRET=a-secret-of-the-test\n",
    )
    .expect("written");
    node.process().signal("HUP");
    crate::common::eventually("the secret in force", || async {
        let json = [("Content-Type", "application/json")];
        let body = Some(br#"{"id":"notify_ann","data":0}"#.as_slice());
        let answer =
            crate::common::http::try_request(node.port, "POST", "/webNotification", &json, body)
                .await?;
        (answer.status == 401).then_some(())
    })
    .await;
    assert_eq!(stream.data(1).await, ["1"]);
    assert!(!node.log().contains("a-secret-of-the-test"));
}
