//! The operators' page in a real browser: who may, what is shown, what is done, and whether it can be read.

use serde_json::{Value, json};

use crate::command_line::certificate;
use crate::common::browser::Browser;
use crate::common::http;
use crate::common::node::Node;
use crate::common::ports::free_port;
use crate::common::sight::{readable, seen_in};
use crate::site::{Page, call, node};

/// Without pings: the readers answer them only while something is awaited of them, and a browser may take its time.
fn config(password: &str) -> Value {
    json!({"secret": "secret", "insecure": true, "web": true, "ping_interval": 600, "admin_password": password,
        "admin_secret": "hush-hush-hush", "namespaces": [
            {"name": "watch", "watch": true, "presence": true, "history_size": 5, "history_lifetime": 60},
            {"name": "dark"}]})
}

/// A browser that has opened the page at `path`.
async fn opened(port: u16, path: &str) -> Browser {
    let mut browser = Browser::start().await;
    browser.resize(1280, 900).await;
    browser
        .open(&format!("http://127.0.0.1:{port}{path}"))
        .await;
    browser
}

/// Waits until the text of `id` has `part` in it.
async fn shows(browser: &mut Browser, id: &str, part: &str) {
    let part = json!(part);
    browser
        .until(&format!(
            "document.getElementById('{id}').innerText.includes({part})"
        ))
        .await;
}

async fn log_in(browser: &mut Browser, password: &str) {
    browser
        .until("document.activeElement.id === 'password'")
        .await;
    browser.fill("#password", password).await;
    browser.press("Enter").await;
}

/// A page that is in `watch:x` as user 42.
async fn reader(node: &Node) -> Page {
    let mut page = Page::connect(node.port(), "42").await;
    page.ask("subscribe", json!({"channel": "watch:x"})).await;
    page
}

