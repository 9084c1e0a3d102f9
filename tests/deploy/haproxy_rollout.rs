//! All nodes are restarted one after the other as `haproxy/README.md` says: each web page is closed once, and comes back to a
//! node that is not restarted any more.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use crate::common::node::{Node, Plan};
use crate::common::redis::Redis;
use crate::common::socket::Handshake;
use crate::haproxy_site::{Site, node_address};
use crate::support::{eventually, free_port, root, run};

/// What pages went through.
#[derive(Default)]
struct Seen {
    closes: Vec<AtomicU32>,
    refused: AtomicU32,
    open: AtomicU32,
    done: AtomicBool,
}

/// A page of Seahub: it comes back after 1 s, and a second later each time that it is refused.
async fn page(public: SocketAddr, seen: Arc<Seen>, number: usize) {
    let mut pause = 1;
    while !seen.done.load(Ordering::Acquire) {
        match Handshake::new(public.port())
            .path("/notification")
            .browser()
            .attempt()
            .await
        {
            Ok(Ok(mut socket)) => {
                pause = 1;
                seen.open.fetch_add(1, Ordering::AcqRel);
                while socket.frame().await.is_some() {}
                seen.open.fetch_sub(1, Ordering::AcqRel);
                seen.closes[number].fetch_add(1, Ordering::AcqRel);
            }
            _ => {
                seen.refused.fetch_add(1, Ordering::AcqRel);
                pause *= 2;
            }
        }
        tokio::time::sleep(Duration::from_secs(pause)).await;
    }
}

#[test]
#[ignore = "needs haproxy and redis-server"]
fn a_rolling_restart_closes_each_page_once() {
    const PAGES: usize = 24;
    let (port, ops) = (free_port(), free_port());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let redis = runtime.block_on(Redis::start());
    let start = |index: u8| {
        let address = node_address(index);
        let plan = Plan::on(port, ops)
            .redis([redis.url().as_str()])
            .env("NOTIFICATION_SERVER_HOST", &address.to_string());
        plan.env("FOGHORN_OPS_ADDR", &format!("{address}:{ops}"))
            .env("FOGHORN_DRAIN_SECONDS", "3")
            .launch()
    };
    let mut nodes: Vec<Node> = (0..3).map(start).collect();
    let config = root().join("haproxy/haproxy.cfg");
    let site = Site::around(
        Vec::new(),
        (port, ops),
        &config,
        &[("HANDSHAKES_PER_10S", "1000000")],
        &[1, 2, 3],
    );
    let tool = |arguments: &[&str]| {
        let (good, text) = site.foghorn_node(arguments);
        assert!(good, "{arguments:?}: {text}");
    };
    // The first one is drained before, and pages come and go: none is left on it.
    tool(&["drain", "127.0.7.1"]);
    let seen = Arc::new(Seen {
        closes: (0..PAGES).map(|_| AtomicU32::new(0)).collect(),
        ..Seen::default()
    });
    let pages: Vec<_> = (0..PAGES)
        .map(|number| runtime.spawn(page(site.public, Arc::clone(&seen), number)))
        .collect();
    let all_open = || seen.open.load(Ordering::Acquire) as usize == PAGES;
    eventually("all pages are open", 20, all_open);
    for index in 0..3 {
        let address = node_address(index).to_string();
        nodes[index as usize].process().signal("TERM");
        eventually("the node has ended", 30, || {
            nodes[index as usize].process().ended().is_some()
        });
        nodes[index as usize] = start(index);
        if index == 0 {
            tool(&["ready", &address]);
        }
        tool(&["restarted", &address]);
        eventually("all pages are back", 30, all_open);
    }
    tool(&["even"]);
    let closes: Vec<u32> = seen
        .closes
        .iter()
        .map(|closes| closes.load(Ordering::Acquire))
        .collect();
    seen.done.store(true, Ordering::Release);
    pages.iter().for_each(tokio::task::JoinHandle::abort);
    assert_eq!(
        closes,
        vec![1; PAGES],
        "refused: {}",
        seen.refused.load(Ordering::Acquire)
    );
    assert_eq!(seen.refused.load(Ordering::Acquire), 0);
    let script = format!(
        "echo 'show servers state foghorn_clients' | socat stdio unix-connect:{}",
        site.socket
    );
    let (_, text) = run(std::process::Command::new("sh").args(["-c", &script]));
    let weights: Vec<&str> = text
        .lines()
        .filter(|l| l.contains("127.0.7."))
        .filter_map(|l| l.split(' ').nth(7))
        .collect();
    assert_eq!(weights, ["1", "1", "1"], "{text}");
}
