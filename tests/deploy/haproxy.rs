//! `haproxy/haproxy.cfg` as shipped: each request goes where the page says, nodes come and go by DNS and readiness.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::haproxy_site::{SEAFILE, STRANGER, Site, loopback, node_address};
use crate::stubs::Stub;
use crate::support::{
    Answer, eventually, free_port, http, read, repeats_with_one_key, root, run, upgrade,
};

#[test]
#[ignore = "needs haproxy"]
fn the_shipped_file_is_valid_as_it_stands() {
    let (good, text) = run(Command::new("haproxy")
        .args(["-c", "-f", "haproxy/haproxy.cfg"])
        .current_dir(root()));
    assert!(good && !text.contains("WARNING"), "{text}");
}

#[test]
#[ignore = "needs haproxy"]
fn requests_go_where_the_page_says() {
    let site = Site::shipped(&[]);
    let node = |answer: &Answer| {
        answer
            .headers
            .get("x-node")
            .is_some_and(|name| name.starts_with("node"))
    };
    let seafile = |answer: &Answer| {
        answer
            .headers
            .get("x-node")
            .is_some_and(|name| name == "seafile")
    };
    for path in ["/notification", "/notification/", "/notification?a=b"] {
        let answer = site.get(STRANGER, &upgrade(path));
        assert!(node(&answer) && answer.status == 101, "{path}: {answer:?}");
        assert!(
            node(&site.get(STRANGER, &format!("GET {path}"))),
            "{path} without an upgrade"
        );
    }
    for path in ["/notification/ping", "/notification/ping/"] {
        assert!(node(&site.get(STRANGER, &format!("GET {path}"))), "{path}");
    }
    for path in [
        "/notification/events",
        "/notification//events",
        "/notification/events/",
        "/notification//events//",
    ] {
        let (allowed, refused) = (
            format!("POST {path}"),
            site.get(STRANGER, &format!("POST {path}")),
        );
        assert!(node(&site.get(SEAFILE, &allowed)), "{path}");
        assert_eq!(refused.status, 403, "{path}");
    }
    for path in [
        "/notification/./events",
        "/notification/x/../events",
        "/notification/%65vents",
        "/notification/console",
    ] {
        assert_eq!(
            site.get(STRANGER, &format!("POST {path}")).status,
            404,
            "{path}"
        );
        assert_eq!(
            site.get(SEAFILE, &format!("POST {path}")).status,
            404,
            "{path}"
        );
    }
    for path in [
        "/",
        "/notifications",
        "/notification-x",
        "/seafhttp/x",
        "/api2/ping/",
        "/events",
        "/ping",
    ] {
        assert!(
            seafile(&site.get(STRANGER, &format!("GET {path}"))),
            "{path}"
        );
    }
    assert!(
        seafile(&site.get(STRANGER, &upgrade("/socket.io/"))),
        "other programs' WebSockets are Seafile's"
    );
    let inner = |from| http(from, site.inner, "POST /events", "{}").unwrap();
    assert!(node(&inner(SEAFILE)));
    assert_eq!(inner(STRANGER).status, 403);
}

