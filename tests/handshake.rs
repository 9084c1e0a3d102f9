//! Who connects as the protocol wants it is let in, whatever a proxy or a packet boundary does; who does not reads what
//! is missing.

mod common;

use common::http;
use common::library;
use common::node::{Node, Plan};
use common::socket::{Handshake, TEXT, frame};
use common::token;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn a_message_in_one_packet_with_the_handshake_is_taken() {
    let (node, library) = (Node::start().await, library());
    let entry =
        json!({"id": library, "jwt_token": token::subscription(&library, "ann@example.com")});
    let message = json!({"type": "subscribe", "content": {"repos": [entry]}}).to_string();
    let mut socket = Handshake::new(node.port())
        .early(frame(TEXT, true, message.as_bytes()))
        .open()
        .await;
    socket.settle().await;
    node.post_update(&library, "1").await;
    socket.expect_update(&library, "1").await;
}

#[tokio::test]
async fn a_first_message_larger_than_any_read_is_taken_with_the_handshake() {
    let (node, library) = (Node::start().await, library());
    let entry =
        json!({"id": library, "jwt_token": token::subscription(&library, "ann@example.com")});
    let message =
        json!({"type": "subscribe", "content": {"repos": [entry], "pad": "x".repeat(300_000)}})
            .to_string();
    let mut socket = Handshake::new(node.port())
        .early(frame(TEXT, true, message.as_bytes()))
        .open()
        .await;
    socket.settle().await;
    node.post_update(&library, "1").await;
    socket.expect_update(&library, "1").await;
}

#[tokio::test]
async fn a_key_that_is_not_sixteen_bytes_is_400() {
    let node = Node::start().await;
    for key in [
        "x",
        "dGhlIHNhbXBsZSBub25j",
        "dGhlIHNhbXBsZSBub25jZXg=",
        "not base64 at all!!!====",
    ] {
        let answer = Handshake::new(node.port())
            .header("Sec-WebSocket-Key", key)
            .refused()
            .await;
        assert_eq!(answer.status, 400, "{key}");
        assert!(answer.body.contains("Sec-WebSocket-Key"), "{}", answer.body);
    }
}

#[tokio::test]
async fn a_mangled_upgrade_names_the_header_and_the_directive_that_sends_it() {
    let node = Node::start().await;
    for path in ["/", "/notification", "/notification/"] {
        for header in [
            "Upgrade",
            "Connection",
            "Sec-WebSocket-Version",
            "Sec-WebSocket-Key",
        ] {
            let answer = Handshake::new(node.port())
                .path(path)
                .without(header)
                .refused()
                .await;
            assert_eq!(answer.status, 400, "{path} without {header}");
            assert_eq!(answer.headers["sec-websocket-version"], "13");
            assert!(answer.body.contains(header), "{header}: {}", answer.body);
            for directive in [
                "proxy_set_header Upgrade $http_upgrade",
                "HAProxy",
                "ProxyPass",
                "reverse_proxy",
            ] {
                assert!(
                    answer.body.contains(directive),
                    "{directive}: {}",
                    answer.body
                );
            }
        }
    }
}

#[tokio::test]
async fn no_subprotocol_and_no_extension_is_answered() {
    let node = Node::start().await;
    let offer = Handshake::new(node.port())
        .desktop()
        .header("Sec-WebSocket-Extensions", "permessage-deflate");
    let socket = offer.open().await;
    assert!(
        !socket.headers().contains_key("sec-websocket-protocol"),
        "{:?}",
        socket.headers()
    );
    assert!(
        !socket.headers().contains_key("sec-websocket-extensions"),
        "{:?}",
        socket.headers()
    );
}

#[tokio::test]
async fn x_forwarded_for_names_the_client_in_the_log() {
    let mut node = Node::start().await;
    let _socket = Handshake::new(node.port())
        .header("X-Forwarded-For", "203.0.113.77")
        .open()
        .await;
    node.process().logged("203.0.113.77").await;
}

