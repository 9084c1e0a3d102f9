//! A master and a replica under three Sentinels: the master dies, the replica takes over, nothing is lost, also where the
//! replica had nothing.

use std::time::Duration;

use super::layouts::Sentinels;
use super::node::{Node, config};

const CHANNELS: [&str; 4] = ["a", "b", "c", "d"];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn a_master_dies_and_a_replica_takes_over() {
    fail_over(Sentinels::start()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn a_master_dies_and_a_replica_without_its_data_takes_over() {
    fail_over(Sentinels::start_empty()).await;
}

async fn fail_over(mut redis: Sentinels) {
    let url = redis.url();
    let (one, two) = (
        Node::up(config(&url, 8)).await,
        Node::up(config(&url, 8)).await,
    );
    for number in 0..400 {
        CHANNELS
            .iter()
            .for_each(|channel| drop(one.publish(channel, number)));
        if number == 100 {
            redis.master.kill();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for node in [&one, &two] {
        node.expect(&CHANNELS, 400).await;
        node.wait_up().await;
        assert_eq!(
            (node.count(), node.losses()),
            (1_600, 0),
            "nothing came twice, and nothing is missing"
        );
    }
    one.nothing_waits().await;
    assert!(redis.replica.cli(&["ROLE"]).starts_with("master"));
}
