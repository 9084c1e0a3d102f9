//! HAProxy under load: reloads, and nodes that are drained, killed and stopped, cost no post and no handshake.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::common::PATIENCE;
use crate::common::node::{Plan, foghorn};
use crate::common::redis::Redis;
use crate::common::token;
use crate::haproxy_site::{SEAFILE, Site, node_address};
use crate::support::{eventually, free_port, http, root, run, upgrade};

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
    tunnel.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = upgrade("/notification")
        .replacen('\n', " HTTP/1.1\nHost: seafile.test\n", 1)
        .replace('\n', "\r\n");
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
    tunnel
        .read_exact(&mut back)
        .expect("the tunnel outlives the reload");
    assert_eq!(&back, b"still there?");
}

/// What clients and backends meet while `during` runs: handshakes and posts without a pause, each that failed.
fn under_load(site: &Site, during: impl FnOnce()) -> Vec<String> {
    let done = AtomicBool::new(false);
    let post = format!(
        "POST /notification/events\nAuthorization: Token {}",
        token::event()
    );
    let event = r#"{"type":"repo-update","content":{"repo_id":"r","commit_id":"c"}}"#;
    let (handshake, public) = (upgrade("/notification"), site.public);
    let keep_on = |head: &str, body: &str, expected: u16| {
        let (mut failed, mut sent) = (Vec::new(), 0);
        // Fewer are no load; where the machine stood still meanwhile, it goes on.
        while !done.load(Ordering::Acquire) || sent <= 20 {
            sent += 1;
            match http(SEAFILE, public, head, body) {
                Ok(answer) if answer.status == expected => {}
                other => failed.push(format!(
                    "{}: {other:?}",
                    head.lines().next().unwrap_or_default()
                )),
            }
        }
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
        let plan = Plan::on(port, ops)
            .redis([redis.url().as_str()])
            .env("NOTIFICATION_SERVER_HOST", &address.to_string());
        plan.env("FOGHORN_OPS_ADDR", &format!("{address}:{ops}"))
            .env("FOGHORN_DRAIN_SECONDS", "2")
            .launch()
    };
    let mut nodes: Vec<_> = (0..3).map(start).collect();
    for index in 0..3 {
        let address = SocketAddr::new(node_address(index).into(), ops);
        let ready =
            || http(SEAFILE, address, "GET /readyz", "").is_ok_and(|answer| answer.status == 200);
        eventually("a node is ready", 20, ready);
    }
    let config = root().join("haproxy/haproxy.cfg");
    let site = Site::around(
        Vec::new(),
        (port, ops),
        &config,
        &[("HANDSHAKES_PER_10S", "1000000")],
        &[1, 2, 3],
    );
    let (public, inner) = (
        format!("http://{}/notification", site.public),
        format!("http://{}", site.inner),
    );
    let mut doctor = foghorn(&["doctor", "--url", &public, "--inner", &inner]);
    let (well, text) = run(doctor.env("JWT_PRIVATE_KEY", token::KEY));
    assert!(well, "{text}");
    let handshakes = |index: u8| -> u64 {
        let address = SocketAddr::new(node_address(index).into(), ops);
        let page = http(SEAFILE, address, "GET /metrics", "").unwrap().body;
        let lines = page
            .lines()
            .filter(|line| line.starts_with("foghorn_handshakes_total"));
        lines
            .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
            .sum()
    };
    let failed = under_load(&site, || {
        eventually("the load reaches the node", 20, || handshakes(1) > 5);
        assert!(site.foghorn_node(&["drain", "127.0.7.2"]).0);
        eventually("what was on its way to it is through", 20, || {
            site.stats("foghorn_clients", "127.0.7.2", "scur") == 0
        });
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
    let picked = || site.stats("foghorn_clients", "127.0.7.3", "lbtot");
    let before = picked();
    under_load(&site, || std::thread::sleep(Duration::from_secs(2)));
    assert_eq!(picked(), before, "a node known to be dead got a handshake");

    nodes[2] = start(2);
    eventually("the node is back", 20, || site.up() == vec![1, 2, 3]);
    let failed = under_load(&site, || {
        nodes[0].process().signal("TERM");
        eventually("the stopped node has ended", 30, || {
            nodes[0].process().ended().is_some()
        });
        std::thread::sleep(Duration::from_secs(1));
    });
    assert!(nodes[0].process().ended().unwrap().success());
    assert_eq!(failed, Vec::<String>::new(), "stopped");
}
