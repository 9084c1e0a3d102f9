//! The recorded conversations of `tests/conformance/inbox-mqtt`, replayed against one node and against two over Redis, each
//! with the settings that its file names; with the tool as broker, which can misbehave, and with real ones.

use crate::brokers::Broker;
use crate::common::cluster::Cluster;
use crate::common::node::Plan;
use crate::common::ports::free_port;
use crate::common::recorded::{Recorded, good};
use crate::common::redis::Redis;
use crate::site::Inbox;

fn recorded() -> Recorded {
    Recorded::of("inbox-mqtt", "")
}

/// Replays all of them against `nodes` nodes, with a broker or, where there is none, with the tool in its place.
async fn replay_all(nodes: usize, broker: Option<&Broker>) {
    let sessions = Redis::start().await;
    let shards = if nodes > 1 {
        vec![Redis::start().await]
    } else {
        Vec::new()
    };
    let cluster = Cluster {
        redis: shards,
        nodes: Vec::new(),
    };
    let mut wrong = String::new();
    let recorded = recorded();
    for (config, names) in recorded.by_settings() {
        let tool = free_port();
        let url = broker.map_or_else(|| format!("mqtt://127.0.0.1:{tool}"), Broker::url);
        let mut settings = recorded.variables(&config);
        settings.push(("FOGHORN_INBOX_SESSION_REDIS_URL".to_owned(), sessions.url()));
        settings.push(("FOGHORN_INBOX_BROKER_URL".to_owned(), url));
        let settings: Vec<(&str, &str)> = settings
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        let mut all = Vec::new();
        for _ in 0..nodes {
            let plan = if nodes > 1 {
                cluster.member(Plan::new())
            } else {
                Plan::new()
            };
            all.push(Inbox::from(plan, &settings).await);
        }
        let mut arguments = broker.map_or_else(
            || vec!["--fake".to_owned(), format!("127.0.0.1:{tool}")],
            |broker| broker.arguments(),
        );
        if broker.is_some() {
            crate::cluster::connected(&all).await;
        }
        arguments.extend([
            "--redis".to_owned(),
            format!("127.0.0.1:{}", sessions.port()),
        ]);
        arguments.extend(all.iter().flat_map(|node| ["--url".to_owned(), node.url()]));
        let report = recorded
            .replay("../run_mqtt.py", arguments, (&config, &names), 2)
            .await;
        let good = good(&report);
        // What needs the other kind of broker is played with that one.
        let needs = if broker.is_some() { "fake" } else { "real" };
        let for_others = |name: &&String| {
            let file = recorded.read(name);
            file["needs"] == needs
                || file["nodes"]
                    .as_u64()
                    .is_some_and(|wanted| wanted > nodes as u64)
        };
        if good + names.iter().filter(for_others).count() != names.len() {
            wrong += &format!(
                "with {config:?}: {good} of {} passed\n{report}\n",
                names.len()
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 and Redis"]
async fn one_memory_node_and_a_broker_that_misbehaves() {
    replay_all(1, None).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 and Redis"]
async fn two_nodes_over_redis_and_a_broker_that_misbehaves() {
    replay_all(2, None).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3, Redis and Mosquitto"]
async fn two_nodes_over_redis_and_mosquitto() {
    replay_all(2, Some(&Broker::mosquitto().await)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3, Redis and RabbitMQ"]
async fn one_memory_node_and_rabbitmq() {
    replay_all(1, Some(&Broker::rabbitmq().await)).await;
}

#[test]
fn every_conversation_is_there() {
    assert_eq!(recorded().count(), 19);
}
