//! SIGHUP: secret and namespaces are those of the file from then on, and a file with a fault changes nothing and is told of.

use serde_json::{Value, json};

use crate::common::eventually;
use crate::common::node::Node;
use crate::site::{Page, node, post, sign_with};

/// Publishes in a channel with a sign under this secret: the status, and what is wrong.
async fn publish(node: &Node, secret: &str, channel: &str) -> (u16, Value) {
    let body = json!({"method": "publish", "params": {"channel": channel, "data": 1}}).to_string();
    let answer = post(node.port(), &body, &sign_with(secret, &body)).await;
    let status = answer.status;
    let error = match status {
        200 => answer.json()[0]["error"].take(),
        _ => Value::Null,
    };
    (status, error)
}

/// A client that says who it is with a token under this secret; `Err`: it is closed, with this reason.
async fn client(node: &Node, secret: &str) -> Result<Page, String> {
    let mut page = Page::open(node.port()).await;
    let (user, timestamp) = ("42", "1500000000");
    let token = sign_with(secret, &format!("{user}{timestamp}"));
    let params = json!({"user": user, "timestamp": timestamp, "token": token});
    page.say("connect", params).await;
    page.next().await.map(|_| page)
}

/// Gives the node another file and tells it so.
fn renew(node: &mut Node, config: &Value) {
    let file = node.folder().join("config.json");
    std::fs::write(file, config.to_string()).expect("the folder can be written");
    node.process().signal("HUP");
}

#[tokio::test]
async fn sighup_brings_the_secret_and_the_namespaces_of_the_file_into_force_and_a_fault_nothing() {
    let config = |secret: &str, namespaces: &[&str]| {
        let namespaces: Vec<_> = namespaces
            .iter()
            .map(|name| json!({"name": name}))
            .collect();
        json!({"secret": secret, "namespaces": namespaces})
    };
    let (fine, gone) = ((200, Value::Null), (200, json!("namespace not found")));
    let mut node = node(&config("first-0815", &["old", "both"])).await;
    let mut page = client(&node, "first-0815").await.expect("it gets in");
    for channel in ["old:x", "both:x"] {
        page.ask("subscribe", json!({"channel": channel})).await;
        assert_eq!(publish(&node, "first-0815", channel).await, fine);
        assert_eq!(page.next().await.expect("a message")["method"], "message");
    }
    assert_eq!(publish(&node, "first-0815", "new:x").await, gone);

    renew(&mut node, &config("second-0815", &["new", "both"]));
    eventually("the new secret", || async {
        (publish(&node, "second-0815", "new:x").await == fine).then_some(())
    })
    .await;
    assert_eq!(publish(&node, "first-0815", "new:x").await.0, 401);
    assert_eq!(publish(&node, "second-0815", "old:x").await, gone);
    let refused = client(&node, "first-0815").await.err();
    assert!(
        refused.is_some_and(|reason| reason.contains("invalid token")),
        "a token of the former secret"
    );
    client(&node, "second-0815").await.expect("it gets in");
    // Whoever is in stays.
    assert_eq!(publish(&node, "second-0815", "both:x").await, fine);
    assert_eq!(
        page.next().await.expect("a message")["body"]["channel"],
        "both:x"
    );

    let mut faulty = config("third-0815", &["newest"]);
    faulty["colour"] = json!("blue");
    renew(&mut node, &faulty);
    eventually("the line about it", || async {
        let log = node.log();
        (log.contains("colour: Centrifugo v1 has no such key") && log.contains("not read again: "))
            .then_some(())
    })
    .await;
    assert_eq!(publish(&node, "third-0815", "new:x").await.0, 401);
    assert_eq!(publish(&node, "second-0815", "new:x").await, fine);
    assert_eq!(publish(&node, "second-0815", "newest:x").await, gone);
    assert!(!node.log().contains("-0815"), "a secret is in the log");
}