#[test]
#[ignore = "needs haproxy"]
fn paths_of_inboxes_are_seafiles_until_somebody_says_otherwise() {
    let paths = [
        "GET /sse",
        "GET /SSE/ann",
        "POST /webNotification",
        "GET /foghorn.js",
        "GET /websocket/api/v1/notification/ws",
    ];
    let of = |site: &Site, head: &str| {
        let answer = site.get(STRANGER, head);
        answer.headers.get("x-node").cloned().unwrap_or_default()
    };
    let off = Site::shipped(&[]);
    for head in paths {
        assert_eq!(of(&off, head), "seafile", "{head}");
    }
    drop(off);
    let (port, ops) = (free_port(), free_port());
    // All that a node has is at one port here.
    let own = port.to_string();
    let nodes = (0..3).map(|index| {
        let at = |port| SocketAddr::new(node_address(index).into(), port);
        (
            Stub::start(at(port), &format!("node{}", index + 1)),
            Stub::start(at(ops), "ops"),
        )
    });
    let site = Site::around(
        nodes.collect(),
        (port, ops),
        &root().join("haproxy/haproxy.cfg"),
        &[("INBOX", "on"), ("SSE_PORT", &own), ("SOCKET_PORT", &own)],
        &[1, 2, 3],
    );
    for head in paths {
        // Each backend finds the nodes by itself.
        eventually("a node has it", 20, || of(&site, head).starts_with("node"));
    }
    let seen = site.get(STRANGER, &upgrade("/websocket/api/v1/notification/ws"));
    assert_eq!(seen.status, 101, "{seen:?}");
    for head in ["GET /", "GET /users", "GET /ssex", "GET /websocket"] {
        assert_eq!(of(&site, head), "seafile", "{head}");
    }
    // Where nobody is there to answer, a stream is told to come back.
    for (_, ops) in &site.nodes {
        ops.set_ready(false);
    }
    eventually("streams wait", 30, || {
        let answer = site.get(STRANGER, "GET /sse/ann");
        answer.status == 200 && answer.body == "retry: 7000\n\n"
    });
}

#[test]
#[ignore = "needs haproxy"]
fn a_refused_post_leaves_the_line_that_the_page_names() {
    let site = Site::shipped(&[("LOG_TARGET", "stdout format raw")]);
    let page = read("haproxy/README.md");
    for (at, path, frontend) in [
        (site.inner, "/events", "inner"),
        (site.public, "/notification/events", "public"),
    ] {
        assert_eq!(
            http(STRANGER, at, &format!("POST {path}"), "{}")
                .unwrap()
                .status,
            403
        );
        let marks = [
            format!("{frontend}/<NOSRV>"),
            " 403 ".to_owned(),
            " PR-- ".to_owned(),
        ];
        let named = |line: &str| {
            line.starts_with(STRANGER) && marks.iter().all(|mark| line.contains(mark.as_str()))
        };
        eventually("the line is logged", 5, || {
            site.haproxy.output().lines().any(named)
        });
        assert!(
            marks.iter().all(|mark| page.contains(mark.trim())),
            "the page does not name {marks:?}"
        );
    }
}

#[test]
#[ignore = "needs haproxy and prlimit"]
fn it_starts_whatever_the_limit_of_descriptors_is() {
    for limit in [1_000, 20_000] {
        let site = Site::limited(limit);
        let clients = site.info("Maxconn");
        assert!(
            clients > limit / 4 && clients <= limit / 2,
            "{clients} clients with {limit} descriptors"
        );
        assert_eq!(site.get(STRANGER, "GET /notification/ping").status, 200);
        assert!(
            !site.haproxy.output().contains("FD limit"),
            "{}",
            site.haproxy.output()
        );
    }
}

#[test]
#[ignore = "needs haproxy"]
fn a_client_cannot_pick_its_own_address() {
    let site = Site::shipped(&[]);
    let answer = site.get(
        STRANGER,
        "GET /notification/ping\nX-Forwarded-For: 10.9.9.9\nX-Forwarded-Proto: https",
    );
    assert!(
        answer
            .body
            .contains(&format!("x-forwarded-for: {STRANGER}\n")),
        "{}",
        answer.body
    );
    assert!(
        answer.body.contains("x-forwarded-proto: http\n"),
        "{}",
        answer.body
    );
}

#[test]
#[ignore = "needs haproxy"]
fn an_address_that_knocks_too_often_waits() {
    let site = Site::shipped(&[("HANDSHAKES_PER_10S", "5")]);
    // The limit is one of 10 s: knocks that took longer, where the machine stood still, say nothing of it, and another
    // stranger knocks.
    let knocks = |number: u8| {
        let stranger = format!("127.0.0.{number}");
        let started = Instant::now();
        let answers: Vec<_> = (0..8)
            .map(|_| site.get(&stranger, &upgrade("/notification")))
            .collect();
        (started.elapsed() < Duration::from_secs(10)).then_some((stranger, answers))
    };
    let (stranger, answers) = (100..200)
        .find_map(knocks)
        .expect("eight knocks within 10 s");
    assert!(answers[..5].iter().all(|answer| answer.status == 101));
    assert!(
        answers[5..]
            .iter()
            .all(|answer| answer.status == 429 && answer.headers["retry-after"] == "60")
    );
    assert_eq!(
        site.get("127.0.0.98", &upgrade("/notification")).status,
        101,
        "others are not touched"
    );
    assert_eq!(
        site.get(&stranger, "GET /notification/ping").status,
        200,
        "the ping is not counted"
    );
    assert_eq!(
        site.get(&stranger, "GET /").status,
        200,
        "Seafile is not counted"
    );
}

