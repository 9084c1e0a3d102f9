//! A Redis Cluster of six: a master dies, slots move while events flow, nothing is lost.

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
