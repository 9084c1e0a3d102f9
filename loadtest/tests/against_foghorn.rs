//! The generator against Foghorn's dialects: all that is owed arrives, and nothing else is said.
//!
//! `foghorn` is looked for beside `foghorn-load`, as `cargo build --workspace` leaves them; `FOGHORN` names another one. With
//! `NCHAN_MODULE`, nginx's module, nchan takes its turns too.

#[path = "../../tests/common/ports.rs"]
#[allow(dead_code, reason = "only single ports are wanted here")]
mod ports;
mod report;

use report::{LOAD, count, load_at, value};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A node that ends with the test.
struct Node(Child);

impl Node {
    /// Starts one and waits until it listens at `at`.
    fn start(at: SocketAddr, settings: &[(&str, &str)]) -> Self {
        let beside = PathBuf::from(LOAD).with_file_name("foghorn");
        let child = Command::new(std::env::var_os("FOGHORN").map_or(beside, PathBuf::from))
            .env_clear()
            .env("NOTIFICATION_SERVER_HOST", "127.0.0.1")
            .env("FOGHORN_OPS_ADDR", free().to_string())
            .envs(settings.iter().copied())
            .stdout(Stdio::null())
            .spawn()
            .expect("foghorn is there");
        let mut node = Self(child);
        let until = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(at).is_err() {
            assert!(node.0.try_wait().expect("a child").is_none(), "it ended");
            assert!(Instant::now() < until, "nobody listens at {at}");
            std::thread::sleep(Duration::from_millis(20));
        }
        node
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An address that nobody listens at, and that was not given before.
fn free() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, ports::free_port()).into()
}

/// Runs fanout, rate and idle of this protocol at `url`.
fn all_arrives(url: &str, protocol: &str) {
    let nchan = std::env::var_os("NCHAN_MODULE").map(|_| "--nchan");
    let run = |scenario: &str| {
        let args = scenario.split(' ').chain(["--protocol", protocol]);
        load_at(url, &args.chain(nchan).collect::<Vec<_>>())
    };
    let fanout = run("fanout -n 200 --events 3");
    let rate = run("rate -r 200 --channels 10 --subscribers 4 --seconds 1");
    let idle = run("idle -n 100 --seconds 1");
    for system in ["server", "floor"]
        .into_iter()
        .chain(nchan.map(|_| "nchan"))
    {
        assert_eq!(count(&fanout, "from posted to received", system), 600);
        assert_eq!(count(&rate, "from posted to received", system), 800);
        assert_eq!(value(&rate, "lost", system), 0.0);
        assert_eq!(value(&rate, "not accepted", system), 0.0);
        assert_eq!(value(&idle, "still subscribed", system), 100.0);
    }
    for report in [&fanout, &rate] {
        assert_eq!(
            report["notes"].as_array().map(Vec::len),
            Some(0),
            "{report:#}"
        );
    }
}

#[test]
#[ignore = "needs foghorn beside foghorn-load"]
fn clients_of_centrifugo_1_get_all_that_is_published() {
    let at = free();
    let insecure = [
        ("CENTRIFUGO_INSECURE", "true"),
        ("CENTRIFUGO_INSECURE_API", "true"),
    ];
    let node = [
        ("FOGHORN_DIALECTS", "centrifugo"),
        ("NOTIFICATION_SERVER_PORT", &*at.port().to_string()),
    ];
    let _node = Node::start(at, &[node, insecure].concat());
    all_arrives(&format!("http://{at}"), "centrifugo1");
}

#[test]
#[ignore = "needs foghorn beside foghorn-load"]
fn event_streams_get_all_that_is_posted() {
    let (clients, streams) = (free(), free());
    let _node = Node::start(
        streams,
        &[
            ("FOGHORN_DIALECTS", "inbox"),
            ("NOTIFICATION_SERVER_PORT", &clients.port().to_string()),
            ("FOGHORN_SSE_ADDR", &streams.to_string()),
            ("FOGHORN_SSE_MAX_PER_USER", "1000"),
        ],
    );
    all_arrives(&format!("http://{streams}"), "inbox");
}
