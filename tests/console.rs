//! The console in a real browser: each panel loads, its charts show moving figures, each action does what it says and is
//! refused without the password.

mod common;
#[path = "console/fake.rs"]
mod fake;

use std::path::PathBuf;

use common::browser::Browser;
use common::cluster::Cluster;
use common::node::{Node, Plan};
use common::redis::Redis;
use common::socket::{End, Socket};
use common::{http, library, token};
use fake::{Fake, PASSWORD};
use serde_json::json;

/// A plan whose console wants the password.
fn guarded() -> Plan {
    Plan::new().env("FOGHORN_OPS_PASSWORD", "secret")
}

/// A browser that has given the password and sees the console at `port`.
async fn console(port: u16) -> Browser {
    let mut browser = Browser::start().await;
    browser.call("Network.enable", json!({})).await;
    password(&mut browser, true).await;
    browser.resize(1280, 900).await;
    browser.open(&format!("http://127.0.0.1:{port}/console")).await;
    browser.until("document.getElementById('state').textContent === 'Live'").await;
    browser
}

async fn password(browser: &mut Browser, given: bool) {
    let headers = if given { json!({"Authorization": PASSWORD}) } else { json!({}) };
    browser.call("Network.setExtraHTTPHeaders", json!({"headers": headers})).await;
}

fn text(id: &str) -> String {
    format!("document.getElementById('{id}').innerText")
}

/// Waits until the text of `id` has `part` in it.
async fn shows(browser: &mut Browser, id: &str, part: &str) {
    browser.until(&format!("{}.includes({})", text(id), json!(part))).await;
}

/// Waits for an administrator's goodbye.
async fn dismissed(mut socket: Socket) {
    assert_eq!(socket.ended().await, End::Closed(1008, "disconnected by an administrator".into()));
}

