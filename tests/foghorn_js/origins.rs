//! What a browser makes of other origins: plain `EventSource` and `fetch`, of pages that are listed, that are not, and where
//! nothing is said, over HTTP/1.1 and HTTP/2.

use serde_json::json;

use crate::common::browser::Browser;
use crate::site::Site;

/// A browser with a page of this origin, in which an event stream of `site` is being opened.
async fn page(origin: &Site, site: &Site) -> Browser {
    let mut browser = Browser::start().await;
    browser
        .call(
            "Security.setIgnoreCertificateErrors",
            json!({"ignore": true}),
        )
        .await;
    browser
        .open(&format!("{}/foghorn.js", origin.origin()))
        .await;
    let open = format!(
        "window.got = []; window.stream = new EventSource('{}/sse/7', {{withCredentials: true}}); \
         stream.addEventListener('notify', (event) => got.push(event.data)); true",
        site.origin()
    );
    browser.evaluate(&open).await;
    browser
}

/// It hears what is posted.
async fn hears(browser: &mut Browser, site: &Site) {
    browser
        .until("stream.readyState === EventSource.OPEN")
        .await;
    site.post("\"hello\"");
    browser.until("got.length === 1").await;
    assert_eq!(browser.evaluate("got[0]").await, json!("\"hello\""));
}

/// It may not read, and has given up.
async fn hears_nothing(mut browser: Browser) {
    browser
        .until("stream.readyState === EventSource.CLOSED")
        .await;
    assert_eq!(browser.evaluate("got.length").await, json!(0));
}

/// What becomes of a post with a preflight.
async fn posts(browser: &mut Browser, site: &Site) -> serde_json::Value {
    let post = format!(
        "fetch('{}/webNotification', {{method: 'POST', headers: {{'Content-Type': 'application/json'}}, \
         body: JSON.stringify({{id: 'notify_7', data: 'by page'}})}}).then((answer) => answer.status, () => 'refused')",
        site.origin()
    );
    browser.evaluate(&post).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium and curl"]
async fn pages_of_listed_origins_read_and_post_and_others_do_neither() {
    for secure in [false, true] {
        let (one, other) = (
            Site::start(secure, &[]).await,
            Site::start(secure, &[]).await,
        );
        let stranger = Site::start(secure, &[]).await;
        let both = format!("{},{}", one.origin(), other.origin());
        for listed in [one.origin(), both] {
            let site = Site::start(secure, &[("FOGHORN_SSE_ORIGINS", &listed)]).await;
            let mut browser = page(&one, &site).await;
            hears(&mut browser, &site).await;
            assert_eq!(posts(&mut browser, &site).await, json!(200));
            browser.until("got.length === 2").await;
            assert_eq!(browser.evaluate("got[1]").await, json!("\"by page\""));

            let mut browser = page(&stranger, &site).await;
            assert_eq!(posts(&mut browser, &site).await, json!("refused"));
            hears_nothing(browser).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium and curl"]
async fn where_no_origins_are_listed_only_pages_of_the_same_one_read() {
    for secure in [false, true] {
        let (site, other) = (
            Site::start(secure, &[]).await,
            Site::start(secure, &[]).await,
        );
        hears(&mut page(&site, &site).await, &site).await;
        let mut browser = page(&other, &site).await;
        assert_eq!(
            posts(&mut browser, &site).await,
            json!(200),
            "pages of any origin may post"
        );
        hears_nothing(browser).await;
    }
}
