//! Promise 1, for whatever else may happen to a Redis: it carries or it does not, and what it holds does not matter. Nothing
//! is lost, doubled or out of order, and no client is disturbed.

use std::time::Duration;

use crate::common::ledger::Ledger;
use crate::common::node::{Node, Plan};
use crate::common::ports::free_port;
use crate::common::redis::Redis;
use crate::common::wire::{Flow, Wire};
use crate::site::{self, BRISK, plan, redis_up, seats};

/// Three nodes with clients of both kinds, under load before, during and after what `fault` does and `mend` undoes.
async fn nobody_notices(
    drill: &str,
    redis: Redis,
    fault: impl AsyncFn(&Redis),
    mend: impl AsyncFn(&Redis),
) {
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(plan().redis([redis.url().as_str()]).start().await);
    }
    let mut ledger = Ledger::open(drill);
    let (one, two) = (
        seats(&mut ledger, &nodes).await,
        seats(&mut ledger, &nodes).await,
    );
    let load = ledger.load(&[(nodes[0].port(), &one), (nodes[1].port(), &two)], BRISK);
    ledger.accepts(100).await;
    fault(&redis).await;
    ledger.accepts(100).await;
    mend(&redis).await;
    for node in &nodes {
        redis_up(node, 1.0).await;
    }
    ledger.accepts(100).await;
    load.stop().await;
    ledger.close().await.undisturbed();
}

async fn nothing(_: &Redis) {}

async fn done(redis: &Redis, words: &[&str]) {
    let answer = redis.command(words).await;
    assert!(!answer.starts_with('-'), "{words:?}: {answer}");
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn memory_is_full_under_every_policy() {
    let policies = [
        "noeviction",
        "allkeys-lru",
        "allkeys-lfu",
        "allkeys-random",
        "volatile-lru",
        "volatile-lfu",
        "volatile-random",
        "volatile-ttl",
    ];
    let full = async |redis: &Redis| {
        done(redis, &["CONFIG", "SET", "maxmemory", "1mb"]).await;
        for policy in policies {
            done(redis, &["CONFIG", "SET", "maxmemory-policy", policy]).await;
        }
    };
    nobody_notices(
        "Redis at maxmemory, every eviction policy",
        Redis::start().await,
        full,
        nothing,
    )
    .await;
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_master_becomes_a_replica() {
    let nowhere = free_port().to_string();
    let demoted = async |redis: &Redis| done(redis, &["REPLICAOF", "127.0.0.1", &nowhere]).await;
    let promoted = async |redis: &Redis| done(redis, &["REPLICAOF", "NO", "ONE"]).await;
    nobody_notices(
        "Redis made a replica, and master again",
        Redis::start().await,
        demoted,
        promoted,
    )
    .await;
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn connections_are_killed() {
    let kill = async |redis: &Redis| {
        for kind in ["pubsub", "normal", "pubsub"] {
            redis.command(&["CLIENT", "KILL", "TYPE", kind]).await;
        }
    };
    nobody_notices(
        "CLIENT KILL of publishers and subscribers",
        Redis::start().await,
        kill,
        kill,
    )
    .await;
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn clients_are_paused() {
    let pause = async |redis: &Redis| done(redis, &["CLIENT", "PAUSE", "1500", "ALL"]).await;
    nobody_notices("CLIENT PAUSE", Redis::start().await, pause, nothing).await;
}

/// A subscriber that does not keep up is cut off by Redis.
#[tokio::test]
#[ignore = "needs redis-server"]
async fn an_output_buffer_is_exceeded() {
    let redis = Redis::with(&["--client-output-buffer-limit", "pubsub", "64kb", "0", "0"]).await;
    let wire = Wire::to(redis.port()).await;
    let url = format!("redis://127.0.0.1:{}", wire.port());
    let nodes = [
        plan().redis([redis.url().as_str()]).start().await,
        plan().redis([url.as_str()]).start().await,
    ];
    let mut ledger = Ledger::open("client-output-buffer-limit hit");
    let library = seats(&mut ledger, &nodes).await;
    let load = ledger.load(&[(nodes[0].port(), &library)], Duration::ZERO);
    ledger.accepts(50).await;
    wire.flow(Flow::Pass, Flow::Slow(64));
    ledger.accepts(1_500).await;
    wire.heal();
    ledger.accepts(50).await;
    load.stop().await;
    ledger.close().await.undisturbed();
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn away_for_half_a_second_and_for_more_than_one() {
    for (drill, ms) in [
        ("Redis away for 600 ms", 600),
        ("Redis away for 1.2 s", 1_200),
    ] {
        let away = async |redis: &Redis| {
            redis.pause();
            tokio::time::sleep(Duration::from_millis(ms)).await;
            redis.resume();
        };
        nobody_notices(drill, Redis::start().await, away, away).await;
    }
}

/// Less than what flows: it waits, and comes when the link is quicker.
#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_link_of_60_kilobytes_a_second() {
    let redis = Redis::start().await;
    let wire = Wire::to(redis.port()).await;
    let far = |plan: Plan| plan.redis([format!("redis://127.0.0.1:{}", wire.port()).as_str()]);
    let nodes: [Node; 2] = [
        plan().redis([redis.url().as_str()]).start().await,
        far(plan()).start().await,
    ];
    let mut ledger = Ledger::open("the link between a node and Redis carries 60 kB/s");
    let (one, two) = (
        seats(&mut ledger, &nodes).await,
        seats(&mut ledger, &nodes).await,
    );
    wire.flow(Flow::Slow(3_000), Flow::Slow(3_000));
    let load = ledger.load(
        &[(nodes[0].port(), &one), (nodes[1].port(), &two)],
        Duration::ZERO,
    );
    ledger.accepts(2_000).await;
    wire.heal();
    ledger.accepts(50).await;
    load.stop().await;
    ledger.close().await.undisturbed();
}

/// Its backends post again elsewhere meanwhile, and it has missed what nobody posts a second time.
#[tokio::test]
#[ignore = "needs redis-server and haproxy"]
async fn a_node_stopped_for_a_minute_and_a_half() {
    let (mut cluster, mut ledger) = (
        site::cluster(3, 1).await,
        Ledger::open("a node stopped for 90 s"),
    );
    let (_proxy, front) = site::haproxy(&cluster.nodes).await;
    let library = seats(&mut ledger, &cluster.nodes).await;
    let load = ledger.load(&[(front, &library)], Duration::from_millis(50));
    ledger.accepts(50).await;
    cluster.nodes[2].process().signal("STOP");
    tokio::time::sleep(Duration::from_secs(90)).await;
    cluster.nodes[2].process().signal("CONT");
    redis_up(&cluster.nodes[2], 1.0).await;
    ledger.accepts(50).await;
    load.stop().await;
    ledger.close().await.nothing_lost();
}
