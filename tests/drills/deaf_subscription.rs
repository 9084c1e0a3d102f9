//! Promise 2: a subscription that looks alive and hears nothing is found, and what it missed is had from the node that published it.

use std::process::Command;

use crate::common::cluster::Cluster;
use crate::common::ledger::Ledger;
use crate::common::namespace::ran_apart;
use crate::common::node::Node;
use crate::common::process::{need, run};
use crate::common::redis::Redis;
use crate::common::wire::{Flow, Wire};
use crate::site::{BRISK, cluster, plan, redis_up, seats};

/// A node on the straight way to Redis and one through a wire that can go deaf.
async fn through_a_wire() -> (Cluster, Wire) {
    let mut cluster = cluster(1, 1).await;
    let wire = Wire::to(cluster.redis[0].port()).await;
    let url = format!("redis://127.0.0.1:{}", wire.port());
    cluster
        .nodes
        .push(plan().redis([url.as_str()]).start().await);
    (cluster, wire)
}

/// All is well again. Connections that lost bytes in their midst are ended: no network brings back a stream with a hole.
fn heal(wire: &Wire) {
    wire.cut();
    wire.heal();
}

/// Only the subscribing connection goes deaf: commands are answered, nothing ends, and nothing is heard.
#[tokio::test]
#[ignore = "needs redis-server"]
async fn deaf_on_one_connection() {
    let (cluster, wire) = through_a_wire().await;
    let mut ledger = Ledger::open("subscription deaf, commands answered");
    let library = seats(&mut ledger, &cluster.nodes).await;
    let (a, b) = (cluster.nodes[0].port(), cluster.nodes[1].port());
    let load = ledger.load(&[(a, &library)], BRISK * 4);
    ledger.accepts(50).await;
    wire.deafen();
    ledger.accepts(50).await;
    // Nothing heals the wire for connections that are deaf already: only another one helps.
    ledger.caught_up(&[a, b]).await;
    let made_anew = cluster.nodes[1].metric("foghorn_gaps_seen_total", "").await;
    assert!(
        made_anew >= 1.0,
        "nothing was missing: the drill proves nothing"
    );
    load.stop().await;
    ledger.close().await.undisturbed();
}

/// A node's wire to its Redis is cut: it finds out, and has everything once the wire is mended.
async fn cut_and_mended(drill: &str, cut: impl FnOnce(&Wire)) {
    let (cluster, wire) = through_a_wire().await;
    let mut ledger = Ledger::open(drill);
    let library = seats(&mut ledger, &cluster.nodes).await;
    let (a, b) = (cluster.nodes[0].port(), cluster.nodes[1].port());
    let load = ledger.load(&[(a, &library), (b, &library)], BRISK * 4);
    ledger.accepts(50).await;
    cut(&wire);
    let found = redis_up(&cluster.nodes[1], 0.0).await;
    println!("ledger | {drill} | found after {found:.1} s");
    ledger.accepts(50).await;
    heal(&wire);
    redis_up(&cluster.nodes[1], 1.0).await;
    ledger.accepts(50).await;
    load.stop().await;
    ledger.close().await.undisturbed();
}

/// Nothing comes from Redis any more on either connection, and nobody hangs up.
#[tokio::test]
#[ignore = "needs redis-server"]
async fn half_open() {
    cut_and_mended("half-open: nothing comes from Redis", |wire| {
        wire.flow(Flow::Pass, Flow::Swallow)
    })
    .await;
}

/// A network that drops everything in both directions.
#[tokio::test]
#[ignore = "needs redis-server"]
async fn blackhole() {
    cut_and_mended("blackhole between a node and Redis", Wire::blackhole).await;
}

/// What this node says does not arrive, while it hears all the others say.
#[tokio::test]
#[ignore = "needs redis-server"]
async fn unheard() {
    let (cluster, wire) = through_a_wire().await;
    let mut ledger = Ledger::open("half-open: nothing reaches Redis");
    let library = seats(&mut ledger, &cluster.nodes).await;
    let (a, b) = (cluster.nodes[0].port(), cluster.nodes[1].port());
    let load = ledger.load(&[(a, &library), (b, &library)], BRISK * 4);
    ledger.accepts(50).await;
    wire.flow(Flow::Swallow, Flow::Pass);
    let found = redis_up(&cluster.nodes[1], 0.0).await;
    println!("ledger | half-open: nothing reaches Redis | found after {found:.1} s");
    ledger.accepts(50).await;
    heal(&wire);
    redis_up(&cluster.nodes[1], 1.0).await;
    load.stop().await;
    ledger.close().await.perfect();
}

fn ip(words: &[&str]) {
    let mut command = Command::new(need("ip", "iproute2"));
    command.args(words);
    run(&format!("ip {}", words.join(" ")), command);
}

async fn node_at(redis: &Redis, host: &str) -> Node {
    let url = format!("redis://{host}:{}", redis.port());
    plan().redis([url.as_str()]).start().await
}

/// The kernel's own network loses every packet between one node and Redis: no proxy in between, TCP tries again and again.
#[tokio::test]
#[ignore = "needs redis-server and network namespaces"]
async fn the_network_is_gone() {
    if ran_apart("deaf_subscription::the_network_is_gone") {
        return;
    }
    const FAR: &str = "10.99.0.1";
    let address = [FAR, "/32"].concat();
    ip(&["address", "add", &address, "dev", "lo"]);
    let redis = Redis::with(&["--bind", "127.0.0.1", FAR, "--protected-mode", "no"]).await;
    let nodes = vec![
        node_at(&redis, "127.0.0.1").await,
        node_at(&redis, FAR).await,
    ];
    let mut ledger = Ledger::open("network between a node and Redis gone");
    let library = seats(&mut ledger, &nodes).await;
    let (a, b) = (nodes[0].port(), nodes[1].port());
    let load = ledger.load(&[(a, &library), (b, &library)], BRISK * 4);
    ledger.accepts(50).await;
    ip(&["address", "del", &address, "dev", "lo"]);
    redis_up(&nodes[1], 0.0).await;
    ledger.accepts(50).await;
    ip(&["address", "add", &address, "dev", "lo"]);
    redis_up(&nodes[1], 1.0).await;
    ledger.accepts(50).await;
    load.stop().await;
    ledger.close().await.undisturbed();
}
