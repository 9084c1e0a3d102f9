//! `haproxy/haproxy.cfg` as shipped: each request goes where the page says, nodes come and go by DNS and readiness.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use crate::common::node::{Plan, foghorn};
use crate::common::redis::Redis;
use crate::common::token;
use crate::support::{Answer, Dns, Process, Stub, eventually, free_port, http, program, read, root, run, upgrade};

const SEAFILE: &str = "127.0.0.1";
const STRANGER: &str = "127.0.0.99";

/// HAProxy with stub nodes at 127.0.7.1 and on, found by DNS, and two stub Seafiles.
struct Site {
    haproxy: Process,
    nodes: Vec<(Stub, Stub)>,
    dns: Dns,
    public: SocketAddr,
    inner: SocketAddr,
    socket: String,
    _seafiles: [Stub; 2],
    _dir: TempDir,
}

fn node_address(index: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 7, index + 1)
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}

impl Site {
    fn shipped(settings: &[(&str, &str)]) -> Site {
        Site::start(&root().join("haproxy/haproxy.cfg"), settings, &[1, 2, 3])
    }

    /// Starts stub nodes and HAProxy, and waits until these nodes are up (one entry for each server line).
    fn start(config: &Path, settings: &[(&str, &str)], expected: &[u8]) -> Site {
        let (port, ops) = (free_port(), free_port());
        let nodes = (0..4).map(|index| {
            let at = |port| SocketAddr::new(node_address(index).into(), port);
            (Stub::start(at(port), &format!("node{}", index + 1)), Stub::start(at(ops), "ops"))
        });
        Site::around(nodes.collect(), (port, ops), config, settings, expected)
    }

    /// Starts HAProxy in front of nodes with these client and ops ports.
    fn around(
        nodes: Vec<(Stub, Stub)>,
        (port, ops): (u16, u16),
        config: &Path,
        settings: &[(&str, &str)],
        expected: &[u8],
    ) -> Site {
        let dir = TempDir::new().unwrap();
        let dns = Dns::start(&[node_address(0), node_address(1), node_address(2)]);
        let (public, inner) = (loopback(), loopback());
        let seafiles = [Stub::start(loopback(), "seafile"), Stub::start(loopback(), "seafile")];
        let socket = dir.path().join("admin.sock").display().to_string();
        let mut command = program("haproxy", "haproxy");
        command.args(["-W", "-f"]).arg(config).args(["-p"]).arg(dir.path().join("pid"));
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
        let site = Site { haproxy, nodes, dns, public, inner, socket, _seafiles: seafiles, _dir: dir };
        eventually("all nodes are up", 20, || site.up() == expected);
        site
    }

    fn get(&self, from: &str, head: &str) -> Answer {
        let body = if head.starts_with("POST") { "{}" } else { "" };
        http(from, self.public, head, body).unwrap_or_else(|error| panic!("{head}: {error}\n{}", self.haproxy.output()))
    }

    fn foghorn_node(&self, arguments: &[&str]) -> (bool, String) {
        run(Command::new(root().join("haproxy/foghorn-node")).args(arguments).env("HAPROXY_SOCKET", &self.socket))
    }

    /// Nodes that get new clients now, in order, by the tool that is shipped.
    fn up(&self) -> Vec<u8> {
        let (_, text) = self.foghorn_node(&["show"]);
        let lines = text.lines().filter(|line| line.contains(" up") && line.contains(" foghorn_clients/"));
        let mut up: Vec<u8> =
            lines.filter_map(|line| line.split(' ').next()?.rsplit('.').next()?.parse().ok()).collect();
        up.sort_unstable();
        up
    }

    /// Which nodes answer `count` handshakes.
    fn nodes_of(&self, count: usize) -> Vec<String> {
        let path = upgrade("/notification");
        let mut seen: Vec<_> = (0..count).map(|_| self.get(STRANGER, &path).headers["x-node"].clone()).collect();
        seen.sort();
        seen.dedup();
        seen
    }
}

/// The configuration with `server` lines where it asks DNS.
fn without_dns(config: &str, servers: &[String]) -> String {
    let replaced = config.lines().map(|line| match line.trim_start().split(' ').next() {
        Some("server-template") => servers.join("\n"),
        Some("default-server") => line.replace(" resolvers site resolve-prefer ipv4 init-addr none", ""),
        _ => line.to_owned(),
    });
    replaced.collect::<Vec<_>>().join("\n") + "\n"
}

