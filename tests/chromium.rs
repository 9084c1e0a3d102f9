//! A newcomer's first minute: `foghorn demo`, its page in a browser, and an event that crosses nodes.

mod common;

use common::browser::Browser;
use common::http;
use common::node::foghorn;
use common::process::Process;
use serde_json::{Value, json};

/// Through which node the page's first client hears.
const LISTEN: &str = "node 1";

/// The demo; its page is on `port`.
async fn demo(folder: &std::path::Path) -> (Process, u16) {
    let mut process = Process::start("foghorn demo", foghorn(&["demo"]), &folder.join("output"));
    let log = process.logged("Ctrl-C").await;
    let page = log
        .lines()
        .find_map(|line| line.trim().strip_prefix("page"))
        .expect("it prints where its page is");
    let port = page
        .trim()
        .trim_end_matches('/')
        .rsplit(':')
        .next()
        .and_then(|port| port.parse().ok());
    (process, port.expect("the page has a port"))
}

#[tokio::test]
#[ignore = "needs Chromium"]
async fn the_demo_page_sees_an_event_that_was_posted_to_another_node() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (_demo, port) = demo(folder.path()).await;
    let mut browser = Browser::start().await;
    browser.open(&format!("http://127.0.0.1:{port}/")).await;
    browser
        .until("document.body.dataset.subscribed === 'true'")
        .await;

    // By the page's own form, through another node than it listens to.
    let post = browser
        .evaluate("document.querySelector('#node').value")
        .await;
    assert_ne!(post, LISTEN);
    browser.fill("#text", "a word from afar").await;
    browser.click("#post").await;
    browser
        .until("document.querySelector('#events li strong')?.textContent === 'a word from afar'")
        .await;
    let origin = browser
        .evaluate("document.querySelector('#events li span').textContent")
        .await;
    let origin = origin
        .as_str()
        .expect("it says where it came from")
        .to_owned();
    let post = post.as_str().unwrap_or_default();
    assert!(
        origin.contains(&format!("posted to {post}, arrived through {LISTEN}")),
        "{origin}"
    );

    // By the command it shows.
    let command = browser.evaluate("demo.curl").await;
    let (node, token) = parse(command.as_str().expect("the command is text"));
    let library = browser.evaluate("demo.library").await;
    let event = json!({"type": "repo-update", "content": {"repo_id": library, "text": "hello from a shell"}});
    let headers = [("Authorization", token.as_str())];
    http::request(
        node,
        "POST",
        "/events",
        &headers,
        Some(event.to_string().as_bytes()),
    )
    .await
    .expect(200);
    browser
        .until("document.querySelector('#events li strong')?.textContent === 'hello from a shell'")
        .await;
    assert_eq!(browser.complaints(), Vec::<String>::new());
    assert_ne!(u64::from(node), node_port(&mut browser, LISTEN).await);
}

/// What the README shows, in the folder `FOGHORN_SCREENSHOTS`, if that is set.
async fn pictures(browser: &mut Browser) {
    let Some(folder) = std::env::var_os("FOGHORN_SCREENSHOTS").map(std::path::PathBuf::from) else {
        return;
    };
    browser.resize(800, 700).await;
    browser.evaluate("scrollTo(0, 0)").await;
    for theme in ["light", "dark"] {
        browser.theme(theme).await;
        browser
            .screenshot(&folder.join(format!("demo-{theme}.png")))
            .await;
    }
}

/// How many events were posted and how many have arrived at every client.
const COUNTS: &str =
    "[...document.querySelectorAll('#posted, #arrived')].map((count) => Number(count.textContent))";

