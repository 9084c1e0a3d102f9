//! SockJS: every transport carries what WebSockets do, and what cannot be taken is refused.

use serde_json::{Value, json};

use crate::common::node::{Node, Plan};
use crate::common::socket::{CLOSE, Handshake, TEXT};
use crate::common::{eventually, http};
use crate::site::{call, plan};
use crate::sockjs_page::{Session, Stream, messages};

/// A node that believes everybody.
pub async fn open_node(more: Value) -> Node {
    plan(Plan::new(), &config(more)).start().await
}

/// What it is told.
pub fn config(more: Value) -> Value {
    let mut config = json!({"secret": "secret", "insecure": true, "presence": true});
    config
        .as_object_mut()
        .expect("an object")
        .extend(more.as_object().cloned().unwrap_or_default());
    config
}

async fn publish(node: &Node, data: &str) {
    let answer = call(
        node.port(),
        "publish",
        json!({"channel": "news", "data": data}),
    )
    .await;
    assert_eq!(answer["error"], Value::Null);
}

/// Waits until somebody is subscribed.
async fn is_subscribed(node: &Node) {
    eventually("somebody is there", || async {
        let there = call(node.port(), "presence", json!({"channel": "news"})).await;
        there["body"]["data"]
            .as_object()
            .is_some_and(|all| !all.is_empty())
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_comes_by_every_transport_that_streams() {
    let node = open_node(json!({})).await;
    for (method, way) in [
        ("POST", "xhr_streaming"),
        ("GET", "eventsource"),
        ("GET", "htmlfile?c=cb"),
    ] {
        let session = Session::new(node.port());
        let mut stream = Stream::by(&session, method, way).await;
        session.subscribe("news").await;
        is_subscribed(&node).await;
        publish(&node, "</script> \u{2028} é").await;
        let text = stream.until("script").await.to_owned();
        assert!(
            way.starts_with("html") || text.contains("</script> \u{2028} é"),
            "{way}: {text}"
        );
        if way.starts_with("html") {
            let all = stream.until("\\u2028").await;
            assert!(
                all.contains("var c = parent.cb;") && all.contains("\\u003c/script\\u003e"),
                "{all}"
            );
            assert!(!all.contains('\u{2028}'));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_comes_by_every_transport_that_polls() {
    let node = open_node(json!({})).await;
    let session = Session::new(node.port());
    assert_eq!(
        session.fetch("GET", "jsonp?c=_jp.cb").await,
        "_jp.cb(\"o\");\r\n"
    );
    let connect = json!(["{\"method\":\"connect\",\"params\":{}}"]).to_string();
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("d", &connect)
        .finish();
    let kind = [("Content-Type", "application/x-www-form-urlencoded")];
    let send = async |headers: &[(&str, &str)], body: &str| {
        http::request(
            node.port(),
            "POST",
            &session.path("jsonp_send"),
            headers,
            Some(body.as_bytes()),
        )
        .await
        .expect(200)
    };
    assert_eq!(send(&kind, &form).await.body, "ok");
    assert!(
        session
            .fetch("GET", "jsonp?c=cb")
            .await
            .starts_with("cb(\"a[\\\"{\\\\\\\"method")
    );
    // The same session, by another transport.
    let subscribe =
        json!(["{\"method\":\"subscribe\",\"params\":{\"channel\":\"news\"}}"]).to_string();
    assert_eq!(send(&[], &subscribe).await.body, "ok");
    assert_eq!(messages(&session.poll().await)[0]["body"]["status"], true);
    publish(&node, "one").await;
    publish(&node, "two").await;
    let mut had = Vec::new();
    while had.len() < 2 {
        had.extend(
            messages(&session.poll().await)
                .into_iter()
                .map(|message| message["body"]["data"].clone()),
        );
    }
    assert_eq!(had, ["one", "two"]);
    node.counted(
        "foghorn_centrifugo_sockjs_requests_total",
        "transport=\"jsonp_send\",result=\"ok\"",
        2.0,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_full_ends_and_the_next_goes_on_with_nothing_lost_or_told_twice() {
    let node = open_node(json!({})).await;
    let session = Session::new(node.port());
    let mut stream = Stream::open(&session).await;
    assert_eq!(stream.line().await.as_deref(), Some("o"));
    session.subscribe("news").await;
    stream.answer("2").await;
    let filler = "x".repeat(2_000);
    let (port, count) = (node.port(), 200_u64);
    let talk = tokio::spawn(async move {
        for n in 0..count {
            call(
                port,
                "publish",
                json!({"channel": "news", "data": [n, filler]}),
            )
            .await;
        }
    });
    let (mut had, mut bodies) = (Vec::new(), 1);
    while had.len() < count as usize {
        let Some(frame) = stream.line().await else {
            stream = Stream::open(&session).await;
            bodies += 1;
            continue;
        };
        assert_ne!(frame, "o");
        had.extend(
            messages(&frame)
                .into_iter()
                .filter_map(|message| message["body"]["data"][0].as_u64()),
        );
    }
    talk.await.expect("all are published");
    assert_eq!(had, (0..count).collect::<Vec<_>>());
    assert!(
        (3..=5).contains(&bodies),
        "400 KB came in {bodies} bodies of 128 KiB"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_is_told_in_a_frame_why_it_ends_and_closed_after_that() {
    let node = open_node(json!({})).await;
    for (bad, reason) in [
        ("{}".to_owned(), "invalid message"),
        (format!("[\"{}\"]", "x".repeat(65_537)), "limit exceeded"),
        (format!("[\"{}\"]", "x".repeat(1 << 20)), "limit exceeded"),
    ] {
        let mut socket = Handshake::new(node.port())
            .path(&Session::new(node.port()).path("websocket"))
            .open()
            .await;
        assert_eq!(
            socket.frame().await.map(|frame| frame.text()),
            Some("o".to_owned())
        );
        socket.send(TEXT, bad.as_bytes()).await;
        let told = socket.frame_beside_pings().await.expect("a frame");
        assert_eq!(
            told.text(),
            format!(r#"c[3000,"{{\"reason\":\"{reason}\",\"reconnect\":false}}"]"#)
        );
        let close = socket.frame_beside_pings().await.expect("a close frame");
        assert_eq!(
            (close.opcode, &close.payload[..2]),
            (CLOSE, &3_000_u16.to_be_bytes()[..])
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_come_as_often_as_the_file_says_and_end_a_poll() {
    let node = open_node(json!({"sockjs_heartbeat_delay": 1})).await;
    let (session, polled) = (Session::new(node.port()), Session::new(node.port()));
    let mut stream = Stream::open(&session).await;
    assert_eq!(stream.line().await.as_deref(), Some("o"));
    for _ in 0..3 {
        assert_eq!(stream.line().await.as_deref(), Some("h"));
    }
    assert_eq!(
        (polled.poll().await, polled.poll().await),
        ("o".to_owned(), "h".to_owned())
    );
    let mut socket = Handshake::new(node.port())
        .path(&Session::new(node.port()).path("websocket"))
        .open()
        .await;
    assert_eq!(
        socket.frame().await.map(|frame| frame.text()),
        Some("o".to_owned())
    );
    assert_eq!(
        socket.frame_beside_pings().await.map(|frame| frame.text()),
        Some("h".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_long_is_refused_and_nothing_of_it_is_done() {
    let node = open_node(json!({"client_request_max_size": 512})).await;
    let session = Session::new(node.port());
    assert_eq!(session.poll().await, "o");
    let send = async |body: &str| {
        http::request(
            node.port(),
            "POST",
            &session.path("xhr_send"),
            &[],
            Some(body.as_bytes()),
        )
        .await
    };
    assert_eq!(
        send(&json!(["x".repeat(6_000)]).to_string()).await.status,
        413
    );
    node.counted(
        "foghorn_centrifugo_sockjs_requests_total",
        "transport=\"xhr_send\",result=\"too_big\"",
        1.0,
    )
    .await;
    // A command that is too long, among others.
    send(
        &json!([
            json!({"method": "connect", "params": {}}).to_string(),
            "x".repeat(513)
        ])
        .to_string(),
    )
    .await
    .expect(204);
    let mut frame = session.poll().await;
    if frame.starts_with('a') {
        frame = session.poll().await;
    }
    assert_eq!(
        frame,
        r#"c[3000,"{\"reason\":\"limit exceeded\",\"reconnect\":false}"]"#
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_none_and_functions_that_are_none_are_refused() {
    let node = open_node(json!({})).await;
    let long = format!("/connection/000/{}/xhr", "x".repeat(300));
    for path in [
        "/connection/a.b/c/xhr",
        "/connection/a/b.c/xhr",
        "/connection/a/xhr",
        &long,
        "/connection/a/b/zork",
    ] {
        http::request(node.port(), "POST", path, &[], Some(b""))
            .await
            .expect(404);
    }
    let session = Session::new(node.port());
    for (way, status) in [
        ("jsonp", 500),
        ("htmlfile?c=", 500),
        ("jsonp?c=a(", 400),
        ("htmlfile?c=%3Cscript%3E", 400),
    ] {
        let answer = http::get(node.port(), &session.path(way))
            .await
            .expect(status);
        assert!(
            !answer.body.contains('<') && answer.headers["content-type"].starts_with("text/plain"),
            "{answer:?}"
        );
    }
    // None of them has opened a session.
    assert_eq!(
        node.metric("foghorn_connections", "client=\"sockjs\"")
            .await,
        0.0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_beside_other_pages_runs_the_client_that_the_file_names() {
    let node = open_node(json!({"sockjs_url": "//cdn.example.com/sockjs-1.6.1.min.js"})).await;
    let page = http::get(node.port(), "/connection/iframe-1.6.1.html")
        .await
        .expect(200);
    assert!(
        page.body
            .contains(r#"<script src="//cdn.example.com/sockjs-1.6.1.min.js"></script>"#),
        "{}",
        page.body
    );
    assert!(
        page.headers["cache-control"].contains("public") && page.headers.contains_key("expires")
    );
    let had = [("If-None-Match", page.headers["etag"].as_str())];
    let again = http::request(node.port(), "GET", "/connection/iframe.html", &had, None)
        .await
        .expect(304);
    assert_eq!(again.body, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_all_paths_begin_with_is_before_these_too() {
    let node = open_node(json!({"http_prefix": "/push"})).await;
    assert_eq!(
        http::get(node.port(), "/push/connection/")
            .await
            .expect(200)
            .body,
        "Welcome to SockJS!\n"
    );
    assert_eq!(
        http::get(node.port(), "/push/connection/info")
            .await
            .expect(200)
            .json()["websocket"],
        true
    );
    let opened = http::request(
        node.port(),
        "POST",
        "/push/connection/0/abc/xhr",
        &[],
        Some(b""),
    )
    .await
    .expect(200);
    assert_eq!(opened.body, "o\n");
    http::get(node.port(), "/connection/info").await.expect(404);
}
