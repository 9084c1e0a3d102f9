//! A Redis Cluster of six: a master dies, slots move while events flow, nothing is lost.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use super::node::{Node, config, until};
use super::servers::{Redis, free_port};

const CHANNELS: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];

struct Cluster {
    servers: Vec<Redis>,
}

impl Cluster {
    async fn start() -> Self {
        let servers: Vec<Redis> = (0..6).map(|_| start_server()).collect();
        let addresses: Vec<String> = servers.iter().map(|s| format!("127.0.0.1:{}", s.port)).collect();
        let created = Command::new("timeout")
            .args(["60", "redis-cli", "--cluster", "create"])
            .args(&addresses)
            .args(["--cluster-replicas", "1", "--cluster-yes"])
            .output()
            .unwrap();
        assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stdout));
        let cluster = Self { servers };
        let fine = |server: &Redis| server.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok");
        until("the cluster is up", || cluster.servers.iter().all(fine)).await;
        let linked =
            |server: &Redis| server.cli(&["ROLE"]).starts_with("master") || server.cli(&["ROLE"]).contains("connected");
        until("replicas follow", || cluster.servers.iter().all(linked)).await;
        cluster
    }

    fn url(&self) -> String {
        format!("redis-cluster://127.0.0.1:{},127.0.0.1:{}", self.servers[3].port, self.servers[4].port)
    }

    fn id(&self, server: usize) -> String {
        self.servers[server].cli(&["--raw", "CLUSTER", "MYID"]).trim().to_owned()
    }

    fn masters(&self) -> Vec<usize> {
        (0..6).filter(|at| self.servers[*at].cli(&["--raw", "ROLE"]).starts_with("master")).collect()
    }

    /// Moves every slot of the first master that holds a key to the second, with the commands `redis-cli --cluster reshard`
    /// sends (which would move thousands of empty ones too). How many it were.
    fn move_used_slots(&self) -> usize {
        let masters = self.masters();
        let (source, target) = (&self.servers[masters[0]], &self.servers[masters[1]]);
        let (from, to, port) = (self.id(masters[0]), self.id(masters[1]), target.port.to_string());
        let keys = source.cli(&["--scan"]);
        let slot_of = |key| source.cli(&["--raw", "CLUSTER", "KEYSLOT", key]).trim().to_owned();
        let slots: BTreeSet<String> = keys.lines().map(slot_of).collect();
        for slot in &slots {
            target.done(&["CLUSTER", "SETSLOT", slot, "IMPORTING", &from]);
            source.done(&["CLUSTER", "SETSLOT", slot, "MIGRATING", &to]);
            loop {
                let key = source.cli(&["--raw", "CLUSTER", "GETKEYSINSLOT", slot, "1"]);
                if key.trim().is_empty() {
                    break;
                }
                source.done(&["MIGRATE", "127.0.0.1", &port, key.trim(), "0", "5000"]);
            }
            // The new owner first: whoever is sent there must not be sent back.
            target.done(&["CLUSTER", "SETSLOT", slot, "NODE", &to]);
            for master in &masters {
                self.servers[*master].done(&["CLUSTER", "SETSLOT", slot, "NODE", &to]);
            }
        }
        slots.len()
    }
}

fn start_server() -> Redis {
    // The cluster bus listens 10,000 above.
    let fits = |port: &u16| *port < 55_000 && TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok();
    let port = std::iter::repeat_with(free_port).find(fits).unwrap();
    Redis::start_on(port, &["--cluster-enabled", "yes", "--cluster-node-timeout", "1500"])
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn a_master_of_a_cluster_dies() {
    let mut cluster = Cluster::start().await;
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
    let cluster = Cluster::start().await;
    let (one, two) = (Node::up(config(&cluster.url(), 16)).await, Node::up(config(&cluster.url(), 16)).await);
    let cluster = std::sync::Arc::new(cluster);
    let (mut number, mut after, mut moving) = (0, 0, None);
    while after < 100 {
        CHANNELS.iter().for_each(|channel| drop(one.publish(channel, number)));
        number += 1;
        tokio::time::sleep(Duration::from_millis(15)).await;
        if number == 20 {
            let cluster = cluster.clone();
            moving = Some(tokio::task::spawn_blocking(move || cluster.move_used_slots()));
        }
        after += usize::from(moving.as_ref().is_some_and(|m| m.is_finished()));
    }
    assert!(moving.unwrap().await.unwrap() > 0, "no slot of the first master held a partition");
    for node in [&one, &two] {
        node.expect(&CHANNELS, number).await;
        node.wait_up().await;
        assert_eq!(node.count(), CHANNELS.len() * number, "nothing came twice");
    }
    assert_eq!((one.losses(), two.losses()), (0, 0));
}
