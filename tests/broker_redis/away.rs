//! Redis is away, stopped, cut off or deaf, and comes back, with nothing or with older data: no event is lost or comes twice.

use std::time::Duration;

use super::CHANNELS;
use super::blackhole::Blackhole;
use super::node::{Node, config, until};
use super::servers::{Redis, free_port};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn redis_killed_and_started_empty() {
    let mut redis = Redis::start(&[]);
    let (one, two) = (
        Node::up(config(&redis.url(), 4)).await,
        Node::up(config(&redis.url(), 4)).await,
    );
    for number in 0..100 {
        CHANNELS
            .iter()
            .for_each(|channel| drop(one.publish(channel, number)));
        if number == 30 {
            redis.kill();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    one.expect(&CHANNELS, 100).await;
    until("the loss of Redis is seen", || !one.is_up()).await;
    redis.start_again();
    two.expect(&CHANNELS, 100).await;
    two.wait_up().await;
    one.wait_up().await;
    for node in [&one, &two] {
        assert_eq!(
            (node.count(), node.losses()),
            (600, 0),
            "nothing came twice, and nothing is missing"
        );
    }
    one.nothing_waits().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn redis_stopped_for_two_seconds() {
    let redis = Redis::start(&[]);
    let (one, two) = (
        Node::up(config(&redis.url(), 4)).await,
        Node::up(config(&redis.url(), 4)).await,
    );
    for number in 0..200 {
        match number {
            50 => redis.signal("STOP"),
            150 => {
                one.expect(&CHANNELS, 150).await;
                tokio::time::sleep(Duration::from_secs(2)).await;
                redis.signal("CONT");
            }
            _ => {}
        }
        CHANNELS
            .iter()
            .for_each(|channel| drop(one.publish(channel, number)));
    }
    for node in [&one, &two] {
        node.expect(&CHANNELS, 200).await;
        node.wait_up().await;
        assert_eq!((node.count(), node.losses()), (1_200, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn subscriptions_cut_under_load() {
    let redis = Redis::start(&[]);
    let (one, two) = (
        Node::up(config(&redis.url(), 4)).await,
        Node::up(config(&redis.url(), 4)).await,
    );
    for number in 0..300 {
        CHANNELS
            .iter()
            .for_each(|channel| drop(one.publish(channel, number)));
        if number % 60 == 30 {
            redis.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        }
        if number % 100 == 70 {
            redis.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
        }
        tokio::time::sleep(Duration::from_millis(4)).await;
    }
    for node in [&one, &two] {
        node.expect_any_order(&CHANNELS, 300).await;
        assert_eq!((node.count(), node.losses()), (1_800, 0));
    }
    two.expect(&CHANNELS, 300).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn an_unreachable_redis_does_not_stop_the_start() {
    let port = free_port();
    let node = Node::start(config(&format!("redis://127.0.0.1:{port}"), 4));
    for number in 0..50 {
        drop(node.publish("a", number));
    }
    node.expect(&["a"], 50).await;
    assert_eq!((node.is_up(), node.broker.health().waiting), (false, 50));
    let redis = Redis::start_on(port, &[]);
    node.wait_up().await;
    node.nothing_waits().await;
    let other = Node::up(config(&redis.url(), 4)).await;
    until("the past has come", || {
        other.ledger.remembered.lock().len() + other.count() == 50
    })
    .await;
    assert_eq!((node.count(), node.losses()), (50, 0));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn redis_comes_back_with_older_data() {
    let mut redis = Redis::start(&[]);
    let (one, two) = (
        Node::up(config(&redis.url(), 2)).await,
        Node::up(config(&redis.url(), 2)).await,
    );
    for number in 0..30 {
        one.publish_confirmed("a", number).await;
        if number == 9 {
            redis.cli(&["SAVE"]);
        }
    }
    two.expect(&["a"], 30).await;
    redis.kill();
    redis.start_again();
    for node in [&one, &two] {
        node.wait_up().await;
    }
    one.publish_confirmed("a", 30).await;
    for node in [&one, &two] {
        node.expect(&["a"], 31).await;
        assert_eq!((node.count(), node.losses()), (31, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn a_subscription_that_hears_nothing_is_found_and_healed() {
    let redis = Redis::start(&[]);
    let way = Blackhole::start(redis.port).await;
    let one = Node::up(config(&redis.url(), 4)).await;
    let two = Node::up(config(&format!("redis://127.0.0.1:{}", way.port), 4)).await;
    one.publish_confirmed("a", 0).await;
    two.expect(&["a"], 1).await;
    // Every connection that now exists stays open and carries nothing more; new ones work.
    way.swallow_what_is_open();
    for number in 1..100 {
        one.publish_confirmed("a", number).await;
    }
    for node in [&one, &two] {
        node.expect(&["a"], 100).await;
        node.wait_up().await;
        assert_eq!((node.count(), node.losses()), (100, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn a_deaf_subscription_beside_working_commands_is_found() {
    let redis = Redis::start(&[]);
    let way = Blackhole::start(redis.port).await;
    let one = Node::up(config(&redis.url(), 4)).await;
    let two = Node::up(config(&format!("redis://127.0.0.1:{}", way.port), 4)).await;
    // Only what has said SUBSCRIBE.
    way.swallow_subscriptions();
    for number in 0..100 {
        one.publish_confirmed("a", number).await;
    }
    two.expect(&["a"], 100).await;
    until("the subscription was made anew", || {
        way.subscriptions() >= 2 && two.is_up()
    })
    .await;
    assert_eq!((two.count(), two.losses()), (100, 0));
}
