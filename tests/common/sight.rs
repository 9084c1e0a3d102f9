//! Whether a page can be read and used: contrast, names, sizes, width, and what axe finds.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::{Value, json};

use super::browser::Browser;
use super::process::command;

/// Shows the page in a theme, `light` or `dark`, and in a window of this size in CSS pixels.
pub async fn seen_in(browser: &mut Browser, theme: &str, width: u32, height: u32) {
    browser.theme(theme).await;
    browser.resize(width, height).await;
    browser.until(&format!("innerWidth === {width}")).await;
}

/// Panics with what is hard to read; leaves a picture in the folder `FOGHORN_SCREENSHOTS`, if that is set.
pub async fn readable(browser: &mut Browser, name: &str) {
    let wider = browser
        .evaluate("document.documentElement.scrollWidth - innerWidth")
        .await;
    assert!(
        wider.as_i64() <= Some(0),
        "{name}: the page is {wider} pixels too wide"
    );
    let faults = browser.evaluate(include_str!("readable.js")).await;
    assert_eq!(faults, json!([]), "{name}");
    assert_eq!(barriers(browser).await, json!([]), "{name}: what axe finds");
    let Some(folder) = std::env::var_os("FOGHORN_SCREENSHOTS").map(PathBuf::from) else {
        return;
    };
    if name.ends_with("dialog") {
        return browser
            .screenshot(&folder.join(format!("{name}.png")))
            .await;
    }
    let size = browser
        .evaluate("[innerWidth, innerHeight, document.documentElement.scrollHeight]")
        .await;
    let [width, height, all] = [0, 1, 2].map(|n| size[n].as_u64().unwrap_or(1_000) as u32);
    browser.resize(width, all).await;
    browser
        .screenshot(&folder.join(format!("{name}.png")))
        .await;
    browser.resize(width, height).await;
}

/// What axe finds that keeps people from using the page, by rule and place.
async fn barriers(browser: &mut Browser) -> Value {
    if browser.evaluate("typeof axe").await == json!("undefined") {
        browser.evaluate(&format!("{}; null", axe())).await;
    }
    let found = "axe.run({resultTypes: ['violations']}).then(found => found.violations.flatMap(
        rule => rule.nodes.map(node => `${rule.id}: ${node.target.join(' ')}: ${node.failureSummary}`)))";
    browser.evaluate(found).await
}

/// The text of axe, which the package index has.
fn axe() -> &'static str {
    static AXE: LazyLock<String> = LazyLock::new(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/deploy/get-pypi.sh");
        let asked = command(&script)
            .args(["axe-playwright-python", "axe.min.js"])
            .output()
            .expect("it starts");
        assert!(
            asked.status.success(),
            "{}",
            String::from_utf8_lossy(&asked.stderr)
        );
        let path = String::from_utf8(asked.stdout).expect("a path");
        std::fs::read_to_string(path.trim()).expect("axe.min.js")
    });
    &AXE
}
