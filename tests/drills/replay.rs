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
