//! `connect` and `useWebsocket`: a WebSocket that stays open, in clear text and over TLS.

use serde_json::json;

use crate::common::eventually;
use crate::page::Page;
use crate::site::Site;

/// What the snippets leave to the test.
const KEEP: &str = "window.inbox = inbox;";
const KEEP_COMPOSABLE: &str =
    "window.box = data; window.inbox = {get status() { return status.value; }, open, close};";
const TEXT: &str = "New Message";

async fn connected(site: &Site) -> Page {
    let mut page = Page::run(site, "socket", KEEP).await;
    page.is_open().await;
    told(&mut page, site).await;
    page
}

/// The page is told of what is posted now. A page that came back may have been told before.
async fn told(page: &mut Page, site: &Site) {
    page.is_open().await;
    let before = page
        .evaluate("shown.length")
        .await
        .as_u64()
        .expect("a number") as usize;
    site.post("1");
    let shown = page.shown(before + 1).await;
    assert!(shown.iter().all(|text| *text == json!(TEXT)), "{shown:?}");
    page.went_well();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium and curl"]
async fn a_page_comes_back_though_the_network_was_cut_and_is_told_of_what_came_meanwhile() {
    for secure in [false, true] {
        let site = Site::start(secure, &[]).await;
        let mut page = connected(&site).await;
        site.sockets.cut();
        page.is_not_open().await;
        page.evaluate("shown.length = 0").await;
        site.post("1");
        // What the page says meanwhile goes out later.
        assert_eq!(page.evaluate("inbox.send('ping')").await, json!(false));
        site.sockets.mend();
        assert_eq!(page.shown(1).await, [json!(TEXT)]);
        told(&mut page, &site).await;
        assert_eq!(page.evaluate("inbox.send('ping')").await, json!(true));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium and curl"]
async fn a_socket_that_has_gone_silent_is_given_up_and_made_anew() {
    let site = Site::start(false, &[]).await;
    let mut page = connected(&site).await;
    site.sockets.silence();
    page.is_not_open().await;
    told(&mut page, &site).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium and curl"]
async fn a_page_that_was_hidden_or_frozen_is_told() {
    for secure in [false, true] {
        let site = Site::start(secure, &[]).await;
        let mut page = connected(&site).await;
        page.hide().await;
        site.sockets.cut();
        page.is_not_open().await;
        site.sockets.mend();
        page.appear().await;
        told(&mut page, &site).await;
        page.lifecycle("frozen").await;
        let before = page
            .evaluate("shown.length")
            .await
            .as_u64()
            .expect("a number") as usize;
        site.post("1");
        page.lifecycle("active").await;
        page.shown(before + 1).await;
        page.lifecycle("frozen").await;
        site.sockets.silence();
        page.lifecycle("active").await;
        // It is asked for a sign of life, which does not come.
        page.is_not_open().await;
        told(&mut page, &site).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium and curl"]
async fn a_page_that_comes_out_of_the_back_forward_cache_is_told() {
    for secure in [false, true] {
        let site = Site::start(secure, &[]).await;
        let mut page = connected(&site).await;
        page.evaluate("shown.length = 0").await;
        page.leave_and_come_back(|| site.post("1")).await;
        page.shown(1).await;
        told(&mut page, &site).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium and curl"]
async fn a_page_whose_node_is_drained_comes_back() {
    for secure in [false, true] {
        let settings = [
            ("FOGHORN_SETTLE_SECONDS", "0"),
            ("FOGHORN_DRAIN_SECONDS", "10"),
        ];
        let mut site = Site::start(secure, &settings).await;
        let mut page = connected(&site).await;
        assert!(site.node.stop().await.success());
        page.is_not_open().await;
        site.node.restart().await;
        told(&mut page, &site).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium and curl"]
async fn the_composable_opens_when_it_is_told_and_has_one_socket() {
    let site = Site::start(false, &[("FOGHORN_REPLAY_SECONDS", "0")]).await;
    let mut page = Page::run(&site, "composable", KEEP_COMPOSABLE).await;
    page.is_open().await;
    // Closed while it connects, and opened again: the former server's composable has two then.
    page.evaluate("inbox.close(), inbox.open(), inbox.close(), inbox.open()")
        .await;
    page.is_open().await;
    eventually("one socket", || async {
        let sockets = site.node.metric("foghorn_connections", "dialect=\"inbox\"");
        (sockets.await == 1.0).then_some(())
    })
    .await;
    told(&mut page, &site).await;
    told(&mut page, &site).await;
    assert_eq!(
        page.evaluate("[shown.length, box.value]").await,
        json!([2, TEXT])
    );
    page.evaluate("inbox.close()").await;
    assert_eq!(page.evaluate("inbox.status").await, json!("CLOSED"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium and curl"]
async fn what_waits_is_bounded_sent_in_order_and_forgotten_by_who_closes() {
    let site = Site::start(false, &[]).await;
    let mut page = connected(&site).await;
    let module = site.origin();
    let began = format!(
        "import('{module}/foghorn.js').then(({{useWebsocket}}) => {{ \
            const sent = []; WebSocket.prototype.send = function (data) {{ sent.push(data); }}; \
            const dropped = []; const url = 'ws://127.0.0.1:{}/'; \
            const it = useWebsocket(url, {{buffer: {{messages: 3, bytes: 10}}, onDropped: (n) => dropped.push(n)}}); \
            const out = ['a', 'b', 'c', 'd'].map((data) => it.send(data)); it.send('0123456789'); it.send('e'); \
            window.waits = {{it, sent, dropped, out}}; return {{dropped, out}}; }})",
        site.sockets.port
    );
    let kept = page.evaluate(&began).await;
    assert_eq!(
        kept,
        json!({"dropped": [1, 3, 1], "out": [false, false, false, false]})
    );
    let flushed = "import(location.href).then(({connect}) => new Promise((done) => { \
        const sent = waits.sent; sent.length = 0; WebSocket = class { \
        constructor() { this.readyState = 0; setTimeout(() => { this.readyState = 1; this.onopen(); if (sent.length) done(sent); }); } \
        close() {} send(data) { sent.push(data); } }; \
        const it = connect('ws://127.0.0.1/'); it.send('1'); it.close(); it.open(); it.send('2'); it.send('3'); }))";
    assert_eq!(page.evaluate(flushed).await, json!(["2", "3"]));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium and curl"]
async fn who_is_closed_for_good_does_not_come_back_and_callbacks_that_throw_stop_nothing() {
    let site = Site::start(false, &[]).await;
    let mut page = connected(&site).await;
    let tried = |code: u16| {
        format!(
            "import(location.href).then(({{connect}}) => new Promise((done) => {{ \
                let opened = 0; const Real = WebSocket; WebSocket = class {{ \
                constructor() {{ opened += 1; setTimeout(() => {{ this.onopen(); this.onclose({{code: {code}}}); }}); }} \
                close() {{}} send() {{}} }}; \
                const it = connect('ws://127.0.0.1/', {{retries: 1, onConnected() {{ throw new Error('x'); }}, \
                onFailed() {{ WebSocket = Real; done([opened, it.status]); throw new Error('x'); }}}}); }}))"
        )
    };
    for (code, times) in [
        (1008, 1),
        (4400, 1),
        (4499, 1),
        (1001, 2),
        (1013, 2),
        (4500, 2),
    ] {
        assert_eq!(
            page.evaluate(&tried(code)).await,
            json!([times, "FAILED"]),
            "{code}"
        );
    }
    page.went_well();
}

/// A socket that is open at once and says its goodbye a little after it was closed; `window.made` counts.
const TAME: &str = "window.made = []; WebSocket = class { \
    constructor(url) { made.push(String(url)); setTimeout(() => this.onopen?.()); } \
    close() { setTimeout(() => { this.onclose?.({code: 1000}); this.gone = true; }); } send() {} };";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium and curl"]
async fn callbacks_may_close_it_for_good_and_open_it_anew_and_an_address_is_asked_for_each_time() {
    let site = Site::start(false, &[]).await;
    let mut page = connected(&site).await;
    // Closed by the callback that hears that it ended: no timer is left that would bring it back.
    let closed = format!(
        "import(location.href).then(({{connect}}) => new Promise((done) => {{ {TAME} \
            const it = connect('ws://127.0.0.1/', {{onConnected(socket) {{ socket.onclose({{code: 1006}}); }}, \
            onDisconnected() {{ it.close(); const real = setTimeout; const due = []; \
                globalThis.setTimeout = (then, after) => due.push(after); \
                queueMicrotask(() => {{ globalThis.setTimeout = real; done([due, it.status]); }}); }}}}); }}))"
    );
    assert_eq!(page.evaluate(&closed).await, json!([[], "CLOSED"]));
    // Opened anew by it: the goodbye of the socket that was given up for that changes nothing.
    let opened = format!(
        "import(location.href).then(({{connect}}) => new Promise((done) => {{ {TAME} let heard = 0; let first; \
            const it = connect('ws://127.0.0.1/', {{ \
                onConnected(socket) {{ if (!first) {{ first = socket; it.open(); }} }}, \
                onDisconnected() {{ heard += 1; it.open(); }}}}); \
            const look = () => (first?.gone ? done([made.length, heard]) : setTimeout(look)); look(); }}))"
    );
    assert_eq!(page.evaluate(&opened).await, json!([2, 0]));
    let asked = format!(
        "import(location.href).then(({{connect}}) => new Promise((done) => {{ {TAME} let count = 0; \
            const it = connect(() => `ws://127.0.0.1/?${{++count}}`, {{ \
                onConnected() {{ if (made.length < 2) it.open(); else done(made); }}}}); }}))"
    );
    assert_eq!(
        page.evaluate(&asked).await,
        json!(["ws://127.0.0.1/?1", "ws://127.0.0.1/?2"])
    );
}
