//! What administrators and overload do to a Redis: nothing is lost, nothing is declared, nobody is disturbed.

use std::time::Duration;

use super::blackhole::Blackhole;
use super::node::{Node, config, until};
use super::servers::{Redis, free_port};

const CHANNELS: [&str; 4] = ["a", "b", "c", "d"];

/// Two nodes under load while `fault` is done to their Redis after 50 and `mend` after 100 of 200 events a channel.
async fn under_load(redis: &Redis, fault: impl Fn(&Redis), mend: impl Fn(&Redis)) {
    let (one, two) = (
        Node::up(config(&redis.url(), 4)).await,
        Node::up(config(&redis.url(), 4)).await,
    );
    for number in 0..200 {
        match number {
            50 => fault(redis),
            100 => mend(redis),
            _ => {}
        }
        for (channel, node) in CHANNELS.iter().zip([&one, &two].into_iter().cycle()) {
            drop(node.publish(channel, number));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for node in [&one, &two] {
        node.expect(&CHANNELS, 200).await;
        node.wait_up().await;
        assert_eq!((node.count(), node.losses()), (800, 0));
    }
    one.nothing_waits().await;
    two.nothing_waits().await;
    assert_eq!(
        redis.cli(&["--raw", "DBSIZE"]).trim(),
        "0",
        "nothing is kept in Redis"
    );
}

fn nothing(_: &Redis) {}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn flushed() {
    let both = |redis: &Redis| {
        redis.done(&["FLUSHALL"]);
        redis.done(&["SCRIPT", "FLUSH"]);
    };
    under_load(&Redis::start(&[]), both, nothing).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn out_of_memory_under_every_policy() {
    for policy in [
        "noeviction",
        "allkeys-lru",
        "allkeys-lfu",
        "allkeys-random",
        "volatile-ttl",
    ] {
        let full = |redis: &Redis| {
            redis.done(&["CONFIG", "SET", "maxmemory-policy", policy]);
            redis.done(&["CONFIG", "SET", "maxmemory", "1mb"]);
        };
        under_load(&Redis::start(&[]), full, nothing).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn a_master_becomes_the_replica_of_nobody_there() {
    let port = free_port().to_string();
    let demote = |redis: &Redis| redis.done(&["REPLICAOF", "127.0.0.1", &port]);
    under_load(&Redis::start(&[]), demote, nothing).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn clients_are_paused() {
    let pause = |redis: &Redis| redis.done(&["CLIENT", "PAUSE", "2500", "ALL"]);
    under_load(&Redis::start(&[]), pause, nothing).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn connections_are_killed() {
    for kind in ["pubsub", "normal"] {
        let kill = |redis: &Redis| drop(redis.cli(&["CLIENT", "KILL", "TYPE", kind]));
        under_load(&Redis::start(&[]), kill, kill).await;
    }
}

/// Subscribers that fall behind are cut off by Redis: what they missed they get from the node that has it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn subscribers_exceed_their_output_buffer() {
    let redis = Redis::start(&[
        "--client-output-buffer-limit",
        "pubsub",
        "1mb",
        "512kb",
        "1",
    ]);
    let (one, two) = (
        Node::up(config(&redis.url(), 1)).await,
        Node::up(config(&redis.url(), 1)).await,
    );
    let large = "x".repeat(100_000);
    for number in 0..60 {
        let name = format!("{number}");
        let event = foghorn::event::Event::new(
            foghorn::event::Channel::new("repo", "a"),
            &name,
            large.clone(),
        );
        drop(one.broker.publish(event));
    }
    for node in [&one, &two] {
        until("all have come", || node.count() == 60).await;
        let names: Vec<usize> = node
            .ledger
            .delivered
            .lock()
            .iter()
            .map(|e| e.name.parse().unwrap())
            .collect();
        assert_eq!((names, node.losses()), ((0..60).collect(), 0));
    }
}

/// What waited while the way was closed is more than a subscriber's buffer takes at once.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn a_backlog_is_let_out_in_a_window() {
    let mut redis = Redis::start(&["--client-output-buffer-limit", "pubsub", "4mb", "2mb", "5"]);
    let (one, two) = (
        Node::up(config(&redis.url(), 1)).await,
        Node::up(config(&redis.url(), 1)).await,
    );
    redis.kill();
    until("the loss of Redis is seen", || !one.is_up() && !two.is_up()).await;
    let large = "x".repeat(20_000);
    for number in 0..2_000 {
        let name = format!("{number}");
        let event = foghorn::event::Event::new(
            foghorn::event::Channel::new("repo", "a"),
            &name,
            large.clone(),
        );
        drop(one.broker.publish(event));
    }
    redis.start_again();
    for node in [&one, &two] {
        until("all have come", || node.count() == 2_000).await;
        let names: Vec<usize> = node
            .ledger
            .delivered
            .lock()
            .iter()
            .map(|e| e.name.parse().unwrap())
            .collect();
        assert_eq!((names, node.losses()), ((0..2_000).collect(), 0));
    }
}

/// Delivery over a slow Redis slows, it does not stop.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn redis_is_far_away() {
    for delay in [600, 1_200] {
        let redis = Redis::start(&[]);
        let way = Blackhole::start(redis.port).await;
        way.delay(Duration::from_millis(delay / 2));
        let url = format!("redis://127.0.0.1:{}", way.port);
        let (one, two) = (
            Node::up(config(&url, 4)).await,
            Node::up(config(&url, 4)).await,
        );
        for number in 0..100 {
            CHANNELS
                .iter()
                .for_each(|channel| drop(one.publish(channel, number)));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for node in [&one, &two] {
            node.expect(&CHANNELS, 100).await;
            node.wait_up().await;
            assert_eq!((node.count(), node.losses()), (400, 0), "{delay} ms");
        }
    }
}
