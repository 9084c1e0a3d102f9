//! Foghorn answers as Seafile's own notification server does, and better where that one is wrong: the recorded
//! conversations of `tests/conformance` replayed against one node, a cluster, and through the proxy configurations
//! that Seafile's manual gives its administrators, unchanged.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use common::PATIENCE;
use common::mariadb::MariaDb;
use common::namespace::ran_apart;
use common::node::{Node, Plan};
use common::ports::free_port;
use common::process::{command, need};
use common::proxy::Proxy;
use common::redis::Redis;
use common::token;
use common::wire::Wire;

/// A way to the nodes, and what it does to conversations by its nature.
#[derive(Clone, Copy)]
struct Way {
    /// What the public address puts before every path.
    prefix: &'static str,
    /// Conversations that the proxy answers itself or rewrites, each with the reason.
    left_out: &'static [(&'static str, &'static str)],
    /// Conversations that name the public paths themselves, so that nothing is to be put before them.
    public_paths: &'static [&'static str],
}

const DIRECT: Way = Way {
    prefix: "",
    left_out: &[],
    public_paths: &[],
};
const HAPROXY: Way = Way {
    prefix: "/notification",
    left_out: &[],
    // It passes paths on as they are: /notification/notification/ping would not be Foghorn's.
    public_paths: &["notification-paths"],
};
const NGINX: Way = Way {
    prefix: "/notification",
    left_out: &[
        (
            "handshake-refused",
            "it writes Connection itself: a request with an Upgrade header and Connection: close becomes an upgrade",
        ),
        (
            "one-mebibyte-event",
            "it answers 413 to bodies over its client_max_body_size, 1 MiB by default",
        ),
    ],
    public_paths: &[],
};
const APACHE: Way = Way {
    prefix: "/notification",
    left_out: &[(
        "handshake-refused",
        "it writes Connection itself: a request with an Upgrade header and Connection: close becomes an upgrade",
    )],
    public_paths: &[],
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn name(file: &Path) -> &str {
    file.file_stem()
        .and_then(|name| name.to_str())
        .expect("conversations have plain names")
}

fn conversations() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for folder in
        ["conformance/seafile", "conformance/seafile-better"].map(|name| folder().join(name))
    {
        let entries = std::fs::read_dir(&folder).expect("the conversations are there");
        files.extend(entries.map(|entry| entry.expect("a folder can be listed").path()));
    }
    files.retain(|file| {
        file.extension()
            .is_some_and(|extension| extension == "json")
    });
    files.sort();
    files
}

/// Starts the tool on some conversations. The waits in them suit an idle machine, so they are stretched; what must come is
/// waited for as long as in any test.
fn player(port: u16, prefix: &str, files: &[&PathBuf]) -> Child {
    let mut play = command(&need("python3", "python3"));
    play.arg(folder().join("conformance/run.py"))
        .args(["--url", &format!("http://127.0.0.1:{port}")]);
    play.args(["--key", token::KEY, "--prefix", prefix, "--patience", "3"])
        .args(["--at-least", &PATIENCE.as_secs().to_string()])
        .arg("--settle")
        .args(files);
    play.stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python3 starts")
}

/// Replays the conversations through `port`, several side by side, and panics with what differs.
fn replay(port: u16, way: Way) {
    const LANES: usize = 6;
    let files = conversations();
    for left in way
        .left_out
        .iter()
        .map(|(left, _)| left)
        .chain(way.public_paths)
    {
        assert!(
            files.iter().any(|file| name(file) == *left),
            "{left} is named but not there"
        );
    }
    let played = files
        .iter()
        .filter(|file| way.left_out.iter().all(|(left, _)| name(file) != *left));
    let (public, plain): (Vec<_>, Vec<_>) =
        played.partition(|file| way.public_paths.contains(&name(file)));
    let total = public.len() + plain.len();
    let lanes = (0..LANES).map(|lane| {
        plain
            .iter()
            .copied()
            .skip(lane)
            .step_by(LANES)
            .collect::<Vec<_>>()
    });
    let mut players = lanes
        .map(|lane| player(port, way.prefix, &lane))
        .collect::<Vec<_>>();
    if !public.is_empty() {
        players.push(player(port, "", &public));
    }
    let (mut report, mut good) = (String::new(), 0);
    for player in players {
        let output = player
            .wait_with_output()
            .expect("a child can be waited for");
        let text = String::from_utf8_lossy(&output.stdout);
        let (passed, rest): (Vec<_>, Vec<_>) =
            text.lines().partition(|line| line.starts_with("ok "));
        good += passed.len();
        report.extend(rest.iter().map(|line| format!("{line}\n")));
        report += &String::from_utf8_lossy(&output.stderr);
    }
    assert_eq!(
        good, total,
        "of {total} conversations {good} passed:\n{report}"
    );
}

/// A node as the conversations expect it: no history, group 7 in its database.
fn plan(plan: Plan, database: &MariaDb) -> Plan {
    database
        .env()
        .iter()
        .fold(plan.no_replay(), |plan, (name, value)| {
            plan.env(name, value)
        })
}

