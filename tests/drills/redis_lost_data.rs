//! Promise 3: Redis lost data. What nodes accepted lately they publish again; where something may be missing all the same,
//! desktop clients are closed with 1012 within the window, and web pages are not.

use crate::common::ledger::{Kind, Ledger};
use crate::common::library;
use crate::common::wire::Wire;
use crate::site::{BRISK, cluster, plan, redis_up, seats};

/// Redis starts again with what it had on its disk a while ago, as a replica that lagged does when it takes over.
#[tokio::test]
#[ignore = "needs redis-server"]
async fn set_back_to_an_older_state() {
    let (mut cluster, mut ledger) = (cluster(2, 1).await, Ledger::open("Redis set back to an older state"));
    let (a, b) = (cluster.nodes[0].port(), cluster.nodes[1].port());
    let (one, two) = (seats(&mut ledger, &cluster.nodes).await, seats(&mut ledger, &cluster.nodes).await);
    let load = ledger.load(&[(a, &one), (b, &two)], BRISK);
    ledger.accepts(100).await;
    assert!(cluster.redis[0].command(&["SAVE"]).await.starts_with("+OK"));
    ledger.accepts(100).await;
    cluster.redis[0].restart().await;
    for node in &cluster.nodes {
        redis_up(node, 1.0).await;
    }
    ledger.accepts(100).await;
    load.stop().await;
    // Both libraries, both nodes: whoever may have missed something is told.
    ledger.closed(&[a, b], Kind::Desktop, 1012, 4).await;
    assert_eq!(ledger.ended(&[a, b], Kind::Web, 1012), 0, "web pages stay");
    let mut republished = 0.0;
    for node in &cluster.nodes {
        republished += node.metric("foghorn_republished_total", "").await;
    }
    assert!(republished > 0.0, "nothing was published again");
    ledger.close().await.perfect();
}

/// Events that only Redis and a dead node had are gone with them: the others' desktop clients are told.
#[tokio::test]
#[ignore = "needs redis-server"]
async fn what_nobody_has_any_more_is_declared() {
    let mut cluster = cluster(1, 1).await;
    let wire = Wire::to(cluster.redis[0].port()).await;
    let url = format!("redis://127.0.0.1:{}", wire.port());
    cluster.nodes.push(plan().redis([url.as_str()]).start().await);
    let mut ledger = Ledger::open("Redis lost data, and so did the node that accepted it");
    let (a, b) = (cluster.nodes[0].port(), cluster.nodes[1].port());
    let library = library();
    ledger.seat(b, &library, Kind::Desktop).await;
    ledger.post(a, &library).await;
    ledger.caught_up(&[b]).await;
    wire.blackhole();
    redis_up(&cluster.nodes[1], 0.0).await;
    for _ in 0..20 {
        assert_eq!(ledger.post(a, &library).await, 200);
    }
    cluster.nodes[0].process().kill();
    cluster.redis[0].restart().await;
    wire.heal();
    wire.cut();
    redis_up(&cluster.nodes[1], 1.0).await;
    ledger.closed(&[b], Kind::Desktop, 1012, 1).await;
    let counts = ledger.close().await;
    counts.nothing_lost();
    assert_eq!((counts.declared, counts.made), (20, counts.owed - 20), "{counts}");
}

/// The same with a web page: it is not closed, since that would cost it one of five lives and check nothing.
#[tokio::test]
#[ignore = "needs redis-server"]
async fn web_pages_are_not_closed() {
    let (mut cluster, mut ledger) = (cluster(1, 1).await, Ledger::open("Redis killed, started empty: web pages"));
    let library = library();
    let a = cluster.nodes[0].port();
    for _ in 0..5 {
        ledger.seat(a, &library, Kind::Web).await;
        ledger.seat(a, &library, Kind::Desktop).await;
    }
    ledger.post(a, &library).await;
    ledger.caught_up(&[a]).await;
    cluster.redis[0].restart().await;
    ledger.closed(&[a], Kind::Desktop, 1012, 5).await;
    assert_eq!(ledger.ended(&[a], Kind::Web, 1012), 0);
    assert_eq!(cluster.nodes[0].metric("foghorn_resyncs_total", "").await, 5.0);
    for _ in 0..10 {
        ledger.post(a, &library).await;
    }
    let ends = ledger.ends();
    assert_eq!(ends.values().sum::<usize>(), 5, "{ends:?}");
    ledger.close().await.perfect();
}
