//! The page can be read and used: in both themes, at any width, by keys alone.

use serde_json::json;

use super::common::browser::Browser;
use super::common::sight::{readable, seen_in};
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
    assert_eq!(
        browser.evaluate("document.activeElement.className").await,
        "skip"
    );
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
    browser
        .until(&format!("{}.includes('dark')", text("theme")))
        .await;
    assert_ne!(browser.evaluate(ground).await, light);
    // A chart's figures by keys.
    browser
        .until("document.querySelectorAll('.plot path')[0]?.getAttribute('d').includes('L')")
        .await;
    browser
        .evaluate("document.querySelector('.plot').focus()")
        .await;
    browser.press("ArrowLeft").await;
    browser.until("document.querySelector('.chart [aria-live]').textContent.includes('s ago: Connections')").await;
}

/// Every control has a name, every text enough contrast, nothing sticks out of the window.
#[tokio::test]
#[ignore = "needs chromium, and axe from PyPI"]
async fn it_can_be_read_in_both_themes_at_any_width() {
    let port = Fake::start().await.port();
    let mut browser = Browser::start().await;
    browser
        .open(&format!("http://127.0.0.1:{port}/console"))
        .await;
    browser
        .until("document.getElementById('signin').open")
        .await;
    for (theme, width, height) in SIGHTS {
        seen_in(&mut browser, theme, width, height).await;
        readable(
            &mut browser,
            &format!("console-{theme}-{width}-signin-dialog"),
        )
        .await;
    }
    sign_in(&mut browser, PASSWORD).await;
    live(&mut browser).await;
    browser
        .fill("#lookup-value", "5a6bcd0e-7a3c-4c1e-9c4b-1f2d3e4a5b6c")
        .await;
    browser.click("#lookup-form button").await;
    browser.fill("#token-value", "good").await;
    browser.click("#token-form button").await;
    browser.click("#tail-payload").await;
    browser.click("#tail-go").await;
    browser
        .until("document.querySelectorAll('#tail-events li').length > 4")
        .await;
    browser
        .until("document.querySelector('.plot path').getAttribute('d').split('L').length > 3")
        .await;
    // What was before the page was opened is on it.
    browser
        .until("document.querySelector('.plot').textContent.includes('14 min')")
        .await;
    for (theme, width, height) in SIGHTS {
        seen_in(&mut browser, theme, width, height).await;
        browser
            .evaluate("document.getElementById('words').open = false")
            .await;
        readable(&mut browser, &format!("console-{theme}-{width}")).await;
        browser.click("#words summary").await;
        readable(&mut browser, &format!("console-{theme}-{width}-words")).await;
        browser.click("#lookup-result button").await;
        browser
            .until("document.getElementById('confirm').open")
            .await;
        readable(&mut browser, &format!("console-{theme}-{width}-dialog")).await;
        browser.press("Escape").await;
    }
}

/// What went wrong lately is in each node's line, and each title of the page's figures has its word among those that are
/// explained; figures of a node that does not answer any more are dimmed, and can still be read.
#[tokio::test]
#[ignore = "needs chromium, and axe from PyPI"]
async fn words_are_explained_and_what_is_stale_is_dimmed() {
    let (address, fake) = Fake::serve().await;
    let mut browser = console(address.port()).await;
    let line = |n: usize| {
        format!(
            "[...document.querySelectorAll('#nodes tbody tr')][{n}].querySelector('[data-title=\"Last 15 min\"]').innerText"
        )
    };
    for (n, shown) in [
        (0, "0 drops\n1,206 refusals\n1 resync"),
        // An older version; one that is lost.
        (1, "–"),
        (2, "34 drops\n3,618 refusals\n1 resync"),
        (3, "–"),
    ] {
        browser
            .until(&format!("{}.trim() === {}", line(n), json!(shown)))
            .await;
    }
    let unexplained = "(() => { const words = document.getElementById('words').textContent.toLowerCase();
        const titles = [...document.querySelectorAll('#totals dt, #nodes thead th, #charts h3')].map(title => title.textContent);
        return titles.flatMap(title => title.split(/ and |, /)).map(title => title.trim())
            .filter(title => title && !words.includes(title.toLowerCase())); })()";
    assert_eq!(
        browser.evaluate(unexplained).await,
        json!(["State"]),
        "its words are there"
    );
    let colour = "getComputedStyle(document.querySelector('#totals dd')).color";
    let fresh = browser.evaluate(colour).await;
    assert_eq!(
        browser
            .evaluate("[...document.querySelectorAll('#nodes tr.stale')].map(row => row.innerText.includes('lost'))")
            .await,
        json!([true])
    );
    fake.hold();
    browser
        .until("!document.getElementById('stale').hidden")
        .await;
    browser
        .until(&format!(
            "{colour} !== {fresh} && {}.includes('was so')",
            text("stale")
        ))
        .await;
    for (theme, width, height) in SIGHTS {
        seen_in(&mut browser, theme, width, height).await;
        readable(&mut browser, &format!("console-{theme}-{width}-stale")).await;
    }
    browser.theme("light").await;
    fake.go_on();
    browser
        .until(&format!(
            "document.getElementById('stale').hidden && {colour} === {fresh}"
        ))
        .await;
}

/// Themes, and windows in CSS pixels: a desk's, a tablet's, a phone's.
const SIGHTS: [(&str, u32, u32); 7] = [
    ("light", 1280, 900),
    ("light", 768, 1024),
    ("light", 400, 800),
    ("light", 360, 740),
    ("dark", 1280, 900),
    ("dark", 768, 1024),
    ("dark", 360, 740),
];
