//! Promise 3: Redis lost all it had, or is set back, or is emptied: it held nothing, so nothing is lost and nobody notices.
//! Where something is missing all the same, desktop clients are closed with 1012 within the window, and web pages are not.

use crate::common::ledger::{Kind, Ledger};
use crate::common::library;
use crate::common::wire::Wire;
use crate::site::{BRISK, cluster, plan, redis_up, seats};

/// Redis starts again with what it had on its disk a while ago, as a replica that lagged does when it takes over.
#[tokio::test]
#[ignore = "needs redis-server"]
async fn set_back_to_an_older_state() {
    let (mut cluster, mut ledger) = (
        cluster(2, 1).await,
        Ledger::open("Redis set back to an older state"),
    );
    let (a, b) = (cluster.nodes[0].port(), cluster.nodes[1].port());
    let (one, two) = (
        seats(&mut ledger, &cluster.nodes).await,
        seats(&mut ledger, &cluster.nodes).await,
    );
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
    assert!(
        cluster.redis[0]
            .command(&["DBSIZE"])
            .await
            .starts_with(":0"),
        "nothing is kept in Redis"
    );
    ledger.close().await.undisturbed();
}

/// Everything is flushed again and again.
#[tokio::test]
#[ignore = "needs redis-server"]
async fn flushed() {
    let (cluster, mut ledger) = (
        cluster(2, 1).await,
        Ledger::open("FLUSHALL and SCRIPT FLUSH"),
    );
    let (a, b) = (cluster.nodes[0].port(), cluster.nodes[1].port());
    let (one, two) = (
        seats(&mut ledger, &cluster.nodes).await,
        seats(&mut ledger, &cluster.nodes).await,
    );
    let load = ledger.load(&[(a, &one), (b, &two)], BRISK);
    for _ in 0..5 {
        ledger.accepts(40).await;
        assert!(
            cluster.redis[0]
                .command(&["FLUSHALL"])
                .await
                .starts_with("+OK")
        );
        assert!(
            cluster.redis[0]
                .command(&["SCRIPT", "FLUSH"])
                .await
                .starts_with("+OK")
        );
    }
    ledger.accepts(40).await;
    load.stop().await;
    ledger.close().await.undisturbed();
}

/// Events that only a dead node had are gone with it: those that heard nothing meanwhile are told.
#[tokio::test]
#[ignore = "needs redis-server"]
async fn what_nobody_has_any_more_is_declared() {
    let mut cluster = cluster(1, 1).await;
    let wire = Wire::to(cluster.redis[0].port()).await;
    let url = format!("redis://127.0.0.1:{}", wire.port());
    cluster
        .nodes
        .push(plan().redis([url.as_str()]).start().await);
    let mut ledger =
        Ledger::open("the node that accepted it is dead, and the other one was cut off");
    let (a, b) = (cluster.nodes[0].port(), cluster.nodes[1].port());
    let library = library();
    ledger.seat(b, &library, Kind::Desktop).await;
    ledger.seat(b, &library, Kind::Web).await;
    ledger.post(a, &library).await;
    ledger.caught_up(&[b]).await;
    wire.blackhole();
    redis_up(&cluster.nodes[1], 0.0).await;
    for _ in 0..20 {
        assert_eq!(ledger.post(a, &library).await, 200);
    }
    cluster.nodes[0].process().kill();
    wire.heal();
    wire.cut();
    redis_up(&cluster.nodes[1], 1.0).await;
    ledger.closed(&[b], Kind::Desktop, 1012, 1).await;
    // A web page is not closed: that would cost it one of five lives, and it checks nothing when it comes back.
    assert_eq!(ledger.ended(&[b], Kind::Web, 1012), 0);
    let counts = ledger.close_but(20).await;
    assert_eq!((counts.duplicated, counts.disordered), (0, 0), "{counts}");
    assert_eq!(
        (counts.declared, counts.lost),
        (20, 20),
        "the page cannot be told: {counts}"
    );
}
