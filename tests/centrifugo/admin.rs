//! Operators: nobody guesses a password at will, no page of another origin gets in, and whoever watches sees what is delivered
//! on whichever node it was published.

use serde_json::{Value, json};

use crate::common::cluster::Cluster;
use crate::common::eventually;
use crate::common::http::{self, Answer};
use crate::common::node::Plan;
use crate::common::redis::Redis;
use crate::common::socket::{End, Handshake, Socket, TEXT};
use crate::site::{call, node, plan};

fn config(password: &str) -> Value {
    json!({"secret": "secret", "admin": true, "admin_password": password, "admin_secret": "hush-hush-hush",
        "namespaces": [{"name": "watch", "watch": true}, {"name": "dark"}]})
}

async fn login(port: u16, password: &str) -> Answer {
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let body = format!("password={password}");
    http::try_request(port, "POST", "/auth/", &headers, Some(body.as_bytes()))
        .await
        .expect("an answer")
}

async fn token(port: u16, password: &str) -> String {
    login(port, password).await.expect(200).json()["token"]
        .as_str()
        .expect("a token")
        .to_owned()
}

/// An operator who watches.
async fn watcher(port: u16, token: &str) -> Socket {
    let mut socket = Handshake::new(port).path("/socket").open().await;
    let connect =
        json!({"uid": "1", "method": "connect", "params": {"token": token, "watch": true}});
    socket.send(TEXT, connect.to_string().as_bytes()).await;
    let answer = socket.frame().await.expect("an answer").text();
    assert_eq!(
        answer,
        r#"[{"uid":"1","method":"connect","error":null,"body":true}]"#
    );
    socket
}