fn owned((left, right): (&str, &str)) -> (String, String) {
    (left.to_owned(), right.to_owned())
}

#[test]
#[ignore = "needs haproxy"]
fn the_shipped_file_is_valid_as_it_stands() {
    let (good, text) = run(Command::new("haproxy").args(["-c", "-f", "haproxy/haproxy.cfg"]).current_dir(root()));
    assert!(good && !text.contains("WARNING"), "{text}");
}

#[test]
#[ignore = "needs haproxy"]
fn requests_go_where_the_page_says() {
    let site = Site::shipped(&[]);
    let node = |answer: &Answer| answer.headers.get("x-node").is_some_and(|name| name.starts_with("node"));
    let seafile = |answer: &Answer| answer.headers.get("x-node").is_some_and(|name| name == "seafile");
    for path in ["/notification", "/notification/", "/notification?a=b"] {
        let answer = site.get(STRANGER, &upgrade(path));
        assert!(node(&answer) && answer.status == 101, "{path}: {answer:?}");
        assert!(node(&site.get(STRANGER, &format!("GET {path}"))), "{path} without an upgrade");
    }
    for path in ["/notification/ping", "/notification/ping/"] {
        assert!(node(&site.get(STRANGER, &format!("GET {path}"))), "{path}");
    }
    for path in ["/notification/events", "/notification//events", "/notification/events/", "/notification//events//"] {
        let (allowed, refused) = (format!("POST {path}"), site.get(STRANGER, &format!("POST {path}")));
        assert!(node(&site.get(SEAFILE, &allowed)), "{path}");
        assert_eq!(refused.status, 403, "{path}");
    }
    for path in
        ["/notification/./events", "/notification/x/../events", "/notification/%65vents", "/notification/console"]
    {
        assert_eq!(site.get(STRANGER, &format!("POST {path}")).status, 404, "{path}");
        assert_eq!(site.get(SEAFILE, &format!("POST {path}")).status, 404, "{path}");
    }
    for path in ["/", "/notifications", "/notification-x", "/seafhttp/x", "/api2/ping/", "/events", "/ping"] {
        assert!(seafile(&site.get(STRANGER, &format!("GET {path}"))), "{path}");
    }
    assert!(seafile(&site.get(STRANGER, &upgrade("/socket.io/"))), "other programs' WebSockets are Seafile's");
    let inner = |from| http(from, site.inner, "POST /events", "{}").unwrap();
    assert!(node(&inner(SEAFILE)));
    assert_eq!(inner(STRANGER).status, 403);
}

#[test]
#[ignore = "needs haproxy"]
fn a_client_cannot_pick_its_own_address() {
    let site = Site::shipped(&[]);
    let answer = site.get(STRANGER, "GET /notification/ping\nX-Forwarded-For: 10.9.9.9\nX-Forwarded-Proto: https");
    assert!(answer.body.contains(&format!("x-forwarded-for: {STRANGER}\n")), "{}", answer.body);
    assert!(answer.body.contains("x-forwarded-proto: http\n"), "{}", answer.body);
}

#[test]
#[ignore = "needs haproxy"]
fn an_address_that_knocks_too_often_waits() {
    let site = Site::shipped(&[("HANDSHAKES_PER_10S", "5")]);
    let answers: Vec<_> = (0..8).map(|_| site.get(STRANGER, &upgrade("/notification"))).collect();
    assert!(answers[..5].iter().all(|answer| answer.status == 101));
    assert!(answers[5..].iter().all(|answer| answer.status == 429 && answer.headers["retry-after"] == "60"));
    assert_eq!(site.get("127.0.0.98", &upgrade("/notification")).status, 101, "others are not touched");
    assert_eq!(site.get(STRANGER, "GET /notification/ping").status, 200, "the ping is not counted");
    assert_eq!(site.get(STRANGER, "GET /").status, 200, "Seafile is not counted");
}

