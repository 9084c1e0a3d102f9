//! Every limit: what the peer gets who runs into it, and the counter that shows it. Nobody else notices.

mod common;

use common::http;
use common::node::{Node, Plan};
use common::socket::{End, Handshake, TEXT, frame};
use common::{library, token};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn a_message_that_is_too_long_is_1009() {
    let node = Plan::new()
        .env("FOGHORN_MAX_MESSAGE_BYTES", "10KiB")
        .start()
        .await;
    let mut socket = node.connect().await;
    socket.send(TEXT, &[b' '; 10 * 1024 + 1]).await;
    assert!(matches!(socket.ended().await, End::Closed(1009, _)));
    node.counted("foghorn_closes_total", "reason=\"too-big\"", 1.0)
        .await;
    // Also where it comes in many pieces, and goes on coming after the refusal.
    let mut socket = node.connect().await;
    let message = frame(TEXT, true, &vec![b' '; 200_000]);
    for piece in message.chunks(777) {
        socket.send_raw(piece).await;
    }
    assert!(matches!(socket.ended().await, End::Closed(1009, _)));
    node.counted("foghorn_closes_total", "reason=\"too-big\"", 2.0)
        .await;
    let log = node.log_so_far().await;
    assert!(!log.contains("panicked"), "{log}");
}

#[tokio::test]
async fn a_message_that_grows_by_fragments_is_1009_too() {
    let node = Plan::new()
        .env("FOGHORN_MAX_MESSAGE_BYTES", "10KiB")
        .start()
        .await;
    let mut socket = node.connect().await;
    for n in 0..12 {
        let opcode = if n == 0 { TEXT } else { 0 };
        socket.send_raw(&frame(opcode, false, &[b' '; 1024])).await;
    }
    assert!(matches!(socket.ended().await, End::Closed(1009, _)));
}

#[tokio::test]
async fn a_frame_that_says_it_is_huge_is_refused_before_it_comes() {
    let node = Node::start().await;
    for length in [1_u64 << 40, u64::MAX >> 1, u64::MAX] {
        let mut socket = node.connect().await;
        let mut head = vec![0x81, 0x80 | 127];
        head.extend(length.to_be_bytes());
        head.extend([0; 4]);
        socket.send_raw(&head).await;
        match socket.ended().await {
            End::Closed(code, _) => assert!([1002, 1009].contains(&code), "{length}: {code}"),
            End::Cut => panic!("no close frame for a frame of {length} bytes"),
        }
    }
}

#[tokio::test]
async fn by_default_a_client_may_subscribe_to_very_many_libraries_in_one_message() {
    let node = Node::start().await;
    let libraries = (0..3_000).map(|_| library()).collect::<Vec<_>>();
    let tokens = libraries
        .iter()
        .map(|id| token::subscription(id, "ann@example.com"))
        .collect::<Vec<_>>();
    let entries = libraries
        .iter()
        .zip(&tokens)
        .map(|(id, token)| (id.as_str(), token.as_str()))
        .collect::<Vec<_>>();
    let mut socket = node.connect().await;
    socket.send_subscribe(&entries).await;
    socket.settle().await;
    assert_eq!(node.metric("foghorn_subscriptions", "").await, 3_000.0);
    node.post_update(&libraries[2_999], "1").await;
    socket.expect_update(&libraries[2_999], "1").await;
}

#[tokio::test]
async fn one_subscription_too_many_ends_the_connection() {
    let node = Plan::new()
        .env("FOGHORN_MAX_SUBSCRIPTIONS", "3")
        .start()
        .await;
    let mut socket = node.connect().await;
    for _ in 0..3 {
        socket.subscribe(&library(), "ann@example.com").await;
    }
    let library = library();
    socket
        .send_subscribe(&[(&library, &token::subscription(&library, "ann@example.com"))])
        .await;
    match socket.ended().await {
        End::Closed(1008, reason) => assert!(reason.contains('3'), "{reason}"),
        end => panic!("{end:?}"),
    }
    node.counted("foghorn_closes_total", "reason=\"subscriptions\"", 1.0)
        .await;
}