#[tokio::test]
#[ignore = "needs python3 and MariaDB"]
async fn one_memory_node() {
    let database = MariaDb::start().await;
    let node = plan(Plan::new(), &database).start().await;
    replay(node.port(), DIRECT);
}

#[tokio::test]
#[ignore = "needs python3, MariaDB, Redis and HAProxy"]
async fn three_nodes_on_two_redis_servers_every_connection_to_another_node() {
    let database = MariaDb::start().await;
    let redis = [Redis::start().await, Redis::start().await];
    let mut urls = Vec::new();
    for redis in &redis {
        urls.push(with_the_rights_of_the_page(redis).await);
    }
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(
            plan(Plan::new(), &database)
                .redis(urls.iter().map(String::as_str))
                .start()
                .await,
        );
    }
    let port = free_port();
    let _proxy = Proxy::haproxy(&round_robin(port, &nodes), port).await;
    replay(port, DIRECT);
    for node in &nodes {
        assert!(
            node.metric("foghorn_handshakes_total", "").await > 0.0,
            "a node took no client"
        );
        assert!(
            node.metric("foghorn_events_accepted_total", "").await > 0.0,
            "a node took no event"
        );
    }
    for redis in &redis {
        assert!(
            redis.command(&["DBSIZE"]).await.starts_with(":0"),
            "something is kept in Redis"
        );
        assert!(
            redis
                .command(&["INFO", "commandstats"])
                .await
                .contains("cmdstat_publish"),
            "nothing went over it"
        );
    }
}

/// The server's URL for a user who has the rights that the manual names, and no others.
async fn with_the_rights_of_the_page(redis: &Redis) -> String {
    const USER: &str = "ACL SETUSER foghorn on >PASSWORD ";
    let line = include_str!("../docs/INSTALL.md")
        .lines()
        .find_map(|line| line.trim().strip_prefix(USER));
    let rights = line.expect("the page has the line").split(' ');
    // Redis before 7.2 does not know it.
    let rights = rights.filter(|right| *right != "+client|setinfo");
    let words: Vec<&str> = ["ACL", "SETUSER", "foghorn", "on", ">PASSWORD"]
        .into_iter()
        .chain(rights)
        .collect();
    let answer = redis.command(&words).await;
    assert!(answer.starts_with("+OK"), "{answer}");
    redis.url().replace("redis://", "redis://foghorn:PASSWORD@")
}

/// HAProxy sends each new connection to the next node, whether it is a client's or a backend's.
fn round_robin(port: u16, nodes: &[Node]) -> String {
    let mut config = format!(
        "defaults\n mode http\n timeout connect 10s\n timeout client 60s\n timeout server 60s\n timeout tunnel 1h\n \
         option http-server-close\nlisten all\n bind 127.0.0.1:{port}\n balance roundrobin\n"
    );
    for (n, node) in nodes.iter().enumerate() {
        config += &format!(" server node{n} 127.0.0.1:{}\n", node.port());
    }
    config
}

// The manual's configurations have fixed addresses: 8083 for the notification server, 8780 to 8782 for themselves.
// Each test has a network to itself.

async fn manuals_node(database: &MariaDb) -> Node {
    plan(Plan::on(8083, free_port()), database).start().await
}

fn manual(file: &str) -> PathBuf {
    folder().join("manual").join(file)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3, MariaDB, HAProxy and a network namespace"]
async fn behind_the_manuals_haproxy() {
    if ran_apart("behind_the_manuals_haproxy") {
        return;
    }
    let database = MariaDb::start().await;
    let _node = manuals_node(&database).await;
    // Plain requests for /notification/events go to the Seafile nodes there, and Seafile's own web server passes them on.
    let _seafile = Wire::between(8000, 8083).await;
    let config = std::fs::read_to_string(manual("haproxy.cfg")).expect("the file is there");
    let _proxy = Proxy::haproxy(&config, 8780).await;
    replay(8780, HAPROXY);
}

#[tokio::test]
#[ignore = "needs python3, MariaDB, nginx and a network namespace"]
async fn behind_the_manuals_nginx() {
    if ran_apart("behind_the_manuals_nginx") {
        return;
    }
    let database = MariaDb::start().await;
    let _node = manuals_node(&database).await;
    let _proxy = Proxy::nginx(
        &format!("include {};", manual("nginx.conf").display()),
        8781,
    )
    .await;
    replay(8781, NGINX);
}

#[tokio::test]
#[ignore = "needs python3, MariaDB, Apache and a network namespace"]
async fn behind_the_manuals_apache() {
    if ran_apart("behind_the_manuals_apache") {
        return;
    }
    let database = MariaDb::start().await;
    let _node = manuals_node(&database).await;
    let modules = ["proxy", "proxy_http", "proxy_wstunnel"];
    let _proxy = Proxy::apache(
        &modules,
        &format!("Include {}", manual("apache.conf").display()),
        8782,
    )
    .await;
    replay(8782, APACHE);
}

#[test]
fn every_conversation_is_there() {
    assert_eq!(conversations().len(), 48 + 8);
}
