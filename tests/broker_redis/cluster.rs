//! A Redis Cluster of six: a master dies, slots move while events flow, nothing is lost.

use std::collections::BTreeSet;
use std::time::Duration;

use super::layouts::Cluster;
use super::node::{Node, config};

const CHANNELS: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];

impl Cluster {
    /// Moves every slot of the first master that serves a channel to the second, with the commands `redis-cli --cluster reshard`
    /// sends (which would move thousands of empty ones too). How many it were.
    fn move_used_slots(&self) -> usize {
        let masters = self.masters();
        let (source, target) = (&self.servers[masters[0]], &self.servers[masters[1]]);
        let (from, to) = (self.id(masters[0]), self.id(masters[1]));
        let slot_of = |partition| {
            source.cli(&[
                "--raw",
                "CLUSTER",
                "KEYSLOT",
                &format!("foghorn:{partition}"),
            ])
        };
        let served = source.cli(&["--raw", "PUBSUB", "SHARDCHANNELS", "foghorn:*"]);
        let is_served = |partition: &u32| {
            served
                .lines()
                .any(|line| line == format!("foghorn:{partition}"))
        };
        let slots: BTreeSet<String> = (0..16)
            .filter(is_served)
            .map(|p| slot_of(p).trim().to_owned())
            .collect();
        for slot in &slots {
            target.done(&["CLUSTER", "SETSLOT", slot, "IMPORTING", &from]);
            source.done(&["CLUSTER", "SETSLOT", slot, "MIGRATING", &to]);
            // The new owner first: whoever is sent there must not be sent back.
            target.done(&["CLUSTER", "SETSLOT", slot, "NODE", &to]);
            for master in &masters {
                self.servers[*master].done(&["CLUSTER", "SETSLOT", slot, "NODE", &to]);
            }
        }
        slots.len()
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn a_master_of_a_cluster_dies() {
    let mut cluster = Cluster::start();
    let (one, two) = (
        Node::up(config(&cluster.url(), 16)).await,
        Node::up(config(&cluster.url(), 16)).await,
    );
    for number in 0..400 {
        CHANNELS
            .iter()
            .for_each(|channel| drop(one.publish(channel, number)));
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
    one.nothing_waits().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn slots_move_while_events_flow() {
    let cluster = Cluster::start();
    let (one, two) = (
        Node::up(config(&cluster.url(), 16)).await,
        Node::up(config(&cluster.url(), 16)).await,
    );
    let cluster = std::sync::Arc::new(cluster);
    let (mut number, mut after, mut moving) = (0, 0, None);
    while after < 100 {
        CHANNELS
            .iter()
            .for_each(|channel| drop(one.publish(channel, number)));
        number += 1;
        tokio::time::sleep(Duration::from_millis(15)).await;
        if number == 20 {
            let cluster = cluster.clone();
            moving = Some(tokio::task::spawn_blocking(move || {
                cluster.move_used_slots()
            }));
        }
        after += usize::from(moving.as_ref().is_some_and(|m| m.is_finished()));
    }
    assert!(
        moving.unwrap().await.unwrap() > 0,
        "no slot of the first master served a partition"
    );
    for node in [&one, &two] {
        node.expect(&CHANNELS, number).await;
        node.wait_up().await;
        assert_eq!(node.count(), CHANNELS.len() * number, "nothing came twice");
    }
    assert_eq!((one.losses(), two.losses()), (0, 0));
}