#[tokio::test]
async fn connections_in_all_and_from_one_address() {
    for (name, label) in [
        ("FOGHORN_MAX_CONNECTIONS", "connections"),
        (
            "FOGHORN_MAX_CONNECTIONS_PER_ADDRESS",
            "connections-per-address",
        ),
    ] {
        let node = Plan::new().env(name, "2").start().await;
        let first = node.connect().await;
        let mut second = node.connect().await;
        let answer = Handshake::new(node.port()).refused().await;
        assert_eq!(answer.status, 503);
        assert!(
            answer.headers.contains_key("retry-after") && answer.body.contains(name),
            "{answer:?}"
        );
        assert_eq!(
            node.metric(
                "foghorn_connections_refused_total",
                &format!("reason=\"{label}\"")
            )
            .await,
            1.0
        );
        http::get(node.port(), "/ping").await.expect(200);
        second.settle().await;
        drop(first);
        common::eventually("a free place", || async {
            Handshake::new(node.port()).attempt().await.ok()?.ok()
        })
        .await;
    }
}

#[tokio::test]
async fn addresses_behind_a_trusted_proxy_are_counted_apart() {
    let node = Plan::new()
        .env("FOGHORN_MAX_CONNECTIONS_PER_ADDRESS", "1")
        .start()
        .await;
    let from = |address: &str| Handshake::new(node.port()).header("X-Forwarded-For", address);
    let _first = from("203.0.113.1").open().await;
    let _second = from("203.0.113.2").open().await;
    assert_eq!(from("203.0.113.1").refused().await.status, 503);
}

#[tokio::test]
async fn more_handshakes_than_the_rate_allows_are_put_off() {
    let node = Plan::new().env("FOGHORN_HANDSHAKE_RATE", "1").start().await;
    let mut put_off = None;
    for _ in 0..50 {
        if let Ok(Err(answer)) = Handshake::new(node.port()).attempt().await {
            put_off = Some(answer);
        }
    }
    let answer = put_off.expect("fifty handshakes were all taken at a rate of one a second");
    assert_eq!(answer.status, 503);
    assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
    assert!(
        node.metric(
            "foghorn_connections_refused_total",
            "reason=\"handshake-rate\""
        )
        .await
            >= 1.0
    );
    common::eventually("a handshake later", || async {
        Handshake::new(node.port()).attempt().await.ok()?.ok()
    })
    .await;
}