#[test]
#[ignore = "needs haproxy"]
fn nodes_come_and_go_without_a_reload() {
    let site = Site::shipped(&[]);
    assert_eq!(site.nodes_of(12), ["node1", "node2", "node3"]);

    site.nodes[1].1.set_ready(false);
    eventually("a node that is not ready is out", 6, || site.up() == vec![1, 3]);
    assert_eq!(site.nodes_of(12), ["node1", "node3"]);
    site.nodes[1].1.set_ready(true);
    eventually("and back", 10, || site.up() == vec![1, 2, 3]);

    let (good, text) = site.foghorn_node(&["drain", "127.0.7.3"]);
    assert!(good, "{text}");
    assert_eq!(site.nodes_of(12), ["node1", "node2"]);
    assert!(site.foghorn_node(&["show"]).1.contains("127.0.7.3 drain foghorn_events/"));
    site.foghorn_node(&["ready", "127.0.7.3"]);
    eventually("ready again", 10, || site.up() == vec![1, 2, 3]);
    assert!(!site.foghorn_node(&["drain", "127.0.7.77"]).0, "an address that no node has is an error");

    site.dns.set(&[node_address(0), node_address(1), node_address(2), node_address(3)]);
    eventually("a node that is new in DNS gets clients", 20, || site.up() == vec![1, 2, 3, 4]);
}

#[test]
#[ignore = "needs haproxy"]
fn the_pages_source_pools_give_each_address_its_own_ports() {
    let page = read("haproxy/README.md");
    let block = page.split("<!-- test: source pools -->").nth(1).expect("the block of the page");
    let lines: Vec<_> = block.lines().filter(|line| line.starts_with("    server foghorn")).collect();
    assert_eq!(lines.len(), 6);
    let local = |line: &&str| line.replace("10.0.0.1", "127.0.7.").replace(":8083", ":\"${FOGHORN_PORT}\"");
    let lines: Vec<_> = lines.iter().map(|line| local(line).replace("source 10.0.0.", "source 127.0.0.")).collect();
    let (before, clients) = read("haproxy/haproxy.cfg").split_once("\nbackend foghorn_clients").map(owned).unwrap();
    let (clients, after) = clients.split_once("\nbackend foghorn_events").map(owned).unwrap();
    let config = [
        before,
        "\nbackend foghorn_clients\n".into(),
        without_dns(&clients, &lines),
        "backend foghorn_events\n".into(),
        after,
    ];
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("haproxy.cfg");
    std::fs::write(&path, config.concat()).unwrap();
    let site = Site::start(&path, &[], &[1, 1, 2, 2, 3, 3]);
    let peers: Vec<String> = (0..24)
        .map(|_| {
            let answer = site.get(STRANGER, "GET /notification/ping");
            answer.body.lines().find_map(|line| line.strip_prefix("peer: ")).unwrap().to_owned()
        })
        .collect();
    for source in ["127.0.0.5:", "127.0.0.6:"] {
        assert!(peers.iter().any(|peer| peer.starts_with(source)), "{source} unused: {peers:?}");
    }
}

#[test]
#[ignore = "needs haproxy"]
fn the_pages_lines_without_dns_work() {
    let page = read("haproxy/README.md");
    let block = page.split("## Without DNS").nth(1).and_then(|rest| rest.split("## ").next()).expect("the section");
    let lines: Vec<_> = block.lines().filter(|line| line.starts_with("    server foghorn")).collect();
    assert_eq!(lines.len(), 3);
    let lines: Vec<_> = lines.into_iter().map(str::to_owned).collect();
    let config = without_dns(&read("haproxy/haproxy.cfg"), &lines);
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("haproxy.cfg"), config).unwrap();
    let (good, text) = run(Command::new("haproxy").arg("-c").arg("-f").arg(dir.path().join("haproxy.cfg")));
    assert!(good && !text.contains("WARNING"), "{text}");
}

#[test]
#[ignore = "needs haproxy and openssl"]
fn tls_is_terminated_and_plain_requests_are_sent_to_it() {
    let dir = TempDir::new().unwrap();
    let pem = dir.path().join("seafile.pem");
    let (good, text) = run(Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=seafile.test"])
        .args(["-addext", "subjectAltName=DNS:seafile.test", "-keyout"])
        .arg(dir.path().join("seafile.pem.key"))
        .arg("-out")
        .arg(&pem));
    assert!(good, "{text}");
    let tls = loopback();
    let site = Site::shipped(&[("TLS_BIND", &tls.to_string()), ("TLS_CERT", &pem.display().to_string())]);
    let redirect = site.get(STRANGER, "GET /notification/ping");
    assert_eq!(
        (redirect.status, redirect.headers["location"].as_str()),
        (308, "https://seafile.test/notification/ping")
    );
    for version in ["--http1.1", "--http2"] {
        let (good, text) = run(Command::new("curl")
            .args(["-sS", version, "--max-time", "5", "--cacert"])
            .arg(&pem)
            .args(["--resolve", &format!("seafile.test:{}:127.0.0.1", tls.port())])
            .arg(format!("https://seafile.test:{}/notification/ping", tls.port())));
        assert!(good && text.contains("x-forwarded-proto: https\n"), "{version}: {text}");
    }
}

