//! The page can be read and used: in both themes, at any width, by keys alone.

use std::path::PathBuf;

use serde_json::json;

use super::common::browser::Browser;
use super::fake::{Fake, PASSWORD};
use super::{console, live, sign_in, text};

#[tokio::test]
#[ignore = "needs chromium"]
async fn keys_are_enough_and_themes_change() {
    let mut browser = console(Fake::start().await.port()).await;
    assert_eq!(browser.evaluate("document.activeElement.id").await, "main");
    browser.reload().await;
    live(&mut browser).await;
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
    browser.reload().await;
    browser.until(&format!("{}.includes('dark')", text("theme"))).await;
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
    let port = Fake::start().await.port();
    let mut browser = Browser::start().await;
    browser.open(&format!("http://127.0.0.1:{port}/console")).await;
    browser.until("document.getElementById('signin').open").await;
    for (theme, width, height) in SIGHTS {
        seen_in(&mut browser, theme, width, height).await;
        readable(&mut browser, &format!("{theme}-{width}-signin-dialog")).await;
    }
    sign_in(&mut browser, PASSWORD).await;
    live(&mut browser).await;
    browser.fill("#lookup-value", "5a6bcd0e-7a3c-4c1e-9c4b-1f2d3e4a5b6c").await;
    browser.click("#lookup-form button").await;
    browser.fill("#token-value", "good").await;
    browser.click("#token-form button").await;
    browser.click("#tail-payload").await;
    browser.click("#tail-go").await;
    browser.until("document.querySelectorAll('#tail-events li').length > 4").await;
    browser.until("document.querySelector('.plot path').getAttribute('d').split('L').length > 3").await;
    for (theme, width, height) in SIGHTS {
        seen_in(&mut browser, theme, width, height).await;
        readable(&mut browser, &format!("{theme}-{width}")).await;
        browser.click("#lookup-result button").await;
        browser.until("document.getElementById('confirm').open").await;
        readable(&mut browser, &format!("{theme}-{width}-dialog")).await;
        browser.press("Escape").await;
    }
}

/// Themes, and windows in CSS pixels: a desk's, a tablet's, a phone's.
const SIGHTS: [(&str, u32, u32); 6] = [
    ("light", 1280, 900),
    ("light", 768, 1024),
    ("light", 360, 740),
    ("dark", 1280, 900),
    ("dark", 768, 1024),
    ("dark", 360, 740),
];

async fn seen_in(browser: &mut Browser, theme: &str, width: u32, height: u32) {
    browser.theme(theme).await;
    browser.resize(width, height).await;
    browser.until(&format!("innerWidth === {width}")).await;
}

/// Panics with what is hard to read; leaves a picture in the folder `FOGHORN_SCREENSHOTS`, if that is set.
async fn readable(browser: &mut Browser, name: &str) {
    let wider = browser.evaluate("document.documentElement.scrollWidth - innerWidth").await;
    assert!(wider.as_i64() <= Some(0), "{name}: the page is {wider} pixels too wide");
    let faults = browser.evaluate(include_str!("readable.js")).await;
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
