//! This node among the others: what it says of itself, what it sees of them, what it asks and answers them.
//!
//! * [`view`]: what a node says of itself; [`warnings`]: what is wrong between them; [`rates`]: how much happens; [`lately`]: how often what should not.
//! * [`condition`]: how the cluster is, in a word; [`lost`]: nodes that ended without one. [`history`]: how it was lately.
//! * [`isolation`]: whether this node alone has lost a shard. [`mail`]: to sessions, on whichever node they are.
//!
//! Invariant: whoever reads the view gets what was seen at the last look, a moment ago, and waits for nobody.

pub mod condition;
pub mod history;
pub mod isolation;
pub mod lately;
pub mod lost;
pub mod mail;
mod peer;
pub mod rates;
pub mod view;
pub mod warnings;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use ::metrics::gauge;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;

use self::condition::Beginnings;
use self::history::{History, Moment};
use self::isolation::Watch;
use self::lately::Lately;
use self::lost::LostNodes;
use self::rates::{Percentiles, Sampler, Totals};
use self::view::{ClusterView, NodeView, ShardView, Sums};
use crate::broker::Health;
pub use crate::broker::cluster::Found;
use crate::broker::cluster::{ClusterMember, KnownNode};
use crate::connection::sweep::Registry;
use crate::drain::{Life, Tasks};
use crate::event::now_ms;
use crate::metrics::incidents::Tally;
use crate::metrics::{self, process};
use crate::node::Node;

/// How often the cluster is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long other nodes have to answer.
const ANSWER: Duration = Duration::from_secs(2);

/// What stays the same about a node as long as it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// What it is called.
    pub name: String,
    /// Unique to this start of it.
    pub id: String,
    /// Where clients and backends connect.
    pub address: String,
    /// Where operators, and other nodes that wonder, connect.
    pub ops_url: String,
    /// When it started, Unix milliseconds.
    pub started_ms: u64,
    /// Equal where nodes are configured alike.
    pub configuration: String,
    /// Settings that are not as they are by default, each with a mark that is equal where its values are.
    pub settings: BTreeMap<String, String>,
}

/// What a [`Cluster`] is made from.
pub struct Parts {
    /// Who the node is.
    pub identity: Identity,
    /// Its place in its life.
    pub life: Life,
    /// The node.
    pub node: Node,
    /// Its connections.
    pub register: Arc<Registry>,
    /// How long events may wait for a Redis that is away.
    pub patience: Duration,
    /// What goes wrong in this process.
    pub tally: Tally,
    /// Who runs what goes on by itself here.
    pub tasks: Tasks,
}

/// Answers a question about one subject for this node; `None`: it has nothing to say.
pub type Responder = Box<dyn Fn(Bytes) -> BoxFuture<'static, Option<Bytes>> + Send + Sync>;

