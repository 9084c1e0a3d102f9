//! Promise 2, for what is large: what heals one library holds up no other.

use std::sync::Arc;

use foghorn::broker::partition;
use foghorn::event::Channel;
use parking_lot::Mutex;
use serde_json::json;

use crate::common::library;
use crate::common::socket::Socket;
use crate::common::wire::{Flow, Wire};
use crate::site::{BRISK, cluster, plan, redis_up};

/// Events that one node misses, and bytes of each.
const MISSED: usize = 15;
const LARGE: usize = 3 << 20;

/// A library whose events do not stand in line with those of `other`.
fn apart_from(other: &str) -> String {
    let partition = |library: &str| partition::of(&Channel::new("repo", library), 64);
    std::iter::repeat_with(library)
        .find(|library| partition(library) != partition(other))
        .expect("there are 64")
}

/// Notes what comes, in the order in which it comes to either of two clients, until `last` has come.
fn note(
    mut socket: Socket,
    who: char,
    last: String,
    order: &Arc<Mutex<Vec<(char, String)>>>,
) -> tokio::task::JoinHandle<()> {
    let order = Arc::clone(order);
    tokio::spawn(async move {
        loop {
            let commit = socket.recv().await["content"]["commit_id"]
                .as_str()
                .expect("a commit")
                .to_owned();
            order.lock().push((who, commit.clone()));
            if commit == last {
                return;
            }
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn a_hole_of_many_megabytes_holds_up_no_other_library() {
    let mut cluster = cluster(1, 1).await;
    let wire = Wire::to(cluster.redis[0].port()).await;
    let url = format!("redis://127.0.0.1:{}", wire.port());
    let roomy = plan()
        .redis([url.as_str()])
        .env("FOGHORN_OUTBOX_BYTES", "256MiB");
    cluster.nodes.push(roomy.start().await);
    let (one, other) = (&cluster.nodes[0], &cluster.nodes[1]);
    let missed = library();
    let beside = apart_from(&missed);
    let (mut large, mut small) = (
        other.subscriber(&missed, "a@x").await,
        other.subscriber(&beside, "a@x").await,
    );
    one.post_update(&missed, "before").await;
    large.expect_update(&missed, "before").await;
    one.post_update(&beside, "before").await;
    small.expect_update(&beside, "before").await;

    wire.blackhole();
    redis_up(other, 0.0).await;
    let pad = "x".repeat(LARGE);
    for n in 0..MISSED {
        let content = json!({"repo_id": missed, "commit_id": n.to_string(), "pad": pad});
        one.post("repo-update", &content).await.expect(200);
    }
    wire.heal();
    // Each large one takes half a second, and what comes after it meanwhile waits behind it.
    wire.flow(Flow::Pass, Flow::Slow(300_000));
    wire.cut();
    redis_up(other, 1.0).await;
    let order = Arc::default();
    let large = note(large, 'l', (MISSED - 1).to_string(), &order);
    let small = note(small, 's', "last".to_owned(), &order);
    let mut posted = Vec::new();
    while !large.is_finished() {
        posted.push(posted.len().to_string());
        one.post_update(&beside, &posted[posted.len() - 1]).await;
        tokio::time::sleep(BRISK).await;
    }
    posted.push("last".to_owned());
    one.post_update(&beside, "last").await;
    large.await.expect("all that was missing");
    small.await.expect("all that came beside it");

    let order = order.lock().clone();
    let of = |wanted: char| {
        order
            .iter()
            .filter(move |(who, _)| *who == wanted)
            .map(|(_, commit)| commit.clone())
    };
    assert_eq!(
        of('l').collect::<Vec<_>>(),
        (0..MISSED).map(|n| n.to_string()).collect::<Vec<_>>()
    );
    assert_eq!(of('s').collect::<Vec<_>>(), posted);
    // Between two that were missing, one and more of the other library's come through.
    let who: String = order.iter().map(|(who, _)| *who).collect();
    let between = who
        .split('l')
        .skip(1)
        .take(MISSED - 1)
        .filter(|small| !small.is_empty())
        .count();
    assert!(between > MISSED / 2, "held up: {who}");
    assert_eq!(other.metric("foghorn_gaps_lost_total", "").await, 0.0);
    assert!(other.metric("foghorn_heal_asks_total", "").await >= 1.0);
}
