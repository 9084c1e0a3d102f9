//! Promise 7: what a library saw in the last `replay` seconds reaches a new subscriber once, before newer events and in
//! order, on every node, also on one that has just been started.

use crate::common::cluster::Cluster;
use crate::common::ledger::Ledger;
use crate::common::library;
use crate::common::node::Node;
use crate::common::socket::Socket;
use crate::site::{BRISK, plan};

/// Takes every number from 0 to below `count`, in order and nothing else; gives how many.
async fn whole(socket: &mut Socket, library: &str, count: usize) -> usize {
    for number in 0..count {
        socket.expect_update(library, &number.to_string()).await;
    }
    assert!(socket.pending().await.is_empty(), "something came again");
    count
}

async fn arrive(nodes: &[Node], library: &str, sockets: &mut Vec<Socket>) {
    for node in nodes {
        sockets.push(node.subscriber(library, "ann@example.com").await);
    }
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn on_every_node_and_after_a_restart() {
    let mut cluster = Cluster::start(2, 1, || plan().env("FOGHORN_REPLAY_SECONDS", "120")).await;
    let (ledger, library) = (Ledger::open("replay: clients that come late"), library());
    let (a, mut sockets) = (cluster.nodes[0].port(), Vec::new());
    let load = ledger.load(&[(a, &library)], BRISK);
    for round in 0..4 {
        ledger.accepts(25).await;
        arrive(&cluster.nodes, &library, &mut sockets).await;
        if round == 1 {
            // Its clients go with it; history comes from the log.
            sockets.retain_mut(|_| false);
            cluster.nodes[1].process().kill();
            cluster.nodes[1].restart().await;
            arrive(&cluster.nodes, &library, &mut sockets).await;
        }
    }
    load.stop().await;
    arrive(&cluster.nodes, &library, &mut sockets).await;
    let (count, mut made) = (ledger.accepted(), 0);
    for socket in &mut sockets {
        made += whole(socket, &library, count).await;
    }
    assert_eq!(made, count * sockets.len());
    let late = sockets.len();
    println!(
        "ledger | replay: {late} late subscribers on two nodes, one restarted | accepted {count} | not accepted 0 | \
         owed {made} | made {made} | lost 0 | declared 0 | duplicated 0 | out of order 0"
    );
}

/// A library that sees more events than one client may have waiting: whoever subscribes gets them all and is not closed
/// for it, now and each time it comes back.
#[tokio::test]
#[ignore = "one of the drills"]
async fn a_history_longer_than_an_outbox() {
    let plan = plan()
        .env("FOGHORN_REPLAY_SECONDS", "120")
        .env("FOGHORN_OUTBOX_MESSAGES", "50");
    let (node, library) = (plan.start().await, library());
    let ledger = Ledger::open("replay: a history longer than an outbox");
    let load = ledger.load(
        &[(node.port(), library.as_str()); 4],
        std::time::Duration::ZERO,
    );
    ledger.accepts(1_000).await;
    load.stop().await;
    let count = ledger.accepted();
    for _ in 0..3 {
        let mut socket = node.subscriber(&library, "ann@example.com").await;
        let mut numbers = Vec::new();
        for _ in 0..count {
            numbers.push(
                socket.recv().await["content"]["commit_id"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
            );
        }
        assert!(socket.pending().await.is_empty());
        numbers.sort();
        numbers.dedup();
        assert_eq!(numbers.len(), count);
    }
    assert_eq!(node.metric("foghorn_outbox_overflows_total", "").await, 0.0);
}
