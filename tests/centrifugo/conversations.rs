//! The recorded conversations of `tests/conformance/centrifugo`, replayed against one node and against two over Redis, each with
//! the configuration that its file names. What is not replayed is named here, with the reason.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::common::cluster::Cluster;
use crate::common::node::{Node, Plan};
use crate::common::recorded::{Recorded, good};
use crate::common::redis::Redis;
use crate::site::{alternating, plan};

/// Conversations that one entrance to several nodes changes by its nature.
const ON_ONE_NODE: &[(&str, &str)] = &[(
    "limit-user-connections.json",
    "the limit is of each node, as it was",
)];

/// Conversations that take a Redis.
const OF_REDIS: &[(&str, &str)] = &[
    ("redis-queue-order.json", "there is none"),
    ("redis-queue.json", "there is none"),
    ("redis-shard-queues.json", "there is none"),
];

/// Configurations whose conversations wait for times that go by, and so cannot be given more of it.
const IN_REAL_TIME: &[&str] = &["config-lifetime.json"];

fn recorded() -> Recorded {
    Recorded::of("centrifugo", "config.json")
}

/// Those that are replayed.
fn conversations() -> BTreeMap<String, Vec<String>> {
    recorded().by_settings()
}

/// A recorded configuration, as it is.
pub fn config(name: &str) -> Value {
    recorded().read(name)
}

/// The same with more time for clients that say or answer nothing: a busy machine takes a second at times. It is less than where
/// the configuration says nothing, and so less than a conversation waits.
fn unhurried(name: &str) -> Value {
    let mut config = config(name);
    for (key, seconds) in [("stale_connection_close_delay", 8), ("ping_interval", 4)] {
        if let Some(value) = config.get_mut(key) {
            *value = seconds.into();
        }
    }
    config
}

/// Replays all but `left_out`, at the port that `start` gives for a configuration.
async fn replay_all(
    left_out: &[(&str, &str)],
    redis: Option<u16>,
    start: impl AsyncFn(&Value) -> (Vec<Node>, u16),
) {
    let mut wrong = String::new();
    for (file, mut names) in conversations() {
        names.retain(|name| !left_out.iter().any(|(left_out, _)| left_out == name));
        if names.is_empty() {
            continue;
        }
        let (_nodes, port) = start(&unhurried(&file)).await;
        let mut arguments = vec![
            "--url".to_owned(),
            format!("http://127.0.0.1:{port}"),
            "--lines".to_owned(),
        ];
        arguments.extend(
            redis
                .into_iter()
                .flat_map(|port| ["--redis".to_owned(), format!("127.0.0.1:{port}")]),
        );
        let patience = if IN_REAL_TIME.contains(&&*file) { 1 } else { 2 };
        let report = recorded()
            .replay("../../run.py", arguments, (&file, &names), patience)
            .await;
        let good = good(&report);
        if good != names.len() {
            wrong += &format!("with {file}: {good} of {} passed\n{report}\n", names.len());
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3"]
async fn one_memory_node() {
    replay_all(OF_REDIS, None, async |config| {
        let node = plan(Plan::new(), config).start().await;
        let port = node.port();
        (vec![node], port)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 and Redis"]
async fn two_nodes_on_one_redis_each_connection_to_another() {
    let cluster = Cluster {
        redis: vec![Redis::start().await],
        nodes: Vec::new(),
    };
    replay_all(ON_ONE_NODE, Some(cluster.redis[0].port()), async |config| {
        let mut nodes = Vec::new();
        for _ in 0..2 {
            nodes.push(plan(cluster.member(Plan::new()), config).start().await);
        }
        let port = alternating(nodes.iter().map(Node::port).collect()).await;
        (nodes, port)
    })
    .await;
}

#[test]
fn every_conversation_is_there_and_what_is_left_out_is_what_is_named() {
    let (recorded, replayed) = (
        recorded(),
        conversations().values().map(Vec::len).sum::<usize>(),
    );
    assert_eq!((recorded.count(), replayed), (80, 80));
}
