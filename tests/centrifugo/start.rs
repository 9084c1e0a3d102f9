//! The configuration: v1's own file, refused by name where something of it cannot be honoured, read again on SIGHUP.

use serde_json::json;

use crate::common::eventually;
use crate::common::node::{Plan, foghorn};
use crate::site::{Page, call, node, plan};

#[tokio::test]
async fn a_file_that_cannot_be_honoured_keeps_the_node_from_starting_and_says_which_keys() {
    let config = json!({"secret": "hush-hush-hush", "web_path": "x", "web_password": "hunter2", "colour": 1});
    let (_, told) = plan(Plan::new(), &config).refused().await;
    for key in [
        "FOGHORN_CENTRIFUGO_CONFIG",
        "web_path: ",
        "web_password: ",
        "colour: Centrifugo v1 has no such key",
    ] {
        assert!(told.contains(key), "{key} is not in {told}");
    }
    assert!(
        !told.contains("hush-hush-hush") && !told.contains("hunter2"),
        "{told}"
    );
    let (_, told) = Plan::new()
        .env("FOGHORN_DIALECTS", "centrifugo")
        .refused()
        .await;
    assert!(
        told.contains("it has to name Centrifugo's configuration file"),
        "{told}"
    );
}

#[test]
fn check_config_tells_the_same_without_starting_anything() {
    let plan = Plan::new();
    let file = plan.folder().join("config.json");
    std::fs::write(&file, r#"{"web_path": "x"}"#).expect("the folder can be written");
    let mut check = foghorn(&["check-config"]);
    check
        .env("JWT_PRIVATE_KEY", "mQ2vT8kLp0Zr5Xw9Bn3Yc7Hd1Gf6Js4A")
        .env("FOGHORN_DIALECTS", "centrifugo");
    let output = check
        .env("FOGHORN_CENTRIFUGO_CONFIG", &file)
        .output()
        .expect("it runs");
    let told = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && told.contains("web_path: ") && told.contains("secret: "),
        "{told}"
    );
}

#[tokio::test]
async fn sighup_changes_what_may_be_done_for_connections_that_there_are() {
    let mut node = node(&json!({"secret": "secret", "insecure": true})).await;
    let mut page = Page::connect(node.port(), "42").await;
    page.ask("subscribe", json!({"channel": "news"})).await;
    let answer = call(node.port(), "history", json!({"channel": "news"})).await;
    assert_eq!(answer["error"], "not available");
    let changed =
        json!({"secret": "secret", "insecure": true, "history_size": 5, "history_lifetime": 60});
    std::fs::write(node.folder().join("config.json"), changed.to_string())
        .expect("the folder can be written");
    node.process().signal("HUP");
    eventually("history", || async {
        let answer = call(node.port(), "history", json!({"channel": "news"})).await;
        (answer["error"] == json!(null)).then_some(())
    })
    .await;
    page.ask("publish", json!({"channel": "news", "data": "kept"}))
        .await;
    let history = page.ask("history", json!({"channel": "news"})).await;
    assert_eq!(history["data"][0]["data"], "kept");
    // A file that is broken changes nothing.
    std::fs::write(node.folder().join("config.json"), "{").expect("the folder can be written");
    node.process().signal("HUP");
    eventually("the line about it", || async {
        node.log().contains("it is no JSON object").then_some(())
    })
    .await;
    assert_eq!(
        page.ask("history", json!({"channel": "news"})).await,
        history
    );
}
