//! Over Sentinels and over a Redis Cluster too, any node and the commands show the whole cluster, before and after a
//! master died.

mod common;
#[allow(dead_code, clippy::unwrap_used)]
#[path = "broker_redis/layouts.rs"]
mod layouts;
#[allow(dead_code, clippy::unwrap_used)]
#[path = "broker_redis/servers.rs"]
mod servers;

use common::node::{Node, Plan, foghorn};
use common::{eventually, http, library, ports, token};
use layouts::{Cluster, Sentinels};
use serde_json::Value;

/// Whether `foghorn` finds all well, and what it prints.
async fn ran(args: &[&str], env: &[(&str, &str)]) -> (bool, String) {
    let args: Vec<String> = args.iter().map(ToString::to_string).collect();
    let mut command = foghorn(&[]);
    command.args(&args);
    command.envs(env.iter().copied());
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .expect("it ends")
        .expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let is_well = output.status.success();
    (
        is_well,
        if is_well {
            text
        } else {
            text + &String::from_utf8_lossy(&output.stderr)
        },
    )
}

/// Waits until `node` sees both nodes, each with its shard up and timed and nothing to warn of.
async fn sees_both(node: &Node) {
    eventually("both nodes and their shard", || async {
        let view = http::get(node.ops(), "/nodes").await.expect(200).json();
        let well = |node: &Value| {
            let shard = &node["shards"][0];
            shard["up"] == true
                && shard["round_trip_seconds"].is_number()
                && node["clock_offset_ms"].is_number()
        };
        let nodes = view["nodes"].as_array().expect("nodes");
        let names: Vec<_> = nodes.iter().map(|node| &node["name"]).collect();
        (names == ["one", "two"]
            && nodes.iter().all(well)
            && view["warnings"] == serde_json::json!([]))
        .then_some(())
    })
    .await;
}

/// Both nodes show both, hold a client each and hear each other; the commands say so.
async fn all_is_shown(nodes: [&Node; 2], url: &str) {
    let library = library();
    let mut clients = Vec::new();
    for node in nodes {
        sees_both(node).await;
        clients.push(node.subscriber(&library, "a@x").await);
    }
    nodes[0].post_update(&library, "c0ffee").await;
    for client in &mut clients {
        client.expect_update(&library, "c0ffee").await;
    }
    for node in nodes {
        // A node that takes too long to answer is left out.
        eventually("a client on each node", || async {
            let found = http::get(node.ops(), &format!("/api/v1/lookup?channel={library}"))
                .await
                .expect(200)
                .json();
            (found["total"] == 2).then_some(())
        })
        .await;
        let ops = format!("127.0.0.1:{}", node.ops());
        // A node that has just lost a master says so until it hears the next one.
        eventually("both nodes well in the table", || async {
            let (is_well, table) = ran(&["status"], &[("FOGHORN_OPS_ADDR", &ops)]).await;
            let rows = |name: &str| {
                table
                    .lines()
                    .filter(|line| line.trim_start().starts_with(name))
                    .count()
            };
            (is_well && table.contains("ready (running)") && rows("one") >= 1 && rows("two") >= 1)
                .then_some(())
        })
        .await;
    }
    let [public, inner] = nodes.map(|node| format!("http://127.0.0.1:{}", node.port()));
    let settings = [("FOGHORN_REDIS_URLS", url), ("JWT_PRIVATE_KEY", token::KEY)];
    let doctor: [&str; 6] = ["doctor", "--json", "--url", &public, "--inner", &inner];
    // What is slow is no more well than what is away, and a machine that stands still is slow.
    eventually("a doctor who finds all well", || async {
        let (is_well, report) = ran(&doctor, &settings).await;
        let is_well = is_well && all_ok(&report);
        if !is_well {
            println!("{report}");
        }
        is_well.then_some(())
    })
    .await;
}

/// Whether the doctor tried what needs Redis, and all of it is well.
fn all_ok(report: &str) -> bool {
    let report: Value = serde_json::from_str(report).expect("JSON");
    let checks = report["checks"].as_array().expect("checks");
    [
        ("redis", "connect"),
        ("redis", "rights"),
        ("redis", "events"),
        ("public", "event"),
    ]
    .iter()
    .all(|(place, check)| {
        let mut found = checks
            .iter()
            .filter(|c| c["place"] == *place && c["check"] == *check)
            .peekable();
        found.peek().is_some() && found.all(|c| c["outcome"] == "ok")
    })
}

async fn two_nodes(url: &str) -> [Node; 2] {
    let plan = |name: &str| Plan::new().env("FOGHORN_NODE_NAME", name).redis([url]);
    [plan("one").start().await, plan("two").start().await]
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn over_sentinels() {
    let mut redis = Sentinels::start();
    let url = redis.url();
    let [one, two] = two_nodes(&url).await;
    all_is_shown([&one, &two], &url).await;
    redis.master.kill();
    eventually("the replica's turn", || async {
        redis
            .replica
            .cli(&["ROLE"])
            .starts_with("master")
            .then_some(())
    })
    .await;
    all_is_shown([&one, &two], &url).await;
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn over_a_redis_cluster() {
    let mut redis = Cluster::start();
    let url = redis.url();
    let [one, two] = two_nodes(&url).await;
    all_is_shown([&one, &two], &url).await;
    let before = redis.masters();
    redis.servers[before[0]].kill();
    eventually("another master", || async {
        let rest = redis.masters();
        (rest.len() == before.len()).then_some(())
    })
    .await;
    all_is_shown([&one, &two], &url).await;
}
