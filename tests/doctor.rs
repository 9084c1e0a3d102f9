//! `foghorn doctor` finds what is wrong with a deliberately broken installation, names it, and prints the line that mends
//! it; and finds nothing wrong with a good one.

mod common;

use std::process::Command;

use common::mariadb::MariaDb;
use common::node::{Node, Plan, foghorn};
use common::ports::free_port;
use common::proxy::Proxy;
use common::redis::Redis;
use common::{eventually, http, token};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A report, and whether the exit code agreed with it.
struct Report(Value);

impl Report {
    fn find(&self, place: &str, check: &str) -> Vec<&Value> {
        let checks = self.0["checks"].as_array().expect("a list");
        checks.iter().filter(|c| c["place"] == place && c["check"] == check).collect()
    }

    /// Panics unless the check is there and came out like this; gives what it says and what mends it.
    fn expect(&self, place: &str, check: &str, outcome: &str) -> String {
        let found = self.find(place, check);
        let found = found.first().unwrap_or_else(|| panic!("no {place} {check} in {:#}", self.0));
        assert_eq!(found["outcome"], outcome, "{place} {check} in {:#}", self.0);
        let mend = found["mend"].as_array().expect("a list").iter().filter_map(Value::as_str);
        [found["what"].as_str().expect("a text")].into_iter().chain(mend).collect::<Vec<_>>().join("\n")
    }

    fn healthy(&self) -> bool {
        self.0["healthy"] == true
    }
}

async fn run(mut command: Command) -> (i32, String) {
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("it ends").expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!text.contains(token::KEY) && !text.contains("eyJ"), "a secret is shown: {text}");
    (output.status.code().expect("an exit code"), text)
}

