//! A cluster for one measurement: Redis servers and nodes on free ports of this machine.
//!
//! Invariant: every process started here ends with its [`Cluster`]; nodes see no setting but those given here.

use super::Failed;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Running processes.
pub struct Cluster {
    children: Vec<Child>,
    /// Where clients and backends connect, a URL for each node.
    pub urls: Vec<String>,
    /// The nodes' processes.
    pub nodes: Vec<u32>,
    /// Where the Redis servers listen.
    pub redis: Vec<SocketAddr>,
    /// Their processes.
    pub redis_pids: Vec<u32>,
}

/// The key of the cluster's tokens.
pub const KEY: &str = "capacity-capacity-capacity-capacity";
/// Longest time a process may take until it answers.
const PATIENCE: Duration = Duration::from_secs(20);

impl Cluster {
    /// Starts `shards` Redis servers, then `nodes` nodes of the program `node`, and waits until all are ready.
    ///
    /// # Errors
    /// When a process does not start or is not ready in time.
    pub fn start(node: &Path, nodes: u32, shards: u32) -> Result<Self, Failed> {
        let mut free = free_ports(nodes * 2 + shards)
            .map_err(|e| Failed::Start("a port".into(), e.to_string()))?;
        let mut port = move || free.pop().expect("asked for as many");
        let mut c = Self {
            children: Vec::new(),
            urls: Vec::new(),
            nodes: Vec::new(),
            redis: Vec::new(),
            redis_pids: Vec::new(),
        };
        for _ in 0..shards {
            let at = port();
            let options = format!(
                "--port {} --bind 127.0.0.1 --appendonly no --save",
                at.port()
            );
            let mut command = Command::new("redis-server");
            command
                .args(options.split(' '))
                .arg("")
                .current_dir(std::env::temp_dir());
            let pid = c.spawn("redis-server", &mut command)?;
            c.redis.push(at);
            c.redis_pids.push(pid);
        }
        let redis = c.redis.clone();
        redis
            .iter()
            .try_for_each(|at| wait("redis-server", || ask(*at, "PING\r\n", "+PONG")))?;
        let urls: Vec<String> = redis.iter().map(|at| format!("redis://{at}")).collect();
        let mut ops = Vec::new();
        for _ in 0..nodes {
            let (at, health) = (port(), port());
            let mut command = Command::new(node);
            command.env_clear().envs([
                ("JWT_PRIVATE_KEY", KEY.to_owned()),
                ("NOTIFICATION_SERVER_HOST", at.ip().to_string()),
                ("NOTIFICATION_SERVER_PORT", at.port().to_string()),
                ("NOTIFICATION_SERVER_LOG_LEVEL", "error".into()),
                ("FOGHORN_OPS_ADDR", health.to_string()),
                ("FOGHORN_REDIS_URLS", urls.join(",")),
            ]);
            let pid = c.spawn(&node.display().to_string(), &mut command)?;
            c.urls.push(format!("http://{at}"));
            c.nodes.push(pid);
            ops.push(health);
        }
        let ready = "GET /readyz HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n";
        ops.iter()
            .try_for_each(|at| wait("a node", || ask(*at, ready, "HTTP/1.1 200")))?;
        Ok(c)
    }

    fn spawn(&mut self, name: &str, command: &mut Command) -> Result<u32, Failed> {
        // What a node complains of is shown; Redis' banner is not.
        let out = if name == "redis-server" {
            Stdio::null()
        } else {
            Stdio::from(std::io::stderr())
        };
        let child = command.stdin(Stdio::null()).stdout(out).spawn();
        let child = child.map_err(|e| Failed::Start(name.into(), e.to_string()))?;
        let pid = child.id();
        self.children.push(child);
        Ok(pid)
    }
}

/// Different free ports: all are held until the last is found.
fn free_ports(count: u32) -> std::io::Result<Vec<SocketAddr>> {
    let held: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0"))
        .collect::<Result<_, _>>()?;
    held.iter().map(TcpListener::local_addr).collect()
}

/// Sends a request; whether the answer begins as it should.
fn ask(at: SocketAddr, request: &str, want: &str) -> Result<(), String> {
    let mut stream = TcpStream::connect(at).map_err(|e| e.to_string())?;
    let set = stream.set_read_timeout(Some(Duration::from_secs(2)));
    set.and_then(|()| stream.write_all(request.as_bytes()))
        .map_err(|e| e.to_string())?;
    let mut answer = vec![0; want.len()];
    stream.read_exact(&mut answer).map_err(|e| e.to_string())?;
    let answer = String::from_utf8_lossy(&answer);
    if answer == want {
        Ok(())
    } else {
        Err(format!("answered {answer:?}"))
    }
}

fn wait(name: &str, mut good: impl FnMut() -> Result<(), String>) -> Result<(), Failed> {
    let until = Instant::now() + PATIENCE;
    loop {
        match good() {
            Ok(()) => return Ok(()),
            Err(e) if Instant::now() > until => return Err(Failed::Start(name.into(), e)),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for c in &mut self.children {
            let _ = c.kill();
        }
        for c in &mut self.children {
            let _ = c.wait();
        }
    }
}
