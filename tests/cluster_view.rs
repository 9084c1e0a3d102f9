//! Any node shows all of them, asks all of them, and knows when it alone has lost what the others have.

mod common;

use common::cluster::Cluster;
use common::http::{self, Answer};
use common::node::{Node, Plan, foghorn};
use common::redis::Redis;
use common::socket::End;
use common::wire::Wire;
use common::{eventually, library};
use serde_json::{Value, json};

async fn view(node: &Node) -> Value {
    http::get(node.ops(), "/nodes").await.expect(200).json()
}

fn names(view: &Value) -> Vec<&str> {
    view["nodes"].as_array().expect("nodes").iter().map(|node| node["name"].as_str().expect("a name")).collect()
}

fn codes(view: &Value) -> Vec<&str> {
    let warnings = view["warnings"].as_array().expect("warnings");
    warnings.iter().map(|warning| warning["code"].as_str().expect("a code")).collect()
}

/// Waits until the view of `node` is as wanted.
async fn seen(node: &Node, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    eventually(what, || async { Some(view(node).await).filter(&wanted) }).await
}

fn called(name: &str) -> Plan {
    Plan::new().env("FOGHORN_NODE_NAME", name)
}

/// Whether every node has said all of what it can say of itself.
fn all_known(view: &Value) -> bool {
    let timed = |shard: &Value| shard["round_trip_seconds"].as_f64().is_some_and(|time| time > 0.0);
    view["nodes"].as_array().expect("nodes").iter().all(|node| {
        let clock = node["clock_offset_ms"].as_i64().is_some_and(|ms| ms.abs() < 1_000);
        let shards = node["shards"].as_array().is_some_and(|shards| shards.len() == 2 && shards.iter().all(timed));
        clock && shards && node["partitions"] == 64 && node["phase"] == "running"
    })
}

async fn post(node: &Node, path: &str, body: Value) -> Answer {
    let json = [("Content-Type", "application/json")];
    http::request(node.ops(), "POST", path, &json, Some(body.to_string().as_bytes())).await
}

#[tokio::test]
#[ignore = "needs Redis"]
async fn every_node_shows_and_asks_all_of_them() {
    let mut cluster = Cluster::start(0, 2, Plan::new).await;
    for name in ["a", "b", "c"] {
        let node = cluster.member(called(name)).start().await;
        cluster.nodes.push(node);
    }
    for node in &cluster.nodes {
        let view = seen(node, "three nodes", |view| names(view) == ["a", "b", "c"] && all_known(view)).await;
        assert_eq!(codes(&view), Vec::<&str>::new(), "{view}");
    }
    let library = library();
    let mut clients = Vec::new();
    for node in &cluster.nodes {
        clients.push(node.subscriber(&library, "a@x").await);
    }
    for node in &cluster.nodes {
        let found = http::get(node.ops(), &format!("/api/v1/lookup?library={library}")).await.expect(200).json();
        assert_eq!(found["total"], 3, "{found}");
        let who: Vec<_> = found["nodes"].as_array().expect("nodes").iter().map(|of| of["node"].clone()).collect();
        assert_eq!(who, ["a", "b", "c"]);
        assert!(found["nodes"][2]["clients"][0]["expires_ms"].is_number());
    }
    let gone = post(&cluster.nodes[1], "/api/v1/disconnect", json!({"user": "a@x"})).await.expect(200).json();
    assert_eq!(gone, json!({"disconnected": 3}));
    for client in &mut clients {
        assert_eq!(client.ended().await, End::Closed(1008, "disconnected by an administrator".into()));
    }

    // Whoever ends says so; whoever is killed is forgotten when its lease has run out.
    cluster.nodes[2].process().signal("TERM");
    seen(&cluster.nodes[0], "two nodes", |view| names(view) == ["a", "b"] || view["nodes"][2]["phase"] != "running")
        .await;
    cluster.nodes[1].process().kill();
    seen(&cluster.nodes[0], "one node", |view| names(view) == ["a"]).await;
    eventually("one lease", || async {
        (cluster.redis[0].command(&["HLEN", "{foghorn:nodes}"]).await == ":1\r\n").then_some(())
    })
    .await;
}

