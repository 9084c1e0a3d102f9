//! Any node shows all of them, asks all of them, warns of what differs, and knows who is lost.

#[path = "../common/mod.rs"]
mod common;
mod lost;

use common::cluster::Cluster;
use common::http::{self, Answer};
use common::node::{Node, Plan, foghorn};
use common::socket::End;
use common::{eventually, library};
use foghorn::broker::control::{About, Announcement, Control};
use serde_json::{Value, json};

async fn view(node: &Node) -> Value {
    http::get(node.ops(), "/nodes").await.expect(200).json()
}

fn names(view: &Value) -> Vec<&str> {
    view["nodes"]
        .as_array()
        .expect("nodes")
        .iter()
        .map(|node| node["name"].as_str().expect("a name"))
        .collect()
}

fn codes(view: &Value) -> Vec<&str> {
    let warnings = view["warnings"].as_array().expect("warnings");
    warnings
        .iter()
        .map(|warning| warning["code"].as_str().expect("a code"))
        .collect()
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
    let timed = |shard: &Value| {
        shard["round_trip_seconds"]
            .as_f64()
            .is_some_and(|time| time > 0.0)
    };
    view["nodes"].as_array().expect("nodes").iter().all(|node| {
        let clock = node["clock_offset_ms"]
            .as_i64()
            .is_some_and(|ms| ms.abs() < 1_000);
        let shards = node["shards"]
            .as_array()
            .is_some_and(|shards| shards.len() == 2 && shards.iter().all(timed));
        clock && shards && node["partitions"] == 64 && node["phase"] == "running"
    })
}

async fn post(node: &Node, path: &str, body: Value) -> Answer {
    let json = [("Content-Type", "application/json")];
    http::request(
        node.ops(),
        "POST",
        path,
        &json,
        Some(body.to_string().as_bytes()),
    )
    .await
}

/// Exit code and output of a subcommand that asks `node`.
async fn said(node: &Node, args: &'static [&'static str]) -> (i32, String) {
    let ops = format!("127.0.0.1:{}", node.ops());
    let run = move || {
        foghorn(args)
            .env("FOGHORN_OPS_ADDR", ops)
            .output()
            .expect("foghorn starts")
    };
    let output = tokio::task::spawn_blocking(run).await.expect("it ends");
    (
        output.status.code().expect("an exit code"),
        String::from_utf8(output.stdout).expect("text"),
    )
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
        let view = seen(node, "three nodes", |view| {
            names(view) == ["a", "b", "c"] && all_known(view)
        })
        .await;
        assert_eq!(codes(&view), Vec::<&str>::new(), "{view}");
    }
    let library = library();
    let mut clients = Vec::new();
    for node in &cluster.nodes {
        clients.push(node.subscriber(&library, "a@x").await);
    }
    for node in &cluster.nodes {
        // A node that takes too long to answer is left out.
        let found = eventually("a client on each node", || async {
            let found = http::get(node.ops(), &format!("/api/v1/lookup?channel={library}"))
                .await
                .expect(200)
                .json();
            (found["total"] == 3).then_some(found)
        })
        .await;
        let who: Vec<_> = found["nodes"]
            .as_array()
            .expect("nodes")
            .iter()
            .map(|of| of["node"].clone())
            .collect();
        assert_eq!(who, ["a", "b", "c"]);
        assert!(found["nodes"][2]["clients"][0]["expires_ms"].is_number());
    }
    for round in 0.. {
        let gone = post(
            &cluster.nodes[1],
            "/api/v1/disconnect",
            json!({"user": "a@x"}),
        )
        .await
        .expect(200)
        .json();
        for client in &mut clients {
            assert_eq!(
                client.ended().await,
                End::Closed(1008, "disconnected by an administrator".into())
            );
        }
        if gone == json!({"disconnected": 3}) {
            break;
        }
        // One that took too long to answer has done it and was not counted: once more.
        let counted = gone["disconnected"].as_u64();
        assert!(
            round < 10 && counted.is_some_and(|counted| counted < 3),
            "{gone}"
        );
        clients.clear();
        for node in &cluster.nodes {
            clients.push(node.subscriber(&library, "a@x").await);
        }
    }

    // Whoever ends says so; whoever is killed is gone when it was silent for a while.
    cluster.nodes[2].process().signal("TERM");
    seen(&cluster.nodes[0], "two nodes", |view| {
        names(view) == ["a", "b"] || view["nodes"][2]["phase"] != "running"
    })
    .await;
    cluster.nodes[1].process().kill();
    seen(&cluster.nodes[0], "one node", |view| names(view) == ["a"]).await;
    // Nothing of them is left in Redis, where nothing ever was.
    for redis in &cluster.redis {
        assert_eq!(redis.command(&["DBSIZE"]).await, ":0\r\n");
    }
}

