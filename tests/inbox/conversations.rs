//! The recorded conversations of `tests/conformance/inbox-sse`, replayed against one node and against two over Redis, each
//! with the settings that its file names.

use crate::common::cluster::Cluster;
use crate::common::node::Plan;
use crate::common::recorded::{Recorded, good};
use crate::common::redis::Redis;
use crate::site::Inbox;

fn recorded() -> Recorded {
    Recorded::of("inbox-sse", "")
}

/// Replays all of them, against what `start` gives for some settings.
async fn replay_all(start: impl AsyncFn(&[(&str, &str)]) -> Vec<Inbox>) {
    let mut wrong = String::new();
    let recorded = recorded();
    for (config, names) in recorded.by_settings() {
        let settings = recorded.variables(&config);
        let settings: Vec<(&str, &str)> = settings
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        let nodes = start(&settings).await;
        let urls = nodes
            .iter()
            .flat_map(|node| ["--url".to_owned(), node.url()]);
        let report = recorded
            .replay("../run_sse.py", urls, (&config, &names), 2)
            .await;
        let good = good(&report);
        let passed_over = report
            .lines()
            .filter(|line| line.contains("(needs two nodes)"))
            .count();
        if good + passed_over != names.len() || passed_over > 0 && nodes.len() > 1 {
            wrong += &format!(
                "with {config:?}: {good} of {} passed\n{report}\n",
                names.len()
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 and curl"]
async fn one_memory_node() {
    replay_all(async |settings| vec![Inbox::start(settings).await]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3, curl and Redis"]
async fn two_nodes_on_two_redis_servers() {
    let cluster = Cluster {
        redis: vec![Redis::start().await, Redis::start().await],
        nodes: Vec::new(),
    };
    replay_all(async |settings| {
        let first = Inbox::from(cluster.member(Plan::new()), settings).await;
        let second = Inbox::from(cluster.member(Plan::new()), settings).await;
        vec![first, second]
    })
    .await;
}

#[test]
fn every_conversation_is_there() {
    assert_eq!(recorded().count(), 36);
}
