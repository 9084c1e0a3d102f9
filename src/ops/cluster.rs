//! This node among the others: what it says of itself, what it sees of them, what it answers them.
//!
//! Invariant: `/readyz` and `/nodes` read what was seen at the last look, a moment ago, and wait for nobody.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ::metrics::gauge;
use bytes::Bytes;

use super::alone::Watch;
use super::ask::{Question, Reply};
use super::rates::Totals;
use super::view::{ClusterView, NodeView, ShardView};
use super::{Ops, warnings};
use crate::broker::cluster::{Later, Peer, Seen};
use crate::event::now_ms;
use crate::metrics;

/// How often the cluster is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long other nodes have to answer.
const ANSWER: Duration = Duration::from_millis(1_500);

impl Ops {
    /// Makes the node known to the others, and looks at itself and at them until the tasks are stopped.
    pub fn start(self: &Arc<Self>) {
        let peer: Arc<dyn Peer> = Arc::clone(self) as Arc<dyn Peer>;
        self.node.broker().join(&peer);
        let ops = Arc::clone(self);
        self.tasks.spawn("ops-rates", async move {
            let mut second = tokio::time::interval(Duration::from_secs(1));
            loop {
                tokio::select! {
                    _ = second.tick() => ops.sampler.sample(Instant::now(), ops.totals()),
                    () = ops.tasks.stopped() => return,
                }
            }
        });
        let ops = Arc::clone(self);
        self.tasks.spawn("ops-cluster", async move {
            let mut watch = Watch::default();
            let mut turn = tokio::time::interval(LOOK_EVERY);
            turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            let looks = async {
                loop {
                    turn.tick().await;
                    ops.look(&mut watch).await;
                }
            };
            tokio::select! {
                () = looks => {}
                () = ops.tasks.stopped() => {}
            }
        });
    }

    fn totals(&self) -> Totals {
        let tally = self.node.hub().tally();
        Totals { events: self.node.published(), deliveries: tally.deliveries(), latency: tally.latency() }
    }

    async fn look(&self, watch: &mut Watch) {
        let seen = self.node.broker().nodes();
        let nodes: Vec<NodeView> = seen.iter().filter_map(view).collect();
        let alone = watch.look(&self.own_view(), &nodes, now_ms()).await;
        if alone != self.alone.swap(alone, Ordering::Relaxed) {
            if alone {
                tracing::warn!("not ready: this node alone has lost a Redis shard that other nodes still have");
            } else {
                tracing::info!("ready again: no longer alone without a Redis shard");
            }
        }
        *self.others.lock() = nodes;
        let cluster = self.cluster();
        gauge!(metrics::CLUSTER_NODES).set(cluster.nodes.len() as f64);
        for code in warnings::CODES {
            let there = cluster.warnings.iter().any(|warning| warning.code == code);
            gauge!(metrics::CLUSTER_WARNINGS, "code" => code).set(f64::from(u8::from(there)));
        }
    }

    /// The cluster as it was last seen, this node as it is now.
    pub(super) fn cluster(&self) -> ClusterView {
        let own = self.own_view();
        let mut nodes: Vec<NodeView> = self.others.lock().iter().filter(|node| node.id != own.id).cloned().collect();
        nodes.push(own);
        nodes.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        let warnings = warnings::of(&nodes);
        ClusterView { nodes, warnings }
    }

    /// This node.
    pub(super) fn own_view(&self) -> NodeView {
        let (health, rates, who) = (self.node.health(), self.sampler.rates(), &self.identity);
        let shard = |shard: &crate::broker::ShardHealth| ShardView {
            name: shard.name.clone(),
            up: shard.up,
            round_trip_seconds: shard.round_trip.map(|time| time.as_secs_f64()),
        };
        NodeView {
            name: who.name.clone(),
            id: who.id.clone(),
            address: who.address.clone(),
            ops_url: who.ops_url.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_ms: who.started_ms,
            seen_ms: now_ms(),
            phase: self.phase().to_owned(),
            connections: self.register.len() as u64,
            subscriptions: self.node.hub().tally().subscriptions(),
            channels: self.node.hub().channels() as u64,
            events_per_second: rates.events,
            deliveries_per_second: rates.deliveries,
            partitions: health.partitions,
            waiting: health.waiting as u64,
            shards: health.shards.iter().map(shard).collect(),
            configuration: who.configuration.clone(),
            key: self.keys.fingerprint(),
            clock_offset_ms: health.shards.first().and_then(|shard| shard.clock_offset_ms),
        }
    }

    /// Asks every node of the cluster, this one included.
    pub(super) async fn ask_all(&self, question: &Question) -> Vec<Reply> {
        let Ok(bytes) = serde_json::to_vec(question) else { return Vec::new() };
        let answers = self.node.broker().ask(bytes.into(), ANSWER).await;
        let mut replies: Vec<Reply> = answers.iter().filter_map(|bytes| serde_json::from_slice(bytes).ok()).collect();
        replies.sort_by(|a, b| a.node.cmp(&b.node));
        replies
    }
}

fn view(seen: &Seen) -> Option<NodeView> {
    let mut view: NodeView = serde_json::from_slice(&seen.view).ok()?;
    view.seen_ms = seen.seen_ms;
    Some(view)
}

impl Peer for Ops {
    fn id(&self) -> String {
        self.identity.id.clone()
    }

    fn view(&self) -> Bytes {
        serde_json::to_vec(&self.own_view()).unwrap_or_default().into()
    }

    fn answer(&self, question: Bytes) -> Later<Option<Bytes>> {
        let me = self.me.clone();
        Box::pin(async move {
            // A newer node may ask what this one does not understand.
            let question = serde_json::from_slice(&question).ok()?;
            let reply = me.upgrade()?.reply(question).await;
            Some(serde_json::to_vec(&reply).ok()?.into())
        })
    }
}
