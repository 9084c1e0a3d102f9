//! What nodes, Redis servers and the kernel have used at one moment.
//!
//! Invariant: counters only grow, so the difference of two readings is what was used between them.

use super::Failed;
use super::cluster::Cluster;
use crate::procfs;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// One reading.
#[derive(Clone, Copy, Debug)]
pub struct Gauges {
    /// When.
    pub at: Instant,
    /// CPU seconds of all nodes.
    pub node_cpu: f64,
    /// Resident bytes of all nodes.
    pub node_memory: f64,
    /// The kernel's own memory, whole machine, bytes: objects and socket buffers.
    pub kernel_memory: f64,
    /// Bytes that went over loopback.
    pub network: f64,
    /// CPU seconds of all Redis servers.
    pub redis_cpu: f64,
    /// Bytes they received.
    pub redis_in: f64,
    /// Bytes they sent.
    pub redis_out: f64,
    /// Bytes of memory they use for data and clients.
    pub redis_memory: f64,
}

impl Gauges {
    /// Reads all of a cluster's.
    ///
    /// # Errors
    /// When a Redis server does not answer.
    pub fn read(c: &Cluster) -> Result<Self, Failed> {
        let (nodes, redis) = (procfs::usage(&c.nodes), procfs::usage(&c.redis_pids));
        let mut g = Self {
            at: Instant::now(),
            node_cpu: nodes.cpu_s,
            node_memory: nodes.rss,
            kernel_memory: slab() + nodes.tcp_mem,
            network: loopback(),
            redis_cpu: redis.cpu_s,
            redis_in: 0.0,
            redis_out: 0.0,
            redis_memory: 0.0,
        };
        for at in &c.redis {
            let text = info(*at).map_err(|e| Failed::Redis(*at, e.to_string()))?;
            let value = |name: &str| {
                let found = text.lines().find_map(|l| {
                    l.strip_prefix(name)?
                        .strip_prefix(':')?
                        .trim()
                        .parse::<f64>()
                        .ok()
                });
                found.ok_or_else(|| Failed::Redis(*at, format!("INFO has no {name}")))
            };
            g.redis_in += value("total_net_input_bytes")?;
            g.redis_out += value("total_net_output_bytes")?;
            g.redis_memory += value("used_memory")?;
        }
        Ok(g)
    }
}

/// Redis' answer to `INFO`: a bulk string (RESP, https://redis.io/docs/latest/develop/reference/protocol-spec/).
fn info(at: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(at)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"INFO\r\nQUIT\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

fn slab() -> f64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = text.lines().find_map(|l| {
        l.strip_prefix("Slab:")?
            .trim()
            .strip_suffix(" kB")?
            .parse::<f64>()
            .ok()
    });
    kib.unwrap_or(0.0) * 1024.0
}

fn loopback() -> f64 {
    let text = fs::read_to_string("/proc/net/dev").unwrap_or_default();
    let bytes = text.lines().find_map(|l| {
        l.trim()
            .strip_prefix("lo:")?
            .split_whitespace()
            .next()?
            .parse::<f64>()
            .ok()
    });
    bytes.unwrap_or(0.0)
}
