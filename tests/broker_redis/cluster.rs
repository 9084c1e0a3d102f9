//! A Redis Cluster of six: a master dies, slots move while events flow, nothing is lost.

use std::process::Command;
use std::time::Duration;

use super::layouts::Cluster;
use super::node::{Node, config};

const CHANNELS: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn a_master_of_a_cluster_dies() {
    let mut cluster = Cluster::start();
    let (one, two) = (Node::up(config(&cluster.url(), 16)).await, Node::up(config(&cluster.url(), 16)).await);
    for number in 0..400 {
        CHANNELS.iter().for_each(|channel| drop(one.publish(channel, number)));
        if number == 100 {
            let master = cluster.masters()[0];
            cluster.servers[master].kill();
        }
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    for node in [&one, &two] {
        node.expect(&CHANNELS, 400).await;
        node.wait_up().await;
        assert_eq!(node.count(), 4_800, "nothing came twice");
    }
    assert_eq!(one.broker.health().waiting, 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn slots_move_while_events_flow() {
    let cluster = Cluster::start();
    let (one, two) = (Node::up(config(&cluster.url(), 16)).await, Node::up(config(&cluster.url(), 16)).await);
    let masters = cluster.masters();
    let mut reshard = Command::new("timeout")
        .args(["120", "redis-cli", "--cluster", "reshard", &format!("127.0.0.1:{}", cluster.servers[masters[0]].port)])
        .args(["--cluster-from", &cluster.id(masters[0]), "--cluster-to", &cluster.id(masters[1])])
        .args(["--cluster-slots", "4000", "--cluster-yes"])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let (mut number, mut after) = (0, 0);
    while after < 100 {
        if reshard.try_wait().unwrap().is_some() {
            after += 1;
        }
        CHANNELS.iter().for_each(|channel| drop(one.publish(channel, number)));
        number += 1;
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    assert!(reshard.wait().unwrap().success());
    for node in [&one, &two] {
        node.expect(&CHANNELS, number).await;
        node.wait_up().await;
        assert_eq!(node.count(), CHANNELS.len() * number, "nothing came twice");
    }
    assert_eq!((one.losses(), two.losses()), (0, 0));
}
