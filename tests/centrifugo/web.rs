//! The operators' page over HTTP: it is where `web` says, with what browsers have to know, and nowhere else.

use serde_json::{Value, json};

use crate::common::http;
use crate::common::node::Plan;
use crate::common::ports::free_port;
use crate::site::{node, plan};

/// A configuration whose operators log in, with `more` in it.
fn config(more: &[(&str, Value)]) -> Value {
    let mut config = json!({"secret": "secret", "admin_password": "pass-4711", "admin_secret": "hush-hush-hush"});
    for (key, value) in more {
        config[*key] = value.clone();
    }
    config
}

/// Whether the page is at `path`.
async fn is_page(port: u16, path: &str) -> bool {
    let answer = http::get(port, path).await;
    answer.status == 200 && answer.body.contains("<title>Foghorn: channels</title>")
}

#[tokio::test]
async fn the_page_runs_its_own_script_alone_and_is_neither_kept_nor_framed() {
    let node = node(&config(&[("web", json!(true))])).await;
    let answer = http::get(node.port(), "/").await.expect(200);
    let head = |name: &str| answer.headers[name].clone();
    assert_eq!(head("content-type"), "text/html; charset=utf-8");
    assert_eq!(head("x-content-type-options"), "nosniff");
    assert_eq!(head("x-frame-options"), "DENY");
    assert_eq!(head("cache-control"), "no-store");
    assert_eq!(head("referrer-policy"), "no-referrer");
    let policy = head("content-security-policy");
    for part in [
        "default-src 'none'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(part), "{part} is not in {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    let (_, behind) = policy.split_once("'nonce-").expect("a nonce");
    let (nonce, _) = behind.split_once('\'').expect("its end");
    assert!(answer.body.contains(&format!("<script nonce=\"{nonce}\">")));
    let other = http::get(node.port(), "/").await;
    assert_ne!(other.headers["content-security-policy"], policy);
    // What is behind the login is not in it, and only looking is possible.
    assert!(!answer.body.contains("pass-4711") && !answer.body.contains("hush"));
    let posted = http::request(node.port(), "POST", "/", &[], Some(b"x")).await;
    posted.expect(405);
}

#[tokio::test]
async fn the_page_is_where_web_is_on_with_the_login_and_the_socket_and_below_the_prefix() {
    let on = node(&config(&[("web", json!(true))])).await;
    assert!(is_page(on.port(), "/").await);
    // It brings what it needs.
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let body = Some(&b"password=pass-4711"[..]);
    http::request(on.port(), "POST", "/auth/", &headers, body)
        .await
        .expect(200);
    let off = node(&config(&[("admin", json!(true)), ("web", json!(false))])).await;
    assert!(!is_page(off.port(), "/").await);
    let prefixed = node(&config(&[
        ("web", json!(true)),
        ("http_prefix", json!("/push")),
    ]))
    .await;
    for path in ["/push", "/push/"] {
        assert!(is_page(prefixed.port(), path).await, "{path}");
    }
    assert!(!is_page(prefixed.port(), "/").await);
}

#[tokio::test]
async fn operators_with_a_port_of_their_own_have_the_page_there_and_nobody_else_has_it() {
    let [api, admin] = [free_port(), free_port()];
    let ports = [
        ("web", json!(true)),
        ("address", json!("127.0.0.1")),
        ("api_port", json!(api)),
        ("admin_port", json!(admin)),
    ];
    let apart = node(&config(&ports)).await;
    assert!(is_page(admin, "/").await);
    for port in [apart.port(), api] {
        assert!(!is_page(port, "/").await);
    }
    let both = free_port();
    let ports = [
        ("web", json!(true)),
        ("address", json!("127.0.0.1")),
        ("api_port", json!(both)),
        ("admin_port", json!(both)),
    ];
    let together = node(&config(&ports)).await;
    assert!(is_page(both, "/").await && !is_page(together.port(), "/").await);
}

#[tokio::test]
async fn beside_a_dialect_that_has_the_path_the_page_needs_a_prefix_or_a_port() {
    let both =
        |config: &Value| plan(Plan::new(), config).env("FOGHORN_DIALECTS", "seafile,centrifugo");
    let (_, told) = both(&config(&[("web", json!(true))])).refused().await;
    assert!(
        told.contains("seafile and centrifugo both want to answer at /"),
        "{told}"
    );
    let prefixed = config(&[("web", json!(true)), ("http_prefix", json!("push"))]);
    let node = both(&prefixed).start().await;
    assert!(is_page(node.port(), "/push/").await);
}