#[test]
#[ignore = "needs haproxy"]
fn a_reload_cuts_no_connection_and_refuses_no_request() {
    let site = Site::shipped(&[]);
    let mut tunnel = open_tunnel(site.public);
    let done = AtomicBool::new(false);
    let failed = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut failed = Vec::new();
            while !done.load(Ordering::Acquire) {
                match http(SEAFILE, site.public, "POST /notification/events", "{}") {
                    Ok(answer) if answer.status == 200 => {}
                    other => failed.push(format!("{other:?}")),
                }
            }
            failed
        });
        for _ in 0..2 {
            site.haproxy.signal("USR2");
            std::thread::sleep(Duration::from_secs(4));
            echo(&mut tunnel);
        }
        done.store(true, Ordering::Release);
        load.join().unwrap()
    });
    assert_eq!(failed, Vec::<String>::new(), "{}", site.haproxy.output());
}

/// A connection that has got its 101.
fn open_tunnel(public: SocketAddr) -> TcpStream {
    let mut tunnel = TcpStream::connect(public).unwrap();
    tunnel.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let head = upgrade("/notification").replacen('\n', " HTTP/1.1\nHost: seafile.test\n", 1).replace('\n', "\r\n");
    write!(tunnel, "{head}\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        tunnel.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "));
    tunnel
}

fn echo(tunnel: &mut TcpStream) {
    tunnel.write_all(b"still there?").unwrap();
    let mut back = [0; 12];
    tunnel.read_exact(&mut back).expect("the tunnel outlives the reload");
    assert_eq!(&back, b"still there?");
}

/// What clients and backends meet while `during` runs: handshakes and posts without a pause, each that failed.
fn under_load(site: &Site, during: impl FnOnce()) -> Vec<String> {
    let done = AtomicBool::new(false);
    let post = format!("POST /notification/events\nAuthorization: Token {}", token::event());
    let event = r#"{"type":"repo-update","content":{"repo_id":"r","commit_id":"c"}}"#;
    let (handshake, public) = (upgrade("/notification"), site.public);
    let keep_on = |head: &str, body: &str, expected: u16| {
        let (mut failed, mut sent) = (Vec::new(), 0);
        while !done.load(Ordering::Acquire) {
            sent += 1;
            match http(SEAFILE, public, head, body) {
                Ok(answer) if answer.status == expected => {}
                other => failed.push(format!("{}: {other:?}", head.lines().next().unwrap_or_default())),
            }
        }
        assert!(sent > 20, "hardly a load: {sent} requests");
        failed
    };
    std::thread::scope(|scope| {
        let posts = scope.spawn(|| keep_on(&post, event, 200));
        let handshakes = scope.spawn(|| keep_on(&handshake, "", 101));
        during();
        done.store(true, Ordering::Release);
        [posts.join().unwrap(), handshakes.join().unwrap()].concat()
    })
}

