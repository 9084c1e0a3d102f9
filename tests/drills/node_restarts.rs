//! Promise 6: a node is restarted (SIGTERM). Not ready first, still taking connections; then everybody is told to go, at an
//! even pace and web pages last; then the process ends, exit 0. All of three nodes one after the other lose nobody's event.

use crate::common::ledger::{Kind, Ledger};
use crate::common::node::Plan;
use crate::common::{eventually, http, library};
use crate::site::{self, BRISK, haproxy, plan};

/// While half of the clients have been told to go, the others are still served; that is what an even pace is for.
#[tokio::test]
#[ignore = "one of the drills"]
async fn closes_are_spread_and_web_pages_go_last() {
    let plan = plan()
        .env("FOGHORN_SETTLE_SECONDS", "10")
        .env("FOGHORN_DRAIN_SECONDS", "30");
    let (mut node, mut ledger) = (plan.start().await, Ledger::open("a node ends (SIGTERM)"));
    let (port, ops, library) = (node.port(), node.ops(), library());
    for n in 0..24 {
        ledger
            .seat(
                port,
                &library,
                if n % 6 == 0 { Kind::Web } else { Kind::Desktop },
            )
            .await;
    }
    assert_eq!(ledger.post(port, &library).await, 200);
    node.process().signal("TERM");
    eventually("not ready any more", || async {
        http::try_request(ops, "GET", "/readyz", &[], None)
            .await
            .filter(|answer| answer.status == 503)
    })
    .await;
    // Nobody was closed before the node said so, and who comes now is still taken.
    assert_eq!(ledger.ends().values().sum::<usize>(), 0);
    ledger.seat(port, &library, Kind::Web).await;
    ledger.closed(&[port], Kind::Desktop, 1001, 10).await;
    let (gone, pages) = (
        ledger.ended(&[port], Kind::Desktop, 1001),
        ledger.ended(&[port], Kind::Web, 1001),
    );
    assert!(
        gone < 20 && pages == 0,
        "{gone} desktop clients and {pages} pages are gone: not spread"
    );
    ledger.closed(&[port], Kind::Desktop, 1001, 20).await;
    ledger.closed(&[port], Kind::Web, 1001, 5).await;
    let status = node.process().end().await;
    assert!(status.success(), "{status}\n{}", node.log());
    let ends = ledger.ends();
    assert_eq!(
        ends.iter().map(|(code, n)| (*code, *n)).collect::<Vec<_>>(),
        [(1001, 25)],
        "everybody was told"
    );
}

#[tokio::test]
#[ignore = "needs redis-server and haproxy"]
async fn all_three_nodes_one_after_the_other() {
    let timing = || -> Plan {
        plan()
            .env("FOGHORN_SETTLE_SECONDS", "3")
            .env("FOGHORN_DRAIN_SECONDS", "8")
    };
    let mut cluster = crate::common::cluster::Cluster::start(3, 1, timing).await;
    let (_proxy, front) = haproxy(&cluster.nodes).await;
    let mut ledger = Ledger::open("all three nodes restarted, one after the other");
    let (one, two) = (library(), library());
    for n in 0..12 {
        let kind = if n % 4 == 0 { Kind::Web } else { Kind::Desktop };
        ledger
            .seat(front, if n % 2 == 0 { &one } else { &two }, kind)
            .await;
    }
    let load = ledger.load(&[(front, &one), (front, &two)], BRISK * 2);
    for n in 0..3 {
        ledger.accepts(50).await;
        let status = cluster.nodes[n].stop().await;
        assert!(status.success(), "{status}\n{}", cluster.nodes[n].log());
        cluster.nodes[n].restart().await;
        // The next one goes only when this one is taken up again, as an orchestrator does it.
        site::taken_up(&cluster.nodes[n]).await;
    }
    ledger.accepts(50).await;
    load.stop().await;
    let ends = ledger.ends();
    assert!(
        ends.get(&1001).is_some_and(|n| *n >= 12) && ends.len() == 1,
        "all were told to go: {ends:?}"
    );
    ledger.close().await.perfect();
}

/// A node that has to end while Redis is away says how many events go with it, and that it was not a clean end.
#[tokio::test]
#[ignore = "needs redis-server"]
async fn what_cannot_be_handed_over_is_told() {
    let timing = || {
        plan()
            .env("FOGHORN_SETTLE_SECONDS", "0")
            .env("FOGHORN_DRAIN_SECONDS", "2")
    };
    let mut cluster = crate::common::cluster::Cluster::start(1, 1, timing).await;
    cluster.redis[0].kill();
    site::redis_up(&cluster.nodes[0], 0.0).await;
    for n in 0..7 {
        cluster.nodes[0]
            .post_update(&library(), &n.to_string())
            .await;
    }
    let status = cluster.nodes[0].stop().await;
    assert_eq!(status.code(), Some(1));
    let log = cluster.nodes[0].log();
    assert!(
        log.contains("did not get out in time") && log.contains("events=7"),
        "{log}"
    );
}