/// What the rest of the node adds to its part in the cluster.
pub struct Voice {
    /// Who answers questions about which subject.
    pub responders: Vec<(&'static str, Responder)>,
    /// Fingerprints of the keys that the node takes, the one it signs with first.
    pub keys: Box<dyn Fn() -> Vec<String> + Send + Sync>,
}

/// See the module's description.
pub struct Cluster {
    identity: Identity,
    life: Life,
    node: Node,
    register: Arc<Registry>,
    tasks: Tasks,
    sampler: Sampler,
    /// What goes wrong, and how much of it went wrong lately.
    tally: Tally,
    lately: Lately,
    /// How it was lately.
    history: History,
    /// The nodes as they were last seen.
    others: Mutex<Vec<NodeView>>,
    /// Those that are no longer there.
    lost: Mutex<LostNodes>,
    /// Since when what is wrong is so.
    since: Mutex<Beginnings>,
    /// How long they may wait.
    patience: Duration,
    /// Whether this node alone has lost a shard.
    alone: AtomicBool,
    voice: OnceLock<Voice>,
    me: Weak<Self>,
}

impl Cluster {
    /// Nothing is said or seen yet; see [`Cluster::start`].
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            identity: parts.identity,
            life: parts.life,
            node: parts.node,
            register: parts.register,
            patience: parts.patience,
            tasks: parts.tasks,
            sampler: Sampler::default(),
            tally: parts.tally,
            lately: Lately::default(),
            history: History::default(),
            others: Mutex::default(),
            lost: Mutex::default(),
            since: Mutex::default(),
            alone: AtomicBool::new(false),
            voice: OnceLock::new(),
            me: me.clone(),
        })
    }

    /// Makes the node known to the others, and looks at itself and at them until the tasks are stopped.
    pub fn start(self: &Arc<Self>, voice: Voice) {
        // Started twice, the first voice stays.
        let _ = self.voice.set(voice);
        let peer: Arc<dyn ClusterMember> = Arc::clone(self) as Arc<dyn ClusterMember>;
        self.node.broker().join(&peer);
        let cluster = Arc::clone(self);
        self.tasks.spawn("cluster-rates", async move {
            let mut second = tokio::time::interval(Duration::from_secs(1));
            loop {
                tokio::select! {
                    _ = second.tick() => cluster.count(Instant::now()),
                    () = cluster.tasks.stopped() => return,
                }
            }
        });
        let cluster = Arc::clone(self);
        self.tasks.spawn("cluster-look", async move {
            let mut watch = Watch::default();
            let mut turn = tokio::time::interval(LOOK_EVERY);
            turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            let looks = async {
                loop {
                    turn.tick().await;
                    cluster.look(&mut watch).await;
                }
            };
            tokio::select! {
                () = looks => {}
                () = cluster.tasks.stopped() => {}
            }
        });
    }

    fn count(&self, now: Instant) {
        self.sampler.sample(now, self.totals());
        self.lately.look(now, self.tally.incidents());
    }

    fn totals(&self) -> Totals {
        let tally = self.node.hub().tally();
        Totals {
            events: self.node.published(),
            deliveries: tally.deliveries(),
            latency: tally.latency(),
            cpu: process::cpu_seconds(),
        }
    }

    /// How long until the oldest of the events that wait for a Redis that is away are given up, seconds; `None`: none waits.
    pub fn waiting_left(&self, health: &Health) -> Option<f64> {
        let away = health.shards.iter().any(|shard| !shard.up);
        let oldest = health.oldest.filter(|_| away && health.waiting > 0)?;
        Some(self.patience.saturating_sub(oldest).as_secs_f64())
    }

    async fn look(&self, watch: &mut Watch) {
        let seen = self.node.broker().nodes();
        let nodes: Vec<NodeView> = seen.iter().filter_map(view).collect();
        let own = self.own_view();
        let alone = watch.look(&own, &nodes, now_ms()).await;
        if alone != self.alone.swap(alone, Ordering::Relaxed) {
            if alone {
                tracing::warn!(
                    "not ready: this node alone has lost a Redis shard that other nodes still have; `foghorn doctor` here says what is in the way"
                );
            } else {
                tracing::info!("ready again: no longer alone without a Redis shard");
            }
        }
        let others: Vec<NodeView> = nodes
            .iter()
            .filter(|node| node.id != own.id)
            .cloned()
            .collect();
        self.lost
            .lock()
            .look(&others, own.shards.iter().all(|shard| shard.up), now_ms());
        *self.others.lock() = nodes;
        let seen = self.view();
        let totals = Sums::of(&seen.nodes);
        self.history.add(Moment::new(
            now_ms(),
            totals,
            self.percentiles(),
            &own.shards,
        ));
        gauge!(metrics::CLUSTER_NODES).set(seen.nodes.len() as f64);
        for code in warnings::CODES {
            let there = seen.warnings.iter().any(|warning| warning.code == code);
            gauge!(metrics::CLUSTER_WARNINGS, "code" => code).set(f64::from(u8::from(there)));
        }
    }

    /// The cluster as it was last seen, this node as it is now.
    pub fn view(&self) -> ClusterView {
        let own = self.own_view();
        let mut nodes: Vec<NodeView> = self
            .others
            .lock()
            .iter()
            .filter(|node| node.id != own.id)
            .cloned()
            .collect();
        nodes.push(own);
        nodes.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        let warnings = warnings::of(&nodes);
        let lost = self.lost.lock().list();
        let problems = condition::problems(&nodes, &lost, &warnings);
        let condition = self.since.lock().condition(problems, now_ms());
        ClusterView {
            nodes,
            lost,
            warnings,
            condition,
        }
    }

    /// This node.
    pub fn own_view(&self) -> NodeView {
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
            phase: self.life.phase().label().to_owned(),
            connections: self.register.len() as u64,
            subscriptions: self.node.hub().tally().subscriptions(),
            channels: self.node.hub().channels() as u64,
            events_per_second: rates.events,
            deliveries_per_second: rates.deliveries,
            cpu_cores: rates.cpu,
            memory_bytes: process::resident_bytes().map(|bytes| bytes as u64),
            lately: Some(self.lately.incidents()),
            partitions: health.partitions,
            waiting: health.waiting as u64,
            waiting_left_seconds: self.waiting_left(&health),
            misfit: health.misfit.clone(),
            shards: health.shards.iter().map(shard).collect(),
            configuration: who.configuration.clone(),
            settings: Some(who.settings.clone()),
            key: self.own_keys().into_iter().next().unwrap_or_default(),
            clock_offset_ms: Some(0),
            lost_ms: None,
        }
    }

    fn own_keys(&self) -> Vec<String> {
        self.voice
            .get()
            .map(|voice| (voice.keys)())
            .unwrap_or_default()
    }

    /// Who this node is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whether this node alone has lost a shard that others still have.
    pub fn is_alone(&self) -> bool {
        self.alone.load(Ordering::Relaxed)
    }

    /// How long events took lately to this node's last subscriber.
    pub fn percentiles(&self) -> Percentiles {
        self.sampler.percentiles()
    }

    /// How the cluster was over the last quarter of an hour, the oldest moment first.
    pub fn history(&self) -> Vec<Moment> {
        self.history.list()
    }

    /// Asks every node of the cluster about `subject`, this one included. Returns what they answer in time.
    pub async fn ask(&self, subject: &str, question: &[u8]) -> Vec<Bytes> {
        let question = [subject.as_bytes(), b"\n", question].concat();
        self.node.broker().ask(question.into(), ANSWER).await
    }

    /// Asks every node of the cluster about `subject`, this one included, what one of them can answer.
    pub async fn find(&self, subject: &str, question: &[u8]) -> Found {
        let question = [subject.as_bytes(), b"\n", question].concat();
        self.node.broker().find(question.into(), ANSWER).await
    }
}

fn view(seen: &KnownNode) -> Option<NodeView> {
    let mut view: NodeView = serde_json::from_slice(&seen.view).ok()?;
    (view.seen_ms, view.clock_offset_ms) = (seen.seen_ms, seen.ahead_ms);
    Some(view)
}

/// What this start of a node is called apart from all others.
pub fn new_id() -> String {
    format!("{:012x}-{:08x}", now_ms(), rand::random::<u32>())
}