#[tokio::test]
#[ignore = "needs Redis"]
async fn what_differs_between_nodes_is_warned_of() {
    let cluster = Cluster::start(0, 1, Plan::new).await;
    let one = cluster.member(called("one")).start().await;
    // Without a key in common it stays out, and is seen.
    let other = cluster
        .member(called("other").env("JWT_PRIVATE_KEY", "another-key-than-the-first"))
        .launch();
    let third = called("one").env("FOGHORN_REPLAY_SECONDS", "3");
    let _third = cluster.member(third).start().await;
    let three = |view: &Value| codes(view) == ["keys", "configuration", "names"];
    let view = seen(&one, "three warnings and no other", three).await;
    assert!(!view.to_string().contains("another-key"));
    let named = |view: &Value| {
        view["warnings"]
            .to_string()
            .contains("configured differently: FOGHORN_REPLAY_SECONDS (one against one, other).")
    };
    seen(&one, "the setting that differs", named).await;
    other.counted("foghorn_misfit", "", 1.0).await;
    let checks = http::get(other.ops(), "/readyz").await.expect(503).json();
    assert_eq!(checks["checks"]["fits_in"], false, "{checks}");
    assert!(
        checks["misfit"]
            .as_str()
            .is_some_and(|why| why.contains("another one here than at one")),
        "{checks}"
    );
    one.counted("foghorn_cluster_warnings", "code=\"keys\"", 1.0)
        .await;
    one.counted("foghorn_cluster_nodes", "", 3.0).await;
    let misfit = |view: &Value| {
        view["condition"]["problems"]
            .to_string()
            .contains("other stays out of the cluster: JWT_PRIVATE_KEY")
    };
    seen(&one, "what the other says", misfit).await;
}

/// What one machine cannot have for real, another clock and another version, a made-up announcement says.
#[tokio::test]
#[ignore = "needs Redis"]
async fn clocks_apart_versions_mixed_and_a_node_that_hears_nothing_are_warned_of() {
    let cluster = Cluster::start(0, 1, Plan::new).await;
    let one = cluster.member(called("one")).start().await;
    let own = seen(&one, "itself", |view| {
        names(view) == ["one"] && view["nodes"][0]["clock_offset_ms"].is_i64()
    })
    .await;
    let mut other = own["nodes"][0].clone();
    (other["name"], other["id"], other["version"]) =
        (json!("other"), json!("other-1"), json!("0.0.9"));
    other["shards"][0]["up"] = json!(false);
    let announcement = || {
        let about = About {
            id: "other-1".into(),
            name: "other".into(),
            uptime_ms: 1,
            clock_ms: foghorn::event::now_ms() + 5_000,
            partitions: 64,
            up: vec![false],
            ..About::default()
        };
        let (numbers, view) = (Vec::new(), other.to_string().into());
        Control::Announce(Announcement {
            about,
            numbers,
            silent: Vec::new(),
            view,
        })
        .write(7)
    };
    // Of what was long on its way the clock seems to be less ahead: the quickest of many says how far.
    let ahead = |view: &Value| {
        let text = view["warnings"].to_string();
        text.contains("clock of other is 5.") || text.contains("clock of other is 4.9")
    };
    let view = eventually("three warnings", || async {
        cluster.redis[0]
            .publish("foghorn:all", &announcement())
            .await;
        Some(view(&one).await).filter(|view| codes(view).len() == 3 && ahead(view))
    })
    .await;
    assert_eq!(codes(&view), ["clocks", "versions", "deaf"], "{view}");
    let text = view["warnings"].to_string();
    assert!(text.contains("0.0.9 (other)"), "{text}");
    assert!(
        text.contains("other does not hear from Redis at 127.0.0.1:"),
        "{text}"
    );
    one.counted("foghorn_cluster_warnings", "code=\"clocks\"", 1.0)
        .await;
    eventually("the clock in what the command says", || async {
        // It must not be silent for so long meanwhile that it is gone.
        cluster.redis[0]
            .publish("foghorn:all", &announcement())
            .await;
        let (_, text) = said(&one, &["status"]).await;
        text.contains("clock of other").then_some(())
    })
    .await;
}
