//! The console in a real browser: each panel loads, its charts show moving figures, each action does what it says and is
//! refused without the password.

mod access;
#[path = "../common/mod.rs"]
mod common;
mod fake;
mod looks;

use std::time::{Duration, Instant};

use common::browser::Browser;
use common::cluster::Cluster;
use common::node::Plan;
use common::redis::Redis;
use common::socket::{End, Socket};
use common::{PATIENCE, http, library, token};
use fake::{AUTHORIZATION, PASSWORD};
use serde_json::json;

/// A plan whose console wants the password.
fn guarded() -> Plan {
    Plan::new().env("FOGHORN_OPS_PASSWORD", PASSWORD)
}

/// A browser that has given the password and sees the console at `port`.
async fn console(port: u16) -> Browser {
    let mut browser = Browser::start().await;
    browser.resize(1280, 900).await;
    browser
        .open(&format!("http://127.0.0.1:{port}/console"))
        .await;
    sign_in(&mut browser, PASSWORD).await;
    live(&mut browser).await;
    // It was refused at first, which the browser notes.
    browser.complaints();
    browser
}

/// Gives `secret` to the page when it asks.
async fn sign_in(browser: &mut Browser, secret: &str) {
    browser
        .until("document.getElementById('signin').open")
        .await;
    browser.fill("#signin-value", secret).await;
    browser.press("Enter").await;
}

async fn live(browser: &mut Browser) {
    browser
        .until("document.getElementById('state').textContent.startsWith('Live')")
        .await;
    browser
        .until("!document.getElementById('signin').open")
        .await;
}

fn text(id: &str) -> String {
    format!("document.getElementById('{id}').innerText")
}

/// Waits until the text of `id` has `part` in it.
async fn shows(browser: &mut Browser, id: &str, part: &str) {
    browser
        .until(&format!("{}.includes({})", text(id), json!(part)))
        .await;
}

/// Looks for clients until `part` is said of them: nodes that are slow to answer are left out after a moment.
async fn found(browser: &mut Browser, part: &str) {
    let started = Instant::now();
    loop {
        browser.click("#lookup-form button").await;
        // It is disabled while it asks.
        browser
            .until("!document.querySelector('#lookup-form button').disabled")
            .await;
        let answer = browser.evaluate(&text("lookup-answer")).await;
        if answer.as_str().is_some_and(|answer| answer.contains(part)) {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "{answer}");
    }
}

/// Waits for an administrator's goodbye.
async fn dismissed(mut socket: Socket) {
    assert_eq!(
        socket.ended().await,
        End::Closed(1008, "disconnected by an administrator".into())
    );
}