#[test]
#[ignore = "needs haproxy"]
fn nodes_come_and_go_without_a_reload() {
    let site = Site::shipped(&[]);
    assert_eq!(site.nodes_of(12), ["node1", "node2", "node3"]);

    site.nodes[1].1.set_ready(false);
    eventually("a node that is not ready is out", 6, || {
        site.up() == vec![1, 3]
    });
    assert_eq!(site.nodes_of(12), ["node1", "node3"]);
    site.nodes[1].1.set_ready(true);
    eventually("and back", 10, || site.up() == vec![1, 2, 3]);

    let (good, text) = site.foghorn_node(&["drain", "127.0.7.3"]);
    assert!(good, "{text}");
    assert_eq!(site.nodes_of(12), ["node1", "node2"]);
    assert!(
        site.foghorn_node(&["show"])
            .1
            .contains("127.0.7.3 drain foghorn_events/")
    );
    site.foghorn_node(&["ready", "127.0.7.3"]);
    eventually("ready again", 10, || site.up() == vec![1, 2, 3]);
    assert!(
        !site.foghorn_node(&["drain", "127.0.7.77"]).0,
        "an address that no node has is an error"
    );

    site.dns.set(&[
        node_address(0),
        node_address(1),
        node_address(2),
        node_address(3),
    ]);
    eventually("a node that is new in DNS gets clients", 20, || {
        site.up() == vec![1, 2, 3, 4]
    });
}

#[test]
#[ignore = "needs haproxy"]
fn a_post_is_repeated_with_the_key_it_had() {
    let site = Site::shipped(&[]);
    repeats_with_one_key(&site.nodes[0].0, || {
        site.get(SEAFILE, "POST /notification/events")
    });
    let answer = site.get(SEAFILE, "POST /notification/events\nIdempotency-Key: given");
    assert!(
        answer.body.contains("idempotency-key: given\n"),
        "{}",
        answer.body
    );
}

#[test]
#[ignore = "needs haproxy and openssl"]
fn tls_is_terminated_and_plain_requests_are_sent_to_it() {
    let dir = TempDir::new().unwrap();
    let pem = dir.path().join("seafile.pem");
    let (good, text) = run(Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=seafile.test",
        ])
        .args(["-addext", "subjectAltName=DNS:seafile.test", "-keyout"])
        .arg(dir.path().join("seafile.pem.key"))
        .arg("-out")
        .arg(&pem));
    assert!(good, "{text}");
    let tls = loopback();
    let site = Site::shipped(&[
        ("TLS_BIND", &tls.to_string()),
        ("TLS_CERT", &pem.display().to_string()),
    ]);
    let redirect = site.get(STRANGER, "GET /notification/ping");
    assert_eq!(
        (redirect.status, redirect.headers["location"].as_str()),
        (308, "https://seafile.test/notification/ping")
    );
    for version in ["--http1.1", "--http2"] {
        let (good, text) = run(Command::new("curl")
            .args(["-sS", version, "--max-time", "60", "--cacert"])
            .arg(&pem)
            .args([
                "--resolve",
                &format!("seafile.test:{}:127.0.0.1", tls.port()),
            ])
            .arg(format!(
                "https://seafile.test:{}/notification/ping",
                tls.port()
            )));
        assert!(
            good && text.contains("x-forwarded-proto: https\n"),
            "{version}: {text}"
        );
    }
}
