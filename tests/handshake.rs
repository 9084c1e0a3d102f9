//! Who connects as the protocol wants it is let in, whatever a proxy or a packet boundary does; who does not reads what
//! is missing.

mod common;

use common::http;
use common::library;
use common::node::{Node, Plan};
use common::socket::{Handshake, TEXT, frame};
use common::token;
use serde_json::json;

#[tokio::test]
async fn a_message_in_one_packet_with_the_handshake_is_taken() {
    let (node, library) = (Node::start().await, library());
    let entry = json!({"id": library, "jwt_token": token::subscription(&library, "ann@example.com")});
    let message = json!({"type": "subscribe", "content": {"repos": [entry]}}).to_string();
    let mut socket = Handshake::new(node.port()).early(frame(TEXT, true, message.as_bytes())).open().await;
    socket.settle().await;
    node.post_update(&library, "1").await;
    socket.expect_update(&library, "1").await;
}

#[tokio::test]
async fn a_first_message_larger_than_any_read_is_taken_with_the_handshake() {
    let (node, library) = (Node::start().await, library());
    let entry = json!({"id": library, "jwt_token": token::subscription(&library, "ann@example.com")});
    let message = json!({"type": "subscribe", "content": {"repos": [entry], "pad": "x".repeat(300_000)}}).to_string();
    let mut socket = Handshake::new(node.port()).early(frame(TEXT, true, message.as_bytes())).open().await;
    socket.settle().await;
    node.post_update(&library, "1").await;
    socket.expect_update(&library, "1").await;
}

#[tokio::test]
async fn a_key_that_is_not_sixteen_bytes_is_400() {
    let node = Node::start().await;
    for key in ["x", "dGhlIHNhbXBsZSBub25j", "dGhlIHNhbXBsZSBub25jZXg=", "not base64 at all!!!===="] {
        let answer = Handshake::new(node.port()).header("Sec-WebSocket-Key", key).refused().await;
        assert_eq!(answer.status, 400, "{key}");
        assert!(answer.body.contains("Sec-WebSocket-Key"), "{}", answer.body);
    }
}

#[tokio::test]
async fn a_mangled_upgrade_names_the_header_and_the_directive_that_sends_it() {
    let node = Node::start().await;
    for path in ["/", "/notification", "/notification/"] {
        for header in ["Upgrade", "Connection", "Sec-WebSocket-Version", "Sec-WebSocket-Key"] {
            let answer = Handshake::new(node.port()).path(path).without(header).refused().await;
            assert_eq!(answer.status, 400, "{path} without {header}");
            assert_eq!(answer.headers["sec-websocket-version"], "13");
            assert!(answer.body.contains(header), "{header}: {}", answer.body);
            for directive in ["proxy_set_header Upgrade $http_upgrade", "HAProxy", "ProxyPass", "reverse_proxy"] {
                assert!(answer.body.contains(directive), "{directive}: {}", answer.body);
            }
        }
    }
}

#[tokio::test]
async fn no_subprotocol_and_no_extension_is_answered() {
    let node = Node::start().await;
    let offer = Handshake::new(node.port()).desktop().header("Sec-WebSocket-Extensions", "permessage-deflate");
    let socket = offer.open().await;
    assert!(!socket.headers().contains_key("sec-websocket-protocol"), "{:?}", socket.headers());
    assert!(!socket.headers().contains_key("sec-websocket-extensions"), "{:?}", socket.headers());
}

#[tokio::test]
async fn x_forwarded_for_names_the_client_in_the_log() {
    let mut node = Node::start().await;
    let _socket = Handshake::new(node.port()).header("X-Forwarded-For", "203.0.113.77").open().await;
    node.process().logged("203.0.113.77").await;
}

#[tokio::test]
async fn x_forwarded_for_of_a_stranger_is_not_believed() {
    let mut node = Plan::new().env("FOGHORN_TRUSTED_PROXIES", "192.0.2.1").start().await;
    let _socket = Handshake::new(node.port()).header("X-Forwarded-For", "203.0.113.77").open().await;
    let log = node.process().logged("127.0.0.1").await;
    assert!(!log.contains("203.0.113.77"), "{log}");
}

#[tokio::test]
async fn odd_spellings_of_a_path_are_served_as_the_clean_one() {
    let node = Node::start().await;
    for path in ["//ping", "/./ping", "/ping//", "/notification//ping", "//notification/./ping/", "/ping?x=1"] {
        let answer = http::get(node.port(), path).await.expect(200);
        assert_eq!(answer.body, "{\"ret\": \"pong\"}\n", "{path}");
    }
    let mut socket = Handshake::new(node.port()).path("//notification//").open().await;
    socket.settle().await;
    for path in ["/Ping", "/ping/x", "/notification/notification", "/notifications"] {
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
