//! What operators do with inboxes, by the API and the console: they send a notification, and ask what a token is good for.

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::common::http::{self, Answer};
use crate::common::node::Plan;
use crate::common::ports::free_port;
use crate::common::token;
use crate::site::Inbox;
use crate::stream::Stream;

const KEY: &str = "inbox-key-of-this-test-0123456789abcdef";

async fn asked(node: &Inbox, path: &str, body: &Value) -> Answer {
    let json = [("Content-Type", "application/json")];
    let body = body.to_string();
    http::request(node.ops(), "POST", path, &json, Some(body.as_bytes())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sends_a_notification_as_a_backend_does() {
    let node = Inbox::start(&[("FOGHORN_SSE_TYPES", "notify,appr")]).await;
    let overview = http::get(node.ops(), "/api/v1/overview").await.expect(200);
    assert_eq!(
        overview.json()["words"],
        json!({"channel": "inbox", "name": "user", "kind": "user", "types": ["notify"]})
    );
    let (mut page, _) = Stream::connect(node.port, "ann", "").await;
    let event = |kind: &str, channel: &str| json!({"type": kind, "channel": channel, "content": {"text": "hello"}});
    for (kind, channel) in [("notify", "ann"), ("appr", "user/ann")] {
        asked(&node, "/api/v1/events", &event(kind, channel))
            .await
            .expect(200);
        let block = page.block().await.expect("a block");
        assert_eq!((&*block.event, &*block.data), (kind, r#"{"text":"hello"}"#));
    }
    for (kind, channel, part) in [
        ("other", "ann", "FOGHORN_SSE_TYPES"),
        ("connect", "ann", "FOGHORN_SSE_TYPES"),
        ("notify", "repo/x", "a user's inbox is user/USER"),
        ("notify", "a\nb", "control characters"),
    ] {
        let refused = asked(&node, "/api/v1/events", &event(kind, channel))
            .await
            .expect(422);
        assert!(refused.body.contains(part), "{}", refused.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_explained_by_the_keys_of_inboxes() {
    let node = Inbox::start(&[("FOGHORN_SSE_JWT_KEY", KEY)]).await;
    let explain = async |node: &Inbox, token: &str| {
        let answer = asked(node, "/api/v1/token", &json!({"token": token})).await;
        answer.expect(200).json()
    };
    let sign =
        |key: &str, until| token::sign(key, Algorithm::HS256, &json!({"sub": "ann", "exp": until}));
    let said = explain(&node, &sign(KEY, token::now() + 60)).await;
    assert_eq!(
        (&said["valid"], &said["claims"]["sub"], &said["uses"]),
        (
            &json!(true),
            &json!("ann"),
            &json!({"subscribe": true, "events": false})
        )
    );
    let late = sign(KEY, token::now() - 60);
    for (token, cause) in [
        (&*late, "claims"),
        (
            &sign("another-key-of-this-test", token::now() + 60),
            "signature",
        ),
        ("nonsense", "malformed"),
    ] {
        let said = explain(&node, token).await;
        assert_eq!(
            (&said["valid"], &said["cause"]),
            (&json!(false), &json!(cause))
        );
    }
    let open = Inbox::start(&[]).await;
    assert_eq!(explain(&open, &late).await["cause"], "no_key");
    assert!(!node.log().contains(&late[20..]));
}

/// Beside Seafile's dialect: each has its own channels and tokens, and users are found in both.
#[tokio::test(flavor = "multi_thread")]
async fn operators_reach_inboxes_beside_libraries() {
    let port = free_port();
    let node = Plan::new()
        .env("FOGHORN_DIALECTS", "seafile,inbox")
        .env("FOGHORN_SSE_ADDR", &format!("127.0.0.1:{port}"))
        .env("FOGHORN_SSE_JWT_KEY", KEY)
        .start()
        .await;
    let overview = http::get(node.ops(), "/api/v1/overview").await.expect(200);
    let overview = overview.json();
    let said = |name: &str| -> Vec<&Value> {
        let dialects = overview["dialects"].as_array().expect("a list").iter();
        dialects.map(|dialect| &dialect[name]).collect()
    };
    assert_eq!(said("dialect"), ["seafile", "inbox"]);
    assert_eq!(said("kind"), ["repo", "user"]);
    assert_eq!(overview["words"]["kind"], "repo");
    let proof = token::sign(
        KEY,
        Algorithm::HS256,
        &json!({"sub": "ann", "exp": token::now() + 600}),
    );
    let mut page = Stream::open(port, &format!("ann?token={proof}"), "").await;
    assert_eq!(page.block().await.expect("a block").event, "connect");
    let post = async |path: &str, body: Value| {
        let json = [("Content-Type", "application/json")];
        let body = body.to_string();
        http::request(node.ops(), "POST", path, &json, Some(body.as_bytes())).await
    };
    let sent = json!({"type": "notify", "channel": "user/ann", "content": {"text": "hello"}});
    post("/api/v1/events", sent).await.expect(200);
    let block = page.block().await.expect("a block");
    assert_eq!(
        (&*block.event, &*block.data),
        ("notify", r#"{"text":"hello"}"#)
    );
    // A name alone is the first dialect's, and other kinds are nobody's.
    let bare = json!({"type": "notify", "channel": "ann"});
    post("/api/v1/events", bare).await.expect(422);
    let other = json!({"type": "notify", "channel": "c/news"});
    let refused = post("/api/v1/events", other).await.expect(422);
    assert!(refused.body.contains("is no library"), "{}", refused.body);
    let found = http::get(node.ops(), "/api/v1/lookup?user=ann")
        .await
        .expect(200);
    assert_eq!(
        found.json()["nodes"][0]["clients"][0]["channel"],
        "user/ann"
    );
    for (dialect, valid) in [("inbox", true), ("seafile", false)] {
        let asked = json!({"token": proof, "dialect": dialect});
        let said = post("/api/v1/token", asked).await.expect(200).json();
        assert_eq!(said["valid"], valid, "{dialect}: {said}");
    }
    let nobody = json!({"token": proof, "dialect": "other"});
    post("/api/v1/token", nobody).await.expect(404);
}
