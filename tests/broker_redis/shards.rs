//! Several shards: one that is away is passed by, and lists that grow or shrink are rolled out under load.

use std::time::Duration;

use super::node::{Node, config, until};
use super::servers::Redis;

const CHANNELS: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];

fn urls(servers: &[&Redis]) -> String {
    servers
        .iter()
        .map(|redis| redis.url())
        .collect::<Vec<_>>()
        .join(",")
}

/// Publishes the next numbers of all channels at `node`.
async fn publish(node: &Node, numbers: std::ops::Range<usize>) {
    for number in numbers {
        CHANNELS
            .iter()
            .for_each(|channel| drop(node.publish(channel, number)));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn one_shard_away_and_events_take_the_other() {
    let (left, mut right) = (Redis::start(&[]), Redis::start(&[]));
    let list = urls(&[&left, &right]);
    let (one, two) = (
        Node::up(config(&list, 16)).await,
        Node::up(config(&list, 16)).await,
    );
    publish(&one, 0..30).await;
    right.kill();
    publish(&one, 30..60).await;
    two.expect(&CHANNELS, 60).await;
    until("nothing waits though a shard is away", || {
        one.broker.health().waiting == 0
    })
    .await;
    right.start_again();
    for node in [&one, &two] {
        node.wait_up().await;
    }
    publish(&two, 60..90).await;
    for node in [&one, &two] {
        node.expect(&CHANNELS, 90).await;
        assert_eq!((node.count(), node.losses()), (90 * CHANNELS.len(), 0));
    }
}

/// One shard becomes two and three, node by node; then the third and the second are taken away again.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn shards_are_added_and_taken_away_node_by_node() {
    let servers = [Redis::start(&[]), Redis::start(&[]), Redis::start(&[])];
    let lists: Vec<String> = (1..=3)
        .map(|n| urls(&servers[..n].iter().collect::<Vec<_>>()))
        .collect();
    let (watcher, mut other) = (
        Node::up(config(&lists[0], 16)).await,
        Node::up(config(&lists[0], 16)).await,
    );
    let mut upto = 0;
    for list in [&lists[1], &lists[2], &lists[1], &lists[0]] {
        publish(&other, upto..upto + 20).await;
        let next = Node::up(config(list, 16)).await;
        // Only what one node publishes has an order.
        watcher.expect(&CHANNELS, upto + 20).await;
        // Both lists are alive, and each of the three publishes.
        publish(&watcher, upto + 20..upto + 40).await;
        next.expect_from(&CHANNELS, upto + 20, upto + 40).await;
        watcher.expect(&CHANNELS, upto + 40).await;
        publish(&next, upto + 40..upto + 60).await;
        for node in [&watcher, &other] {
            until("all have come", || {
                node.got()["a"].last() == Some(&(upto + 59))
            })
            .await;
            assert_eq!((node.losses(), node.broker.health().misfit), (0, None));
        }
        upto += 60;
        std::mem::replace(&mut other, next).leave().await;
    }
    watcher.expect(&CHANNELS, upto).await;
    assert_eq!(
        (watcher.count(), watcher.losses()),
        (upto * CHANNELS.len(), 0)
    );
}