#[tokio::test]
#[ignore = "needs chromium, redis"]
async fn the_cluster_is_seen_live() {
    let redis = [Redis::start().await, Redis::start().await];
    let mut nodes = Vec::new();
    for name in ["north", "south"] {
        nodes.push(guarded().env("FOGHORN_NODE_NAME", name).redis([&*redis[0].url(), &redis[1].url()]).start().await);
    }
    let mut browser = console(nodes[0].ops()).await;
    shows(&mut browser, "nodes", "north (this one)").await;
    for shown in ["south", "running", "2 of 2 up", "64 partitions"] {
        shows(&mut browser, "nodes", shown).await;
    }
    // Figures move: in the tiles, in the lines, in what a screen reader is told.
    let charts = "[...document.querySelectorAll('.plot')].map(p => p.ariaLabel)";
    let before = browser.evaluate(charts).await;
    assert_eq!(before.as_array().map(Vec::len), Some(4), "{before}");
    let library = library();
    let mut sockets = vec![nodes[0].subscriber(&library, "a@x").await, nodes[1].subscriber(&library, "b@x").await];
    for n in 0..200 {
        nodes[n % 2].post_update(&library, &n.to_string()).await;
    }
    for socket in &mut sockets {
        socket.expect_update(&library, "0").await;
    }
    browser.until(&format!("/Connections, now: Connections 2/.test({charts}[0])")).await;
    for n in 1..4 {
        browser.until(&format!("{charts}[{n}] !== {}", before[n])).await;
    }
    let drawn =
        "[...document.querySelectorAll('.plot')].every(p => p.querySelector('path').getAttribute('d').includes('L'))";
    browser.until(drawn).await;
    shows(&mut browser, "totals", "Connections\n2").await;
    // A lost shard is seen.
    let [_kept, mut lost] = redis;
    lost.kill();
    shows(&mut browser, "nodes", "1 of 2 up").await;
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[tokio::test]
#[ignore = "needs chromium, redis"]
async fn clients_are_looked_up_and_disconnected() {
    let cluster = Cluster::start(2, 1, guarded).await;
    let library = library();
    let one = cluster.nodes[0].subscriber(&library, "a@x").await;
    let others =
        [cluster.nodes[1].subscriber(&library, "b@x").await, cluster.nodes[0].subscriber("another", "b@x").await];
    let mut browser = console(cluster.nodes[0].ops()).await;
    browser.fill("#lookup-value", &library).await;
    browser.click("#lookup-form button").await;
    shows(&mut browser, "lookup-answer", "2 clients on 2 nodes").await;
    browser.until(&format!("/in [45] min/.test({})", text("lookup-result"))).await;
    for shown in ["a@x", "b@x", &library] {
        shows(&mut browser, "lookup-result", shown).await;
    }
    // Asked first, and left alone where the answer is no.
    let button = "#lookup-result button";
    browser.evaluate("[...document.querySelectorAll('#lookup-result tr')].find(r => r.innerText.includes('a@x')).querySelector('button').id = 'a'").await;
    browser.click("#a").await;
    browser.until("document.getElementById('confirm').open").await;
    browser.press("Escape").await;
    browser.until("!document.getElementById('confirm').open").await;
    browser.click("#a").await;
    browser.click("#confirm button[value=yes]").await;
    shows(&mut browser, "lookup-answer", "1 client was disconnected.").await;
    dismissed(one).await;

    browser.evaluate("document.getElementById('lookup-by').value = 'user'").await;
    browser.fill("#lookup-value", "b@x").await;
    browser.press("Enter").await;
    shows(&mut browser, "lookup-result", "another").await;
    assert_eq!(browser.evaluate(&format!("document.querySelectorAll('{button}').length")).await, 3);
    browser.click("#disconnect-user").await;
    browser.click("#confirm button[value=yes]").await;
    shows(&mut browser, "lookup-answer", "2 clients were disconnected.").await;
    for socket in others {
        dismissed(socket).await;
    }
    browser.fill("#lookup-value", "nobody").await;
    browser.press("Enter").await;
    shows(&mut browser, "lookup-answer", "Nobody holds it.").await;
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn events_are_seen_as_they_happen() {
    let node = guarded().env("FOGHORN_OPS_PAYLOADS", "true").start().await;
    let (library, other) = (library(), library());
    let mut browser = console(node.ops()).await;
    browser.click("#tail-go").await;
    shows(&mut browser, "tail-answer", "Listening").await;
    node.post_update(&library, "<b>1</b>").await;
    let permission = json!({"repo_id": other, "path": "/", "type": "user", "user": "a@x", "change_event": "add"});
    node.post("folder-perm-changed", &permission).await.expect(200);
    shows(&mut browser, "tail-events", &format!("repo-update repo/{library} to all, 0 subscribers")).await;
    shows(&mut browser, "tail-events", &format!("folder-perm-changed repo/{other} to 1 user")).await;
    assert_eq!(browser.evaluate("document.querySelectorAll('#tail-events pre').length").await, 0);
    browser.fill("#tail-library", &library).await;
    browser.click("#tail-payload").await;
    shows(&mut browser, "tail-answer", "Listening").await;
    browser.click("#tail-clear").await;
    node.post("folder-perm-changed", &permission).await.expect(200);
    node.post_update(&library, "<b>2</b>").await;
    // Contents are text, whatever is in them.
    shows(&mut browser, "tail-events", "<b>2</b>").await;
    assert_eq!(browser.evaluate("document.querySelectorAll('#tail-events pre b').length").await, 0);
    assert_eq!(browser.evaluate("document.querySelectorAll('#tail-events li').length").await, 1);
    browser.click("#tail-go").await;
    shows(&mut browser, "tail-answer", "Stopped.").await;
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn contents_are_hidden_unless_allowed() {
    let node = guarded().start().await;
    let mut browser = console(node.ops()).await;
    shows(&mut browser, "tail", "FOGHORN_OPS_PAYLOADS is not set").await;
    assert_eq!(browser.evaluate("document.getElementById('tail-payload').disabled").await, true);
    // The page is not what hides them.
    let headers = [("Authorization", PASSWORD)];
    http::request(node.ops(), "GET", "/api/v1/tail?payload=1", &headers, None).await.expect(403);
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn a_test_event_is_sent() {
    let node = guarded().start().await;
    let library = library();
    let mut socket = node.subscriber(&library, "a@x").await;
    let mut browser = console(node.ops()).await;
    browser.fill("#send-library", &library).await;
    browser.fill("#send-content", "{\"commit_id\":").await;
    browser.click("#send-form button").await;
    shows(&mut browser, "send-answer", "not JSON").await;
    browser.fill("#send-content", "{\"commit_id\": \"0123\"}").await;
    browser.click("#send-form button").await;
    shows(&mut browser, "send-answer", "Accepted").await;
    socket.expect_update(&library, "0123").await;
    browser.fill("#send-content", "[]").await;
    browser.click("#send-form button").await;
    shows(&mut browser, "send-answer", "Refused (400)").await;
    assert!(socket.pending().await.is_empty());
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn a_token_is_explained_and_forgotten() {
    let node = guarded().start().await;
    let mut browser = console(node.ops()).await;
    let (good, old) =
        (token::subscription("lib-7", "a@x"), token::subscription_until("lib-7", "a@x", token::now() - 7_300));
    browser.fill("#token-value", &good).await;
    browser.click("#token-form button").await;
    shows(&mut browser, "token-answer", "It is good for subscribing to its library.").await;
    shows(&mut browser, "token-answer", "It runs out in ").await;
    shows(&mut browser, "token-result", "\"repo_id\": \"lib-7\"").await;
    assert_eq!(browser.evaluate("document.getElementById('token-value').value").await, "");
    browser.fill("#token-value", &old).await;
    browser.click("#token-form button").await;
    shows(&mut browser, "token-answer", "It ran out 2 h 1 min ago.").await;
    for secret in [good, old] {
        assert!(
            !node.log().contains(&secret)
                && !browser.evaluate("document.body.innerHTML").await.to_string().contains(&secret)
        );
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn nothing_is_done_without_the_password() {
    let node = guarded().start().await;
    let library = library();
    let mut socket = node.subscriber(&library, "a@x").await;
    for part in ["", "/console.js", "/console.css"] {
        http::get(node.ops(), &format!("/console{part}")).await.expect(401);
    }
    let mut browser = console(node.ops()).await;
    browser.fill("#lookup-value", &library).await;
    browser.click("#lookup-form button").await;
    shows(&mut browser, "lookup-answer", "1 client on 1 node").await;
    password(&mut browser, false).await;
    let refused = "password is needed";
    shows(&mut browser, "state", refused).await;
    browser.click("#lookup-result button").await;
    browser.click("#confirm button[value=yes]").await;
    shows(&mut browser, "lookup-answer", refused).await;
    browser.click("#lookup-form button").await;
    shows(&mut browser, "lookup-answer", refused).await;
    browser.fill("#send-library", &library).await;
    browser.click("#send-form button").await;
    shows(&mut browser, "send-answer", refused).await;
    browser.fill("#token-value", "any").await;
    browser.click("#token-form button").await;
    shows(&mut browser, "token-answer", refused).await;
    browser.click("#tail-go").await;
    shows(&mut browser, "tail-answer", "does not let this page listen").await;
    assert!(socket.pending().await.is_empty());
}

#[tokio::test]
async fn the_page_is_well_guarded() {
    let node = Node::start().await;
    let page = http::get(node.ops(), "/console").await.expect(200);
    let policy = &page.headers["content-security-policy"];
    for rule in
        ["default-src 'none'", "script-src 'self';", "style-src 'self';", "frame-ancestors 'none'", "base-uri 'none'"]
    {
        assert!(policy.contains(rule), "{rule} in {policy}");
    }
    assert_eq!(page.headers["x-content-type-options"], "nosniff");
    assert_eq!(page.headers["referrer-policy"], "no-referrer");
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    // A page of another site cannot make a visitor's browser act here, not even without a password.
    for (site, kind) in [("cross-site", "application/json"), ("same-origin", "text/plain")] {
        let headers = [("Sec-Fetch-Site", site), ("Content-Type", kind)];
        let answer =
            http::request(node.ops(), "POST", "/api/v1/disconnect", &headers, Some(b"{\"user\":\"a@x\"}")).await;
        assert!([403, 415].contains(&answer.status), "{answer:?}");
    }
    // Clients' own port has none of it.
    http::get(node.port(), "/console").await.expect(404);
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn keys_are_enough_and_themes_change() {
    let mut browser = console(Fake::start().await.port()).await;
    browser.press("Tab").await;
    assert_eq!(browser.evaluate("document.activeElement.className").await, "skip");
    browser.press("Tab").await;
    assert_eq!(browser.evaluate("document.activeElement.id").await, "theme");
    let ground = "getComputedStyle(document.body).backgroundColor";
    let light = browser.evaluate(ground).await;
    browser.theme("dark").await;
    browser.until(&format!("{ground} !== {light}")).await;
    browser.press("Enter").await;
    browser.until(&format!("{ground} === {light}")).await;
    browser.press("Enter").await;
    browser.until(&format!("{ground} !== {light}")).await;
    // Remembered, whatever the system says.
    browser.theme("light").await;
    browser.evaluate("location.reload()").await;
    browser.until(&format!("document.readyState === 'complete' && {}.includes('dark')", text("theme"))).await;
    assert_ne!(browser.evaluate(ground).await, light);
    // A chart's figures by keys.
    browser.until("document.querySelectorAll('.plot path')[0]?.getAttribute('d').includes('L')").await;
    browser.evaluate("document.querySelector('.plot').focus()").await;
    browser.press("ArrowLeft").await;
    browser.until("document.querySelector('.chart [aria-live]').textContent.includes('s ago: Connections')").await;
}

/// Every control has a name, every text enough contrast, nothing sticks out of the window.
#[tokio::test]
#[ignore = "needs chromium"]
async fn it_can_be_read_in_both_themes_at_any_width() {
    let mut browser = console(Fake::start().await.port()).await;
    browser.fill("#lookup-value", "5a6bcd0e-7a3c-4c1e-9c4b-1f2d3e4a5b6c").await;
    browser.click("#lookup-form button").await;
    browser.fill("#token-value", "good").await;
    browser.click("#token-form button").await;
    browser.click("#tail-payload").await;
    browser.click("#tail-go").await;
    browser.until("document.querySelectorAll('#tail-events li').length > 4").await;
    browser.until("document.querySelector('.plot path').getAttribute('d').split('L').length > 3").await;
    for theme in ["light", "dark"] {
        browser.theme(theme).await;
        for (width, height) in [(1280, 900), (768, 1024), (360, 740)] {
            browser.resize(width, height).await;
            browser.until(&format!("innerWidth === {width}")).await;
            readable(&mut browser, &format!("{theme}-{width}")).await;
            browser.click("#lookup-result button").await;
            browser.until("document.getElementById('confirm').open").await;
            readable(&mut browser, &format!("{theme}-{width}-dialog")).await;
            browser.press("Escape").await;
        }
    }
}

/// Panics with what is hard to read; leaves a picture in the folder `FOGHORN_SCREENSHOTS`, if that is set.
async fn readable(browser: &mut Browser, name: &str) {
    let wider = browser.evaluate("document.documentElement.scrollWidth - innerWidth").await;
    assert!(wider.as_i64() <= Some(0), "{name}: the page is {wider} pixels too wide");
    let faults = browser.evaluate(include_str!("console/readable.js")).await;
    assert_eq!(faults, json!([]), "{name}");
    let Some(folder) = std::env::var_os("FOGHORN_SCREENSHOTS").map(PathBuf::from) else { return };
    if name.ends_with("dialog") {
        return browser.screenshot(&folder.join(format!("console-{name}.png"))).await;
    }
    let size = browser.evaluate("[innerWidth, innerHeight, document.documentElement.scrollHeight]").await;
    let [width, height, all] = [0, 1, 2].map(|n| size[n].as_u64().unwrap_or(1_000) as u32);
    browser.resize(width, all).await;
    browser.screenshot(&folder.join(format!("console-{name}.png"))).await;
    browser.resize(width, height).await;
}