#[tokio::test]
#[ignore = "needs Chromium"]
async fn nothing_is_missing_when_nodes_and_broker_are_stopped_on_the_demo_page() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut demo, port) = demo(folder.path()).await;
    let mut browser = Browser::start().await;
    browser.open(&format!("http://127.0.0.1:{port}/")).await;
    browser
        .until("document.body.dataset.subscribed === 'true'")
        .await;
    let state = |index: usize, what: &str| {
        format!("document.querySelectorAll('#nodes li')[{index}].textContent.includes('{what}')")
    };

    browser.click("#flow").await;
    browser.until(&format!("{COUNTS}[1] >= 10")).await;
    // A node ends, and its client goes to another one.
    browser.click("#switch-2").await;
    browser.until(&state(1, "stopped")).await;
    browser
        .until("document.body.dataset.subscribed === 'true'")
        .await;
    browser.until(&format!("{COUNTS}[1] >= 20")).await;
    pictures(&mut browser).await;
    // The broker is away: events are taken, and wait.
    browser.click("#broker").await;
    browser
        .until("document.getElementById('broker-state').textContent.includes('stopped')")
        .await;
    browser
        .until("Number(document.getElementById('due').textContent) >= 3")
        .await;
    // Who would take waiting events along is not ended.
    browser.click("#switch-1").await;
    browser
        .until("document.getElementById('switched').textContent.includes('start the broker first')")
        .await;
    browser.click("#broker").await;
    browser
        .until("document.getElementById('broker-state').textContent === 'runs'")
        .await;
    browser.click("#switch-2").await;
    browser.until(&state(1, "runs")).await;
    browser.click("#flow").await;
    browser
        .until("document.getElementById('flow').getAttribute('aria-pressed') === 'false'")
        .await;
    browser
        .until(&format!("{COUNTS}[0] >= 20 && {COUNTS}[0] === {COUNTS}[1]"))
        .await;
    browser
        .until("document.getElementById('status').textContent === 'Every client has every event.'")
        .await;

    let log = demo.log();
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
    demo.must_run();
}

#[tokio::test]
#[ignore = "needs Chromium"]
async fn the_demo_page_is_read_on_small_and_large_screens_in_light_and_dark() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (_demo, port) = demo(folder.path()).await;
    let mut browser = Browser::start().await;
    for (width, dark) in [(1_280, false), (1_280, true), (400, false), (400, true)] {
        browser.resize(width, 800).await;
        browser.theme(if dark { "dark" } else { "light" }).await;
        browser.open(&format!("http://127.0.0.1:{port}/")).await;
        browser
            .until("document.body.dataset.subscribed === 'true'")
            .await;
        let overflow = browser
            .evaluate("document.documentElement.scrollWidth - innerWidth")
            .await;
        assert!(overflow.as_i64() <= Some(0), "wider than {width} px");
        let ground = browser
            .evaluate("getComputedStyle(document.body).backgroundColor")
            .await;
        assert_eq!(ground == "rgb(16, 22, 28)", dark, "{ground}");
        // What starts it is there without scrolling.
        let seen = browser
            .evaluate(
                "document.getElementById('flow').getBoundingClientRect().bottom < innerHeight",
            )
            .await;
        assert_eq!(seen, true);
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

/// The port and the Authorization header of the command `curl … -H 'Authorization: …' … http://127.0.0.1:PORT/events`.
fn parse(command: &str) -> (u16, String) {
    let token = command
        .split("Authorization: ")
        .nth(1)
        .and_then(|rest| rest.split('\'').next());
    let port = command
        .split("127.0.0.1:")
        .nth(1)
        .and_then(|rest| rest.split('/').next());
    let port = port.and_then(|port| port.parse().ok());
    (
        port.expect("the command has a port"),
        token.expect("the command has a token").to_owned(),
    )
}

async fn node_port(browser: &mut Browser, name: &str) -> u64 {
    let nodes: Value = browser.evaluate("demo.nodes").await;
    let node = nodes
        .as_array()
        .into_iter()
        .flatten()
        .find(|node| node["name"] == name)
        .expect("the node is listed");
    let port = node["address"]
        .as_str()
        .and_then(|address| address.rsplit(':').next()?.parse().ok());
    port.expect("an address has a port")
}