#[tokio::test]
async fn passwords_are_tried_a_few_times_and_then_not_even_the_right_one_is_taken() {
    let node = node(&config("pass-4711")).await;
    for path in ["/auth/?password=pass-4711", "/auth/"] {
        let answer = http::try_request(node.port(), "GET", path, &[], None)
            .await
            .expect("an answer");
        assert_eq!(answer.expect(405).headers["allow"], "POST");
    }
    for _ in 0..5 {
        login(node.port(), "wrong-0815").await.expect(400);
    }
    // Another one may be made every 12 s, so whoever stands still for long has some more.
    let mut throttled = 0.0;
    let waits = loop {
        let mut more = 0;
        loop {
            let wrong = login(node.port(), "wrong-0815").await;
            if wrong.status == 429 {
                break;
            }
            wrong.expect(400);
            more += 1;
            assert!(more < 10, "it may be tried for ever");
        }
        throttled += 1.0;
        let right = login(node.port(), "pass-4711").await;
        if right.status == 429 {
            throttled += 1.0;
            break right.headers["retry-after"].clone();
        }
        right.expect(200);
        assert!(throttled < 5.0, "the right one is taken");
    };
    assert!(
        (1..=12).contains(&waits.parse::<u64>().expect("seconds")),
        "{waits}"
    );
    let log = eventually("the line about it", || async {
        Some(node.log()).filter(|log| log.contains("a wrong admin_password was tried"))
    })
    .await;
    for secret in ["pass-4711", "wrong-0815", "hush-hush-hush"] {
        assert!(!log.contains(secret), "{secret}");
    }
    assert_eq!(
        node.metric(
            "foghorn_centrifugo_api_refused_total",
            "reason=\"login_throttled\""
        )
        .await,
        throttled
    );
    // The body is bounded before anybody is known; the connection may end before all of it was sent.
    let long = "x".repeat(5_000);
    eventually("413", || async {
        let answer =
            http::try_request(node.port(), "POST", "/auth/", &[], Some(long.as_bytes())).await?;
        (answer.status == 413).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_page_of_another_origin_does_not_get_in_even_where_no_token_is_needed() {
    let config = json!({"secret": "secret", "admin": true, "insecure_admin": true});
    let node = node(&config).await;
    let host = format!("127.0.0.1:{}", node.port());
    let status = async |origin: &str, host: &str| {
        let handshake = Handshake::new(node.port())
            .path("/socket")
            .header("Origin", origin)
            .header("Host", host);
        handshake
            .attempt()
            .await
            .expect("an answer")
            .err()
            .map(|answer| answer.status)
    };
    assert_eq!(status("https://evil.example", &host).await, Some(403));
    // A name of the page's own that leads here.
    assert_eq!(
        status("http://evil.example", "evil.example").await,
        Some(403)
    );
    assert_eq!(status(&format!("http://{host}"), &host).await, None);
    http::try_request(node.port(), "GET", "/socket", &[], None)
        .await
        .expect("an answer")
        .expect(400);
}

/// A page that an operator looks at by chance would keep him out for as long as it is open.
#[tokio::test]
async fn a_page_of_another_origin_uses_up_no_tries() {
    let node = node(&config("pass-4711")).await;
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let login = async |origin: &str| {
        let headers = [form, ("Origin", origin)];
        let body = Some(b"password=pass-4711".as_slice());
        let answer = http::try_request(node.port(), "POST", "/auth/", &headers, body);
        answer.await.expect("an answer").status
    };
    for _ in 0..9 {
        assert_eq!(login("https://evil.example").await, 403);
        assert_eq!(login("null").await, 403);
    }
    assert_eq!(login("http://localhost").await, 200);
    let refused = "foghorn_centrifugo_api_refused_total";
    assert_eq!(node.metric(refused, "reason=\"origin\"").await, 18.0);
}

#[tokio::test]
async fn a_changed_password_ends_the_tokens_of_the_former_one() {
    let mut node = node(&config("first")).await;
    let old = token(node.port(), "first").await;
    let mut former = watcher(node.port(), &old).await;
    std::fs::write(
        node.folder().join("config.json"),
        config("second").to_string(),
    )
    .expect("the folder can be written");
    node.process().signal("HUP");
    let new = eventually("the new password", || async {
        let answer = login(node.port(), "second").await;
        (answer.status == 200).then(|| answer.json()["token"].as_str().expect("a token").to_owned())
    })
    .await;
    watcher(node.port(), &new).await;
    // Whoever is in by the former one is put out, even if it says nothing more.
    let unauthorized = End::Closed(
        3000,
        r#"{"reason":"unauthorized","reconnect":true}"#.to_owned(),
    );
    assert_eq!(former.ended().await, unauthorized);
    let mut socket = Handshake::new(node.port()).path("/socket").open().await;
    let connect = json!({"method": "connect", "params": {"token": old}});
    socket.send(TEXT, connect.to_string().as_bytes()).await;
    assert_eq!(socket.ended().await, unauthorized);
}

#[tokio::test]
async fn what_operators_are_told_of_the_configuration_holds_no_secret() {
    let node = node(&config("pass-4711")).await;
    let mut socket = watcher(node.port(), &token(node.port(), "pass-4711").await).await;
    socket.send(TEXT, br#"{"method":"info","params":{}}"#).await;
    let text = socket.frame().await.expect("an answer").text();
    let told: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(told[0]["body"]["engine"], "memory");
    assert_eq!(
        told[0]["body"]["config"]["namespaces"]
            .as_array()
            .map(Vec::len),
        Some(2)
    );
    assert!(
        !text.contains("\"secret") && !text.contains("pass-4711") && !text.contains("hush"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis"]
async fn whoever_watches_sees_what_is_published_on_another_node_in_watched_channels_alone() {
    let cluster = Cluster {
        redis: vec![Redis::start().await],
        nodes: Vec::new(),
    };
    let first = plan(cluster.member(Plan::new()), &config("p"))
        .start()
        .await;
    let second = plan(cluster.member(Plan::new()), &config("p"))
        .start()
        .await;
    // One node's token is good at the other.
    let mut watcher = watcher(second.port(), &token(first.port(), "p").await).await;
    for (channel, data) in [("watch:x", 1), ("dark:x", 2), ("plain", 3), ("watch:y", 4)] {
        call(
            first.port(),
            "publish",
            json!({"channel": channel, "data": data, "uid": "m"}),
        )
        .await;
    }
    for (channel, data) in [("watch:x", 1), ("watch:y", 4)] {
        let told: Value =
            serde_json::from_str(&watcher.frame().await.expect("a message").text()).expect("JSON");
        let body = json!({"uid": "m", "channel": channel, "data": data});
        assert_eq!(
            told,
            json!({"method": "message", "error": null, "body": body})
        );
    }
}
