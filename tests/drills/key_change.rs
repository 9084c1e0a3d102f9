//! Promise 11: the key changes while clients are subscribed, and nobody loses a subscription or an event. SIGHUP reads
//! again what can change, and says what cannot.

use std::path::Path;

use jsonwebtoken::Algorithm;
use serde_json::json;

use crate::common::ledger::{Kind, Ledger};
use crate::common::node::Node;
use crate::common::socket::Handshake;
use crate::common::{eventually, http, library, token};
use crate::site::{BRISK, plan};

const NEW: &str = "a-new-key-a-new-key-a-new-key-a-new";

fn write(file: &Path, text: &str) {
    std::fs::write(file, text).expect("the folder can be written");
}

/// Sends SIGHUP and waits until the configuration was read the `times`th time.
async fn reload(node: &mut Node, times: usize) -> String {
    node.process().signal("HUP");
    eventually("read again", || {
        let log = node.log();
        async move { (log.matches("read again").count() >= times).then_some(log) }
    })
    .await
}

async fn posts(node: &Node, key: &str) -> u16 {
    let authorization = format!(
        "Token {}",
        token::sign(key, Algorithm::HS256, &json!({"exp": token::now() + 300}))
    );
    let headers = [("Authorization", authorization.as_str())];
    http::request(node.port(), "POST", "/events", &headers, Some(b"{}"))
        .await
        .status
}

#[tokio::test]
#[ignore = "one of the drills"]
async fn old_and_new_tokens_are_good_while_the_key_changes() {
    let folder = tempfile::tempdir().expect("a folder");
    let (current, previous) = (folder.path().join("key"), folder.path().join("previous"));
    write(&current, &format!("{}\n", token::KEY));
    write(&previous, "");
    let plan = plan()
        .without("JWT_PRIVATE_KEY")
        .env("JWT_PRIVATE_KEY_FILE", &current.display().to_string());
    let mut node = plan
        .env(
            "JWT_PRIVATE_KEY_PREVIOUS_FILE",
            &previous.display().to_string(),
        )
        .start()
        .await;
    let (mut ledger, library) = (Ledger::open("the key is changed (SIGHUP)"), library());
    for _ in 0..5 {
        ledger.seat(node.port(), &library, Kind::Desktop).await;
        ledger.seat(node.port(), &library, Kind::Web).await;
    }
    // The ledger posts with the old key all along: seaf-server learns of the new one last.
    let load = ledger.load(&[(node.port(), &library)], BRISK);
    ledger.accepts(50).await;
    assert_eq!(
        (posts(&node, token::KEY).await, posts(&node, NEW).await),
        (200, 400)
    );
    write(&previous, token::KEY);
    write(&current, NEW);
    let log = reload(&mut node, 1).await;
    assert!(
        log.contains("changed=\"JWT_PRIVATE_KEY_FILE, JWT_PRIVATE_KEY_PREVIOUS_FILE\"")
            && !log.contains(NEW)
            && !log.contains("restart"),
        "{log}"
    );
    assert_eq!(
        (posts(&node, token::KEY).await, posts(&node, NEW).await),
        (200, 200)
    );
    // New clients, some with tokens of the old key, one with the new.
    ledger.seat(node.port(), &library, Kind::Desktop).await;
    let claims =
        json!({"exp": token::now() + 300, "repo_id": library, "username": "bob@example.com"});
    let mut modern = Handshake::new(node.port()).desktop().open().await;
    modern
        .send_subscribe(&[(&library, &token::sign(NEW, Algorithm::HS256, &claims))])
        .await;
    modern.settle().await;
    assert_eq!(
        node.metric("foghorn_tokens_refused_total", "use=\"subscribe\"")
            .await,
        0.0
    );
    ledger.accepts(50).await;
    load.stop().await;
    assert!(ledger.ends().is_empty(), "{:?}", ledger.ends());
    ledger.close().await.perfect();
    // The old key is done with: subscriptions made with it stay, new ones are refused.
    write(&previous, "");
    reload(&mut node, 2).await;
    assert_eq!(
        (posts(&node, token::KEY).await, posts(&node, NEW).await),
        (400, 200)
    );
    assert!(modern.recv().await["type"] == "repo-update");
}

#[tokio::test]
#[ignore = "one of the drills"]
async fn what_can_change_is_in_force_and_what_cannot_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("foghorn.env");
    write(&file, "FOGHORN_REPLAY_SECONDS=10\n");
    let plan = plan()
        .without("FOGHORN_REPLAY_SECONDS")
        .without("NOTIFICATION_SERVER_LOG_LEVEL");
    let mut node = plan
        .env("FOGHORN_ENV_FILE", &file.display().to_string())
        .start()
        .await;
    let mut stays = Handshake::new(node.port()).browser().open().await;
    let evil = || Handshake::new(node.port()).header("Origin", "https://evil.example");
    drop(evil().open().await);
    write(
        &file,
        "FOGHORN_REPLAY_SECONDS=20\nFOGHORN_ALLOWED_ORIGINS=https://cloud.example.com\nFOGHORN_EVENTS_FROM=203.0.113.0/24\n\
         FOGHORN_MAX_CONNECTIONS=1\nNOTIFICATION_SERVER_LOG_LEVEL=debug\n",
    );
    reload(&mut node, 1).await;
    // The log is written beside the work: what was said last may not be in it yet.
    let log = eventually("a line on restarts", || async {
        let log = node.log();
        log.contains("needs a restart").then_some(log)
    })
    .await;
    for name in [
        "FOGHORN_ALLOWED_ORIGINS",
        "FOGHORN_EVENTS_FROM",
        "FOGHORN_MAX_CONNECTIONS",
        "FOGHORN_REPLAY_SECONDS",
    ] {
        assert!(log.contains(name), "{name} is not in {log}");
    }
    let restart = log
        .lines()
        .find(|line| line.contains("needs a restart"))
        .expect("a line on restarts");
    assert!(
        restart.contains("FOGHORN_REPLAY_SECONDS") && !restart.contains("FOGHORN_EVENTS_FROM"),
        "{restart}"
    );
    let evil = || Handshake::new(node.port()).header("Origin", "https://evil.example");
    assert_eq!(evil().refused().await.status, 403);
    assert_eq!(
        Handshake::new(node.port()).browser().refused().await.status,
        503,
        "one connection is all there may be"
    );
    assert_eq!(posts(&node, token::KEY).await, 403);
    stays.settle().await;
    // A fault changes nothing.
    write(
        &file,
        "FOGHORN_MAX_CONNECTIONS=many\nFOGHORN_EVENTS_FROM=\n",
    );
    let log = reload(&mut node, 2).await;
    assert!(
        log.contains("not read again") && log.contains("FOGHORN_MAX_CONNECTIONS"),
        "{log}"
    );
    assert_eq!(posts(&node, token::KEY).await, 403);
    // And back: an empty value is no value.
    write(&file, "FOGHORN_REPLAY_SECONDS=10\n");
    reload(&mut node, 3).await;
    assert_eq!(posts(&node, token::KEY).await, 200);
    drop(
        Handshake::new(node.port())
            .header("Origin", "https://evil.example")
            .open()
            .await,
    );
}