#[test]
#[ignore = "needs haproxy"]
fn nodes_drained_stopped_and_killed_under_load_cost_no_post_and_no_handshake() {
    let (port, ops) = (free_port(), free_port());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let redis = runtime.block_on(Redis::start());
    let start = |index: u8| {
        let address = node_address(index);
        let plan =
            Plan::on(port, ops).redis([redis.url().as_str()]).env("NOTIFICATION_SERVER_HOST", &address.to_string());
        plan.env("FOGHORN_OPS_ADDR", &format!("{address}:{ops}")).env("FOGHORN_DRAIN_SECONDS", "2").launch()
    };
    let mut nodes: Vec<_> = (0..3).map(start).collect();
    let config = root().join("haproxy/haproxy.cfg");
    let site = Site::around(Vec::new(), (port, ops), &config, &[("HANDSHAKES_PER_10S", "1000000")], &[1, 2, 3]);
    let (public, inner) = (format!("http://{}/notification", site.public), format!("http://{}", site.inner));
    let mut doctor = foghorn(&["doctor", "--url", &public, "--inner", &inner]);
    let (well, text) = run(doctor.env("JWT_PRIVATE_KEY", token::KEY));
    assert!(well, "{text}");
    let handshakes = |index: u8| -> u64 {
        let address = SocketAddr::new(node_address(index).into(), ops);
        let page = http(SEAFILE, address, "GET /metrics", "").unwrap().body;
        let lines = page.lines().filter(|line| line.starts_with("foghorn_handshakes_total"));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    };
    let failed = under_load(&site, || {
        eventually("the load reaches the node", 20, || handshakes(1) > 5);
        assert!(site.foghorn_node(&["drain", "127.0.7.2"]).0);
        std::thread::sleep(Duration::from_millis(500));
        let before = handshakes(1);
        std::thread::sleep(Duration::from_secs(3));
        assert_eq!(handshakes(1), before, "a drained node got a handshake");
        assert!(site.foghorn_node(&["ready", "127.0.7.2"]).0);
        eventually("it is back", 20, || handshakes(1) > before);
    });
    assert_eq!(failed, Vec::<String>::new(), "drained");

    let failed = under_load(&site, || {
        nodes[2].process().kill();
        eventually("the dead node is out", 20, || site.up() == vec![1, 2]);
        std::thread::sleep(Duration::from_secs(2));
    });
    assert_eq!(failed, Vec::<String>::new(), "killed");
    let retried = site.stats("foghorn_clients", "wredis");
    under_load(&site, || std::thread::sleep(Duration::from_secs(2)));
    assert_eq!(site.stats("foghorn_clients", "wredis"), retried, "a node known to be dead got a handshake");

    nodes[2] = start(2);
    eventually("the node is back", 20, || site.up() == vec![1, 2, 3]);
    let failed = under_load(&site, || {
        nodes[0].process().signal("TERM");
        eventually("the stopped node has ended", 30, || nodes[0].process().ended().is_some());
        std::thread::sleep(Duration::from_secs(1));
    });
    assert!(nodes[0].process().ended().unwrap().success());
    assert_eq!(failed, Vec::<String>::new(), "stopped");
}

impl Site {
    /// One figure of HAProxy's own for a whole backend.
    fn stats(&self, backend: &str, column: &str) -> u64 {
        let script = format!("echo 'show stat' | socat stdio unix-connect:{}", self.socket);
        let (_, text) = run(Command::new("sh").args(["-c", &script]));
        let names: Vec<_> = text.lines().next().unwrap().trim_start_matches("# ").split(',').collect();
        let index = names.iter().position(|name| *name == column).expect("the column");
        let row = text.lines().find(|line| line.starts_with(&format!("{backend},BACKEND,"))).expect("the backend");
        row.split(',').nth(index).unwrap().parse().unwrap_or(0)
    }
}

/// The lines of a page that follow a mark, without their indentation on the page.
fn marked(page: &str, mark: &str) -> String {
    let text =
        page.split(&format!("<!-- test: {mark} -->\n\n")).nth(1).unwrap_or_else(|| panic!("no {mark} in the page"));
    let lines = text.lines().take_while(|line| line.starts_with("       "));
    lines.map(|line| format!("{}\n", &line[7..])).collect()
}

#[test]
#[ignore = "needs haproxy"]
fn the_old_server_can_keep_a_share_of_the_clients() {
    let page = read("docs/MIGRATE.md");
    let old = Stub::start(loopback(), "old");
    let share = format!("    {}", marked(&page, "a share for the old server"));
    let backend = marked(&page, "the old server").replace("10.0.0.31:8083", &old.addr.to_string());
    let before = "    use_backend foghorn_clients";
    let config = read("haproxy/haproxy.cfg").replacen(before, &format!("{}{before}", share.replace("90", "50")), 1);
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("haproxy.cfg");
    std::fs::write(&path, format!("{config}\n{backend}")).unwrap();
    let site = Site::start(&path, &[], &[1, 2, 3]);
    let seen = site.nodes_of(40);
    assert!(seen.contains(&"old".to_owned()) && seen.contains(&"node1".to_owned()), "{seen:?}");
    assert!(site.get(SEAFILE, "POST /notification/events").headers["x-node"].starts_with("node"));
}