#[tokio::test]
#[ignore = "needs Redis"]
async fn what_differs_between_nodes_is_warned_of() {
    let cluster = Cluster::start(0, 1, Plan::new).await;
    let one = cluster.member(called("one")).start().await;
    let _other = cluster.member(called("other").env("JWT_PRIVATE_KEY", "another-key-than-the-first")).start().await;
    let third = called("one").env("FOGHORN_REPLAY_SECONDS", "3");
    let _third = cluster.member(third).start().await;
    let view = seen(&one, "three warnings", |view| codes(view).len() == 3).await;
    assert_eq!(codes(&view), ["keys", "configuration", "names"], "{view}");
    assert!(!view.to_string().contains("another-key"));
    one.counted("foghorn_cluster_warnings", "code=\"keys\"", 1.0).await;
    one.counted("foghorn_cluster_nodes", "", 3.0).await;
}

/// What one machine cannot have for real, another clock and another version, a made-up lease says.
#[tokio::test]
#[ignore = "needs Redis"]
async fn clocks_apart_versions_mixed_and_a_node_that_hears_nothing_are_warned_of() {
    let cluster = Cluster::start(0, 1, Plan::new).await;
    let one = cluster.member(called("one")).start().await;
    let view =
        seen(&one, "itself", |view| names(view) == ["one"] && view["nodes"][0]["clock_offset_ms"].is_i64()).await;
    let mut other = view["nodes"][0].clone();
    let ahead = other["clock_offset_ms"].as_i64().expect("an offset") + 5_000;
    (other["name"], other["id"]) = (json!("other"), json!("other-1"));
    (other["clock_offset_ms"], other["version"]) = (json!(ahead), json!("0.0.9"));
    other["shards"][0]["up"] = json!(false);
    let lease = format!("{} {other}", (common::token::now() + 3_600) * 1_000);
    cluster.redis[0].command(&["HSET", "{foghorn:nodes}", "other-1", &lease]).await;
    let view = seen(&one, "three warnings", |view| codes(view).len() == 3).await;
    assert_eq!(codes(&view), ["clocks", "versions", "deaf"], "{view}");
    let text = view["warnings"].to_string();
    assert!(text.contains("clock of other is 5.") && text.contains("0.0.9 (other)"), "{text}");
    assert!(text.contains("other does not hear from Redis at 127.0.0.1:"), "{text}");
    one.counted("foghorn_cluster_warnings", "code=\"clocks\"", 1.0).await;
    let status = tokio::task::spawn_blocking({
        let ops = format!("127.0.0.1:{}", one.ops());
        move || foghorn(&["status"]).env("FOGHORN_OPS_ADDR", ops).output().expect("foghorn starts")
    });
    let said = String::from_utf8(status.await.expect("it ends").stdout).expect("text");
    assert!(said.contains("other") && said.contains("clock of other"), "{said}");
}

async fn ready(node: &Node) -> u16 {
    http::get(node.ops(), "/readyz").await.status
}

#[tokio::test]
#[ignore = "needs Redis"]
async fn a_node_that_alone_has_lost_its_shard_is_not_ready_and_one_of_many_stays_so() {
    let mut redis = Redis::start().await;
    let wire = Wire::to(redis.port()).await;
    let urls = [redis.url(), format!("redis://127.0.0.1:{}", wire.port())];
    let well = called("well").redis([urls[0].as_str()]).start().await;
    let cut = called("cut").redis([urls[1].as_str()]).start().await;
    seen(&cut, "both", |view| names(view) == ["cut", "well"]).await;

    // Cut off from its one Redis, it has nobody left to hear from but the other node itself.
    wire.blackhole();
    eventually("a node that is not ready", || async { (ready(&cut).await == 503).then_some(()) }).await;
    let checks = http::get(cut.ops(), "/readyz").await.expect(503).json();
    assert_eq!(checks["checks"], json!({"running": true, "not_alone_without_shards": false}));
    assert_eq!(ready(&well).await, 200);
    wire.heal();
    eventually("a node that is ready again", || async { (ready(&cut).await == 200).then_some(()) }).await;

    // All have lost it: nobody is better off elsewhere.
    redis.kill();
    for node in [&well, &cut] {
        seen(node, "a lost shard", |view| codes(view).contains(&"deaf")).await;
    }
    tokio::time::sleep(std::time::Duration::from_secs(16)).await;
    assert_eq!((ready(&well).await, ready(&cut).await), (200, 200));
}
