//! What most drills start from: nodes over Redis, HAProxy in front of them, and something to say about both.

use std::time::Duration;

use crate::common::cluster::Cluster;
use crate::common::ledger::{Kind, Ledger};
use crate::common::node::{Node, Plan};
use crate::common::ports::free_port;
use crate::common::proxy::Proxy;
use crate::common::{eventually, library};

/// Pause between two events of one library.
pub const BRISK: Duration = Duration::from_millis(5);

/// A node that says little, closes for a resync within two seconds, and replays for long.
pub fn plan() -> Plan {
    Plan::new()
        .env("NOTIFICATION_SERVER_LOG_LEVEL", "info")
        .env("FOGHORN_RESYNC_WINDOW", "2")
        .env("FOGHORN_REPLAY_SECONDS", "30")
}

/// `nodes` nodes over `shards` Redis servers.
pub async fn cluster(nodes: usize, shards: usize) -> Cluster {
    Cluster::start(nodes, shards, plan).await
}

/// One library with a desktop client and a web page on each of `nodes`.
pub async fn seats(ledger: &mut Ledger, nodes: &[Node]) -> String {
    let library = library();
    for node in nodes {
        ledger.seat(node.port(), &library, Kind::Desktop).await;
        ledger.seat(node.port(), &library, Kind::Web).await;
    }
    library
}

/// Waits until so many of a node's shards are up; says how long it took, in seconds.
pub async fn redis_up(node: &Node, shards: f64) -> f64 {
    let started = std::time::Instant::now();
    eventually("the state of the shards", || async {
        (node.metric("foghorn_redis_up", "").await == shards).then_some(())
    })
    .await;
    started.elapsed().as_secs_f64()
}

/// HAProxy in front of `nodes`, with the timing of `haproxy/haproxy.cfg` made faster; gives its port.
pub async fn haproxy(nodes: &[Node]) -> (Proxy, u16) {
    let port = free_port();
    let servers = |options: &str| {
        let line = |(n, node): (usize, &Node)| {
            format!(
                "    server n{n} 127.0.0.1:{} check port {} {options}\n",
                node.port(),
                node.ops()
            )
        };
        nodes.iter().enumerate().map(line).collect::<String>()
    };
    let check =
        "inter 200ms fastinter 100ms rise 1 fall 1 observe layer4 error-limit 1 on-error mark-down";
    let ready = "    option httpchk\n    http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host foghorn\n    \
                 http-check expect status 200\n";
    let config = format!(
        "defaults\n    mode http\n    option redispatch 1\n    retries 3\n    timeout connect 250ms\n    timeout check 1s\n    \
         timeout client 10m\n    timeout http-request 10s\n    timeout queue 10s\n    timeout tunnel 90s\n\
         frontend public\n    bind 127.0.0.1:{port}\n    use_backend events if {{ path /events }}\n    \
         default_backend clients\n\
         backend clients\n    balance leastconn\n    timeout server 10m\n    retry-on conn-failure empty-response\n\
         {ready}{}\
         backend events\n    balance roundrobin\n    timeout server 1s\n    \
         http-request set-header Idempotency-Key %[uuid] unless {{ req.hdr(Idempotency-Key) -m found }}\n    \
         http-response set-header X-Node %s\n    \
         retry-on conn-failure empty-response response-timeout 503\n{ready}{}",
        servers(check),
        servers(check),
    );
    let proxy = Proxy::haproxy(&config, port).await;
    eventually("HAProxy has a node", || async {
        crate::common::http::try_request(port, "GET", "/ping", &[], None)
            .await
            .filter(|answer| answer.status == 200)
    })
    .await;
    (proxy, port)
}

/// Waits until HAProxy has seen that the node is back: it has been asked whether it is ready, and has said yes.
pub async fn taken_up(node: &Node) {
    let before = node.metric("foghorn_connections", "").await;
    eventually("HAProxy sends clients again", || async {
        let now = node.metric("foghorn_connections", "").await
            + node.metric("foghorn_events_accepted_total", "").await;
        (now > before).then_some(())
    })
    .await;
}
