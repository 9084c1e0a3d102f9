//! A newcomer's first minute: `foghorn demo`, its page in a browser, and an event that crosses nodes.

mod common;

use common::browser::Browser;
use common::http;
use common::node::foghorn;
use common::process::Process;
use serde_json::{Value, json};

/// The demo; its page is on `port`.
async fn demo(folder: &std::path::Path) -> (Process, u16) {
    let mut process = Process::start("foghorn demo", foghorn(&["demo"]), &folder.join("output"));
    let log = process.logged("Ctrl-C").await;
    let page = log.lines().find_map(|line| line.trim().strip_prefix("page")).expect("it prints where its page is");
    let port = page.trim().trim_end_matches('/').rsplit(':').next().and_then(|port| port.parse().ok());
    (process, port.expect("the page has a port"))
}

#[tokio::test]
#[ignore = "needs Chromium"]
async fn the_demo_page_sees_an_event_that_was_posted_to_another_node() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (_demo, port) = demo(folder.path()).await;
    let mut browser = Browser::start().await;
    browser.open(&format!("http://127.0.0.1:{port}/")).await;
    browser.until("document.body.dataset.subscribed === 'true'").await;

    // By the page's own form, through another node than it listens to.
    let (listen, post) =
        (browser.evaluate("demo.listen").await, browser.evaluate("document.querySelector('#node').value").await);
    assert_ne!(listen, post);
    browser.fill("#text", "a word from afar").await;
    browser.click("#post").await;
    browser.until("document.querySelector('#events li strong')?.textContent === 'a word from afar'").await;
    let origin = browser.evaluate("document.querySelector('#events li span').textContent").await;
    let origin = origin.as_str().expect("it says where it came from").to_owned();
    let (listen, post) = (listen.as_str().unwrap_or_default(), post.as_str().unwrap_or_default());
    assert!(origin.contains(&format!("posted to {post}, arrived through {listen}")), "{origin}");

    // By the command it shows.
    let command = browser.evaluate("demo.curl").await;
    let (node, token) = parse(command.as_str().expect("the command is text"));
    let library = browser.evaluate("demo.library").await;
    let event = json!({"type": "repo-update", "content": {"repo_id": library, "text": "hello from a shell"}});
    let headers = [("Authorization", token.as_str())];
    http::request(node, "POST", "/events", &headers, Some(event.to_string().as_bytes())).await.expect(200);
    browser.until("document.querySelector('#events li strong')?.textContent === 'hello from a shell'").await;
    assert_eq!(browser.complaints(), Vec::<String>::new());
    assert_ne!(u64::from(node), node_port(&mut browser, listen).await);
}

/// The port and the Authorization header of the command `curl … -H 'Authorization: …' … http://127.0.0.1:PORT/events`.
fn parse(command: &str) -> (u16, String) {
    let token = command.split("Authorization: ").nth(1).and_then(|rest| rest.split('\'').next());
    let port = command.split("127.0.0.1:").nth(1).and_then(|rest| rest.split('/').next());
    let port = port.and_then(|port| port.parse().ok());
    (port.expect("the command has a port"), token.expect("the command has a token").to_owned())
}

async fn node_port(browser: &mut Browser, name: &str) -> u64 {
    let nodes: Value = browser.evaluate("demo.nodes").await;
    let node = nodes.as_array().into_iter().flatten().find(|node| node["name"] == name).expect("the node is listed");
    let port = node["address"].as_str().and_then(|address| address.rsplit(':').next()?.parse().ok());
    port.expect("an address has a port")
}