fn doctor(public: Option<u16>, inner: Option<u16>, key: &str) -> Command {
    let mut command = foghorn(&["doctor"]);
    if let Some(port) = public {
        command.arg("--url").arg(format!("http://127.0.0.1:{port}/notification"));
    }
    if let Some(port) = inner {
        command.arg("--inner").arg(format!("http://127.0.0.1:{port}"));
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
    let report = Report(serde_json::from_str(&text).unwrap_or_else(|e| panic!("not JSON ({e}): {text}")));
    assert_eq!(code, if report.healthy() { 0 } else { 1 }, "{text}");
    report
}

/// nginx with `location` lines in its one server.
async fn nginx(locations: &str) -> (Proxy, u16) {
    let port = free_port();
    let http = format!("server {{ listen 127.0.0.1:{port}; {locations} location / {{ return 404 'no such page'; }} }}");
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

const GOOD: &str =
    "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;";

#[tokio::test]
#[ignore = "needs haproxy, nginx"]
async fn a_good_installation_is_healthy() {
    let node = Node::start().await;
    let (_nginx, nginx) =
        nginx(&format!("location /notification {{ proxy_pass http://127.0.0.1:{}; {GOOD} }}", node.port())).await;
    let (_haproxy, haproxy) = haproxy("", node.port()).await;
    for public in [nginx, haproxy, node.port()] {
        let report = examine(Some(public), Some(node.port())).await;
        assert!(report.healthy() && report.0["warned"] == 0, "{:#}", report.0);
        for place in ["public", "inner"] {
            for check in ["ping", "upgrade", "subprotocol", "clock", "token", "post", "event"] {
                report.expect(place, check, "ok");
            }
        }
        report.expect("public", "web page", "ok");
        // Both sides post, both sides receive both.
        assert_eq!((report.find("public", "event").len(), report.find("inner", "event").len()), (2, 2));
    }
    let (code, text) = run(doctor(Some(nginx), Some(node.port()), token::KEY)).await;
    assert!(code == 0 && text.contains("Everything that was checked works."), "{text}");
    // The library was made up: no trace of it stays.
    eventually("no subscription", || async { (node.metric("foghorn_subscriptions", "").await == 0.0).then_some(()) })
        .await;
}

#[tokio::test]
#[ignore = "needs haproxy, nginx"]
async fn nginx_without_upgrade_headers() {
    let node = Node::start().await;
    let pass = format!("proxy_pass http://127.0.0.1:{};", node.port());
    // Its defaults: HTTP/1.0, or 1.1 in newer ones, and both headers gone.
    let (_proxy, port) = nginx(&format!("location /notification {{ {pass} }}")).await;
    let report = examine(Some(port), Some(node.port())).await;
    report.expect("public", "ping", "ok");
    let said = report.expect("public", "upgrade", "fail");
    for line in ["in nginx:", "proxy_set_header Upgrade $http_upgrade;", "proxy_set_header Connection \"upgrade\";"] {
        assert!(said.contains(line), "{line} in {said}");
    }
    assert!(!said.contains("HAProxy"), "{said}");
    report.expect("inner", "upgrade", "ok");
    report.expect("inner", "event", "ok");

    let (_proxy, port) = nginx(&format!("location /notification {{ {pass} proxy_http_version 1.1; }}")).await;
    let said = examine(Some(port), None).await.expect("public", "upgrade", "fail");
    assert!(said.contains("does not pass the upgrade on") && said.contains("$http_upgrade"), "{said}");

    let old = GOOD.replace("1.1", "1.0");
    let (_proxy, port) = nginx(&format!("location /notification {{ {pass} {old} }}")).await;
    let said = examine(Some(port), None).await.expect("public", "upgrade", "fail");
    assert!(said.contains("HTTP/1.0") && said.contains("proxy_http_version 1.1;"), "{said}");

    let lost = "proxy_set_header Sec-WebSocket-Key '';";
    let (_proxy, port) = nginx(&format!("location /notification {{ {pass} {GOOD} {lost} }}")).await;
    let said = examine(Some(port), None).await.expect("public", "upgrade", "fail");
    assert!(said.contains("proxy_set_header Sec-WebSocket-Key $http_sec_websocket_key;"), "{said}");
}

/// Apache with these lines in its one server.
async fn apache(lines: &str) -> (Proxy, u16) {
    let port = free_port();
    (Proxy::apache(&["proxy", "proxy_http", "authz_host", "headers"], lines, port).await, port)
}

#[tokio::test]
#[ignore = "needs apache2"]
async fn apache_without_upgrade() {
    let node = Node::start().await;
    let (_proxy, port) =
        apache(&format!("ProxyPass /notification http://127.0.0.1:{}/notification", node.port())).await;
    let report = examine(Some(port), Some(node.port())).await;
    report.expect("public", "ping", "ok");
    report.expect("public", "post", "ok");
    let said = report.expect("public", "upgrade", "fail");
    let line = said.lines().find_map(|line| line.trim().strip_prefix("ProxyPass")).expect("the line that mends it");
    let line = line.split('#').next().expect("a line");
    let (_proxy, port) = apache(&format!("ProxyPass {line}")).await;
    let report = examine(Some(port), Some(node.port())).await;
    assert!(report.healthy(), "{:#}", report.0);
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_proxy_that_redirects_or_wants_a_password() {
    let (_proxy, port) = nginx("location /notification { return 301 https://cloud.example.com$request_uri; }").await;
    let report = examine(Some(port), None).await;
    for check in ["ping", "upgrade"] {
        let said = report.expect("public", check, "fail");
        assert!(said.contains("SERVICE_URL") && said.contains("https://cloud.example.com/"), "{said}");
    }
    report.expect("public", "post", "fail");
    let (_proxy, port) = nginx("location /notification { return 401; }").await;
    let said = examine(Some(port), None).await.expect("public", "ping", "fail");
    assert!(said.contains("no password for the proxy"), "{said}");
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_proxy_without_patience() {
    let node = Node::start().await;
    let pass = format!("proxy_pass http://127.0.0.1:{}; {GOOD}", node.port());
    let (_proxy, port) = nginx(&format!("location /notification {{ {pass} proxy_read_timeout 2s; }}")).await;
    let mut command = doctor(Some(port), Some(node.port()), token::KEY);
    command.args(["--json", "--hold", "6"]);
    let (code, text) = run(command).await;
    let report = Report(serde_json::from_str(&text).expect("JSON"));
    let said = report.expect("public", "hold", "fail");
    assert!(code == 1 && said.contains("proxy_read_timeout 90s;") && !said.contains("HAProxy"), "{said}");
    report.expect("inner", "hold", "ok");
}

/// What Seafile's manual tells to write works.
#[tokio::test]
#[ignore = "needs nginx"]
async fn the_manuals_nginx_is_healthy() {
    let (node, port) = (Node::start().await, free_port());
    let config = include_str!("manual/nginx.conf").replace("127.0.0.1:8083", &format!("127.0.0.1:{}", node.port()));
    let config = config.replace("127.0.0.1:8781", &format!("127.0.0.1:{port}"));
    let _proxy = Proxy::nginx(&config, port).await;
    let report = examine(Some(port), Some(node.port())).await;
    assert!(report.healthy() && report.0["warned"] == 0, "{:#}", report.0);
}

#[tokio::test]
#[ignore = "needs haproxy, nginx"]
async fn the_mended_line_mends_it() {
    let node = Node::start().await;
    let (_proxy, port) =
        nginx(&format!("location /notification {{ proxy_pass http://127.0.0.1:{}; }}", node.port())).await;
    let said = examine(Some(port), Some(node.port())).await.expect("public", "upgrade", "fail");
    // The very lines, put into the place they name.
    let inside: String = said.lines().filter_map(|line| line.strip_prefix("        ")).collect();
    let mended = format!("location /notification {{ proxy_pass http://127.0.0.1:{}; {inside} }}", node.port());
    let (_proxy, port) = nginx(&mended).await;
    let report = examine(Some(port), Some(node.port())).await;
    assert!(report.healthy(), "{:#}", report.0);
}

#[tokio::test]
#[ignore = "needs haproxy, nginx"]
async fn a_path_that_leads_nowhere_or_to_nobody() {
    let node = Node::start().await;
    let (_proxy, port) = nginx("").await;
    let report = examine(Some(port), Some(node.port())).await;
    for check in ["ping", "upgrade", "post"] {
        let said = report.expect("public", check, "fail");
        assert!(said.contains("404"), "{said}");
        assert!(said.contains(&format!("proxy_pass http://127.0.0.1:{};", node.port())), "{said}");
    }
    // Seafile's own pages answer 200 to anything that looks like a page.
    let (_proxy, port) = nginx("location /notification { return 200 '<html>Seafile</html>'; }").await;
    let said = examine(Some(port), None).await.expect("public", "ping", "fail");
    assert!(said.contains("something else than a notification server"), "{said}");

    let nobody = free_port();
    let (_proxy, port) =
        nginx(&format!("location /notification {{ proxy_pass http://127.0.0.1:{nobody}; {GOOD} }}")).await;
    let report = examine(Some(port), Some(node.port())).await;
    for check in ["ping", "upgrade", "post"] {
        let said = report.expect("public", check, "fail");
        assert!(said.contains("502") && said.contains("in nginx:"), "{said}");
    }
    let (_proxy, port) = haproxy("", nobody).await;
    let said = examine(Some(port), Some(node.port())).await.expect("public", "ping", "fail");
    assert!(said.contains("503") && said.contains(&format!("server foghorn1 127.0.0.1:{}", node.port())), "{said}");

    let report = examine(Some(free_port()), Some(nobody)).await;
    assert!(report.expect("public", "ping", "fail").contains("does the proxy run"));
    assert!(report.expect("inner", "ping", "fail").contains("INNER_NOTIFICATION_SERVER_URL="));
}

#[tokio::test]
#[ignore = "needs haproxy, nginx"]
async fn haproxy_that_deletes_headers() {
    let node = Node::start().await;
    let rules = "  http-request del-header Upgrade\n  http-request del-header Connection";
    let (_proxy, port) = haproxy(rules, node.port()).await;
    let mut command = doctor(Some(port), Some(node.port()), token::KEY);
    command.args(["--json", "--proxy", "haproxy"]);
    let (code, text) = run(command).await;
    assert_eq!(code, 1);
    let report = Report(serde_json::from_str(&text).expect("JSON"));
    let said = report.expect("public", "upgrade", "fail");
    assert!(said.contains("in HAProxy:") && said.contains("del-header") && !said.contains("nginx"), "{said}");
    report.expect("public", "ping", "ok");
    report.expect("public", "post", "ok");

    // Untold which proxy it is, the lines of all are shown.
    let said = examine(Some(port), None).await.expect("public", "upgrade", "fail");
    assert!(said.contains("in HAProxy:") && said.contains("in nginx:"), "{said}");
}

#[tokio::test]
#[ignore = "needs haproxy, nginx"]
async fn events_that_may_not_be_posted() {
    let node = Plan::new().env("FOGHORN_EVENTS_FROM", "10.9.9.9").start().await;
    let said = examine(None, Some(node.port())).await.expect("inner", "post", "warn");
    assert!(said.contains("FOGHORN_EVENTS_FROM"), "{said}");

    let node = Node::start().await;
    let blocked = "  http-request deny deny_status 403 if { path_end /events }";
    let (_proxy, port) = haproxy(blocked, node.port()).await;
    let report = examine(Some(port), Some(node.port())).await;
    let said = report.expect("public", "post", "warn");
    assert!(said.contains("403") && said.contains("use_backend foghorn if { path /notification/events }"), "{said}");
    report.expect("public", "event", "ok");
    assert_eq!(report.find("public", "event").len(), 1, "only the inner one arrives");

    let pass = format!("proxy_pass http://127.0.0.1:{}; {GOOD}", node.port());
    let missing = format!("location = /notification {{ {pass} }} location = /notification/ping {{ {pass} }}");
    let (_proxy, port) = nginx(&missing).await;
    let said = examine(Some(port), Some(node.port())).await.expect("public", "post", "fail");
    assert!(said.contains("404") && said.contains("location /notification/events {"), "{said}");
}

#[tokio::test]
#[ignore = "needs haproxy, nginx"]
async fn a_key_that_is_not_the_servers() {
    let node = Node::start().await;
    let report = examine_with(Some(node.port()), Some(node.port()), "another-key-another-key-another-0").await;
    for (place, check) in [("public", "token"), ("inner", "token"), ("inner", "post")] {
        let said = report.expect(place, check, "fail");
        assert!(said.contains("JWT_PRIVATE_KEY"), "{said}");
    }
    let mut command = doctor(Some(node.port()), None, "");
    command.env_remove("JWT_PRIVATE_KEY");
    let (code, text) = run(command).await;
    assert!(code == 0 && text.contains("tokens and events were not tried"), "{text}");
}

#[tokio::test]
#[ignore = "needs haproxy, nginx"]
async fn two_nodes_that_do_not_know_each_other() {
    let (one, other) = (Node::start().await, Node::start().await);
    let report = examine(Some(one.port()), Some(other.port())).await;
    let said = report.expect("public", "event", "fail");
    assert!(said.contains("did not come") && said.contains("FOGHORN_REDIS_URLS"), "{said}");
    // Its own, it hears.
    report.expect("inner", "event", "ok");
}

#[tokio::test]
#[ignore = "needs haproxy, nginx"]
async fn a_page_of_another_origin() {
    let node = Plan::new().env("FOGHORN_ALLOWED_ORIGINS", "https://other.example.com").start().await;
    let said = examine(Some(node.port()), None).await.expect("public", "web page", "fail");
    assert!(said.contains(&format!("FOGHORN_ALLOWED_ORIGINS=http://127.0.0.1:{}", node.port())), "{said}");
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
    let said = examine(None, Some(port)).await.expect("inner", "clock", "fail");
    assert!(said.contains("behind") && said.contains("timedatectl set-ntp true"), "{said}");
    server.abort();
    assert!(http::try_request(port, "GET", "/", &[], None).await.is_none());
}

/// One report with these settings in its environment.
async fn with_settings(port: u16, settings: &[(&str, &str)]) -> Report {
    let mut command = doctor(None, Some(port), token::KEY);
    command.arg("--json").envs(settings.iter().copied());
    let (code, text) = run(command).await;
    let report = Report(serde_json::from_str(&text).unwrap_or_else(|e| panic!("not JSON ({e}): {text}")));
    assert_eq!(code, if report.healthy() { 0 } else { 1 }, "{text}");
    assert!(!text.contains("-secret"), "a password is shown: {text}");
    report
}

#[tokio::test]
#[ignore = "needs redis"]
async fn redis_as_it_should_be_and_as_it_should_not() {
    let node = Node::start().await;
    let redis = Redis::with(&["--requirepass", "redis-secret"]).await;
    let url = format!("redis://:redis-secret@127.0.0.1:{}", redis.port());
    let report = with_settings(node.port(), &[("FOGHORN_REDIS_URLS", &url)]).await;
    for check in ["connect", "version", "memory"] {
        report.expect("redis", check, "ok");
    }
    let wrong =
        [("REDIS_HOST", "127.0.0.1"), ("REDIS_PORT", &redis.port().to_string()), ("REDIS_PASSWORD", "not-secret")];
    let said = with_settings(node.port(), &wrong).await.expect("redis", "connect", "fail");
    assert!(said.contains("refuses user or password") && said.contains("REDIS_PASSWORD"), "{said}");
    let none = with_settings(node.port(), &[("FOGHORN_REDIS_URLS", &redis.url())]).await;
    assert!(none.expect("redis", "connect", "fail").contains("refuses user or password"));

    let forgetful = Redis::with(&["--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"]).await;
    let replica = Redis::with(&["--replicaof", "127.0.0.1", &forgetful.port().to_string()]).await;
    let urls = format!("{},{}", forgetful.url(), replica.url());
    let report = with_settings(node.port(), &[("FOGHORN_REDIS_URLS", &urls)]).await;
    assert!(report.expect("redis", "memory", "warn").contains("maxmemory-policy noeviction"));
    assert!(report.expect("redis", "role", "fail").contains("redis-sentinel://"));

    let gone = format!("redis://127.0.0.1:{}", free_port());
    let said = with_settings(node.port(), &[("FOGHORN_REDIS_URLS", &gone)]).await.expect("redis", "connect", "fail");
    assert!(said.contains("FOGHORN_REDIS_URLS="), "{said}");
    let said =
        with_settings(node.port(), &[("FOGHORN_REDIS_URLS", "http://x")]).await.expect("here", "settings", "fail");
    assert!(said.contains("FOGHORN_REDIS_URLS") && said.contains("check-config"), "{said}");
}

#[tokio::test]
#[ignore = "needs mariadb"]
async fn a_database_as_it_should_be_and_as_it_should_not() {
    let node = Node::start().await;
    let database = MariaDb::start().await;
    let settings = database.env();
    let with = |name: &'static str, value: &'static str| {
        let changed = settings.iter().map(move |(n, v)| (*n, if *n == name { value } else { v.as_str() }));
        changed.collect::<Vec<_>>()
    };
    let report = with_settings(node.port(), &with("", "")).await;
    assert!(report.expect("database", "GroupUser", "ok").contains("2 memberships"));
    for (name, value, mend) in [
        ("SEAFILE_MYSQL_DB_PASSWORD", "wrong-secret", "SEAFILE_MYSQL_DB_PASSWORD="),
        ("SEAFILE_MYSQL_DB_CCNET_DB_NAME", "mysql", "GRANT SELECT ON mysql.GroupUser"),
        ("SEAFILE_MYSQL_DB_PORT", "1", "SEAFILE_MYSQL_DB_HOST="),
    ] {
        let said = with_settings(node.port(), &with(name, value)).await.expect("database", "GroupUser", "fail");
        assert!(said.contains(mend), "{said}");
    }
    database.sql("DROP TABLE ccnet_db.GroupUser");
    let said = with_settings(node.port(), &with("", "")).await.expect("database", "GroupUser", "fail");
    assert!(said.contains("SEAFILE_MYSQL_DB_CCNET_DB_NAME="), "{said}");
}
