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

/// A node of Centrifugo v1's dialect, which wants no proofs, with these settings; and its URL.
fn centrifugo_1(settings: &[(&str, &str)]) -> (Node, String) {
    let at = free();
    let insecure = [
        ("CENTRIFUGO_INSECURE", "true"),
        ("CENTRIFUGO_INSECURE_API", "true"),
    ];
    let node = [
        ("FOGHORN_DIALECTS", "centrifugo"),
        ("NOTIFICATION_SERVER_PORT", &*at.port().to_string()),
    ];
    let node = Node::start(at, &[&node, &insecure, settings].concat());
    (node, format!("http://{at}"))
}

/// Channels keep so many messages, and who is there.
fn keeping(messages: &str) -> [(&str, &str); 4] {
    [
        ("CENTRIFUGO_HISTORY_SIZE", messages),
        ("CENTRIFUGO_HISTORY_LIFETIME", "600"),
        ("CENTRIFUGO_RECOVER", "true"),
        ("CENTRIFUGO_PRESENCE", "true"),
    ]
}

const V1: [&str; 2] = ["--protocol", "centrifugo1"];

#[test]
#[ignore = "needs foghorn beside foghorn-load"]
fn clients_of_centrifugo_1_get_all_that_is_published() {
    let (_node, url) = centrifugo_1(&[]);
    all_arrives(&url, "centrifugo1");
}

#[test]
#[ignore = "needs foghorn beside foghorn-load"]
fn a_herd_recovers_what_it_missed() {
    let (_node, url) = centrifugo_1(&keeping("10"));
    let args = ["recover", "-n", "100", "-m", "9", "--channels", "3"];
    let report = load_at(&url, &[&args[..], &V1].concat());
    assert!(value(&report, "all have all after, s", "server") > 0.0);
    let each = count(&report, "from connecting to recovered", "server");
    assert_eq!(each, 100);
    assert_eq!(report["notes"], serde_json::json!([]), "{report:#}");
}

#[test]
#[ignore = "needs foghorn beside foghorn-load"]
fn a_herd_that_misses_something_is_no_result() {
    let (_node, url) = centrifugo_1(&keeping("5"));
    // All of the time is waited for; none of the steps before may take as long, also where the machine stands still.
    let args = "recover -n 10 -m 6 --rounds 1 --timeout 15";
    let out = Command::new(LOAD)
        .args(args.split(' ').chain(V1).chain(["--url", &url]))
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(!out.status.success(), "{said}");
    assert!(
        said.contains("10 told that something may be missing"),
        "{said}"
    );
}

#[test]
#[ignore = "needs foghorn beside foghorn-load"]
fn a_backends_questions_are_answered() {
    let (_node, url) = centrifugo_1(&keeping("5"));
    let args = "requests -n 2 --channels 4 --subscribers 3 -m 5 --seconds 1";
    let args: Vec<&str> = args.split(' ').chain(V1).collect();
    let report = load_at(&url, &args);
    for what in ["presence", "history"] {
        assert!(value(&report, &format!("{what}, answers/s"), "server") > 0.0);
    }
}

#[test]
#[ignore = "needs foghorn beside foghorn-load"]
fn a_soaks_clients_recover_once_and_in_order() {
    let (_node, url) = centrifugo_1(&keeping("100"));
    let args =
        "soak --seconds 4 -r 100 -n 30 --channels 10 --settle 3 --hang-up-rate 20 --back-after 300";
    for posters in ["1", "3"] {
        let several = ["--posters-per-channel", posters];
        let args: Vec<&str> = args.split(' ').chain(V1).chain(several).collect();
        let report = load_at(&url, &args);
        let of = |metric| value(&report, metric, "server");
        assert_eq!(of("events accepted"), 400.0);
        assert_eq!(of("deliveries owed"), 2400.0);
        assert_eq!(of("deliveries made"), 2400.0);
        assert!(of("subscriptions recovered") > 0.0);
    }
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