#[tokio::test]
#[ignore = "needs chromium, redis"]
async fn the_cluster_is_seen_live() {
    let redis = [Redis::start().await, Redis::start().await];
    let mut nodes = Vec::new();
    for name in ["north", "south"] {
        nodes.push(
            guarded()
                .env("FOGHORN_NODE_NAME", name)
                .redis([&*redis[0].url(), &redis[1].url()])
                .start()
                .await,
        );
    }
    let mut browser = console(nodes[0].ops()).await;
    shows(&mut browser, "nodes", "north (this one)").await;
    for shown in ["south", "running", "2 of 2 up", "64 partitions"] {
        shows(&mut browser, "nodes", shown).await;
    }
    let link = "document.querySelector('#nodes a').href";
    assert_eq!(
        browser.evaluate(link).await,
        format!("http://127.0.0.1:{}/console", nodes[1].ops())
    );
    // Figures move: in the tiles, in the lines, in what a screen reader is told.
    let charts = "[...document.querySelectorAll('.plot')].map(p => p.ariaLabel)";
    let before = browser.evaluate(charts).await;
    assert_eq!(before.as_array().map(Vec::len), Some(4), "{before}");
    let library = library();
    let mut sockets = vec![
        nodes[0].subscriber(&library, "a@x").await,
        nodes[1].subscriber(&library, "b@x").await,
    ];
    // What is posted at several nodes has no order but that of its arrival.
    nodes[0].post_update(&library, "0").await;
    for socket in &mut sockets {
        socket.expect_update(&library, "0").await;
    }
    for n in 1..200 {
        nodes[n % 2].post_update(&library, &n.to_string()).await;
    }
    browser
        .until(&format!(
            "/Connections, now: Connections 2/.test({charts}[0])"
        ))
        .await;
    for n in 1..4 {
        let moved = format!("{charts}[{n}] !== {}", before[n]);
        let started = Instant::now();
        // Rates are those of a few seconds, and back where they were before a slow page has looked.
        while browser.evaluate(&moved).await != json!(true) {
            assert!(started.elapsed() < PATIENCE, "{moved}");
            nodes[0].post_update(&library, "more").await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let drawn = "[...document.querySelectorAll('.plot')].every(p => p.querySelector('path').getAttribute('d').includes('L'))";
    browser.until(drawn).await;
    shows(&mut browser, "totals", "Connections\n2").await;
    shows(
        &mut browser,
        "condition",
        "All is well: 2 nodes, Redis answers all of them.",
    )
    .await;
    // A lost shard is seen: since when, whom it hurts, what to do.
    let [mut kept, mut lost] = redis;
    let away = format!(
        "Redis at 127.0.0.1:{} is away for north, south.",
        lost.port()
    );
    lost.kill();
    shows(&mut browser, "nodes", "1 of 2 up").await;
    for shown in [
        "Degraded",
        "since",
        &away,
        "Whom it hurts:",
        "What to do:",
        "foghorn doctor",
    ] {
        shows(&mut browser, "condition", shown).await;
    }
    shows(&mut browser, "state", "Live: degraded").await;
    // With the other one away too there is no way round: what waits is told of, with the time that is left.
    kept.kill();
    shows(&mut browser, "nodes", "0 of 2 up").await;
    for n in 0..64 {
        nodes[0].post_update(&format!("{n}-{library}"), "c").await;
    }
    browser
        .until(&format!(
            "/events wait for it.*given up in \\d+ s/.test({})",
            text("condition")
        ))
        .await;
    kept.restart().await;
    lost.restart().await;
    shows(&mut browser, "condition", "All is well").await;
    // A node that dies is remembered.
    nodes.pop().expect("two nodes").process().kill();
    shows(&mut browser, "nodes", "lost").await;
    for shown in [
        "Degraded",
        "south (",
        "ended without a word",
        "journalctl -u foghorn",
    ] {
        shows(&mut browser, "condition", shown).await;
    }
    shows(&mut browser, "totals", "1 (1 lost)").await;
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[tokio::test]
#[ignore = "needs chromium, redis"]
async fn clients_are_looked_up_and_disconnected() {
    let cluster = Cluster::start(2, 1, guarded).await;
    let library = library();
    // It may take a while to start, and how long tokens are still good is looked at.
    let mut browser = console(cluster.nodes[0].ops()).await;
    let one = cluster.nodes[0].subscriber(&library, "a@x").await;
    let others = [
        cluster.nodes[1].subscriber(&library, "b@x").await,
        cluster.nodes[0].subscriber("another", "b@x").await,
    ];
    browser.fill("#lookup-value", &library).await;
    found(&mut browser, "2 clients on 2 nodes").await;
    browser
        .until(&format!("/in [45] min/.test({})", text("lookup-result")))
        .await;
    for shown in ["a@x", "b@x", &library] {
        shows(&mut browser, "lookup-result", shown).await;
    }
    // Asked first, and left alone where the answer is no.
    let button = "#lookup-result button";
    browser.evaluate("[...document.querySelectorAll('#lookup-result tr')].find(r => r.innerText.includes('a@x')).querySelector('button').id = 'a'").await;
    browser.click("#a").await;
    browser
        .until("document.getElementById('confirm').open")
        .await;
    browser.press("Escape").await;
    browser
        .until("!document.getElementById('confirm').open")
        .await;
    browser.leave_and_ask_again("#a", "confirm").await;
    browser.click("#confirm button[value=yes]").await;
    shows(&mut browser, "lookup-answer", "1 client was disconnected.").await;
    dismissed(one).await;

    browser
        .evaluate("document.getElementById('lookup-by').value = 'user'")
        .await;
    browser.fill("#lookup-value", "b@x").await;
    found(&mut browser, "2 clients on 2 nodes").await;
    shows(&mut browser, "lookup-result", "another").await;
    assert_eq!(
        browser
            .evaluate(&format!("document.querySelectorAll('{button}').length"))
            .await,
        3
    );
    browser.click("#disconnect-user").await;
    browser.click("#confirm button[value=yes]").await;
    shows(
        &mut browser,
        "lookup-answer",
        "2 clients were disconnected.",
    )
    .await;
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
    node.post("folder-perm-changed", &permission)
        .await
        .expect(200);
    shows(
        &mut browser,
        "tail-events",
        &format!("repo-update repo/{library} to all, 0 subscribers"),
    )
    .await;
    shows(
        &mut browser,
        "tail-events",
        &format!("folder-perm-changed repo/{other} to 1 user"),
    )
    .await;
    assert_eq!(
        browser
            .evaluate("document.querySelectorAll('#tail-events pre').length")
            .await,
        0
    );
    browser.fill("#tail-channel", &library).await;
    browser.click("#tail-payload").await;
    shows(&mut browser, "tail-answer", "Listening").await;
    browser.click("#tail-clear").await;
    node.post("folder-perm-changed", &permission)
        .await
        .expect(200);
    node.post_update(&library, "<b>2</b>").await;
    // Contents are text, whatever is in them.
    shows(&mut browser, "tail-events", "<b>2</b>").await;
    assert_eq!(
        browser
            .evaluate("document.querySelectorAll('#tail-events pre b').length")
            .await,
        0
    );
    assert_eq!(
        browser
            .evaluate("document.querySelectorAll('#tail-events li').length")
            .await,
        1
    );
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
    assert_eq!(
        browser
            .evaluate("document.getElementById('tail-payload').disabled")
            .await,
        true
    );
    // The page is not what hides them.
    let headers = [("Authorization", AUTHORIZATION)];
    http::request(node.ops(), "GET", "/api/v1/tail?payload=1", &headers, None)
        .await
        .expect(403);
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn a_test_event_is_sent() {
    let node = guarded().start().await;
    let library = library();
    let mut socket = node.subscriber(&library, "a@x").await;
    let mut browser = console(node.ops()).await;
    browser.fill("#send-channel", &library).await;
    browser.fill("#send-content", "{\"commit_id\":").await;
    browser.click("#send-form button").await;
    shows(&mut browser, "send-answer", "not JSON").await;
    browser
        .fill("#send-content", "{\"commit_id\": \"0123\"}")
        .await;
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
    let (good, old) = (
        token::subscription("lib-7", "a@x"),
        token::subscription_until("lib-7", "a@x", token::now() - 7_262),
    );
    browser.fill("#token-value", &good).await;
    browser.click("#token-form button").await;
    shows(
        &mut browser,
        "token-answer",
        "It is good for subscribing to its library.",
    )
    .await;
    shows(&mut browser, "token-answer", "It runs out in ").await;
    shows(&mut browser, "token-result", "\"repo_id\": \"lib-7\"").await;
    assert_eq!(
        browser
            .evaluate("document.getElementById('token-value').value")
            .await,
        ""
    );
    browser.fill("#token-value", &old).await;
    browser.click("#token-form button").await;
    shows(&mut browser, "token-answer", "It ran out 2 h 1 min ago.").await;
    for secret in [good, old] {
        assert!(
            !node.log_so_far().await.contains(&secret)
                && !browser
                    .evaluate("document.body.innerHTML")
                    .await
                    .to_string()
                    .contains(&secret)
        );
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn with_several_dialects_the_page_speaks_of_the_one_that_is_chosen() {
    let port = common::ports::free_port();
    let node = guarded()
        .env("FOGHORN_DIALECTS", "seafile,inbox")
        .env("FOGHORN_SSE_ADDR", &format!("127.0.0.1:{port}"))
        .start()
        .await;
    let mut browser = console(node.ops()).await;
    browser
        .until("!document.getElementById('dialects').hidden")
        .await;
    shows(&mut browser, "send-label", "Library ID").await;
    let choose = "(() => { const choice = document.getElementById('dialect'); choice.value = 'inbox'; \
                  choice.dispatchEvent(new Event('change')); })()";
    browser.evaluate(choose).await;
    shows(&mut browser, "send-label", "User").await;
    shows(&mut browser, "lookup-title", "Look up an inbox or a user").await;
    // The name alone is a user's now.
    let stream = "GET /sse/ann HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut page = tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .expect("a connection");
    tokio::io::AsyncWriteExt::write_all(&mut page, stream.as_bytes())
        .await
        .expect("sent");
    browser.fill("#lookup-value", "ann").await;
    found(&mut browser, "1 client on 1 node").await;
    shows(&mut browser, "lookup-result", "ann").await;
    browser.fill("#send-channel", "ann").await;
    browser.click("#send-form button").await;
    shows(&mut browser, "send-answer", "Accepted at").await;
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains("event: notify") {
        let more = tokio::io::AsyncReadExt::read_buf(&mut page, &mut read);
        assert!(more.await.expect("a stream") > 0);
    }
    // What is chosen stays so while the page asks again.
    browser
        .until("document.getElementById('dialect').value === 'inbox'")
        .await;
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
