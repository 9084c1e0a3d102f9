//! The demonstration works as it tells a newcomer, with nothing else installed.

mod common;

use std::path::Path;

use common::node::foghorn;
use common::process::Process;
use common::{http, ports};

/// The text between `before` and the next blank or line's end.
fn after<'a>(text: &'a str, before: &str) -> &'a str {
    let start = text
        .find(before)
        .unwrap_or_else(|| panic!("no {before:?} in:\n{text}"))
        + before.len();
    text[start..]
        .split(['\n', ' '])
        .next()
        .expect("split gives at least one piece")
}

fn port(url: &str) -> u16 {
    url.trim_end_matches('/')
        .rsplit(':')
        .next()
        .and_then(|port| port.parse().ok())
        .expect("a port")
}

async fn start(folder: &Path, args: &[&str]) -> (Process, String) {
    let mut demo = Process::start(
        "demo",
        foghorn(&[&["demo"], args].concat()),
        &folder.join("demo"),
    );
    let text = demo.logged("Ctrl-C ends it").await;
    (demo, text)
}

#[tokio::test]
async fn an_event_posted_from_the_page_arrives_through_another_node() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut demo, text) = start(folder.path(), &[]).await;
    let page = port(after(&text, "page    "));

    let html = http::get(page, "/").await.expect(200);
    assert!(
        html.body.contains("<script src=\"/demo.js\">")
            && html.headers["content-security-policy"].contains("'none'")
    );
    for asset in ["/demo.css", "/demo.js"] {
        let asset = http::get(page, asset).await.expect(200);
        assert!(
            !asset.body.contains("http://") && !asset.body.contains("https://"),
            "it asks nobody else"
        );
    }

    let description = http::get(page, "/demo.json").await.json();
    let library = description["library"].as_str().expect("an id");
    let mut command = foghorn(&[
        "tail",
        "--count",
        "2",
        "--url",
        after(&text, "tail --url "),
        library,
    ]);
    command.env("JWT_PRIVATE_KEY", after(&text, "JWT_PRIVATE_KEY="));
    let mut tail = Process::start("tail", command, &folder.path().join("tail"));
    tail.logged("connected").await;

    let json = [("Content-Type", "application/json")];
    let body = br#"{"node":"node 2","text":"from the page","sent_ms":1}"#;
    http::request(page, "POST", "/publish", &json, Some(body))
        .await
        .expect(200);
    let nowhere = br#"{"node":"node 9","text":"","sent_ms":1}"#;
    http::request(page, "POST", "/publish", &json, Some(nowhere))
        .await
        .expect(404);

    let curl = text
        .lines()
        .find(|line| line.starts_with("curl "))
        .expect("a command");
    let quoted: Vec<&str> = curl.split('\'').collect();
    let (header, event, url) = (
        quoted[1],
        quoted[3],
        curl.rsplit(' ').next().expect("a URL"),
    );
    let authorization = [(
        "Authorization",
        header.trim_start_matches("Authorization: "),
    )];
    let node = port(url.trim_end_matches("/events"));
    http::request(
        node,
        "POST",
        "/events",
        &authorization,
        Some(event.as_bytes()),
    )
    .await
    .expect(200);

    assert!(tail.end().await.success());
    let printed = tail.log();
    assert!(
        printed.contains("from the page") && printed.contains("Hello from a shell"),
        "{printed}"
    );
    demo.signal("INT");
    assert_eq!(demo.end().await.code(), Some(0));
}

#[tokio::test]
async fn its_ports_can_be_chosen() {
    let folder = tempfile::tempdir().expect("a folder");
    // The nodes take the ports after it.
    let base = ports::free_ports(7);
    let (_demo, text) = start(folder.path(), &["--port", &base.to_string()]).await;
    assert_eq!(port(after(&text, "page    ")), base);
    assert_eq!(port(after(&text, "node 3  ")), base + 3);
    http::get(base + 1, "/ping").await.expect(200);
}
