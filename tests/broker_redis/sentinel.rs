//! A master and a replica under three Sentinels: the master dies, the replica takes over, nothing is lost.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::node::{Node, config, until};
use super::servers::{Redis, free_port, program};

const CHANNELS: [&str; 4] = ["a", "b", "c", "d"];

struct Sentinel {
    port: u16,
    child: Child,
    _dir: tempfile::TempDir,
}

impl Sentinel {
    fn start(master: u16) -> Self {
        let (port, dir) = (free_port(), tempfile::tempdir().unwrap());
        let file = dir.path().join("sentinel.conf");
        let lines = [
            format!("port {port}\nbind 127.0.0.1\ndir {}", dir.path().display()),
            format!("sentinel monitor main 127.0.0.1 {master} 2"),
            "sentinel down-after-milliseconds main 1000".to_owned(),
            "sentinel failover-timeout main 4000\n".to_owned(),
        ];
        std::fs::write(&file, lines.join("\n")).unwrap();
        let mut command = Command::new(program());
        command.arg(&file).arg("--sentinel").stdout(Stdio::null()).stderr(Stdio::null());
        Self { port, child: command.spawn().expect("redis-server is installed"), _dir: dir }
    }

    fn ask(&self, what: &[&str]) -> String {
        let output = Command::new("timeout")
            .args(["20", "redis-cli", "-p", &self.port.to_string(), "--raw"])
            .args(what)
            .output();
        String::from_utf8_lossy(&output.unwrap().stdout).into_owned()
    }

    /// Whether it knows the replica and both other Sentinels.
    fn is_ready(&self) -> bool {
        let about = self.ask(&["SENTINEL", "MASTER", "main"]);
        let field = |name: &str| about.lines().skip_while(|line| *line != name).nth(1).map(str::to_owned);
        field("num-slaves").as_deref() == Some("1") && field("num-other-sentinels").as_deref() == Some("2")
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn a_master_dies_and_a_replica_takes_over() {
    let mut master = Redis::start(&[]);
    let replica = Redis::start(&["--replicaof", "127.0.0.1", &master.port.to_string()]);
    let sentinels: Vec<Sentinel> = (0..3).map(|_| Sentinel::start(master.port)).collect();
    until("the Sentinels know each other", || sentinels.iter().all(Sentinel::is_ready)).await;
    let hosts: Vec<String> = sentinels.iter().map(|s| format!("127.0.0.1:{}", s.port)).collect();
    let url = format!("redis-sentinel://{}/main", hosts.join(","));
    let (one, two) = (Node::up(config(&url, 8)).await, Node::up(config(&url, 8)).await);
    for number in 0..400 {
        CHANNELS.iter().for_each(|channel| drop(one.publish(channel, number)));
        if number == 100 {
            master.kill();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for node in [&one, &two] {
        node.expect(&CHANNELS, 400).await;
        node.wait_up().await;
        assert_eq!(node.count(), 1_600, "nothing came twice");
    }
    assert_eq!(one.broker.health().waiting, 0);
    assert!(replica.cli(&["ROLE"]).starts_with("master"));
}
