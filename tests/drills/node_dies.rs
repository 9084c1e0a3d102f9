//! Promise 5: a node dies under load. The clients of the others lose nothing of what was answered 200, and nothing is left
//! behind in Redis that needs a hand.

use crate::common::ledger::Ledger;
use crate::common::redis::Redis;
use crate::site::{BRISK, cluster, haproxy, seats};

/// Keys in Redis that would stay for ever.
async fn keys_without_an_end(redis: &Redis) -> Vec<String> {
    let words = |text: String| -> Vec<String> {
        text.lines()
            .filter(|line| !line.starts_with(['*', '$']))
            .map(str::to_owned)
            .collect()
    };
    let mut endless = Vec::new();
    for key in words(redis.command(&["KEYS", "*"]).await) {
        if redis.command(&["PTTL", &key]).await.trim() == ":-1" {
            endless.push(key);
        }
    }
    endless
}

#[tokio::test]
#[ignore = "needs redis-server and haproxy"]
async fn killed_under_load() {
    let (mut cluster, mut ledger) = (
        cluster(3, 1).await,
        Ledger::open("a node killed (SIGKILL) under load"),
    );
    let (_proxy, front) = haproxy(&cluster.nodes).await;
    let library = seats(&mut ledger, &cluster.nodes[..2]).await;
    let behind = seats(&mut ledger, &cluster.nodes[..2]).await;
    // A library whose events come through HAProxy, one that is posted to a node that stays.
    let load = ledger.load(
        &[(front, &library), (cluster.nodes[0].port(), &behind)],
        BRISK,
    );
    ledger.accepts(200).await;
    cluster.nodes[2].process().kill();
    ledger.accepts(200).await;
    load.stop().await;
    let counts = ledger.close().await;
    counts.nothing_lost();
    assert!(
        counts.refused.keys().all(|status| *status < 500),
        "{:?}",
        counts.refused
    );
    assert_eq!(
        keys_without_an_end(&cluster.redis[0]).await,
        Vec::<String>::new()
    );
    cluster.nodes[2].restart().await;
}

#[tokio::test]
#[ignore = "needs redis-server and haproxy"]
async fn stopped_and_continued_under_load() {
    let (mut cluster, mut ledger) = (
        cluster(3, 1).await,
        Ledger::open("a node stopped (SIGSTOP), continued"),
    );
    let (_proxy, front) = haproxy(&cluster.nodes).await;
    // Clients of the stopped node, too: what they missed comes when it goes on.
    let library = seats(&mut ledger, &cluster.nodes).await;
    let load = ledger.load(&[(front, &library)], BRISK);
    ledger.accepts(200).await;
    cluster.nodes[2].process().signal("STOP");
    ledger.accepts(200).await;
    let stay = [cluster.nodes[0].port(), cluster.nodes[1].port()];
    ledger.caught_up(&stay).await;
    cluster.nodes[2].process().signal("CONT");
    ledger.accepts(100).await;
    load.stop().await;
    // HAProxy posted again what the stopped node did not answer, and that node has taken it as well when it goes on.
    ledger.close().await.nothing_lost();
}

/// Nothing is known of a node that vanished with events it had not yet handed over: they are told apart by their stamp,
/// so a node started in its place begins anew and is heard.
#[tokio::test]
#[ignore = "needs redis-server"]
async fn killed_and_started_again_many_times() {
    let (mut cluster, mut ledger) = (
        cluster(2, 1).await,
        Ledger::open("a node killed and started four times"),
    );
    let library = seats(&mut ledger, &cluster.nodes[..1]).await;
    let (a, b) = (cluster.nodes[0].port(), cluster.nodes[1].port());
    let load = ledger.load(&[(a, &library)], BRISK);
    for _ in 0..4 {
        for _ in 0..20 {
            ledger.post(b, &library).await;
        }
        // An answer comes within 150 ms, whether Redis has taken the event by then or not.
        ledger.caught_up(&[a]).await;
        cluster.nodes[1].restart().await;
    }
    load.stop().await;
    ledger.close().await.perfect();
}
