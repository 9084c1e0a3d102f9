//! The access log: what stands in it, when, and what never does.

use std::path::Path;
use std::process::Command;

use crate::common::node::Plan;
use crate::common::{eventually, http};
use crate::site::Inbox;
use crate::stream::{Stream, post};

const SECRET: &str = "a-secret-of-the-test";

async fn has(log: &Path, part: &str) -> String {
    eventually(&format!("{part:?} in {}", log.display()), || async {
        let text = std::fs::read_to_string(log).ok()?;
        let line = text.lines().find(|line| line.contains(part))?;
        Some(line.to_owned())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_leaves_a_line_when_its_answer_has_ended_and_no_secret_is_in_it() {
    let plan = Plan::new();
    let (log, moved) = (
        plan.folder().join("access.log"),
        plan.folder().join("access.log.1"),
    );
    let mut node = Inbox::from(
        plan,
        &[
            ("FOGHORN_SSE_ACCESS_LOG", &log.display().to_string()),
            ("FOGHORN_SSE_SECRET", SECRET),
        ],
    )
    .await;
    let (page, _) = Stream::connect(node.port, "ann", "").await;
    let headers = [
        ("Content-Type", "application/json"),
        ("User-Agent", "a \"backend\"\\"),
        (
            "Referer",
            &*format!("https://gw.example.com/?token={SECRET}"),
        ),
    ];
    let (path, body) = (
        format!("/webNotification?a=b&key={SECRET}"),
        br#"{"id":"notify_ann","data":1}"#,
    );
    let received = http::request(node.port, "POST", &path, &headers, Some(body))
        .await
        .expect(200);
    let line = has(&log, "POST ").await;
    let (begin, rest) = line.split_once('[').expect("a time");
    let (time, rest) = rest.split_once("] ").expect("a time");
    assert_eq!((begin, time.len()), ("127.0.0.1 - - ", 26));
    assert_eq!(
        rest,
        format!(
            r#""POST /webNotification?a=b&key=*** HTTP/1.1" 200 {} "https://gw.example.com/" "a \"backend\"\\""#,
            received.body.len()
        )
    );
    let text = std::fs::read_to_string(&log).expect("a log");
    assert!(!text.contains("/sse/"), "the stream goes on: {text}");
    drop(page);
    let line = has(&log, "/sse/").await;
    assert!(
        line.ends_with(r#""GET /sse/ann HTTP/1.1" 200 - "-" "-""#),
        "{line}"
    );
    std::fs::rename(&log, &moved).expect("moved");
    node.process().signal("USR1");
    eventually("a new file", || async { log.exists().then_some(()) }).await;
    http::request(node.port, "GET", "/nothing", &[], None)
        .await
        .expect(404);
    has(&log, "/nothing HTTP/1.1\" 404 ").await;
    for file in [&log, &moved] {
        let text = std::fs::read_to_string(file).expect("a log");
        assert!(!text.contains(SECRET), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_written_keeps_the_node_from_starting_and_names_the_setting() {
    let plan = Plan::new()
        .env("FOGHORN_DIALECTS", "inbox")
        .env("FOGHORN_SSE_ACCESS_LOG", "/nowhere/access.log");
    let (_, told) = plan.refused().await;
    assert!(
        told.contains("cannot open the log file /nowhere/access.log (from FOGHORN_SSE_ACCESS_LOG)"),
        "{told}"
    );
    // Nobody waits for a pipe that nobody reads.
    let plan = Plan::new();
    let pipe = plan.folder().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo runs").success());
    let settings = [("FOGHORN_SSE_ACCESS_LOG", &*pipe.display().to_string())];
    let node = Inbox::from(plan, &settings).await;
    let (mut page, _) = Stream::connect(node.port, "ann", "").await;
    post(node.port, "ann", "1").await;
    assert_eq!(page.data(1).await, ["1"]);
}
