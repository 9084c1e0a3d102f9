//! Whether this node alone has lost a shard that others still have: then, and only then, clients are better off
//! elsewhere and the node is not ready.
//!
//! Invariants: nothing is decided on old news; a node that cannot find out stays ready, since most likely nobody has
//! the shard then.

use std::collections::BTreeMap;
use std::time::Duration;

use http::Request;
use serde::Deserialize;

use super::view::{NodeView, ShardView};
use crate::client::dial::Server;
use crate::client::exchange;

/// So many looks in a row must say the same. With one every two seconds that is longer than nodes take to notice a
/// dead shard, so one that notices later than others is not taken for one that still has it.
const LOOKS: u32 = 6;
/// A node that was not heard of for this long, in milliseconds, has to be asked by HTTP.
const FRESH_MS: u64 = 5_000;
/// How long one such question may take.
const PATIENCE: Duration = Duration::from_secs(1);
/// Other nodes that are asked at most.
const ASKED: usize = 3;
/// Bytes of an answer that are read at most.
const ANSWER: usize = 256 * 1024;

/// What was seen in the last looks.
#[derive(Debug, Default)]
pub struct Watch {
    looks: u32,
    /// The other nodes, as they were last seen.
    others: BTreeMap<String, NodeView>,
}

impl Watch {
    /// Looks at what this node and the others see of the shards. Returns whether this node alone has lost one.
    pub async fn look(&mut self, own: &NodeView, nodes: &[NodeView], now_ms: u64) -> bool {
        for node in nodes.iter().filter(|node| node.id != own.id) {
            self.others.insert(node.id.clone(), node.clone());
        }
        if own.shards.iter().all(|shard| shard.up) {
            // A node that ended must not be asked for ever.
            self.others
                .retain(|id, _| nodes.iter().any(|node| node.id == *id));
            self.looks = 0;
            return false;
        }
        let fresh = |node: &&NodeView| now_ms.saturating_sub(node.seen_ms) <= FRESH_MS;
        let mut alone = self
            .others
            .values()
            .filter(fresh)
            .any(|other| is_better_off(own, &other.shards));
        for other in self.others.values().filter(|node| !fresh(node)).take(ASKED) {
            alone = alone
                || ready_shards(&other.ops_url)
                    .await
                    .is_some_and(|shards| is_better_off(own, &shards));
        }
        self.looks = if alone {
            self.looks.saturating_add(1)
        } else {
            0
        };
        self.looks >= LOOKS
    }
}

/// Whether who sees `theirs` has a shard that `own` lost.
fn is_better_off(own: &NodeView, theirs: &[ShardView]) -> bool {
    // The same on all nodes, in the same order; nodes may know a shard by different names.
    own.shards.len() == theirs.len()
        && own
            .shards
            .iter()
            .zip(theirs)
            .any(|(own, theirs)| !own.up && theirs.up)
}

/// The shards as the `/readyz` of another node shows them. `None`: it does not answer, or is no better off itself.
async fn ready_shards(ops_url: &str) -> Option<Vec<ShardView>> {
    #[derive(Deserialize)]
    struct Ready {
        shards: Vec<ShardView>,
    }
    let server = Server::parse(ops_url).ok()?;
    let request = Request::get("/readyz").body("").ok()?;
    let (answer, _) = exchange::send_for(&server, request, PATIENCE, ANSWER)
        .await
        .ok()?;
    serde_json::from_str::<Ready>(&answer.body)
        .ok()
        .map(|ready| ready.shards)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str, seen_ms: u64, up: bool) -> NodeView {
        let shards = vec![ShardView {
            name: "s".into(),
            up,
            round_trip_seconds: None,
        }];
        NodeView {
            id: id.into(),
            seen_ms,
            shards,
            ..NodeView::default()
        }
    }

    #[tokio::test]
    async fn alone_only_while_fresh_news_say_that_others_have_the_shard() {
        let mut watch = Watch::default();
        let own = node("a", 0, false);
        for look in 1..LOOKS {
            assert!(
                !watch.look(&own, &[node("b", 1_000, true)], 1_000).await,
                "look {look}"
            );
        }
        assert!(watch.look(&own, &[node("b", 1_000, true)], 1_000).await);
        assert!(
            !watch.look(&own, &[node("b", 1_000, false)], 1_000).await,
            "the other has lost it as well"
        );
        for _ in 0..=LOOKS {
            assert!(
                !watch.look(&own, &[], 60_000).await,
                "old news, and nobody answers"
            );
        }
        for _ in 0..=LOOKS {
            assert!(
                !watch
                    .look(&node("a", 0, true), &[node("b", 0, true)], 0)
                    .await
            );
        }
        assert!(
            watch.others.len() == 1
                && !watch.look(&node("a", 0, true), &[], 0).await
                && watch.others.is_empty()
        );
    }
}