#[tokio::test]
async fn x_forwarded_for_of_a_stranger_is_not_believed() {
    let mut node = Plan::new()
        .env("FOGHORN_TRUSTED_PROXIES", "192.0.2.1")
        .start()
        .await;
    let _socket = Handshake::new(node.port())
        .header("X-Forwarded-For", "203.0.113.77")
        .open()
        .await;
    let log = node.process().logged("127.0.0.1").await;
    assert!(!log.contains("203.0.113.77"), "{log}");
}

#[tokio::test]
async fn odd_spellings_of_a_path_are_served_as_the_clean_one() {
    let node = Node::start().await;
    for path in [
        "//ping",
        "/./ping",
        "/ping//",
        "/notification//ping",
        "//notification/./ping/",
        "/ping?x=1",
    ] {
        let answer = http::get(node.port(), path).await.expect(200);
        assert_eq!(answer.body, "{\"ret\": \"pong\"}\n", "{path}");
    }
    let mut socket = Handshake::new(node.port())
        .path("//notification//")
        .open()
        .await;
    socket.settle().await;
    for path in [
        "/Ping",
        "/ping/x",
        "/notification/notification",
        "/notifications",
    ] {
        http::get(node.port(), path).await.expect(404);
    }
}

#[tokio::test]
async fn the_ops_pages_are_not_on_the_clients_port() {
    let node = Node::start().await;
    for path in ["/metrics", "/readyz", "/livez", "/nodes", "/console"] {
        http::get(node.port(), path).await.expect(404);
    }
    http::get(node.ops(), "/livez").await.expect(200);
}

#[tokio::test]
async fn who_only_asks_what_is_here_is_told() {
    let node = Node::start().await;
    for path in ["/", "/notification"] {
        for agent in [
            ("User-Agent", "ELB-HealthChecker/2.0"),
            ("Accept", "text/html"),
        ] {
            let answer = http::request(node.port(), "GET", path, &[agent], None)
                .await
                .expect(200);
            assert!(
                answer.body.contains("notification server") && answer.body.lines().count() == 1,
                "{answer:?}"
            );
        }
        // Nothing in it says whether it is a handshake that lost its headers: as the reference answers.
        let bare = http::request(node.port(), "GET", path, &[], None)
            .await
            .expect(400);
        assert_eq!(bare.headers["sec-websocket-version"], "13");
        // An event that went astray must not look taken.
        let posted = http::request(
            node.port(),
            "POST",
            path,
            &[("User-Agent", "seaf-server")],
            Some(b"{}"),
        )
        .await;
        assert_eq!(posted.status, 400);
    }
    let mangled = Handshake::new(node.port())
        .browser()
        .without("Upgrade")
        .refused()
        .await;
    assert_eq!(mangled.status, 400);
}

#[tokio::test]
async fn the_proxy_protocol_is_recognised_and_named() {
    let mut node = Node::start().await;
    let text = b"PROXY TCP4 203.0.113.7 127.0.0.1 40000 8083\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"
        .to_vec();
    let binary =
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x07\x7f\0\0\x01\x9c\x40\x1f\x93GET / HTTP/1.1\r\n\r\n".to_vec();
    for begins in [text, binary] {
        let mut stream = TcpStream::connect(("127.0.0.1", node.port()))
            .await
            .expect("it listens");
        stream.write_all(&begins).await.expect("it reads");
        let mut answer = vec![0; 200];
        stream.read_exact(&mut answer).await.expect("an answer");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(
            answer.starts_with("HTTP/1.1 400 ") && answer.contains("PROXY protocol"),
            "{answer}"
        );
    }
    let refused = "reason=\"proxy-protocol\"";
    assert_eq!(
        node.metric("foghorn_connections_refused_total", refused)
            .await,
        2.0
    );
    let log = node.process().logged("PROXY protocol").await;
    assert!(
        log.contains("send-proxy") && log.contains("peer=127.0.0.1"),
        "{log}"
    );
    http::get(node.port(), "/ping").await.expect(200);
}
