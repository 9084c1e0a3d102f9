//! What the log says: of each connection who it is, at debug level what is sent to it, and at no level a secret.

mod common;

use common::http::request;
use common::node::Plan;
use common::socket::{End, Handshake};
use common::{library, token};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

/// The JSON lines of a log that have this message.
fn lines(log: &str, message: &str) -> Vec<Value> {
    let parsed = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    parsed
        .filter(|line| {
            line["message"]
                .as_str()
                .is_some_and(|text| text.starts_with(message))
        })
        .collect()
}

#[tokio::test]
async fn a_connection_is_told_by_address_user_and_node_and_messages_are_shown() {
    let plan = Plan::new()
        .env("FOGHORN_LOG_FORMAT", "json")
        .env("FOGHORN_NODE_NAME", "one");
    let mut node = plan.env("FOGHORN_OPS_PASSWORD", "ops-secret").start().await;
    let library = library();
    let mut client = Handshake::new(node.port())
        .desktop()
        .header("X-Forwarded-For", "203.0.113.7")
        .open()
        .await;
    client.subscribe(&library, "a@x").await;
    node.post_update(&library, "c0ffee").await;
    client.expect_update(&library, "c0ffee").await;
    client
        .send_subscribe(&[(&library, "bad-token-of-a-client")])
        .await;
    client.recv().await;
    client.send(common::socket::TEXT, b"nonsense").await;
    assert!(matches!(client.ended().await, End::Closed(..)));
    let log = node.process().logged("disconnected").await;

    let subscribed = lines(&log, "subscribed").pop().expect("a line");
    let span = &subscribed["span"];
    assert_eq!(
        (&span["client"], &span["node"]),
        (&json!("203.0.113.7"), &json!("one")),
        "{subscribed}"
    );
    assert_eq!(
        (&span["user"], &span["kind"]),
        (&json!("a@x"), &json!("desktop")),
        "{subscribed}"
    );
    let sent = lines(&log, "sending {\"type\":\"repo-update\"")
        .pop()
        .expect("a line");
    assert!(
        sent["message"]
            .as_str()
            .is_some_and(|text| text.contains("c0ffee"))
            && sent["user"] == "a@x",
        "{sent}"
    );
    assert_eq!(lines(&log, "sending {\"type\":\"jwt-expired\"").len(), 1);
    let gone = lines(&log, "disconnected").pop().expect("a line");
    assert_eq!(
        (&gone["span"]["user"], &gone["level"]),
        (&json!("a@x"), &json!("DEBUG")),
        "{gone}"
    );

    let good = token::subscription(&library, "a@x");
    for secret in [token::KEY, "bad-token", "ops-secret", &good[..40]] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

/// What an operator is warned of says whom it is about, also where there is no line for each step.
#[tokio::test]
async fn at_info_level_and_above_a_line_tells_whose_it_is() {
    for (level, format) in [
        ("info", "json"),
        ("info", "text"),
        ("warning", "json"),
        ("warning", "text"),
    ] {
        let plan = Plan::new()
            .env("FOGHORN_LOG_FORMAT", format)
            .env("FOGHORN_NODE_NAME", "one");
        let mut node = plan
            .env("NOTIFICATION_SERVER_LOG_LEVEL", level)
            .start()
            .await;
        let library = library();
        let mut client = Handshake::new(node.port())
            .desktop()
            .header("X-Forwarded-For", "203.0.113.7")
            .open()
            .await;
        client.subscribe(&library, "a@x").await;
        let claims = json!({"exp": token::now() + 300, "repo_id": library, "username": "a@x"});
        let forged = token::sign(
            "another-key-than-the-nodes-own-one",
            Algorithm::HS256,
            &claims,
        );
        client.send_subscribe(&[(&library, &forged)]).await;
        let log = node.process().logged("its signature does not fit").await;
        assert!(
            !log.contains(&forged[..40]) && !log.contains("subscribed"),
            "{log}"
        );
        if format == "json" {
            let line = lines(&log, "token for").pop().expect("a line");
            let (span, wanted) = (
                &line["span"],
                json!(["203.0.113.7", "one", "a@x", "desktop"]),
            );
            assert_eq!(
                json!([span["client"], span["node"], span["user"], span["kind"]]),
                wanted,
                "{line}"
            );
        } else {
            let line = log
                .lines()
                .find(|line| line.contains("token for"))
                .expect("a line");
            let whose = "WARN connection{id=1 client=203.0.113.7 kind=\"desktop\" node=\"one\" user=\"a@x\"}";
            assert!(line.contains(whose), "{line}");
        }
    }
}

#[tokio::test]
async fn who_posts_with_another_key_is_named() {
    let mut node = Plan::new().env("FOGHORN_LOG_FORMAT", "json").start().await;
    let forged = token::sign(
        "another-key",
        Algorithm::HS256,
        &json!({"exp": token::now() + 300}),
    );
    let authorization = format!("Token {forged}");
    let headers = [
        ("Authorization", authorization.as_str()),
        ("X-Forwarded-For", "203.0.113.9"),
    ];
    request(node.port(), "POST", "/events", &headers, Some(b"{}"))
        .await
        .expect(400);
    let log = node.process().logged("its signature does not fit").await;
    let line = lines(&log, "token for events refused")
        .pop()
        .expect("a line");
    assert_eq!(
        (&line["level"], &line["client"]),
        (&json!("WARN"), &json!("203.0.113.9")),
        "{line}"
    );
}

#[tokio::test]
async fn at_info_level_clients_come_and_go_without_a_line() {
    let mut node = Plan::new()
        .env("NOTIFICATION_SERVER_LOG_LEVEL", "info")
        .start()
        .await;
    let library = library();
    for n in 0..20 {
        let mut client = node.subscriber(&library, "a@x").await;
        node.post_update(&library, &n.to_string()).await;
        client.recv().await;
    }
    assert!(node.stop().await.success());
    let log = node.log();
    assert!(
        !log.contains("sending") && !log.contains("connected\n") && log.contains("serving"),
        "{log}"
    );
    assert!(log.lines().count() < 12, "{log}");
}

/// What an administrator has to mend is in the log once a minute and kind, at the level that everybody has.
#[tokio::test]
async fn refused_handshakes_are_told_once_with_what_mends_them() {
    let plan = Plan::new()
        .env("FOGHORN_LOG_FORMAT", "json")
        .env("NOTIFICATION_SERVER_LOG_LEVEL", "info");
    let plan = plan
        .env("FOGHORN_ALLOWED_ORIGINS", "https://cloud.example.org")
        .env("FOGHORN_MAX_CONNECTIONS", "1");
    let mut node = plan.start().await;
    let from = || Handshake::new(node.port()).header("X-Forwarded-For", "203.0.113.7");
    for _ in 0..3 {
        from().without("Upgrade").refused().await;
        from().browser().refused().await;
    }
    let _only = from().open().await;
    from().refused().await;
    let log = node.process().logged("FOGHORN_MAX_CONNECTIONS").await;
    let refused = lines(&log, "a WebSocket handshake was refused");
    let told: Vec<_> = refused
        .iter()
        .map(|line| (line["kind"].clone(), line["message"].to_string()))
        .collect();
    for (kind, mends) in [
        ("no-upgrade", "proxy_set_header Upgrade $http_upgrade"),
        ("origin", "https://cloud.example.com"),
        ("connections", "FOGHORN_MAX_CONNECTIONS"),
    ] {
        let of_kind: Vec<_> = told.iter().filter(|(told, _)| told == kind).collect();
        assert!(
            of_kind.len() == 1 && of_kind[0].1.contains(mends),
            "{kind}: {told:?}"
        );
    }
    assert!(
        refused
            .iter()
            .all(|line| line["level"] == "WARN" && line["client"] == "203.0.113.7"),
        "{refused:?}"
    );
}

/// That the backends' key is wrong matters more than that a client's is, and must not be hidden by it.
#[tokio::test]
async fn what_clients_show_does_not_hide_what_backends_show() {
    let mut node = Plan::new().start().await;
    let library = library();
    let claims = json!({"exp": token::now() + 300, "repo_id": library, "username": "a@x"});
    let mut client = node.connect().await;
    client
        .send_subscribe(&[(
            &library,
            &token::sign("another-key", Algorithm::HS256, &claims),
        )])
        .await;
    node.process().logged("token for subscribe refused").await;
    let authorization = format!(
        "Token {}",
        token::sign(
            "another-key",
            Algorithm::HS256,
            &json!({"exp": token::now() + 300})
        )
    );
    request(
        node.port(),
        "POST",
        "/events",
        &[("Authorization", &authorization)],
        Some(b"{}"),
    )
    .await
    .expect(400);
    node.process().logged("WARN token for events refused").await;
}
