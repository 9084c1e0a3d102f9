//! A node as a program: how it starts, where it logs, what signals do.

use crate::common::node::{Node, Plan};
use crate::common::{http, token};

#[tokio::test]
async fn a_node_without_its_key_says_what_to_do() {
    let (status, output) = Plan::new().without("JWT_PRIVATE_KEY").refused().await;
    assert_eq!(status.code(), Some(1));
    assert!(
        output.contains("JWT_PRIVATE_KEY: is not set: give it the same value as JWT_PRIVATE_KEY has in Seafile's own"),
        "{output}"
    );
}

#[tokio::test]
async fn a_port_in_use_is_named_with_its_setting() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = taken.local_addr().expect("an address").port().to_string();
    let (status, output) = Plan::new()
        .env("NOTIFICATION_SERVER_PORT", &port)
        .refused()
        .await;
    assert_eq!(status.code(), Some(1));
    assert!(
        output.contains(&format!(
            "cannot listen on 127.0.0.1:{port} (NOTIFICATION_SERVER_HOST"
        )),
        "{output}"
    );
}

#[tokio::test]
async fn a_log_that_cannot_be_written_is_named() {
    let (status, output) = Plan::new()
        .without("SEAFILE_LOG_TO_STDOUT")
        .args(&["-l", "/nowhere/foghorn.log"])
        .refused()
        .await;
    assert_eq!(status.code(), Some(1));
    assert!(
        output.contains("cannot open the log file /nowhere/foghorn.log"),
        "{output}"
    );
}

#[tokio::test]
async fn a_node_logs_where_upstream_would_and_reopens_its_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let (log, moved) = (
        folder.path().join("notification-server.log"),
        folder.path().join("moved"),
    );
    let conf = folder.path().to_str().expect("text").to_owned();
    let mut node = Plan::new()
        .without("SEAFILE_LOG_TO_STDOUT")
        .args(&["-c", &conf])
        .start()
        .await;
    std::fs::rename(&log, &moved).expect("renaming");
    node.process().signal("USR1");
    crate::common::eventually("the new file", || async {
        std::fs::read_to_string(&log)
            .ok()
            .filter(|text| text.contains("log file reopened"))
    })
    .await;
    assert!(
        std::fs::read_to_string(&moved)
            .expect("the old file")
            .contains("serving")
    );
    assert_eq!(
        node.log(),
        "",
        "nothing is printed where a log file is written"
    );
    // Settling and draining are not what this is about.
    node.process().kill();
}

#[tokio::test]
async fn a_signal_ends_a_node_and_a_second_one_at_once() {
    let quick = Plan::new()
        .env("FOGHORN_SETTLE_SECONDS", "0")
        .env("FOGHORN_DRAIN_SECONDS", "1");
    let mut node = quick.start().await;
    assert_eq!(node.stop().await.code(), Some(0));
    let mut node = Plan::new()
        .env("FOGHORN_SETTLE_SECONDS", "600")
        .start()
        .await;
    node.process().signal("TERM");
    node.process().logged("ending").await;
    node.process().signal("INT");
    assert_eq!(node.process().end().await.code(), Some(1));
}

#[tokio::test]
async fn a_hangup_puts_a_new_key_into_force() {
    let folder = tempfile::tempdir().expect("a folder");
    let conf = folder.path().join("seafile.conf");
    let write = |key: &str| {
        std::fs::write(&conf, format!("[notification]\njwt_private_key = {key}\n"))
            .expect("writing")
    };
    write("first");
    let plan = Plan::new()
        .without("JWT_PRIVATE_KEY")
        .args(&["-c", folder.path().to_str().expect("text")]);
    let mut node = plan.start().await;
    assert_eq!(
        node.post("repo-update", &serde_json::json!({"repo_id": "r"}))
            .await
            .status,
        400
    );
    write(token::KEY);
    node.process().signal("HUP");
    node.process().logged("configuration read again").await;
    http::post_update(node.port(), "r", "c").await;
}

#[tokio::test]
async fn the_first_lines_of_a_node_say_which_broker_and_why() {
    let mut node = Node::start().await;
    let broker = "broker: memory, this node stands alone (FOGHORN_REDIS_URLS is not set, REDIS_HOST is not set)";
    node.process().logged(broker).await;
    let (status, output) = Plan::new()
        .env("REDIS_HOST", "")
        .env("FOGHORN_REDIS_REQUIRED", "true")
        .refused()
        .await;
    assert_eq!(status.code(), Some(1));
    assert!(
        output.contains("FOGHORN_REDIS_REQUIRED: is true, and this node is told of no Redis")
            && output.contains("REDIS_HOST is empty"),
        "{output}"
    );
    let (_, output) = Plan::new()
        .env("FOGHORN_REDIS_URL", "redis://127.0.0.1")
        .refused()
        .await;
    assert!(
        output.contains("FOGHORN_REDIS_URL: is no setting: FOGHORN_REDIS_URLS is meant"),
        "{output}"
    );
}

#[tokio::test]
async fn a_taken_ops_port_is_no_sign_of_another_notification_server() {
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let (_, output) = Plan::new()
        .env("FOGHORN_OPS_ADDR", &address)
        .refused()
        .await;
    assert!(
        output.contains("the metadata and thumbnail servers beside it have 8084"),
        "{output}"
    );
    assert!(!output.contains("upstream notification server"), "{output}");
}
