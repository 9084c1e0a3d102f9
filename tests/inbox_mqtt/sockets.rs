//! Pages that have their inbox as a WebSocket: who they are, what they are sent, how they end.

use serde_json::json;

use crate::common::http;
use crate::common::node::Plan;
use crate::common::socket::{CLOSE, End, Handshake, PING, Socket, TEXT};
use crate::common::token;
use crate::site::{Inbox, KEY};

/// Where pages connect.
const PATH: &str = "/api/v1/notification/ws";

/// A node that takes tokens.
pub async fn node(settings: &[(&str, &str)]) -> Inbox {
    from(Plan::new(), settings).await
}

/// The same, from a plan.
pub async fn from(plan: Plan, settings: &[(&str, &str)]) -> Inbox {
    Inbox::from(plan.env("FOGHORN_INBOX_JWT_KEY", KEY), settings).await
}

fn handshake(port: u16, user: u64) -> Handshake {
    let claims = json!({"sub": user, "exp": token::now() + 300});
    let token = token::sign(KEY, jsonwebtoken::Algorithm::HS256, &claims);
    Handshake::new(port).path(&format!("{PATH}?token={token}"))
}

/// A page of `user`, which is subscribed.
pub async fn page(port: u16, user: u64) -> Socket {
    let mut socket = handshake(port, user).open().await;
    // What it says is looked at once its past is told.
    socket.send(TEXT, b"ping").await;
    while text(&mut socket).await != "pong" {}
    socket
}

/// The next text.
pub async fn text(socket: &mut Socket) -> String {
    let frame = socket.frame_beside_pings().await.expect("a frame");
    assert!(frame.opcode == TEXT && frame.fin, "{frame:?}");
    frame.text()
}

/// Posts JSON for a user.
pub async fn post(port: u16, user: u64) {
    let body = format!(r#"{{"id":"notify_{user}","data":1}}"#);
    let json = [("Content-Type", "application/json")];
    http::request(
        port,
        "POST",
        "/webNotification",
        &json,
        Some(body.as_bytes()),
    )
    .await
    .expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_posted_reaches_all_pages_of_its_user_as_one_text() {
    let node = node(&[
        ("FOGHORN_INBOX_TEXT", "New Notification"),
        ("FOGHORN_REPLAY_SECONDS", "0"),
    ])
    .await;
    let (mut one, mut two, mut other) = (
        page(node.port, 7).await,
        page(node.port, 7).await,
        page(node.port, 8).await,
    );
    post(node.streams, 7).await;
    assert_eq!(
        (text(&mut one).await, text(&mut two).await),
        ("New Notification".into(), "New Notification".into())
    );
    post(node.streams, 8).await;
    assert_eq!(text(&mut other).await, "New Notification");
    for socket in [&mut one, &mut two, &mut other] {
        socket.send(TEXT, b"ping").await;
        assert_eq!(text(socket).await, "pong", "it was sent nothing else");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_comes_back_is_told_to_look_though_streams_keep_nothing() {
    let node = node(&[
        ("FOGHORN_SSE_REPLAY_SECONDS", "0"),
        ("FOGHORN_REPLAY_SECONDS", "60"),
    ])
    .await;
    post(node.streams, 7).await;
    let mut back = handshake(node.port, 7).open().await;
    assert_eq!(text(&mut back).await, "New Message");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_ends_tells_its_pages_to_come_back() {
    let mut node = node(&[
        ("FOGHORN_SETTLE_SECONDS", "0"),
        ("FOGHORN_DRAIN_SECONDS", "20"),
    ])
    .await;
    let mut socket = page(node.port, 7).await;
    let (end, status) = tokio::join!(socket.ended(), node.stop());
    assert!(matches!(end, End::Closed(1001, _)), "{end:?}");
    assert!(status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_refused_by_origin_and_by_what_is_no_websocket() {
    let node = node(&[("FOGHORN_ALLOWED_ORIGINS", "https://blog.example.com")]).await;
    let strange = handshake(node.port, 7)
        .header("Origin", "https://other.example.com")
        .refused()
        .await;
    assert_eq!(strange.status, 403);
    drop(
        handshake(node.port, 7)
            .header("Origin", "https://blog.example.com")
            .open()
            .await,
    );
    let plain = http::get(node.port, PATH).await.expect(426);
    assert_eq!(plain.headers["upgrade"], "websocket");
    let posted = http::request(node.port, "POST", PATH, &[], None)
        .await
        .expect(405);
    assert_eq!(posted.headers["allow"], "GET");
    let nobody = Handshake::new(node.port)
        .path(PATH)
        .refused()
        .await
        .expect(401);
    assert_eq!(
        nobody.body,
        r#"{"errorCode":401,"data":{},"msg":"Current Session Expired"}"#
    );
    assert_eq!(
        nobody.headers["content-type"],
        "application/json; charset=utf-8"
    );
    node.counted(
        "foghorn_inbox_users_refused_total",
        "cause=\"no_proof\"",
        1.0,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_way_to_tell_users_apart_there_is_no_port_for_websockets() {
    let node = Inbox::start(&[]).await;
    assert!(
        http::try_request(node.port, "GET", PATH, &[], None)
            .await
            .is_none()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn breaches_of_the_protocol_end_a_page_as_its_specification_says() {
    let node = node(&[]).await;
    let mut unmasked = page(node.port, 7).await;
    unmasked.send_raw(&[0x81, 1, b'x']).await;
    assert!(matches!(unmasked.ended().await, End::Closed(1002, _)));
    let mut no_text = page(node.port, 7).await;
    no_text.send(TEXT, &[0xff]).await;
    assert!(matches!(no_text.ended().await, End::Closed(1007, _)));
    let mut leaves = page(node.port, 7).await;
    leaves.send(CLOSE, &[]).await;
    assert!(matches!(leaves.ended().await, End::Closed(1000 | 1005, _)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_page_is_pinged_so_that_no_proxy_cuts_it() {
    let node = node(&[("FOGHORN_PING_SECONDS", "1")]).await;
    let mut idle = page(node.port, 7).await;
    assert_eq!(idle.frame().await.map(|frame| frame.opcode), Some(PING));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_served_while_the_broker_is_away() {
    let node = node(&[
        ("FOGHORN_INBOX_BROKER_URL", "mqtt://127.0.0.1:1"),
        ("FOGHORN_REPLAY_SECONDS", "0"),
    ])
    .await;
    let mut there = page(node.port, 7).await;
    post(node.streams, 7).await;
    assert_eq!(text(&mut there).await, "New Message");
    node.counted(
        "foghorn_inbox_mqtt_ends_total",
        "cause=\"unreachable\"",
        1.0,
    )
    .await;
}
