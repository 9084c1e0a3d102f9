//! What backends post: whom it is taken from, how large it may be, and what becomes of odd events.

mod common;

use common::http::{self, Answer};
use common::node::{Node, Plan};
use common::{library, token};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

async fn post_with(node: &Node, token: &str, body: &[u8]) -> Answer {
    let authorization = format!("Token {token}");
    http::request(
        node.port(),
        "POST",
        "/events",
        &[("Authorization", &authorization)],
        Some(body),
    )
    .await
}

fn update(library: &str, commit: &str) -> Vec<u8> {
    json!({"type": "repo-update", "content": {"repo_id": library, "commit_id": commit}})
        .to_string()
        .into_bytes()
}

fn signed(claims: Value) -> String {
    token::sign(token::KEY, Algorithm::HS256, &claims)
}

#[tokio::test]
async fn only_tokens_that_are_wholly_good_may_post() {
    let (node, library) = (Node::start().await, library());
    let mut socket = node.subscriber(&library, "ann@example.com").await;
    let exp = token::now() + 300;
    let good = signed(json!({"exp": exp}));
    let bad = [
        (
            "of a user",
            signed(json!({"exp": exp, "username": "ann@example.com"})),
        ),
        (
            "not yet good",
            signed(json!({"exp": exp, "nbf": exp - 100})),
        ),
        ("run out", signed(json!({"exp": token::now() - 1}))),
        (
            "with a fraction of a second",
            signed(json!({"exp": exp as f64 + 0.5})),
        ),
        ("without an end", signed(json!({"username": ""}))),
        (
            "by another key",
            token::sign("another key", Algorithm::HS256, &json!({"exp": exp})),
        ),
        (
            "with bytes after its claims",
            good.replacen('.', ".AAAA", 1),
        ),
        ("with bytes after its signature", format!("{good}A")),
        ("with a fourth part", format!("{good}.{good}")),
        ("empty", String::new()),
    ];
    for (what, token) in bad {
        let answer = post_with(&node, &token, &update(&library, "forged")).await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (400, "Notification token not match\n"),
            "a token {what}"
        );
    }
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        let token = token::sign(
            token::KEY,
            algorithm,
            &json!({"exp": exp, "repo_id": library, "username": ""}),
        );
        post_with(&node, &token, &update(&library, "real"))
            .await
            .expect(200);
        socket.expect_update(&library, "real").await;
    }
}

#[tokio::test]
async fn a_wrong_key_and_a_token_run_out_are_told_apart() {
    let mut node = Node::start().await;
    let wrong = token::sign(
        "another key",
        Algorithm::HS256,
        &json!({"exp": token::now() + 300}),
    );
    post_with(&node, &wrong, b"{}").await.expect(400);
    let old = signed(json!({"exp": token::now() - 300}));
    post_with(&node, &old, b"{}").await.expect(400);
    assert_eq!(
        node.metric("foghorn_tokens_refused_total", "cause=\"signature\"")
            .await,
        1.0
    );
    assert_eq!(
        node.metric("foghorn_tokens_refused_total", "cause=\"expired\"")
            .await,
        1.0
    );
    node.process().logged("JWT_PRIVATE_KEY").await;
    let log = node.log_so_far().await;
    assert!(
        !log.contains(&wrong) && !log.contains(token::KEY),
        "a secret is in the log:\n{log}"
    );
}

#[tokio::test]
async fn the_token_is_judged_before_the_body() {
    let node = Plan::new()
        .env("FOGHORN_MAX_EVENT_BYTES", "1KiB")
        .start()
        .await;
    post_with(&node, "bad", &[b'x'; 5_000]).await.expect(400);
    post_with(&node, &token::event(), &[b'x'; 5_000])
        .await
        .expect(413);
}

#[tokio::test]
async fn an_event_may_be_as_large_as_configured_and_arrives_whole() {
    let (node, library) = (
        Plan::new()
            .env("FOGHORN_MAX_EVENT_BYTES", "2MiB")
            .start()
            .await,
        library(),
    );
    let mut socket = node.subscriber(&library, "ann@example.com").await;
    let content = json!({"repo_id": library, "commit_id": "1", "pad": "x".repeat(2_000_000)});
    node.post("repo-update", &content).await.expect(200);
    let frame = socket.frame_beside_pings().await.expect("a frame");
    assert!(frame.fin && frame.opcode == 1, "not one text frame");
    let message: Value = serde_json::from_slice(&frame.payload).expect("JSON");
    assert_eq!(message["content"], content);
    let answer = node
        .post(
            "repo-update",
            &json!({"repo_id": library, "pad": "x".repeat(2 << 20)}),
        )
        .await
        .expect(413);
    assert!(
        answer.body.contains("FOGHORN_MAX_EVENT_BYTES"),
        "{}",
        answer.body
    );
    assert_eq!(
        node.metric("foghorn_events_refused_total", "reason=\"too_big\"")
            .await,
        1.0
    );
}

