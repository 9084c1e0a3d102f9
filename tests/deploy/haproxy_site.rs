//! HAProxy with the shipped configuration in front of nodes at 127.0.7.1 and on, found by DNS.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::stubs::{Dns, Stub};
use crate::support::{
    Answer, Process, eventually, free_port, http, need, program, root, run, upgrade,
};

/// An address that may post events.
pub const SEAFILE: &str = "127.0.0.1";
/// One that may not.
pub const STRANGER: &str = "127.0.0.99";

/// Among the settings: the limit of descriptors it gets.
const DESCRIPTORS: &str = "DESCRIPTORS";

/// HAProxy with stub nodes at 127.0.7.1 and on, found by DNS, and two stub Seafiles.
pub struct Site {
    pub haproxy: Process,
    pub nodes: Vec<(Stub, Stub)>,
    pub dns: Dns,
    pub public: SocketAddr,
    pub inner: SocketAddr,
    pub socket: String,
    _seafiles: [Stub; 2],
    _dir: TempDir,
}

pub fn node_address(index: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 7, index + 1)
}

pub fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}

impl Site {
    pub fn shipped(settings: &[(&str, &str)]) -> Site {
        Site::start(&root().join("haproxy/haproxy.cfg"), settings, &[1, 2, 3])
    }

    /// The shipped configuration as it is, with so many descriptors.
    pub fn limited(descriptors: u64) -> Site {
        Site::shipped(&[
            ("MAX_CONNECTIONS", "auto"),
            (DESCRIPTORS, &descriptors.to_string()),
        ])
    }

    /// Starts stub nodes and HAProxy, and waits until these nodes are up (one entry for each server line).
    pub fn start(config: &Path, settings: &[(&str, &str)], expected: &[u8]) -> Site {
        let (port, ops) = (free_port(), free_port());
        let nodes = (0..4).map(|index| {
            let at = |port| SocketAddr::new(node_address(index).into(), port);
            (
                Stub::start(at(port), &format!("node{}", index + 1)),
                Stub::start(at(ops), "ops"),
            )
        });
        Site::around(nodes.collect(), (port, ops), config, settings, expected)
    }

    /// Starts HAProxy in front of nodes with these client and ops ports.
    pub fn around(
        nodes: Vec<(Stub, Stub)>,
        (port, ops): (u16, u16),
        config: &Path,
        settings: &[(&str, &str)],
        expected: &[u8],
    ) -> Site {
        let dir = TempDir::new().unwrap();
        let dns = Dns::start(&[node_address(0), node_address(1), node_address(2)]);
        let (public, inner) = (loopback(), loopback());
        let seafiles = [
            Stub::start(loopback(), "seafile"),
            Stub::start(loopback(), "seafile"),
        ];
        let socket = dir.path().join("admin.sock").display().to_string();
        let mut command = match settings.iter().find(|(name, _)| *name == DESCRIPTORS) {
            None => program("haproxy", "haproxy"),
            Some((_, limit)) => {
                let mut command = program("prlimit", "util-linux");
                command
                    .arg(format!("--nofile={limit}"))
                    .arg(need("haproxy", "haproxy"));
                command
            }
        };
        command
            .args(["-W", "-f"])
            .arg(config)
            .args(["-p"])
            .arg(dir.path().join("pid"));
        command
            .env("HTTP_BIND", public.to_string())
            .env("INNER_BIND", inner.to_string())
            .env("FOGHORN_NODES", "foghorn.internal")
            .env("FOGHORN_PORT", port.to_string())
            .env("FOGHORN_OPS_PORT", ops.to_string())
            .env("DNS_SERVER", dns.addr.to_string())
            .env("EVENT_POSTERS", SEAFILE)
            .env("SEAFILE_1", seafiles[0].addr.to_string())
            .env("SEAFILE_2", seafiles[1].addr.to_string())
            .env("MAX_CONNECTIONS", "2000")
            .env("ADMIN_SOCKET", &socket)
            .env("STATS_BIND", loopback().to_string())
            .envs(settings.iter().copied());
        let haproxy = Process::start(&mut command, &dir.path().join("haproxy.log"));
        let site = Site {
            haproxy,
            nodes,
            dns,
            public,
            inner,
            socket,
            _seafiles: seafiles,
            _dir: dir,
        };
        eventually("all nodes are up", 20, || site.up() == expected);
        site
    }

    pub fn get(&self, from: &str, head: &str) -> Answer {
        let body = if head.starts_with("POST") { "{}" } else { "" };
        http(from, self.public, head, body)
            .unwrap_or_else(|error| panic!("{head}: {error}\n{}", self.haproxy.output()))
    }

    pub fn foghorn_node(&self, arguments: &[&str]) -> (bool, String) {
        run(Command::new(root().join("haproxy/foghorn-node"))
            .args(arguments)
            .env("HAPROXY_SOCKET", &self.socket))
    }

    /// Nodes that get new clients now, in order, by the tool that is shipped.
    pub fn up(&self) -> Vec<u8> {
        let (_, text) = self.foghorn_node(&["show"]);
        let lines = text
            .lines()
            .filter(|line| line.contains(" up") && line.contains(" foghorn_clients/"));
        let mut up: Vec<u8> = lines
            .filter_map(|line| line.split(' ').next()?.rsplit('.').next()?.parse().ok())
            .collect();
        up.sort_unstable();
        up
    }

    /// Which nodes answer `count` handshakes.
    pub fn nodes_of(&self, count: usize) -> Vec<String> {
        let path = upgrade("/notification");
        let mut seen: Vec<_> = (0..count)
            .map(|_| self.get(STRANGER, &path).headers["x-node"].clone())
            .collect();
        seen.sort();
        seen.dedup();
        seen
    }

    /// One figure of the process.
    pub fn info(&self, name: &str) -> u64 {
        let script = format!(
            "echo 'show info' | socat stdio unix-connect:{}",
            self.socket
        );
        let (_, text) = run(Command::new("sh").args(["-c", &script]));
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.and_then(|value| value.trim().parse().ok())
            .unwrap_or_else(|| panic!("no {name}: {text}"))
    }

    /// One figure of HAProxy's own for that server of a backend that has this address.
    pub fn stats(&self, backend: &str, address: &str, column: &str) -> u64 {
        let (_, shown) = self.foghorn_node(&["show"]);
        let server = shown.lines().find_map(|line| {
            let (at, server) = line.split_once(' ')?;
            let (_, server) = server.split_once(&format!(" {backend}/"))?;
            (at == address).then_some(server)
        });
        let server = server.unwrap_or_else(|| panic!("{address} is not there: {shown}"));
        let script = format!(
            "echo 'show stat' | socat stdio unix-connect:{}",
            self.socket
        );
        let (_, text) = run(Command::new("sh").args(["-c", &script]));
        let names: Vec<_> = text
            .lines()
            .next()
            .unwrap()
            .trim_start_matches("# ")
            .split(',')
            .collect();
        let index = names
            .iter()
            .position(|name| *name == column)
            .expect("the column");
        let row = text
            .lines()
            .find(|line| line.starts_with(&format!("{backend},{server},")))
            .expect("the server");
        row.split(',').nth(index).unwrap().parse().unwrap_or(0)
    }
}
