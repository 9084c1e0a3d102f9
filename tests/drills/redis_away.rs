//! Promise 1: Redis goes away. Posts are answered 200 all the same, this node's own clients get each event at once, the
//! others' when Redis is back, in order, each once. What has to be dropped is counted and declared.

use std::time::Duration;

use crate::common::ledger::{Kind, Ledger};
use crate::common::node::Node;
use crate::common::wire::Wire;
use crate::common::{eventually, library};
use crate::site::{self, BRISK, cluster, plan, redis_up, seats};

#[tokio::test]
#[ignore = "needs redis-server"]
async fn killed_and_started_again_empty() {
    let (mut cluster, mut ledger) = (
        cluster(2, 1).await,
        Ledger::open("Redis killed, started again empty"),
    );
    let (a, b) = (cluster.nodes[0].port(), cluster.nodes[1].port());
    let (one, two) = (
        seats(&mut ledger, &cluster.nodes).await,
        seats(&mut ledger, &cluster.nodes).await,
    );
    let load = ledger.load(&[(a, &one), (b, &two)], BRISK);
    ledger.accepts(100).await;
    cluster.redis[0].kill();
    redis_up(&cluster.nodes[0], 0.0).await;
    ledger.accepts(100).await;
    cluster.redis[0].restart().await;
    for node in &cluster.nodes {
        redis_up(node, 1.0).await;
    }
    ledger.accepts(100).await;
    load.stop().await;
    ledger.close().await.undisturbed();
}

