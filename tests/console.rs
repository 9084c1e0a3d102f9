//! The console in a real browser: each panel loads, its charts show moving figures, each action does what it says and is
//! refused without the password.

mod common;
#[path = "console/fake.rs"]
mod fake;

use std::path::PathBuf;
use std::sync::Arc;

use common::browser::Browser;
use fake::{Fake, PASSWORD};
use serde_json::json;

/// A browser that sees the console of a made-up cluster and has given the password.
async fn console() -> (Browser, Arc<Fake>) {
    let (fake, address) = Fake::start().await;
    let mut browser = Browser::start().await;
    browser.call("Network.enable", json!({})).await;
    password(&mut browser, true).await;
    browser.resize(1280, 900).await;
    browser.open(&format!("http://{address}/console")).await;
    browser.until("document.getElementById('state').textContent === 'Live'").await;
    (browser, fake)
}

async fn password(browser: &mut Browser, given: bool) {
    let headers = if given { json!({"Authorization": PASSWORD}) } else { json!({}) };
    browser.call("Network.setExtraHTTPHeaders", json!({"headers": headers})).await;
}

fn text(id: &str) -> String {
    format!("document.getElementById('{id}').innerText")
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn the_cluster_is_seen_live() {
    let (mut browser, _fake) = console().await;
    browser.until(&format!("{}.includes('foghorn-1 (this one)')", text("nodes"))).await;
    for shown in ["foghorn-2", "settling", "1 of 2 up", "5d1c9a20", "10.0.0.13:8083"] {
        browser.until(&format!("{}.includes('{shown}')", text("nodes"))).await;
    }
    browser.until(&format!("{}.includes('does not reach the shard')", text("warnings"))).await;
    // Figures move: in the tiles, in the lines, in what a screen reader is told.
    let tiles = browser.evaluate(&text("totals")).await;
    let charts = "[...document.querySelectorAll('.plot')].map(p => p.ariaLabel + [...p.querySelectorAll('path')].map(l => l.getAttribute('d')))";
    let before = browser.evaluate(charts).await;
    assert_eq!(before.as_array().map(Vec::len), Some(4), "{before}");
    browser.until(&format!("{} !== {tiles}", text("totals"))).await;
    for n in 0..4 {
        browser.until(&format!("{charts}[{n}] !== {}", before[n])).await;
        browser.until(&format!("{charts}[{n}].match(/L/)")).await;
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn a_library_is_looked_up_and_a_client_disconnected() {
    let (mut browser, fake) = console().await;
    browser.fill("#lookup-value", "5a6bcd0e-7a3c-4c1e-9c4b-1f2d3e4a5b6c").await;
    browser.click("#lookup-form button").await;
    browser.until(&format!("{}.includes('4 clients on 2 nodes')", text("lookup-answer"))).await;
    browser.until(&format!("{}.includes('in 2 h')", text("lookup-result"))).await;

    // Asked first, and left alone where the answer is no.
    browser.click("#lookup-result button").await;
    browser.until("document.getElementById('confirm').open").await;
    browser.press("Escape").await;
    browser.until("!document.getElementById('confirm').open").await;
    assert!(fake.posted.lock().unwrap().is_empty());

    browser.click("#lookup-result button").await;
    browser.click("#confirm button[value=yes]").await;
    browser
        .until(&format!("{}.includes('1 client was disconnected. 3 clients on 2 nodes')", text("lookup-answer")))
        .await;
    let posted = fake.posted.lock().unwrap().clone();
    assert_eq!(posted, [("/api/v1/disconnect".into(), json!({"node": "foghorn-1", "id": 1}))]);

    browser.evaluate("document.getElementById('lookup-by').value = 'user'").await;
    browser.fill("#lookup-value", "a@example.com").await;
    browser.press("Enter").await;
    browser.click("#disconnect-user").await;
    browser.click("#confirm button[value=yes]").await;
    browser.until(&format!("{}.includes('2 clients on 2 nodes')", text("lookup-answer"))).await;
    assert_eq!(fake.posted.lock().unwrap()[1].1, json!({"user": "a@example.com"}));

    browser.fill("#lookup-value", "nobody").await;
    browser.press("Enter").await;
    browser.until(&format!("{} === 'Nobody holds it.'", text("lookup-answer"))).await;
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn events_are_seen_as_they_happen() {
    let (mut browser, _fake) = console().await;
    browser.click("#tail-go").await;
    browser.until(&format!("{}.includes('repo-update') && {0}.includes('to 2 users')", text("tail-events"))).await;
    assert_eq!(browser.evaluate("document.querySelectorAll('#tail-events pre').length").await, 0);
    browser.fill("#tail-library", "lib-7").await;
    browser.click("#tail-payload").await;
    // Contents are text, whatever is in them.
    browser.until(&format!("{}.includes('repo/lib-7') && {0}.includes('<b>3</b>')", text("tail-events"))).await;
    assert_eq!(browser.evaluate("document.querySelectorAll('#tail-events pre b').length").await, 0);
    browser.click("#tail-go").await;
    browser.until(&format!("{} === 'Stopped.'", text("tail-answer"))).await;
    browser.click("#tail-clear").await;
    browser.until("document.getElementById('tail-events').childElementCount === 0").await;
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn a_test_event_is_sent() {
    let (mut browser, fake) = console().await;
    browser.fill("#send-library", "lib-7").await;
    browser.fill("#send-content", "{\"commit_id\":").await;
    browser.click("#send-form button").await;
    browser.until(&format!("{}.includes('not JSON')", text("send-answer"))).await;
    browser.fill("#send-content", "{\"commit_id\": \"0123\"}").await;
    browser.click("#send-form button").await;
    browser.until(&format!("{}.includes('Accepted')", text("send-answer"))).await;
    let sent = json!({"type": "repo-update", "library": "lib-7", "content": {"commit_id": "0123"}});
    assert_eq!(fake.posted.lock().unwrap().clone(), [("/api/v1/events".into(), sent)]);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn a_token_is_explained_and_forgotten() {
    let (mut browser, _fake) = console().await;
    browser.fill("#token-value", "good").await;
    browser.click("#token-form button").await;
    browser.until(&format!("{}.includes('The token is good. It is good for another 2 h')", text("token-answer"))).await;
    browser.until(&format!("{}.includes('a@example.com')", text("token-result"))).await;
    assert_eq!(browser.evaluate("document.getElementById('token-value').value").await, "");
    browser.fill("#token-value", "another").await;
    browser.click("#token-form button").await;
    browser.until(&format!("{}.includes('Not good: signature')", text("token-answer"))).await;
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn nothing_is_done_without_the_password() {
    let (mut browser, fake) = console().await;
    browser.fill("#lookup-value", "lib-7").await;
    browser.click("#lookup-form button").await;
    browser.until(&format!("{}.includes('on 2 nodes')", text("lookup-answer"))).await;
    password(&mut browser, false).await;
    let refused = |id: &str| format!("{}.includes('password is needed')", text(id));
    browser.until(&refused("state")).await;
    browser.click("#lookup-result button").await;
    browser.click("#confirm button[value=yes]").await;
    browser.until(&refused("lookup-answer")).await;
    browser.click("#lookup-form button").await;
    browser.until(&refused("lookup-answer")).await;
    browser.fill("#send-library", "lib-7").await;
    browser.click("#send-form button").await;
    browser.until(&refused("send-answer")).await;
    browser.fill("#token-value", "good").await;
    browser.click("#token-form button").await;
    browser.until(&refused("token-answer")).await;
    browser.click("#tail-go").await;
    browser.until(&format!("{}.includes('does not let this page listen')", text("tail-answer"))).await;
    assert!(fake.posted.lock().unwrap().is_empty());
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn keys_are_enough_and_themes_change() {
    let (mut browser, _fake) = console().await;
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
    let (mut browser, _fake) = console().await;
    browser.fill("#lookup-value", "5a6bcd0e-7a3c-4c1e-9c4b-1f2d3e4a5b6c").await;
    browser.click("#lookup-form button").await;
    browser.fill("#token-value", "good").await;
    browser.click("#token-form button").await;
    browser.click("#tail-payload").await;
    browser.click("#tail-go").await;
    browser.until("document.querySelectorAll('#tail-events li').length > 4").await;
    browser.until("document.querySelector('.plot path').getAttribute('d').split('L').length > 3").await;
    let folder = std::env::var_os("FOGHORN_SCREENSHOTS").map(PathBuf::from);
    for theme in ["light", "dark"] {
        browser.theme(theme).await;
        for (width, height) in [(1280, 900), (768, 1024), (360, 740)] {
            browser.resize(width, height).await;
            browser.until(&format!("innerWidth === {width}")).await;
            let wider = browser.evaluate("document.documentElement.scrollWidth - innerWidth").await;
            assert!(wider.as_i64() <= Some(0), "{theme} {width}: the page is {wider} pixels too wide");
            let faults = browser.evaluate(include_str!("console/readable.js")).await;
            assert_eq!(faults, json!([]), "{theme} {width}");
            if let Some(folder) = &folder {
                let all = browser.evaluate("document.documentElement.scrollHeight").await.as_u64().unwrap_or(3000);
                browser.resize(width, all as u32).await;
                browser.screenshot(&folder.join(format!("console-{theme}-{width}.png"))).await;
            }
        }
    }
}
