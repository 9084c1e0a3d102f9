//! `docs/PROTOCOL.md` shows code that works: each example is run as it is printed, against a real node.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::browser::Browser;
use common::node::Node;
use common::process::{self, Process, need};
use common::{library, token};
use serde_json::json;
use tempfile::TempDir;

/// The code of the page that is marked with `<!-- run: NAME -->` and written in `language`.
fn example(name: &str, language: &str) -> String {
    let page =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/PROTOCOL.md"))
            .expect("the page");
    let begin = format!("<!-- run: {name} -->\n\n```{language}\n");
    let (_, behind) = page
        .split_once(&begin)
        .unwrap_or_else(|| panic!("no example {begin:?}"));
    behind.split_once("```\n").expect("an end").0.to_owned()
}

/// A Python that has the package the client needs.
fn python() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/deploy/get-pypi.sh");
    let done = Command::new(script)
        .args(["websockets", "python3"])
        .output()
        .expect("it starts");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8(done.stdout)
        .expect("a path")
        .trim()
        .into()
}

/// `program` with `code`, told about the node as the page says.
fn command(program: &Path, code: &str, node: &Node, library: &str) -> Command {
    let mut command = process::command(program);
    command
        .args(["-c", code])
        .env("NODE", format!("http://127.0.0.1:{}", node.port()));
    command
        .env("JWT_PRIVATE_KEY", token::KEY)
        .env("LIBRARY", library);
    command
}

fn run(mut command: Command) -> String {
    let done = command.output().expect("it starts");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8(done.stdout).expect("text")
}

/// Posts by the page's Python, which needs nothing but Python.
fn post(node: &Node, library: &str) {
    let posted = run(command(
        &need("python3", "python3"),
        &example("post", "python"),
        node,
        library,
    ));
    assert_eq!(posted, "200\n");
}

#[test]
fn every_example_is_one_that_a_test_runs() {
    let page =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/PROTOCOL.md"))
            .expect("the page");
    let marked = page.matches("<!-- run: ").count();
    assert_eq!(
        page.matches("\n```").count(),
        2 * marked,
        "code that is not marked is not run"
    );
    let known = [
        ("ping", "bash"),
        ("post", "bash"),
        ("post", "python"),
        ("client", "python"),
        ("client", "javascript"),
    ];
    assert_eq!(
        marked,
        known.map(|(name, language)| example(name, language)).len()
    );
}

#[tokio::test]
#[ignore = "needs curl, openssl and python3"]
async fn the_pages_backends_ping_and_post() {
    let node = Node::start().await;
    let library = library();
    let bash = need("bash", "bash");
    assert_eq!(
        run(command(&bash, &example("ping", "bash"), &node, &library)),
        "{\"ret\": \"pong\"}\n"
    );
    let mut socket = node.subscriber(&library, "a@example.com").await;
    run(command(&bash, &example("post", "bash"), &node, &library));
    socket.expect_update(&library, "from-curl").await;
    post(&node, &library);
    socket.expect_update(&library, "from-python").await;
}

#[tokio::test]
#[ignore = "needs websockets, from PyPI"]
async fn the_pages_client_in_python_hears_an_event() {
    let node = Node::start().await;
    let (folder, library) = (TempDir::new().expect("a folder"), library());
    let client = command(&python(), &example("client", "python"), &node, &library);
    let mut client = Process::start("the page's client", client, &folder.path().join("output"));
    node.counted(foghorn::metrics::SUBSCRIPTIONS, "", 1.0).await;
    post(&node, &library);
    client.logged("from-python").await;
}

#[tokio::test]
#[ignore = "needs Chromium"]
async fn the_pages_client_in_a_browser_hears_an_event_and_comes_back() {
    let mut node = Node::start().await;
    let library = library();
    let mut browser = Browser::start().await;
    let good = token::subscription(&library, "a@example.com");
    let start = format!(
        "{}\nwindow.seen = []; watch({}, {}, async () => {}, (event) => seen.push(event.content.commit_id));",
        example("client", "javascript"),
        json!(format!("http://127.0.0.1:{}", node.port())),
        json!(library),
        json!(good)
    );
    browser.evaluate(&start).await;
    node.counted(foghorn::metrics::SUBSCRIPTIONS, "", 1.0).await;
    node.post_update(&library, "one").await;
    browser.until("seen.includes('one')").await;
    node.restart().await;
    node.counted(foghorn::metrics::SUBSCRIPTIONS, "", 1.0).await;
    node.post_update(&library, "two").await;
    browser.until("seen.includes('two')").await;
}