/// While Redis is away, a node's own clients have everything although nobody else can.
#[tokio::test]
#[ignore = "needs redis-server"]
async fn own_clients_do_not_wait_for_redis() {
    let (mut cluster, mut ledger) = (cluster(2, 1).await, Ledger::open("Redis away: own clients"));
    let (a, b) = (cluster.nodes[0].port(), cluster.nodes[1].port());
    let (here, there) = (library(), library());
    ledger.seat(a, &here, Kind::Desktop).await;
    ledger.seat(b, &there, Kind::Desktop).await;
    cluster.redis[0].kill();
    for node in &cluster.nodes {
        redis_up(node, 0.0).await;
    }
    let load = ledger.load(&[(a, &here), (b, &there)], BRISK);
    ledger.accepts(200).await;
    ledger.caught_up(&[a, b]).await;
    load.stop().await;
    ledger.close().await.undisturbed();
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn paused_and_resumed() {
    let (cluster, mut ledger) = (
        cluster(2, 1).await,
        Ledger::open("Redis stopped (SIGSTOP), resumed"),
    );
    let (a, b) = (cluster.nodes[0].port(), cluster.nodes[1].port());
    let (one, two) = (
        seats(&mut ledger, &cluster.nodes).await,
        seats(&mut ledger, &cluster.nodes).await,
    );
    let load = ledger.load(&[(a, &one), (b, &two)], BRISK);
    ledger.accepts(100).await;
    cluster.redis[0].pause();
    for node in &cluster.nodes {
        redis_up(node, 0.0).await;
    }
    ledger.accepts(40).await;
    cluster.redis[0].resume();
    for node in &cluster.nodes {
        redis_up(node, 1.0).await;
    }
    ledger.accepts(100).await;
    load.stop().await;
    ledger.close().await.undisturbed();
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn connections_cut_and_the_first_reconnect_refused() {
    let mut cluster = cluster(1, 1).await;
    let mut wire = Wire::to(cluster.redis[0].port()).await;
    let url = format!("redis://127.0.0.1:{}", wire.port());
    cluster
        .nodes
        .push(plan().redis([url.as_str()]).start().await);
    let mut ledger = Ledger::open("Redis connections cut, reconnects refused");
    let (a, b) = (cluster.nodes[0].port(), cluster.nodes[1].port());
    let (one, two) = (
        seats(&mut ledger, &cluster.nodes).await,
        seats(&mut ledger, &cluster.nodes).await,
    );
    let load = ledger.load(&[(a, &one), (b, &two)], BRISK);
    for _ in 0..3 {
        ledger.accepts(50).await;
        wire.cut();
    }
    wire.refuse().await;
    wire.cut();
    redis_up(&cluster.nodes[1], 0.0).await;
    ledger.accepts(100).await;
    wire.accept().await;
    redis_up(&cluster.nodes[1], 1.0).await;
    ledger.accepts(50).await;
    load.stop().await;
    ledger.close().await.undisturbed();
}

/// A bound of the waiting queue is hit: what was dropped is counted, and the other node's clients are told.
async fn bound(name: &str, value: &str, label: &str) {
    let (mut cluster, mut ledger) = (
        cluster(1, 1).await,
        Ledger::open(&format!("Redis away, {name}={value}")),
    );
    let mut wire = Wire::to(cluster.redis[0].port()).await;
    let url = format!("redis://127.0.0.1:{}", wire.port());
    let small = plan()
        .redis([url.as_str()])
        .env("FOGHORN_MAX_EVENT_BYTES", "32KiB")
        .env(name, value);
    cluster.nodes.push(small.start().await);
    let (a, b) = (cluster.nodes[0].port(), cluster.nodes[1].port());
    let library = library();
    ledger.seat(a, &library, Kind::Desktop).await;
    ledger.seat(b, &library, Kind::Desktop).await;
    ledger.post(b, &library).await;
    ledger.caught_up(&[a, b]).await;
    // Refused, not stopped: a stopped Redis may have been sent some of what is dropped, and publishes that when it goes on.
    wire.refuse().await;
    wire.cut();
    let small = &cluster.nodes[1];
    redis_up(small, 0.0).await;
    let load = ledger.load(&[(b, &library)], BRISK);
    let dropped = format!("bound=\"{label}\"");
    eventually("a bound hit", || async {
        (small
            .metric("foghorn_waiting_dropped_total", &dropped)
            .await
            >= 5.0)
            .then_some(())
    })
    .await;
    load.stop().await;
    ledger.caught_up(&[b]).await;
    wire.accept().await;
    // The other node's client is told to check anew; this node's own had everything.
    ledger.closed(&[a], Kind::Desktop, 1012, 1).await;
    assert_eq!(ledger.ended(&[b], Kind::Desktop, 1012), 0);
    let log = cluster.nodes[1]
        .process()
        .logged("events were dropped while Redis was away")
        .await;
    let dropped = cluster.nodes[1]
        .metric("foghorn_waiting_dropped_total", "")
        .await;
    let counts = ledger.close().await;
    counts.nothing_lost();
    assert_eq!(counts.declared as f64, dropped, "{counts}");
    assert!(log.contains("events="), "{log}");
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn too_many_wait() {
    bound("FOGHORN_WAITING_EVENTS", "20", "count").await;
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn too_many_bytes_wait() {
    bound("FOGHORN_WAITING_BYTES", "64KiB", "bytes").await;
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn some_wait_for_too_long() {
    bound("FOGHORN_WAITING_SECONDS", "1", "age").await;
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn one_of_two_shards_away_does_not_touch_the_other() {
    let (mut cluster, mut ledger) = (
        cluster(2, 2).await,
        Ledger::open("one of two shards killed"),
    );
    let (a, b) = (cluster.nodes[0].port(), cluster.nodes[1].port());
    let mut libraries = Vec::new();
    // Enough that both shards have some.
    for _ in 0..8 {
        let library = library();
        ledger.seat(a, &library, Kind::Web).await;
        ledger.seat(b, &library, Kind::Web).await;
        libraries.push(library);
    }
    let routes: Vec<_> = libraries
        .iter()
        .map(|library| (a, library.as_str()))
        .collect();
    let load = ledger.load(&routes, BRISK * 10);
    ledger.accepts(100).await;
    cluster.redis[1].kill();
    for node in &cluster.nodes {
        site::redis_up(node, 1.0).await;
    }
    ledger.accepts(100).await;
    cluster.redis[1].restart().await;
    for node in &cluster.nodes {
        site::redis_up(node, 2.0).await;
    }
    load.stop().await;
    ledger.close().await.undisturbed();
}

/// 900 clients on three nodes, 100 libraries; Redis is killed, stays away, and starts empty.
async fn many_clients(name: &str, pause: Duration) {
    let (mut cluster, mut ledger) = (cluster(3, 1).await, Ledger::open(name));
    let ports: Vec<u16> = cluster.nodes.iter().map(Node::port).collect();
    let libraries: Vec<String> = (0..100).map(|_| library()).collect();
    for (n, library) in libraries.iter().enumerate() {
        for port in &ports {
            ledger.seat(*port, library, Kind::Desktop).await;
            ledger.seat(*port, library, Kind::Desktop).await;
            ledger
                .seat(
                    *port,
                    library,
                    if n % 2 == 0 { Kind::Web } else { Kind::Desktop },
                )
                .await;
        }
    }
    let routes: Vec<_> = libraries
        .iter()
        .enumerate()
        .map(|(n, library)| (ports[n % 3], library.as_str()))
        .collect();
    let load = ledger.load(&routes, pause);
    ledger.accepts(400).await;
    cluster.redis[0].kill();
    for node in &cluster.nodes {
        redis_up(node, 0.0).await;
        node.counted("foghorn_waiting_seconds", "", 5.0).await;
    }
    cluster.redis[0].restart().await;
    for node in &cluster.nodes {
        redis_up(node, 1.0).await;
    }
    ledger.accepts(400).await;
    load.stop().await;
    ledger.close().await.undisturbed();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn nine_hundred_clients_and_200_events_a_second() {
    many_clients(
        "Redis killed, empty: 900 clients, 200 events/s",
        Duration::from_millis(500),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn nine_hundred_clients_and_as_many_events_as_they_can_be_posted() {
    many_clients(
        "Redis killed, empty: 900 clients, up to 1,000 events/s",
        Duration::from_millis(100),
    )
    .await;
}

/// One hot library, posted to at every node, and an outage that is longer than the replay.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn a_hot_library_and_fifteen_seconds_without_redis() {
    let (mut cluster, mut ledger) = (
        cluster(3, 1).await,
        Ledger::open("hot library, Redis away for 15 s, then empty"),
    );
    let library = seats(&mut ledger, &cluster.nodes).await;
    let routes: Vec<_> = cluster
        .nodes
        .iter()
        .map(|node| (node.port(), library.as_str()))
        .collect();
    let load = ledger.load(&routes, BRISK * 2);
    ledger.accepts(200).await;
    cluster.redis[0].kill();
    for node in &cluster.nodes {
        node.counted("foghorn_waiting_seconds", "", 15.0).await;
    }
    cluster.redis[0].restart().await;
    for node in &cluster.nodes {
        redis_up(node, 1.0).await;
    }
    ledger.accepts(200).await;
    load.stop().await;
    ledger.close().await.undisturbed();
}

/// A node is asked to end while one of two shards is stopped: its events take the other one, and it ends cleanly.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn a_node_ends_while_a_shard_is_stopped() {
    let (mut cluster, mut ledger) = (
        cluster(2, 2).await,
        Ledger::open("SIGTERM while one of two shards is stopped"),
    );
    let (a, b) = (cluster.nodes[0].port(), cluster.nodes[1].port());
    let libraries: Vec<String> = (0..8).map(|_| library()).collect();
    for library in &libraries {
        ledger.seat(a, library, Kind::Desktop).await;
    }
    cluster.redis[1].pause();
    let routes: Vec<_> = libraries
        .iter()
        .map(|library| (b, library.as_str()))
        .collect();
    let load = ledger.load(&routes, BRISK * 10);
    ledger.accepts(200).await;
    load.stop().await;
    assert!(
        cluster.nodes[1].stop().await.success(),
        "{}",
        cluster.nodes[1].log()
    );
    ledger.caught_up(&[a]).await;
    cluster.redis[1].resume();
    ledger.close().await.undisturbed();
}