/// Does something to user 42 with `button`, after saying no once.
async fn order(browser: &mut Browser, button: &str) {
    browser.fill("#user", "42").await;
    let open = "document.getElementById('confirm').open";
    browser.click(button).await;
    browser.until(open).await;
    browser.press("Escape").await;
    browser.until(&format!("!{open}")).await;
    browser.leave_and_ask_again(button, "confirm").await;
    browser.until(open).await;
    browser.click("#confirm button[value=yes]").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn an_operator_logs_in_looks_publishes_and_puts_out_whom_they_name() {
    let node = node(&config("pass-4711")).await;
    let mut page = reader(&node).await;
    let mut browser = opened(node.port(), "/").await;
    log_in(&mut browser, "wrong-0815").await;
    shows(&mut browser, "login-answer", "The password is wrong.").await;
    // It was refused, which the browser notes.
    browser.complaints();
    log_in(&mut browser, "pass-4711").await;
    shows(&mut browser, "state", "Connected").await;
    shows(&mut browser, "nodes", "1 node").await;
    shows(&mut browser, "namespaces", "presence, watch").await;

    browser.click("#channels button").await;
    shows(&mut browser, "presence", "42").await;
    shows(&mut browser, "history-answer", "Nothing is kept.").await;
    // The channel is chosen for what may be done with it, too.
    browser.fill("#data", "{\"text\": ").await;
    browser.click("#publish-form button").await;
    shows(&mut browser, "publish-answer", "This is not JSON").await;
    let data = r#"{"text":"<b>hello</b>","n":12345678901234567890}"#;
    browser.fill("#data", data).await;
    browser.click("#publish-form button").await;
    shows(&mut browser, "publish-answer", "Published in watch:x.").await;
    let heard = page.next().await.expect("a message");
    assert_eq!(heard["body"]["data"]["n"], json!(12345678901234567890_u64));
    // Contents are text, and numbers are as they were spelled.
    for place in ["live", "history"] {
        browser.click("#look-form button").await;
        shows(&mut browser, place, "<b>hello</b>").await;
        shows(&mut browser, place, "12345678901234567890").await;
    }
    assert_eq!(
        browser.evaluate("document.querySelector('li b')").await,
        json!(null)
    );
    // What is published elsewhere is seen where it is watched.
    for channel in ["dark:x", "watch:y"] {
        let message = json!({"channel": channel, "data": "from a backend"});
        call(node.port(), "publish", message).await;
    }
    shows(&mut browser, "live", "watch:y").await;
    assert_eq!(
        browser
            .evaluate("document.getElementById('live').innerText.includes('dark:x')")
            .await,
        false
    );
    // Faults are in words.
    browser.fill("#channel", "dark:x").await;
    browser.press("Enter").await;
    shows(&mut browser, "presence-answer", "not switched on").await;
    shows(&mut browser, "history-answer", "not switched on").await;
    browser.fill("#to", "nowhere:x").await;
    browser.click("#publish-form button").await;
    shows(&mut browser, "publish-answer", "there is no such namespace").await;

    order(&mut browser, "#user-form button[value=unsubscribe]").await;
    shows(
        &mut browser,
        "user-answer",
        "Unsubscribed: 42 from watch:x.",
    )
    .await;
    let told = page.next().await.expect("a message");
    assert_eq!(told["method"], "unsubscribe", "{told}");
    order(&mut browser, "#user-form button[value=disconnect]").await;
    shows(&mut browser, "user-answer", "Disconnected: 42.").await;
    let disconnected = r#"{"reason":"disconnect","reconnect":false}"#;
    assert_eq!(page.next().await, Err(disconnected.to_owned()));
    assert_eq!(browser.complaints(), Vec::<String>::new());
    let log = node.log();
    assert!(!log.contains("pass-4711") && !log.contains("wrong-0815"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn a_login_lasts_for_its_tab_and_until_the_password_is_changed() {
    let mut node = node(&config("first")).await;
    let mut browser = opened(node.port(), "/").await;
    log_in(&mut browser, "first").await;
    shows(&mut browser, "state", "Connected").await;
    browser.reload().await;
    shows(&mut browser, "state", "Connected").await;
    assert_eq!(browser.evaluate("localStorage.length").await, 0);
    browser.tab().await;
    browser
        .open(&format!("http://127.0.0.1:{}/", node.port()))
        .await;
    browser
        .until("!document.getElementById('login').hidden")
        .await;
    log_in(&mut browser, "first").await;
    shows(&mut browser, "state", "Connected").await;
    std::fs::write(
        node.folder().join("config.json"),
        config("second").to_string(),
    )
    .expect("the folder can be written");
    node.process().signal("HUP");
    shows(
        &mut browser,
        "login-answer",
        "the password or its secret was changed",
    )
    .await;
    // What was seen is not to be seen any more.
    browser
        .until("[...document.querySelectorAll('.in')].every(part => part.hidden)")
        .await;
    log_in(&mut browser, "first").await;
    shows(&mut browser, "login-answer", "The password is wrong.").await;
    log_in(&mut browser, "second").await;
    shows(&mut browser, "state", "Connected").await;
    browser.click("#leave").await;
    shows(&mut browser, "state", "Not connected").await;
    assert_eq!(browser.evaluate("sessionStorage.length").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn a_node_that_comes_back_is_found_again_and_what_is_not_watched_is_not_shown() {
    let mut config = config("any");
    config["insecure_admin"] = json!(true);
    config["http_prefix"] = json!("/push");
    let mut node = node(&config).await;
    // Without a slash at its end, too; and nobody asks for a password.
    let mut browser = opened(node.port(), "/push").await;
    shows(&mut browser, "state", "Connected").await;
    node.process().kill();
    shows(&mut browser, "state", "It is tried again").await;
    node.restart().await;
    shows(&mut browser, "state", "Connected").await;
    browser.fill("#to", "watch:x").await;
    let mut publish = async |text: &str, watch: bool| {
        let ticked = "document.getElementById('watch').checked";
        if browser.evaluate(ticked).await != json!(watch) {
            browser.click("#watch").await;
        }
        let now = if watch { "Watching." } else { "Not watching." };
        shows(&mut browser, "live-answer", now).await;
        browser.fill("#data", &json!(text).to_string()).await;
        let forget = "document.getElementById('publish-answer').textContent = ''";
        browser.evaluate(forget).await;
        browser.click("#publish-form button").await;
        shows(&mut browser, "publish-answer", "Published").await;
        if watch {
            shows(&mut browser, "live", text).await;
        }
    };
    publish("one", true).await;
    publish("two", false).await;
    publish("three", true).await;
    let seen = browser
        .evaluate("document.getElementById('live').innerText")
        .await
        .to_string();
    assert!(seen.contains("one") && !seen.contains("two"), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn with_ssl_the_page_is_at_the_port_that_speaks_tls_and_so_does_its_socket() {
    let (mut config, port) = (config("any"), free_port());
    let folder = tempfile::TempDir::new().expect("a folder");
    let (cert, key) = certificate(folder.path());
    for (name, value) in [
        ("insecure_admin", json!(true)),
        ("ssl", json!(true)),
        ("ssl_cert", json!(cert)),
        ("ssl_key", json!(key)),
        ("address", json!("127.0.0.1")),
        ("port", json!(port)),
    ] {
        config[name] = value;
    }
    let node = node(&config).await;
    let mut browser = Browser::start().await;
    let ignore = json!({"ignore": true});
    browser
        .call("Security.setIgnoreCertificateErrors", ignore)
        .await;
    browser.open(&format!("https://127.0.0.1:{port}/")).await;
    shows(&mut browser, "state", "Connected").await;
    assert_eq!(http::get(node.port(), "/").await.status, 404);
}

/// Themes, and windows in CSS pixels: a desk's and a phone's.
const SIGHTS: [(&str, u32, u32); 4] = [
    ("light", 1280, 900),
    ("light", 400, 800),
    ("dark", 1280, 900),
    ("dark", 400, 800),
];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium, and axe from PyPI"]
async fn it_can_be_read_in_both_themes_on_a_desk_and_a_phone() {
    let node = node(&config("pass-4711")).await;
    // The checks are a script of their own, which the page's policy would keep out.
    let mut browser = Browser::start().await;
    browser
        .call("Page.setBypassCSP", json!({"enabled": true}))
        .await;
    browser
        .open(&format!("http://127.0.0.1:{}/", node.port()))
        .await;
    browser
        .until("!document.getElementById('login').hidden")
        .await;
    for (theme, width, height) in SIGHTS {
        seen_in(&mut browser, theme, width, height).await;
        readable(&mut browser, &format!("channels-{theme}-{width}-login")).await;
    }
    let _page = reader(&node).await;
    log_in(&mut browser, "pass-4711").await;
    let message = json!({"channel": "watch:x", "data": {"text": "a".repeat(300)}});
    browser
        .until("document.querySelector('#channels button')")
        .await;
    call(node.port(), "publish", message).await;
    shows(&mut browser, "live", "watch:x").await;
    browser.click("#channels button").await;
    shows(&mut browser, "history", "watch:x").await;
    browser
        .until("document.querySelector('#nodes table')")
        .await;
    browser.fill("#user", "42").await;
    for (theme, width, height) in SIGHTS {
        seen_in(&mut browser, theme, width, height).await;
        readable(&mut browser, &format!("channels-{theme}-{width}")).await;
        browser.click("#user-form button[value=disconnect]").await;
        browser
            .until("document.getElementById('confirm').open")
            .await;
        readable(&mut browser, &format!("channels-{theme}-{width}-dialog")).await;
        browser.press("Escape").await;
        browser
            .until("!document.getElementById('confirm').open")
            .await;
    }
}
