//! Promise 9: 15,000 clients that connect at once are all served; who is over the rate gets 503 with Retry-After and is
//! served later; a storm of bad tokens is answered, and hurts nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::common::ledger::{Kind, Ledger};
use crate::common::node::Node;
use crate::common::socket::{TEXT, frame};
use crate::common::{eventually, library, token};
use crate::site::{BRISK, plan};

/// As little of a client as will do: it connects and subscribes in one go, comes back when put off, and counts the bytes
/// of what it is sent.
async fn client(port: u16, subscribe: Arc<Vec<u8>>, put_off: Arc<AtomicUsize>) -> TcpStream {
    loop {
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await
            && stream.write_all(&subscribe).await.is_ok()
        {
            let mut head = Vec::with_capacity(256);
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                match stream.read(&mut byte).await {
                    Ok(1) => head.push(byte[0]),
                    _ => break,
                }
            }
            if head.starts_with(b"HTTP/1.1 101") {
                return stream;
            }
            let text = String::from_utf8_lossy(&head).to_lowercase();
            assert!(
                text.is_empty()
                    || text.starts_with("http/1.1 503") && text.contains("\r\nretry-after: "),
                "{text}"
            );
            put_off.fetch_add(usize::from(!text.is_empty()), Ordering::Relaxed);
        }
        tokio::time::sleep(Duration::from_millis(200 + rand::random_range(0..800))).await;
    }
}

fn hello(library: &str, token: &str) -> Arc<Vec<u8>> {
    let head = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nUser-Agent: Seafile/9\r\n\r\n";
    let message =
        json!({"type": "subscribe", "content": {"repos": [{"id": library, "jwt_token": token}]}});
    let mut bytes = head.as_bytes().to_vec();
    bytes.extend(frame(TEXT, true, message.to_string().as_bytes()));
    Arc::new(bytes)
}

/// All at once; gives them, and how often one was put off.
async fn herd(node: &Node, count: usize, hello: Arc<Vec<u8>>) -> (Vec<TcpStream>, usize) {
    let (put_off, mut tasks) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
    for _ in 0..count {
        tasks.spawn(client(
            node.port(),
            Arc::clone(&hello),
            Arc::clone(&put_off),
        ));
    }
    let mut streams = Vec::with_capacity(count);
    while let Some(stream) = tasks.join_next().await {
        streams.push(stream.expect("a client"));
    }
    (streams, put_off.load(Ordering::Relaxed))
}

/// Waits until each has got `bytes` more; gives how many did.
async fn all_get(streams: Vec<TcpStream>, bytes: usize) -> usize {
    let mut tasks = JoinSet::new();
    for mut stream in streams {
        tasks.spawn(async move {
            let mut buffer = vec![0; bytes];
            let read =
                tokio::time::timeout(crate::common::PATIENCE, stream.read_exact(&mut buffer)).await;
            matches!(read, Ok(Ok(_)))
        });
    }
    let mut got = 0;
    while let Some(done) = tasks.join_next().await {
        got += usize::from(done.expect("a client"));
    }
    got
}

async fn subscribed(node: &Node, count: usize) {
    eventually("all subscribed", || async {
        (node.metric("foghorn_subscriptions", "").await >= count as f64).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "one of the drills; opens 15,000 connections"]
async fn fifteen_thousand_in_one_second() {
    const COUNT: usize = 15_000;
    // No pings in between: then all that comes is the event.
    let node = plan()
        .env("FOGHORN_PING_SECONDS", "600")
        .env("FOGHORN_REPLAY_SECONDS", "0")
        .start()
        .await;
    let (library, began) = (library(), Instant::now());
    let (streams, put_off) = herd(
        &node,
        COUNT,
        hello(&library, &token::subscription(&library, "ann")),
    )
    .await;
    subscribed(&node, COUNT).await;
    let took = began.elapsed().as_secs_f64();
    let message = format!(
        "{{\"type\":\"repo-update\",\"content\":{{\"repo_id\":\"{library}\",\"commit_id\":\"0\"}}}}\n"
    );
    node.post_update(&library, "0").await;
    let made = all_get(streams, message.len() + 2).await;
    println!(
        "ledger | 15,000 clients at once | accepted 1 | not accepted 0 | owed {COUNT} | made {made} | lost {} | declared 0 \
         | duplicated 0 | out of order 0 | put off {put_off} times | all subscribed after {took:.1} s",
        COUNT - made
    );
    assert_eq!(made, COUNT);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "one of the drills"]
async fn over_the_rate_is_put_off_and_served_later() {
    let plan = plan()
        .env("FOGHORN_HANDSHAKE_RATE", "100")
        .env("FOGHORN_PING_SECONDS", "600");
    let (node, library) = (plan.start().await, library());
    let (streams, put_off) = herd(
        &node,
        600,
        hello(&library, &token::subscription(&library, "ann")),
    )
    .await;
    assert_eq!(streams.len(), 600);
    assert!(put_off > 0, "six hundred were taken at a rate of a hundred");
    let counted = node
        .metric(
            "foghorn_connections_refused_total",
            "reason=\"handshake-rate\"",
        )
        .await;
    assert_eq!(counted, put_off as f64, "each one is counted");
    println!(
        "ledger | 600 clients at a rate of 100 a second | served 600 | put off {put_off} times"
    );
}

/// CPU seconds that `count` clients with this token cost.
async fn storm(node: &Node, count: usize, hello: Arc<Vec<u8>>, answered: &str) -> f64 {
    let before = node.metric("process_cpu_seconds_total", "").await;
    let had = node
        .metric("foghorn_handshakes_total", "result=\"accepted\"")
        .await;
    let settled = node.metric(answered, "").await;
    let (streams, _) = herd(node, count, hello).await;
    eventually("all answered", || async {
        (node.metric(answered, "").await >= settled + count as f64).then_some(())
    })
    .await;
    assert_eq!(
        node.metric("foghorn_handshakes_total", "result=\"accepted\"")
            .await,
        had + count as f64
    );
    drop(streams);
    node.metric("process_cpu_seconds_total", "").await - before
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "one of the drills"]
async fn a_storm_of_bad_tokens_hurts_nobody() {
    let node = plan().env("FOGHORN_REPLAY_SECONDS", "0").start().await;
    let (mut ledger, quiet, stormy) = (
        Ledger::open("a storm of tokens with a wrong key"),
        library(),
        library(),
    );
    for _ in 0..4 {
        ledger.seat(node.port(), &quiet, Kind::Desktop).await;
    }
    let load = ledger.load(&[(node.port(), &quiet)], BRISK);
    let claims = json!({"exp": token::now() + 300, "repo_id": stormy, "username": "eve"});
    let wrong = token::sign(
        "another-key-another-key-another-",
        jsonwebtoken::Algorithm::HS256,
        &claims,
    );
    let bad = storm(
        &node,
        2_000,
        hello(&stormy, &wrong),
        "foghorn_tokens_refused_total",
    )
    .await;
    let good = hello(&stormy, &token::subscription(&stormy, "ann"));
    eventually("the storm is over", || async {
        (node.metric("foghorn_connections", "").await <= 4.0).then_some(())
    })
    .await;
    let good = storm(&node, 2_000, good, "foghorn_subscriptions").await;
    load.stop().await;
    println!(
        "ledger | 2,000 handshakes and tokens | {bad:.2} s of CPU for bad ones | {good:.2} s for good ones"
    );
    ledger.close().await.perfect();
}
