//! Starts a Redis Cluster, and a master and a replica under Sentinels.

use std::process::{Child, Command, Stdio};

use super::servers::{Redis, free_port, program, wait_until};
use crate::ports::free_pair;

/// Three masters and a replica for each.
pub struct Cluster {
    pub servers: Vec<Redis>,
}

impl Cluster {
    pub fn start() -> Self {
        let servers: Vec<Redis> = (0..6).map(|_| start_server()).collect();
        let addresses: Vec<String> = servers
            .iter()
            .map(|s| format!("127.0.0.1:{}", s.port))
            .collect();
        let created = Command::new("timeout")
            .args(["60", "redis-cli", "--cluster", "create"])
            .args(&addresses)
            .args(["--cluster-replicas", "1", "--cluster-yes"])
            .output()
            .unwrap();
        assert!(
            created.status.success(),
            "{}",
            String::from_utf8_lossy(&created.stdout)
        );
        let cluster = Self { servers };
        let fine = |server: &Redis| {
            server
                .cli(&["CLUSTER", "INFO"])
                .contains("cluster_state:ok")
        };
        wait_until("the cluster is up", || cluster.servers.iter().all(fine));
        let linked = |server: &Redis| {
            server.cli(&["ROLE"]).starts_with("master")
                || server.cli(&["ROLE"]).contains("connected")
        };
        wait_until("replicas follow", || cluster.servers.iter().all(linked));
        cluster
    }

    pub fn url(&self) -> String {
        format!(
            "redis-cluster://127.0.0.1:{},127.0.0.1:{}",
            self.servers[3].port, self.servers[4].port
        )
    }

    pub fn id(&self, server: usize) -> String {
        self.servers[server]
            .cli(&["--raw", "CLUSTER", "MYID"])
            .trim()
            .to_owned()
    }

    pub fn masters(&self) -> Vec<usize> {
        (0..6)
            .filter(|at| {
                self.servers[*at]
                    .cli(&["--raw", "ROLE"])
                    .starts_with("master")
            })
            .collect()
    }
}

/// Nobody takes its place before it was silent for five seconds: this machine may stand still for some.
fn start_server() -> Redis {
    // The cluster bus listens 10,000 above.
    Redis::start_on(
        free_pair(10_000),
        &["--cluster-enabled", "yes", "--cluster-node-timeout", "5000"],
    )
}

/// A master and a replica that three Sentinels look after.
pub struct Sentinels {
    pub master: Redis,
    pub replica: Redis,
    sentinels: Vec<Sentinel>,
}

impl Sentinels {
    /// The replica has what the master has.
    pub fn start() -> Self {
        let sentinels = Self::start_with(&["--repl-diskless-sync-delay", "0"]);
        let role = || sentinels.replica.cli(&["--raw", "ROLE"]);
        wait_until("the replica follows", || {
            role().lines().any(|line| line == "connected")
        });
        sentinels
    }

    /// The replica has been told whom to follow, and has nothing yet.
    pub fn start_empty() -> Self {
        Self::start_with(&["--repl-diskless-sync-delay", "600"])
    }

    fn start_with(options: &[&str]) -> Self {
        let master = Redis::start(options);
        let replica = Redis::start(&["--replicaof", "127.0.0.1", &master.port.to_string()]);
        let sentinels: Vec<Sentinel> = (0..3).map(|_| Sentinel::start(master.port)).collect();
        wait_until("the Sentinels know each other", || {
            sentinels.iter().all(Sentinel::is_ready)
        });
        // After a machine stood still for two seconds Sentinels do nothing for thirty, as a rule: longer than tests wait.
        for sentinel in &sentinels {
            sentinel.ask(&["SENTINEL", "DEBUG", "tilt-period", "3000"]);
        }
        Self {
            master,
            replica,
            sentinels,
        }
    }

    pub fn url(&self) -> String {
        let hosts: Vec<String> = self
            .sentinels
            .iter()
            .map(|s| format!("127.0.0.1:{}", s.port))
            .collect();
        format!("redis-sentinel://{}/main", hosts.join(","))
    }
}

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
            "sentinel down-after-milliseconds main 3000".to_owned(),
            "sentinel failover-timeout main 4000\n".to_owned(),
        ];
        std::fs::write(&file, lines.join("\n")).unwrap();
        let mut command = Command::new(program());
        command
            .arg(&file)
            .arg("--sentinel")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Self {
            port,
            child: command.spawn().expect("redis-server is installed"),
            _dir: dir,
        }
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
        let field = |name: &str| {
            about
                .lines()
                .skip_while(|line| *line != name)
                .nth(1)
                .map(str::to_owned)
        };
        field("num-slaves").as_deref() == Some("1")
            && field("num-other-sentinels").as_deref() == Some("2")
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