#[tokio::test]
async fn bad_bytes_in_a_string_never_reach_a_client() {
    let (node, library) = (Node::start().await, library());
    let mut socket = node.subscriber(&library, "ann@example.com").await;
    let mut body = update(&library, "BAD");
    let at = body
        .windows(3)
        .position(|w| w == b"BAD")
        .expect("it is there");
    body[at..at + 3].copy_from_slice(b"\xff\xc3(");
    let answer = post_with(&node, &token::event(), &body).await;
    node.post_update(&library, "after").await;
    if answer.status == 200 {
        let frame = socket.frame_beside_pings().await.expect("a frame");
        assert!(
            String::from_utf8(frame.payload)
                .expect("UTF-8")
                .contains('\u{fffd}')
        );
    } else {
        assert_eq!(answer.status, 500, "{answer:?}");
    }
    socket.expect_update(&library, "after").await;
}

#[tokio::test]
async fn events_that_can_go_nowhere_are_200_and_counted_by_reason() {
    let (mut node, library) = (Node::start().await, library());
    let mut socket = node.subscriber(&library, "ann@example.com").await;
    for (kind, content) in [
        ("repo-rename", json!({"repo_id": library})),
        ("repo-update", json!({"commit_id": "1"})),
        ("repo-update", json!({"repo_id": 7, "commit_id": "1"})),
        ("repo-update", json!("no object")),
        ("file-lock-changed", json!({"repo_id": library, "path": 7})),
    ] {
        let before = node.metric("foghorn_events_undeliverable_total", "").await;
        node.post(kind, &content).await.expect(200);
        let after = node.metric("foghorn_events_undeliverable_total", "").await;
        assert_eq!(after - before, 1.0, "{kind} {content}");
    }
    // A debug line says what was wrong.
    node.process().logged("an event goes to nobody").await;
    node.post_update(&library, "after").await;
    socket.expect_update(&library, "after").await;
}

#[tokio::test]
async fn a_body_in_chunks_and_one_announced_by_expect_are_taken() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (node, library) = (Node::start().await, library());
    let mut socket = node.subscriber(&library, "ann@example.com").await;
    let body = update(&library, "chunked");
    let (first, second) = body.split_at(10);
    let mut chunks = format!("{:x}\r\n", first.len()).into_bytes();
    chunks.extend(
        [
            first,
            b"\r\n",
            format!("{:x}\r\n", second.len()).as_bytes(),
            second,
            b"\r\n0\r\n\r\n",
        ]
        .concat(),
    );
    let headers = [
        ("Authorization", format!("Token {}", token::event())),
        ("Transfer-Encoding", "chunked".to_owned()),
    ];
    let head = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect::<String>();
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", node.port()))
        .await
        .expect("it listens");
    let request = format!(
        "POST /events HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\n{head}\r\n"
    );
    stream
        .write_all(request.as_bytes())
        .await
        .expect("it reads");
    let mut answer = vec![0; 1024];
    let size = stream.read(&mut answer).await.expect("it answers");
    assert!(
        answer[..size].starts_with(b"HTTP/1.1 100 "),
        "{}",
        String::from_utf8_lossy(&answer[..size])
    );
    stream.write_all(&chunks).await.expect("it reads");
    socket.expect_update(&library, "chunked").await;
}

#[tokio::test]
async fn events_on_one_connection_are_taken_one_after_the_other() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (node, library) = (Node::start().await, library());
    let mut socket = node.subscriber(&library, "ann@example.com").await;
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", node.port()))
        .await
        .expect("it listens");
    // Sent without waiting for an answer in between: all of them arrive, in this order.
    let mut bytes = Vec::new();
    for n in 0..100 {
        let body = update(&library, &n.to_string());
        let close = if n == 99 { "Connection: close\r\n" } else { "" };
        let authorization = format!("Authorization: Token {}\r\n", token::event());
        let head = format!(
            "POST /events HTTP/1.1\r\nHost: x\r\n{close}{authorization}Content-Length: {}\r\n\r\n",
            body.len()
        );
        bytes.extend([head.as_bytes(), &body].concat());
    }
    stream.write_all(&bytes).await.expect("it reads");
    let mut answers = String::new();
    stream
        .read_to_string(&mut answers)
        .await
        .expect("it answers");
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 100, "{answers}");
    for n in 0..100 {
        socket.expect_update(&library, &n.to_string()).await;
    }
}
