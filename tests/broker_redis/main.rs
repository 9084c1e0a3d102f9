//! The broker's promises over real Redis servers: everything once and in order, or declared lost, whatever happens to
//! Redis. They need `redis-server` and `redis-cli`: run them with `cargo test -- --include-ignored`.

#![allow(clippy::unwrap_used)]

mod away;
#[allow(dead_code)]
mod blackhole;
mod cluster;
mod faults;
mod layouts;
mod node;
#[path = "../common/ports.rs"]
mod ports;
mod rights;
mod sentinel;
mod servers;
mod shards;
mod strangers;
mod tls;

use std::time::Duration;

use blackhole::Blackhole;
use bytes::Bytes;
use foghorn::broker::{Bounds, Lost};
use node::{Named, Node, config, until};
use servers::Redis;

const CHANNELS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn nodes_exchange_events_once_and_in_order() {
    let redis = Redis::start(&[]);
    let (one, two) = (
        Node::up(config(&redis.url(), 8)).await,
        Node::up(config(&redis.url(), 8)).await,
    );
    for number in 0..300 {
        CHANNELS
            .iter()
            .for_each(|channel| drop(one.publish(channel, number)));
    }
    for node in [&one, &two] {
        node.expect(&CHANNELS, 300).await;
        assert_eq!(node.losses(), 0);
    }
    one.nothing_waits().await;
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn two_shards_share_the_partitions() {
    let (left, right) = (Redis::start(&[]), Redis::start(&[]));
    let urls = format!("{},{}", left.url(), right.url());
    let (one, two) = (
        Node::up(config(&urls, 64)).await,
        Node::up(config(&urls, 64)).await,
    );
    let names: Vec<String> = (0..40).map(|n| format!("library-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for number in 0..20 {
        names
            .iter()
            .for_each(|channel| drop(two.publish(channel, number)));
    }
    one.expect(&names, 20).await;
    two.expect(&names, 20).await;
    for redis in [&left, &right] {
        let published = redis.cli(&["--raw", "INFO", "commandstats"]);
        assert!(
            published.contains("cmdstat_publish"),
            "nothing was published there: {published}"
        );
        assert_eq!(
            redis.cli(&["--raw", "DBSIZE"]).trim(),
            "0",
            "nothing is kept in Redis"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn prefixes_and_databases_keep_installations_apart() {
    let redis = Redis::start(&[]);
    let mut other = config(&redis.url(), 4);
    other.prefix = "other".to_owned();
    let third = config(&format!("{}/3", redis.url()), 2);
    let nodes = [
        Node::up(config(&redis.url(), 4)).await,
        Node::up(other).await,
        Node::up(third).await,
    ];
    for node in &nodes {
        for number in 0..50 {
            node.publish_confirmed("a", number).await;
        }
    }
    for node in &nodes {
        node.expect(&["a"], 50).await;
        assert_eq!((node.count(), node.losses()), (50, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn a_new_node_remembers_what_was_published_lately() {
    let redis = Redis::start(&[]);
    let one = Node::up(config(&redis.url(), 4)).await;
    for number in 0..20 {
        one.publish_confirmed("a", number).await;
    }
    // Older than the time the new node takes to come up, which it would deliver.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let two = Node::up(config(&redis.url(), 4)).await;
    until("the past has come", || {
        two.ledger.remembered.lock().len() + two.count() >= 20
    })
    .await;
    one.publish_confirmed("a", 20).await;
    until("the news have come", || {
        two.ledger.remembered.lock().len() + two.count() >= 21
    })
    .await;
    assert_eq!(two.losses(), 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn what_no_node_remembers_any_more_is_declared_lost() {
    let redis = Redis::start(&[]);
    let way = Blackhole::start(redis.port).await;
    let mut small = config(&redis.url(), 1);
    small.waiting = Bounds {
        count: 1_000,
        ..Bounds::default()
    };
    let one = Node::up(small).await;
    let two = Node::up(config(&format!("redis://127.0.0.1:{}", way.port), 1)).await;
    one.publish_confirmed("a", 0).await;
    two.expect(&["a"], 1).await;
    // The subscriptions that it makes anew meanwhile as well: however slow this machine is, it comes too late.
    way.swallow_subscriptions_to_come(true);
    way.swallow_subscriptions();
    // More than it remembers: the other one finds out only then.
    for number in 1..20_000 {
        let receipt = one.publish("a", number);
        if number % 500 == 0 {
            assert!(receipt.confirmed(Duration::from_secs(60)).await);
        }
    }
    way.swallow_subscriptions_to_come(false);
    until("the loss is declared", || two.losses() > 0).await;
    assert_eq!(
        two.ledger.lost.lock()[0],
        Lost::Partition {
            partition: 0,
            partitions: 1
        }
    );
    until("the rest has come", || {
        two.got()["a"].last() == Some(&19_999)
    })
    .await;
    let got = two.got();
    assert!(
        got["a"].is_sorted() && got["a"].len() < 20_000,
        "{}",
        got["a"].len()
    );
    assert_eq!((one.count(), one.losses()), (20_000, 0));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn what_does_not_fit_is_declared_lost_to_the_others() {
    let mut redis = Redis::start(&[]);
    let mut small = config(&redis.url(), 1);
    small.waiting = Bounds {
        count: 10,
        ..Bounds::default()
    };
    let (one, two) = (
        Node::up(small).await,
        Node::up(config(&redis.url(), 1)).await,
    );
    one.publish_confirmed("a", 0).await;
    two.expect(&["a"], 1).await;
    redis.kill();
    for number in 1..50 {
        drop(one.publish("a", number));
    }
    one.expect(&["a"], 50).await;
    redis.start_again();
    let told = |lost: &Lost| matches!(lost, Lost::Channels(list) if list.len() == 1 && list[0].name() == "a");
    until("the other node is told", || {
        two.ledger.lost.lock().iter().any(told)
    })
    .await;
    until("what was kept has come", || two.count() == 11).await;
    assert!(
        !one.ledger.lost.lock().iter().any(told),
        "this node's own clients had them all"
    );
    one.nothing_waits().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn nodes_see_and_ask_each_other() {
    let redis = Redis::start(&[]);
    let nodes = [
        Node::up(config(&redis.url(), 2)).await,
        Node::up(config(&redis.url(), 2)).await,
    ];
    let peers = ["one", "two"].map(|name| Named::peer(name, &[]));
    nodes
        .iter()
        .zip(&peers)
        .for_each(|(node, peer)| node.broker.join(peer));
    let seen = || {
        let nodes = nodes[0].broker.nodes();
        let mut seen: Vec<_> = nodes.into_iter().map(|node| (node.id, node.view)).collect();
        seen.sort();
        seen
    };
    let view = |id: &str| (id.to_owned(), Bytes::from(format!("view of {id}")));
    until("the nodes see each other", || {
        seen() == [view("one"), view("two")]
    })
    .await;
    let mut answers = nodes[1]
        .broker
        .ask(Bytes::from_static(b"what\nis"), Duration::from_secs(20))
        .await;
    answers.sort();
    assert_eq!(answers, ["one heard what\nis", "two heard what\nis"]);
    let [one, two] = nodes;
    two.broker.leave().await;
    two.stop().await;
    until("the other is gone", || one.broker.nodes().len() == 1).await;
}
