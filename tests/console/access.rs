//! What is done needs the password or token, which the page asks for itself and keeps for its tab alone.

use super::common::browser::Browser;
use super::common::node::{Node, Plan};
use super::common::{http, library};
use super::fake::PASSWORD;
use super::{console, live, shows, sign_in};

/// The dialog opens with each refusal; here it is left without an answer.
async fn leave_the_dialog(browser: &mut Browser) {
    browser
        .until("document.getElementById('signin').open")
        .await;
    browser.press("Escape").await;
    browser
        .until("!document.getElementById('signin').open")
        .await;
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn nothing_is_done_without_the_password() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("password");
    std::fs::write(&file, PASSWORD).expect("writing");
    let plan = Plan::new().env("FOGHORN_OPS_PASSWORD_FILE", &file.display().to_string());
    let mut node = plan.start().await;
    let library = library();
    let mut socket = node.subscriber(&library, "a@x").await;
    let mut browser = console(node.ops()).await;
    browser.fill("#lookup-value", &library).await;
    browser.click("#lookup-form button").await;
    shows(&mut browser, "lookup-answer", "1 client on 1 node").await;
    // Another password is in force from now on.
    std::fs::write(&file, "another\n").expect("writing");
    node.process().signal("HUP");
    let refused = "password is needed";
    shows(&mut browser, "state", "not the right one").await;
    leave_the_dialog(&mut browser).await;
    browser.click("#lookup-result button").await;
    browser.click("#confirm button[value=yes]").await;
    leave_the_dialog(&mut browser).await;
    shows(&mut browser, "lookup-answer", refused).await;
    browser.fill("#send-channel", &library).await;
    browser.fill("#token-value", "any").await;
    for (button, place) in [
        ("#lookup-form button", "lookup-answer"),
        ("#send-form button", "send-answer"),
        ("#token-form button", "token-answer"),
        ("#tail-go", "tail-answer"),
    ] {
        browser.click(button).await;
        leave_the_dialog(&mut browser).await;
        shows(&mut browser, place, refused).await;
    }
    assert!(socket.pending().await.is_empty());
    browser.click("#lookup-form button").await;
    sign_in(&mut browser, PASSWORD).await;
    shows(&mut browser, "signin-answer", "not the right one").await;
    sign_in(&mut browser, "another").await;
    live(&mut browser).await;
    browser.click("#lookup-form button").await;
    shows(&mut browser, "lookup-answer", "1 client on 1 node").await;
    assert!(!node.log_so_far().await.contains("another"));
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn a_token_opens_it_too_and_is_kept_by_the_tab_alone() {
    const TOKEN: &str = "a-token-for-operators";
    let node = Plan::new().env("FOGHORN_OPS_TOKEN", TOKEN).start().await;
    let mut browser = Browser::start().await;
    let url = format!("http://127.0.0.1:{}/console", node.ops());
    browser.open(&url).await;
    browser
        .until("document.getElementById('signin').open")
        .await;
    assert_eq!(
        browser
            .evaluate("document.getElementById('signin-label').textContent")
            .await,
        "Token"
    );
    assert_eq!(
        browser.evaluate("document.activeElement.id").await,
        "signin-value"
    );
    assert_eq!(
        browser
            .evaluate("document.getElementById('nodes').textContent")
            .await,
        ""
    );
    sign_in(&mut browser, "wrong").await;
    shows(
        &mut browser,
        "signin-answer",
        "This token is not the right one.",
    )
    .await;
    assert_eq!(
        browser
            .evaluate("document.getElementById('signin-value').value")
            .await,
        ""
    );
    sign_in(&mut browser, TOKEN).await;
    live(&mut browser).await;
    browser.click("#tail-go").await;
    shows(&mut browser, "tail-answer", "Listening").await;
    // Loading the page again keeps it.
    browser.reload().await;
    live(&mut browser).await;
    let elsewhere = "JSON.stringify([document.cookie, {...localStorage}, location.href, document.documentElement.outerHTML])";
    assert!(
        !browser
            .evaluate(elsewhere)
            .await
            .to_string()
            .contains(TOKEN)
    );
    assert_eq!(browser.evaluate("document.cookie").await, "");
    assert_eq!(browser.evaluate("sessionStorage.length").await, 1);
    browser.click("#account").await;
    browser
        .until("document.getElementById('signin')?.open")
        .await;
    assert_eq!(browser.evaluate("sessionStorage.length").await, 0);
    // Another tab has to ask for itself.
    sign_in(&mut browser, TOKEN).await;
    live(&mut browser).await;
    browser.tab().await;
    browser.open(&url).await;
    browser
        .until("document.getElementById('signin').open")
        .await;
    assert!(!node.log_so_far().await.contains(TOKEN));
}

#[tokio::test]
async fn the_page_is_well_guarded() {
    let node = Node::start().await;
    let page = http::get(node.ops(), "/console").await.expect(200);
    let policy = &page.headers["content-security-policy"];
    for rule in [
        "default-src 'none'",
        "script-src 'self';",
        "style-src 'self';",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ] {
        assert!(policy.contains(rule), "{rule} in {policy}");
    }
    assert_eq!(page.headers["x-content-type-options"], "nosniff");
    assert_eq!(page.headers["referrer-policy"], "no-referrer");
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    // A page of another site cannot make a visitor's browser act here, not even without a password.
    for (site, kind) in [
        ("cross-site", "application/json"),
        ("same-origin", "text/plain"),
    ] {
        let headers = [("Sec-Fetch-Site", site), ("Content-Type", kind)];
        let answer = http::request(
            node.ops(),
            "POST",
            "/api/v1/disconnect",
            &headers,
            Some(b"{\"user\":\"a@x\"}"),
        )
        .await;
        assert!([403, 415].contains(&answer.status), "{answer:?}");
    }
    // Clients' own port has none of it.
    http::get(node.port(), "/console").await.expect(404);
}
