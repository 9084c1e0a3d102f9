//! The API holds where the former server had holes: what is not done, and that nothing is done of it.

use serde_json::json;

use crate::common::http;
use crate::site::{Page, call, node, post, sign};

#[tokio::test]
async fn an_array_with_one_bad_command_is_refused_whole_and_nothing_of_it_is_done() {
    let node = node(
        &json!({"secret": "secret", "insecure": true, "history_size": 9, "history_lifetime": 60}),
    )
    .await;
    let good = r#"{"method":"publish","params":{"channel":"news","data":1}}"#;
    for bad in [
        "{\"method\":\"zork\"}",
        r#"{"method":"publish","params":{"channel":"news"}}"#,
    ] {
        let body = format!("[{good},{bad}]");
        assert_eq!(
            post(node.port(), &body, &sign(&body))
                .await
                .expect(400)
                .body,
            "Bad Request\n"
        );
    }
    assert_eq!(
        call(node.port(), "history", json!({"channel": "news"})).await["body"]["data"],
        json!([])
    );
    call(
        node.port(),
        "publish",
        json!({"channel": "news", "data": 1}),
    )
    .await;
    assert_eq!(
        call(node.port(), "history", json!({"channel": "news"})).await["body"]["data"][0]["data"],
        1
    );
}

#[tokio::test]
async fn only_posts_are_taken_and_what_is_signed_comes_in_the_body() {
    let node = node(&json!({"secret": "secret"})).await;
    let body = r#"{"method":"channels"}"#;
    let sign = sign(body);
    for method in ["GET", "PUT", "DELETE", "PATCH"] {
        let path = format!("/api/?sign={sign}&data=%7B%22method%22%3A%22channels%22%7D");
        let headers = [("Content-Type", "application/json"), ("X-API-Sign", &*sign)];
        let answer =
            http::try_request(node.port(), method, &path, &headers, Some(body.as_bytes())).await;
        assert_eq!(
            answer.expect("an answer").expect(405).headers["allow"],
            "POST"
        );
    }
    for path in ["/api", "/api/", "/api/anything/below"] {
        let headers = [("Content-Type", "application/json"), ("X-API-Sign", &*sign)];
        http::request(node.port(), "POST", path, &headers, Some(body.as_bytes()))
            .await
            .expect(200);
    }
}

#[tokio::test]
async fn a_body_that_is_too_long_is_not_read_before_its_sign() {
    let config = json!({"secret": "secret"});
    let plan = crate::site::plan(crate::common::node::Plan::new(), &config)
        .env("FOGHORN_MAX_EVENT_BYTES", "4096");
    let node = plan.start().await;
    post(node.port(), &" ".repeat(5_000), "no sign at all")
        .await
        .expect(413);
    post(node.port(), &" ".repeat(4_000), "no sign at all")
        .await
        .expect(401);
    assert_eq!(
        node.metric("foghorn_centrifugo_api_refused_total", "reason=\"too_big\"")
            .await,
        1.0
    );
}

#[tokio::test]
async fn secrets_are_not_in_the_log_and_no_metric_names_a_channel_or_a_user() {
    let node = node(&json!({"secret": "hush-hush-hush", "publish": true})).await;
    let mut page = Page::open(node.port()).await;
    let params = json!({"user": "user-4711", "timestamp": "1500000000", "token": "token-0815"});
    page.say("connect", params).await;
    assert_eq!(
        page.next().await,
        Err(r#"{"reason":"invalid token","reconnect":false}"#.to_owned())
    );
    let body = r#"{"method":"publish","params":{"channel":"channel-0815","data":1}}"#;
    post(node.port(), body, "sign-0815").await.expect(401);
    let metrics = http::get(node.ops(), "/metrics").await.expect(200).body;
    assert!(metrics.contains(
        r#"foghorn_centrifugo_commands_total{method="connect",result="invalid_token"} 1"#
    ));
    for secret in ["hush-hush-hush", "token-0815", "sign-0815"] {
        assert!(
            !node.log().contains(secret) && !metrics.contains(secret),
            "{secret}"
        );
    }
    assert!(!metrics.contains("user-4711") && !metrics.contains("channel-0815"));
}