#[tokio::test]
async fn origins_and_posters_can_be_listed() {
    let node = Plan::new()
        .env("FOGHORN_ALLOWED_ORIGINS", "https://cloud.example.com")
        .env("FOGHORN_EVENTS_FROM", "203.0.113.0/24")
        .start()
        .await;
    Handshake::new(node.port()).browser().open().await;
    Handshake::new(node.port()).desktop().open().await;
    let answer = Handshake::new(node.port())
        .header("Origin", "https://evil.example")
        .refused()
        .await;
    assert_eq!(answer.status, 403, "{answer:?}");
    let mut stream = TcpStream::connect(("127.0.0.1", node.port()))
        .await
        .expect("it listens");
    let mut request =
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n".to_vec();
    request.extend(b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
    request.extend(b"Origin: https://cloud.example.com\xff\r\n\r\n");
    stream.write_all(&request).await.expect("it reads");
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.expect("an answer");
    assert_eq!(&start, b"HTTP/1.1 403");
    let authorization = format!("Token {}", token::event());
    let post = async |from: &str| {
        let headers = [
            ("Authorization", authorization.as_str()),
            ("X-Forwarded-For", from),
        ];
        http::request(node.port(), "POST", "/events", &headers, Some(b"{}"))
            .await
            .status
    };
    assert_eq!(post("203.0.113.5").await, 200);
    assert_eq!(post("198.51.100.5").await, 403);
    assert_eq!(
        node.metric("foghorn_connections_refused_total", "reason=\"origin\"")
            .await,
        2.0
    );
    assert_eq!(
        node.metric(
            "foghorn_connections_refused_total",
            "reason=\"events-from\""
        )
        .await,
        1.0
    );
}

/// Reads until the server ends the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(common::PATIENCE, stream.read_to_end(&mut bytes)).await;
    assert!(read.is_ok(), "the connection stays open");
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn a_head_that_does_not_end_is_not_waited_for() {
    let node = Plan::new()
        .env("FOGHORN_HANDSHAKE_SECONDS", "1")
        .start()
        .await;
    for start in [
        "",
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: web",
    ] {
        let mut stream = TcpStream::connect(("127.0.0.1", node.port()))
            .await
            .expect("it listens");
        stream.write_all(start.as_bytes()).await.expect("it reads");
        let answer = rest(&mut stream).await;
        assert!(
            answer.is_empty() || answer.contains(" 408 ") || answer.contains(" 400 "),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn headers_without_end_are_refused() {
    let node = Node::start().await;
    let mut stream = TcpStream::connect(("127.0.0.1", node.port()))
        .await
        .expect("it listens");
    let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n").await;
    let line = format!("X-Pad: {}\r\n", "x".repeat(1_000));
    let (mut sent, limit) = (0, 16 << 20);
    while sent < limit && stream.write_all(line.as_bytes()).await.is_ok() {
        sent += line.len();
    }
    assert!(sent < limit, "{sent} bytes of headers were taken");
    http::get(node.port(), "/ping").await.expect(200);
}

#[tokio::test]
async fn a_head_may_have_32_kib_and_not_one_byte_more() {
    let node = Node::start().await;
    for (length, status) in [
        (32 * 1024, 200),
        (32 * 1024 + 1, 431),
        (33 * 1024, 431),
        (40 * 1024, 431),
        (64 * 1024, 431),
    ] {
        let mut head = "GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n".to_owned();
        while length - head.len() > 2_000 {
            head += &format!("X-Pad: {}\r\n", "x".repeat(1_000));
        }
        let rest_of_it = length - head.len() - "X-Pad: \r\n\r\n".len();
        head += &format!("X-Pad: {}\r\n\r\n", "x".repeat(rest_of_it));
        assert_eq!(head.len(), length);
        let mut stream = TcpStream::connect(("127.0.0.1", node.port()))
            .await
            .expect("it listens");
        let _ = stream.write_all(head.as_bytes()).await;
        let answer = rest(&mut stream).await;
        // What was not read any more may reset the connection before the answer is seen.
        let refused = answer.is_empty() && status == 431;
        assert!(
            refused || answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{length}: {answer}"
        );
    }
    let refused = "reason=\"head-too-large\"";
    node.counted("foghorn_connections_refused_total", refused, 4.0)
        .await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_408() {
    let node = Plan::new()
        .env("FOGHORN_REQUEST_SECONDS", "1")
        .start()
        .await;
    let mut stream = TcpStream::connect(("127.0.0.1", node.port()))
        .await
        .expect("it listens");
    let authorization = format!("Authorization: Token {}\r\n", token::event());
    let head =
        format!("POST /events HTTP/1.1\r\nHost: x\r\n{authorization}Content-Length: 100\r\n\r\n{{");
    stream.write_all(head.as_bytes()).await.expect("it reads");
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert_eq!(
        node.metric("foghorn_events_refused_total", "reason=\"too_slow\"")
            .await,
        1.0
    );
}

#[tokio::test]
async fn a_socket_may_be_required_to_subscribe() {
    let (node, library) = (
        Plan::new()
            .env("FOGHORN_UNAUTHENTICATED_SECONDS", "1")
            .start()
            .await,
        library(),
    );
    // In one packet with the handshake, so that no pause of this test's comes between.
    let token = token::subscription(&library, "ann@example.com");
    let entry = json!({"id": library, "jwt_token": token});
    let message = json!({"type": "subscribe", "content": {"repos": [entry]}}).to_string();
    let mut good = Handshake::new(node.port())
        .early(frame(TEXT, true, message.as_bytes()))
        .open()
        .await;
    good.settle().await;
    let mut idle = node.connect().await;
    let mut bad = node.connect().await;
    bad.send_subscribe(&[(&library, "bad")]).await;
    for socket in [&mut idle, &mut bad] {
        assert!(matches!(socket.ended().await, End::Closed(1008, _)));
    }
    good.settle().await;
}

#[tokio::test]
async fn a_client_that_keeps_offering_a_bad_token_is_answered_ever_more_slowly() {
    let (node, library) = (Node::start().await, library());
    let mut socket = node.connect().await;
    let expired = json!({"type": "jwt-expired", "content": {"repo_id": library}});
    // A client in a tight loop: it offers the token again as soon as it is refused, as the real ones do.
    for _ in 0..2_000 {
        socket.send_subscribe(&[(&library, "bad")]).await;
    }
    let answers = socket.pending().await;
    assert!(
        !answers.is_empty() && answers.iter().all(|answer| *answer == expired),
        "{answers:?}"
    );
    assert!(answers.len() < 100, "{} answers at once", answers.len());
    // A good one is taken at once all the same.
    socket.subscribe(&library, "ann@example.com").await;
    node.post_update(&library, "1").await;
    let update = json!({"type": "repo-update", "content": {"repo_id": library, "commit_id": "1"}});
    while socket.recv().await != update {}
}
