//! Several nodes over several Redis servers.

use super::node::{Node, Plan};
use super::redis::Redis;

/// Nodes that form one cluster.
pub struct Cluster {
    /// One shard each.
    pub redis: Vec<Redis>,
    /// All on the same shards.
    pub nodes: Vec<Node>,
}

impl Cluster {
    /// `nodes` nodes over `shards` Redis servers, with the plans that `plan` makes.
    pub async fn start(nodes: usize, shards: usize, plan: impl Fn() -> Plan) -> Self {
        let mut redis = Vec::new();
        for _ in 0..shards {
            redis.push(Redis::start().await);
        }
        let mut cluster = Self {
            redis,
            nodes: Vec::new(),
        };
        for _ in 0..nodes {
            cluster.nodes.push(cluster.member(plan()).start().await);
        }
        cluster
    }

    /// `plan` as one more member.
    pub fn member(&self, plan: Plan) -> Plan {
        let urls = self.redis.iter().map(Redis::url).collect::<Vec<_>>();
        plan.redis(urls.iter().map(String::as_str))
    }
}
