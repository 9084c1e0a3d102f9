//! What clients may say, exactly: a message that is not right ends the connection, with a close frame that says why, and
//! nothing of it takes effect.

mod common;

use common::node::Node;
use common::socket::{BINARY, CLOSE, End, PING, Socket, TEXT, frame};
use common::{library, token};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

async fn refused(node: &Node, bytes: &[u8]) -> u16 {
    let mut socket = node.connect().await;
    socket.send_raw(bytes).await;
    match socket.ended().await {
        End::Closed(code, reason) => {
            assert!(
                !reason.is_empty() || code == 1000,
                "a close without a reason: {code}"
            );
            code
        }
        End::Cut => panic!("no close frame after {:?}", String::from_utf8_lossy(bytes)),
    }
}

fn text(message: &str) -> Vec<u8> {
    frame(TEXT, true, message.as_bytes())
}

fn subscribe(library: &str) -> Value {
    let entry =
        json!({"id": library, "jwt_token": token::subscription(library, "ann@example.com")});
    json!({"type": "subscribe", "content": {"repos": [entry]}})
}

#[tokio::test]
async fn one_json_object_a_message_and_nothing_after_it() {
    let (node, library) = (Node::start().await, library());
    let good = subscribe(&library).to_string();
    for message in [
        format!("{good}{good}"),
        format!("{good} junk"),
        format!("{good}\0"),
        format!("[{good}]"),
    ] {
        let code = refused(&node, &text(&message)).await;
        assert!((1003..=1008).contains(&code), "{message}: {code}");
    }
    assert_eq!(node.metric("foghorn_subscriptions", "").await, 0.0);
}

#[tokio::test]
async fn keys_count_in_their_own_case_only() {
    let (node, library) = (Node::start().await, library());
    let token = token::subscription(&library, "ann@example.com");
    for message in [
        json!({"TYPE": "subscribe", "content": {"repos": []}}),
        json!({"type": "subscribe", "Content": {"repos": [{"id": library, "jwt_token": token}]}}),
        json!({"type": "Subscribe", "content": {"repos": []}}),
    ] {
        refused(&node, &text(&message.to_string())).await;
    }
    let mut socket = node.connect().await;
    socket.send_json(&json!({"type": "subscribe", "content": {"Repos": [{"id": library, "jwt_token": token}]}})).await;
    socket.settle().await;
    assert_eq!(node.metric("foghorn_subscriptions", "").await, 0.0);
    let claims = json!({"EXP": token::now() + 300, "exp": token::now() - 300, "repo_id": library, "username": "x"});
    let shouting = token::sign(token::KEY, Algorithm::HS256, &claims);
    socket.send_subscribe(&[(&library, &shouting)]).await;
    assert_eq!(
        socket.recv().await,
        json!({"type": "jwt-expired", "content": {"repo_id": library}})
    );
    // And in what backends post: an event that names its library in another case goes nowhere.
    socket.subscribe(&library, "ann@example.com").await;
    node.post(
        "repo-update",
        &json!({"Repo_ID": library, "commit_id": "shouting"}),
    )
    .await
    .expect(200);
    node.post_update(&library, "plain").await;
    socket.expect_update(&library, "plain").await;
}

#[tokio::test]
async fn a_text_message_must_be_utf8() {
    let node = Node::start().await;
    assert_eq!(
        refused(&node, &frame(TEXT, true, b"{\"type\":\"\xff\xfe\"}")).await,
        1007
    );
    // Also where the bad bytes are split over two frames.
    let mut parts = frame(TEXT, false, b"{\"type\":\"\xc3");
    parts.extend(frame(0, true, b"(\"}"));
    assert_eq!(refused(&node, &parts).await, 1007);
}

#[tokio::test]
async fn an_unknown_type_or_no_json_is_said_so() {
    let node = Node::start().await;
    for message in [
        "",
        "x",
        "{}",
        "null",
        "{\"type\":\"shout\",\"content\":{}}",
        "{\"type\":\"subscribe\"}",
    ] {
        let code = refused(&node, &text(message)).await;
        assert!([1003, 1007, 1008].contains(&code), "{message}: {code}");
    }
}

#[tokio::test]
async fn breaches_of_the_websocket_protocol_are_1002() {
    let node = Node::start().await;
    let mut reserved = frame(TEXT, true, b"{}");
    reserved[0] |= 0x40;
    let unmasked = vec![0x81, 2, b'{', b'}'];
    let orphan = frame(0, true, b"{}");
    let long_ping = frame(PING, true, &[b'x'; 126]);
    let fragmented_ping = frame(PING, false, b"x");
    let unknown = frame(3, true, b"x");
    for (what, bytes) in [
        ("a reserved bit", reserved),
        ("no mask", unmasked),
        ("a continuation of nothing", orphan),
        ("a long control frame", long_ping),
        ("a fragmented control frame", fragmented_ping),
        ("an unknown opcode", unknown),
    ] {
        assert_eq!(refused(&node, &bytes).await, 1002, "{what}");
    }
}

#[tokio::test]
async fn nothing_of_a_bad_message_takes_effect() {
    let (node, library) = (Node::start().await, library());
    let entry =
        json!({"id": library, "jwt_token": token::subscription(&library, "ann@example.com")});
    let message =
        json!({"type": "subscribe", "content": {"repos": [entry, {"id": 7, "jwt_token": "x"}]}});
    refused(&node, &text(&message.to_string())).await;
    node.counted("foghorn_closes_total", "", 1.0).await;
    assert_eq!(node.metric("foghorn_subscriptions", "").await, 0.0);
}

#[tokio::test]
async fn a_close_is_answered_with_its_own_code() {
    let node = Node::start().await;
    for (payload, wanted) in [
        (
            1000_u16.to_be_bytes().to_vec(),
            End::Closed(1000, String::new()),
        ),
        (
            4321_u16.to_be_bytes().to_vec(),
            End::Closed(4321, String::new()),
        ),
        (Vec::new(), End::Closed(1005, String::new())),
    ] {
        let mut socket = node.connect().await;
        socket.send(CLOSE, &payload).await;
        assert_eq!(socket.ended().await, wanted);
    }
}

#[tokio::test]
async fn binary_and_fragmented_messages_are_taken() {
    let (node, libraries) = (Node::start().await, [library(), library()]);
    let mut socket = node.connect().await;
    socket
        .send(BINARY, subscribe(&libraries[0]).to_string().as_bytes())
        .await;
    send_in_pieces(&mut socket, &subscribe(&libraries[1]).to_string()).await;
    socket.settle().await;
    for library in &libraries {
        node.post_update(library, "1").await;
        socket.expect_update(library, "1").await;
    }
}

/// One message in frames of three bytes, each in a packet of its own, a ping in between.
async fn send_in_pieces(socket: &mut Socket, message: &str) {
    let pieces = message.as_bytes().chunks(3).collect::<Vec<_>>();
    for (n, piece) in pieces.iter().enumerate() {
        let opcode = if n == 0 { TEXT } else { 0 };
        socket
            .send_raw(&frame(opcode, n + 1 == pieces.len(), piece))
            .await;
        if n == 1 {
            socket.settle().await;
        }
    }
}
