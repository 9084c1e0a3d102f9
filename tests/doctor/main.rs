//! `foghorn doctor` finds what is wrong with a deliberately broken installation, names it, and prints the line that mends
//! it; and finds nothing wrong with a good one.

mod addresses;
#[path = "../common/mod.rs"]
mod common;
mod inbox;
mod proxies;
mod redis;
mod stores;

use std::process::Command;

use common::node::{Node, Plan, foghorn};
use common::ports::free_port;
use common::proxy::Proxy;
use common::{eventually, http, token};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A report, and whether the exit code agreed with it.
struct Report(Value);

impl Report {
    fn find(&self, place: &str, check: &str) -> Vec<&Value> {
        let checks = self.0["checks"].as_array().expect("a list");
        checks
            .iter()
            .filter(|c| c["place"] == place && c["check"] == check)
            .collect()
    }

    /// Panics unless the check is there and came out like this; gives what it says and what mends it.
    fn expect(&self, place: &str, check: &str, outcome: &str) -> String {
        let found = self.find(place, check);
        let found = found
            .first()
            .unwrap_or_else(|| panic!("no {place} {check} in {:#}", self.0));
        let only_late = outcome == "ok" && is_slow_post(found);
        if !only_late {
            assert_eq!(found["outcome"], outcome, "{place} {check} in {:#}", self.0);
        }
        let mend = found["mend"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(Value::as_str);
        [found["what"].as_str().expect("a text")]
            .into_iter()
            .chain(mend)
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn healthy(&self) -> bool {
        self.0["healthy"] == true
    }

    /// Whether there is nothing to complain of, however slow this machine was.
    fn flawless(&self) -> bool {
        let checks = self.0["checks"].as_array().expect("a list");
        let slow = checks.iter().filter(|check| is_slow_post(check)).count();
        self.healthy() && self.0["warned"] == slow
    }
}

/// A post that was taken, but late: so it was, where the machine stood still meanwhile.
fn is_slow_post(check: &Value) -> bool {
    let what = check["what"].as_str().unwrap_or_default();
    check["check"] == "post" && check["outcome"] == "warn" && what.contains("takes events, but")
}

/// The words of the line among these that gives the right that is missing.
fn acl_line(said: &str) -> Vec<&str> {
    let line = said.lines().find(|line| line.starts_with("ACL SETUSER"));
    let (words, _) = line
        .expect("a line")
        .split_once('#')
        .expect("what it is for");
    words.split_whitespace().collect()
}

async fn run(mut command: Command) -> (i32, String) {
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .expect("it ends")
        .expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        !text.contains(token::KEY) && !text.contains("eyJ"),
        "a secret is shown: {text}"
    );
    (output.status.code().expect("an exit code"), text)
}

fn doctor(public: Option<u16>, inner: Option<u16>, key: &str) -> Command {
    let mut command = foghorn(&["doctor"]);
    if let Some(port) = public {
        command
            .arg("--url")
            .arg(format!("http://127.0.0.1:{port}/notification"));
    }
    if let Some(port) = inner {
        command
            .arg("--inner")
            .arg(format!("http://127.0.0.1:{port}"));
    }
    command.env("JWT_PRIVATE_KEY", key);
    command
}

async fn examine(public: Option<u16>, inner: Option<u16>) -> Report {
    examine_with(public, inner, token::KEY).await
}

async fn examine_with(public: Option<u16>, inner: Option<u16>, key: &str) -> Report {
    let mut command = doctor(public, inner, key);
    command.arg("--json");
    let (code, text) = run(command).await;
    let report =
        Report(serde_json::from_str(&text).unwrap_or_else(|e| panic!("not JSON ({e}): {text}")));
    assert_eq!(code, if report.healthy() { 0 } else { 1 }, "{text}");
    report
}

/// nginx with `location` lines in its one server.
async fn nginx(locations: &str) -> (Proxy, u16) {
    let port = free_port();
    let http = format!(
        "server {{ listen 127.0.0.1:{port}; {locations} location / {{ return 404 'no such page'; }} }}"
    );
    (Proxy::nginx(&http, port).await, port)
}

/// HAProxy with `rules` in its one frontend, all of `/notification` going to `node`.
async fn haproxy(rules: &str, node: u16) -> (Proxy, u16) {
    let port = free_port();
    let config = format!(
        "global\n  maxconn 100\ndefaults\n  mode http\n  timeout connect 2s\n  timeout client 60s\n  timeout server 60s\n  \
         timeout tunnel 90s\nfrontend public\n  bind 127.0.0.1:{port}\n{rules}\n  \
         use_backend foghorn if {{ path /notification }} or {{ path_beg /notification/ }}\n\
         backend foghorn\n  server foghorn1 127.0.0.1:{node}\n"
    );
    (Proxy::haproxy(&config, port).await, port)
}

const GOOD: &str = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;";

#[tokio::test]
#[ignore = "needs haproxy, nginx"]
async fn a_good_installation_is_healthy() {
    let node = Node::start().await;
    let (_nginx, nginx) = nginx(&format!(
        "location /notification {{ proxy_pass http://127.0.0.1:{}; {GOOD} }}",
        node.port()
    ))
    .await;
    let (_haproxy, haproxy) = haproxy("", node.port()).await;
    for public in [nginx, haproxy, node.port()] {
        let report = examine(Some(public), Some(node.port())).await;
        assert!(report.flawless(), "{:#}", report.0);
        for place in ["public", "inner"] {
            for check in [
                "ping",
                "upgrade",
                "subprotocol",
                "clock",
                "token",
                "post",
                "event",
            ] {
                report.expect(place, check, "ok");
            }
        }
        report.expect("public", "web page", "ok");
        // Both sides post, both sides receive both.
        assert_eq!(
            (
                report.find("public", "event").len(),
                report.find("inner", "event").len()
            ),
            (2, 2)
        );
    }
    let (code, text) = run(doctor(Some(nginx), Some(node.port()), token::KEY)).await;
    // A warning is added to it where a post was slow.
    let wanted = if text.contains("takes events, but") {
        "Everything that was checked works; "
    } else {
        "Everything that was checked works."
    };
    assert!(code == 0 && text.contains(wanted), "{text}");
    // The library was made up: no trace of it stays.
    node.emptied("foghorn_subscriptions", "").await;
}

#[tokio::test]
#[ignore = "needs haproxy, nginx"]
async fn events_that_may_not_be_posted() {
    let node = Plan::new()
        .env("FOGHORN_EVENTS_FROM", "10.9.9.9")
        .start()
        .await;
    let said = examine(None, Some(node.port()))
        .await
        .expect("inner", "post", "warn");
    assert!(said.contains("FOGHORN_EVENTS_FROM"), "{said}");

    let node = Node::start().await;
    let blocked = "  http-request deny deny_status 403 if { path_end /events }";
    let (_proxy, port) = haproxy(blocked, node.port()).await;
    let report = examine(Some(port), Some(node.port())).await;
    let said = report.expect("public", "post", "warn");
    assert!(
        said.contains("403")
            && said.contains("use_backend foghorn if { path /notification/events }"),
        "{said}"
    );
    report.expect("public", "event", "ok");
    assert_eq!(
        report.find("public", "event").len(),
        1,
        "only the inner one arrives"
    );

    let pass = format!("proxy_pass http://127.0.0.1:{}; {GOOD}", node.port());
    let missing =
        format!("location = /notification {{ {pass} }} location = /notification/ping {{ {pass} }}");
    let (_proxy, port) = nginx(&missing).await;
    let said = examine(Some(port), Some(node.port()))
        .await
        .expect("public", "post", "fail");
    assert!(
        said.contains("404") && said.contains("location /notification/events {"),
        "{said}"
    );
}

#[tokio::test]
#[ignore = "needs haproxy, nginx"]
async fn a_key_that_is_not_the_servers() {
    let node = Node::start().await;
    let report = examine_with(
        Some(node.port()),
        Some(node.port()),
        "another-key-another-key-another-0",
    )
    .await;
    for (place, check) in [("public", "token"), ("inner", "token"), ("inner", "post")] {
        let said = report.expect(place, check, "fail");
        assert!(said.contains("JWT_PRIVATE_KEY"), "{said}");
    }
    let mut command = doctor(Some(node.port()), None, "");
    command.env_remove("JWT_PRIVATE_KEY");
    let (code, text) = run(command).await;
    assert!(
        code == 0 && text.contains("tokens and events were not tried"),
        "{text}"
    );
}

#[tokio::test]
#[ignore = "needs haproxy, nginx"]
async fn two_nodes_that_do_not_know_each_other() {
    let (one, other) = (Node::start().await, Node::start().await);
    let report = examine(Some(one.port()), Some(other.port())).await;
    let said = report.expect("public", "event", "fail");
    assert!(
        said.contains("did not come") && said.contains("FOGHORN_REDIS_URLS"),
        "{said}"
    );
    // Its own, it hears.
    report.expect("inner", "event", "ok");
}

#[tokio::test]
#[ignore = "needs haproxy, nginx"]
async fn a_page_of_another_origin() {
    let node = Plan::new()
        .env("FOGHORN_ALLOWED_ORIGINS", "https://other.example.com")
        .start()
        .await;
    let said = examine(Some(node.port()), None)
        .await
        .expect("public", "web page", "fail");
    assert!(
        said.contains(&format!(
            "FOGHORN_ALLOWED_ORIGINS=http://127.0.0.1:{}",
            node.port()
        )),
        "{said}"
    );
}

#[tokio::test]
async fn a_clock_that_is_wrong() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let server = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let answer = "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nConnection: close\r\n\
                          Content-Length: 16\r\n\r\n{\"ret\": \"pong\"}\n";
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    let said = examine(None, Some(port))
        .await
        .expect("inner", "clock", "fail");
    assert!(
        said.contains("behind") && said.contains("timedatectl set-ntp true"),
        "{said}"
    );
    server.abort();
    assert!(
        http::try_request(port, "GET", "/", &[], None)
            .await
            .is_none()
    );
}
