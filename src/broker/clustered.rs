//! Drives a [`Mesh`]: gives it the time and what its carriers hear, says what it wants said, and hands what it puts in order
//! to the sink.
//!
//! Invariants: one lock guards the mesh and nothing is awaited under it; one task delivers each partition; whoever hears
//! never waits for a delivery.

mod questions;
mod steady;
mod tasks;

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use self::questions::Questions;
use self::steady::Steady;
use super::carrier::{Carrier, Heard};
use super::cluster::{ClusterMember, Found, KnownNode};
use super::mesh::{self, Effect, Identity, Mesh, Misfit, Settings, State};
use super::packet::Draft;
use super::{Bounds, Health, Receipt, ShardHealth, Sink};
use crate::drain::Tasks;
use crate::event::{Channel, Event, now_ms};
use crate::metrics;

/// How long a node that ends may take to say so.
const FAREWELL: Duration = Duration::from_millis(500);

/// What the broker needs to know beside its carriers.
#[derive(Clone, Debug)]
pub struct Config {
    /// Into how many partitions channels are divided, the same on all nodes.
    pub partitions: u32,
    /// How far back new subscribers and starting nodes look.
    pub replay: Duration,
    /// What may wait while shards are away.
    pub waiting: Bounds,
}

/// What is to be kept before it is published, and is not yet.
#[derive(Default)]
pub(super) struct Unkept {
    pub(super) events: usize,
    pub(super) bytes: usize,
    /// For how long the oldest has waited for a server that is away.
    pub(super) oldest: Option<Duration>,
}

struct Shard {
    carrier: Arc<dyn Carrier>,
    name: String,
    /// There may be something to say.
    work: Notify,
    /// The subscription is to be made anew.
    deaf: Notify,
    round_trip: Mutex<Option<Duration>>,
}

struct Inner {
    origin: u64,
    partitions: u32,
    mesh: Mutex<(Mesh, Steady)>,
    shards: Vec<Shard>,
    /// One for each partition: it has acts.
    ready: Vec<Notify>,
    peer: Mutex<Option<Weak<dyn ClusterMember>>>,
    unkept: OnceLock<Box<dyn Fn() -> Unkept + Send + Sync>>,
    questions: Questions,
    tasks: Tasks,
}

/// Delivers through carriers.
#[derive(Clone)]
pub struct ClusteredBroker(Arc<Inner>);

impl ClusteredBroker {
    /// Starts it, and returns at once: while a shard cannot be reached, events wait and this node's own clients are served.
    pub fn start(
        config: &Config,
        carriers: Vec<Arc<dyn Carrier>>,
        sink: Arc<dyn Sink>,
        tasks: &Tasks,
    ) -> Self {
        let origin = rand::random::<u64>().max(1);
        let settings = Settings {
            origin,
            partitions: config.partitions,
            shards: carriers
                .iter()
                .map(|carrier| carrier.topics_are_apart())
                .collect(),
            replay_ms: config.replay.as_millis() as u64,
            waiting: config.waiting,
        };
        let shard = |carrier: Arc<dyn Carrier>| Shard {
            name: carrier.name(),
            carrier,
            work: Notify::new(),
            deaf: Notify::new(),
            round_trip: Mutex::new(None),
        };
        let inner = Arc::new(Inner {
            origin,
            partitions: config.partitions,
            mesh: Mutex::new((Mesh::new(settings), Steady::default())),
            shards: carriers.into_iter().map(shard).collect(),
            ready: (0..config.partitions).map(|_| Notify::new()).collect(),
            peer: Mutex::new(None),
            unkept: OnceLock::new(),
            questions: Questions::default(),
            tasks: tasks.clone(),
        });
        for partition in 0..config.partitions {
            tasks.spawn(
                "broker-partition",
                tasks::deliver(Arc::clone(&inner), partition, Arc::clone(&sink)),
            );
        }
        for on in 0..inner.shards.len() {
            inner.gauge_up(on, false);
            tasks.spawn("broker-publisher", tasks::publish(Arc::clone(&inner), on));
            tasks.spawn(
                "broker-subscription",
                tasks::subscribe(Arc::clone(&inner), on),
            );
        }
        tasks.spawn("broker-tick", tasks::tick(Arc::clone(&inner)));
        Self(inner)
    }

    /// Takes an event; it is confirmed once its shard took it.
    pub fn publish(&self, event: Event) -> Receipt {
        let (sender, receipt) = Receipt::pending();
        self.hand(event, sender);
        receipt
    }

    /// Takes an event whose receipt somebody has already.
    pub(super) fn hand(&self, event: Event, receipt: oneshot::Sender<()>) {
        let draft = Draft::new(event);
        self.0.with(|mesh| mesh.publish(draft, receipt));
    }

    /// Gives this node's own clients an event that is handed in later, if `note` says so, which must not wait.
    pub(super) fn give_early(&self, event: Event, note: impl FnOnce(&Event) -> bool) {
        self.0.with(|mesh| mesh.give_early(event, note));
    }

    /// What is still to be handed in is counted by this.
    pub(super) fn count_unkept(&self, count: impl Fn() -> Unkept + Send + Sync + 'static) {
        // It is said once, where the keeper starts.
        let _ = self.0.unkept.set(Box::new(count));
    }

    /// Whether events of a shard reach the others now, over it or another one.
    pub(super) fn carries(&self, on: usize) -> bool {
        self.0.with(|mesh| mesh.carries(on))
    }

    /// Tells whether all that the nodes said of a channel before this epoch of its past came out here, and all that this node has
    /// to say of that by now is said, as far as it can know.
    pub(super) fn flush(&self, channel: &Channel, epoch: u64) -> impl Fn() -> bool {
        let unsaid = self.0.with(|mesh| mesh.unsaid(channel, epoch));
        move || self.0.with(|mesh| mesh.is_flushed(unsaid, channel, epoch))
    }

    /// How it is now.
    pub fn health(&self) -> Health {
        let state = self.0.with(|mesh| mesh.state());
        let waiting = self.0.waiting(&state);
        let shard = |(shard, up): (&Shard, &bool)| ShardHealth {
            name: shard.name.clone(),
            up: *up,
            round_trip: shard.round_trip.lock().filter(|_| *up),
        };
        Health {
            kind: "redis",
            partitions: self.0.partitions,
            waiting: waiting.events,
            oldest: waiting.oldest,
            misfit: state.misfit.as_ref().map(Misfit::to_string),
            shards: self.0.shards.iter().zip(&state.up).map(shard).collect(),
        }
    }

    /// Makes a node known to the others.
    pub fn join(&self, peer: &Arc<dyn ClusterMember>) {
        *self.0.peer.lock() = Some(Arc::downgrade(peer));
        // Known before it is heard: whether it fits in is found out before it joins.
        let identity = self.0.identity();
        self.0.with(|mesh| mesh.identify(identity));
    }

    /// Tells the others that this node is about to end.
    pub async fn leave(&self) {
        self.0.with(Mesh::leave);
        let idle = async {
            while (0..self.0.shards.len()).any(|on| self.0.with(|mesh| !mesh.is_idle(on))) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        // Where it cannot be said, the others notice the silence.
        let _ = tokio::time::timeout(FAREWELL, idle).await;
    }

    /// All nodes that are there, this one included.
    pub fn nodes(&self) -> Vec<KnownNode> {
        let now = now_ms();
        let others = self.0.with(|mesh| mesh.others());
        let other = |(_, id, view, silent_ms, ahead_ms): (u64, String, Bytes, u64, i64)| {
            let (seen_ms, ahead_ms) = (now.saturating_sub(silent_ms), Some(ahead_ms));
            (!view.is_empty()).then_some(KnownNode {
                id,
                view,
                seen_ms,
                ahead_ms,
            })
        };
        let own = self.0.peer().map(|peer| KnownNode {
            id: peer.id(),
            view: peer.view(),
            seen_ms: now,
            ahead_ms: Some(0),
        });
        others.into_iter().filter_map(other).chain(own).collect()
    }

    /// Asks all of them.
    pub async fn ask(&self, question: Bytes, within: Duration) -> Vec<Bytes> {
        self.collect(question, within, usize::MAX).await.0
    }

    /// Asks all of them what one can answer.
    pub async fn find(&self, question: Bytes, within: Duration) -> Found {
        let (answers, complete) = self.collect(question, within, 1).await;
        Found::new(answers, complete)
    }

    /// Up to `most` answers, and whether that is all that there are.
    async fn collect(&self, question: Bytes, within: Duration, most: usize) -> (Vec<Bytes>, bool) {
        let Some(peer) = self.0.peer() else {
            return (Vec::new(), true);
        };
        let mut asked = self.0.questions.ask();
        let mut wanted: Vec<u64> = self.0.with(|mesh| {
            mesh.ask(asked.id(), question.clone());
            mesh.others()
                .into_iter()
                .map(|(origin, ..)| origin)
                .collect()
        });
        let mut answers = Vec::new();
        let collect = async {
            // What this node itself answers needs no carrier.
            answers.extend(peer.answer(question).await);
            while !wanted.is_empty() && answers.len() < most {
                let Some((from, answer)) = asked.next().await else {
                    return;
                };
                wanted.retain(|other| *other != from);
                answers.extend(Some(answer).filter(|answer| !answer.is_empty()));
            }
        };
        // Whoever is late is left out.
        let complete = tokio::time::timeout(within, collect).await.is_ok();
        (answers, complete)
    }
}

impl Inner {
    /// Does something with the mesh, and then what the mesh wants done.
    fn with<R>(self: &Arc<Self>, act: impl FnOnce(&mut Mesh) -> R) -> R {
        let mut guard = self.mesh.lock();
        let (mesh, steady) = &mut *guard;
        let stood = steady.look();
        mesh.at(steady.time());
        if stood {
            mesh.stood_still();
        }
        let result = act(mesh);
        mesh.ready()
            .for_each(|partition| self.ready[partition as usize].notify_one());
        for (on, shard) in self.shards.iter().enumerate() {
            if mesh.has_work(on) {
                shard.work.notify_one();
            }
        }
        while let Some(effect) = mesh.effect() {
            self.effect(effect);
        }
        result
    }

    fn effect(self: &Arc<Self>, effect: Effect) {
        match effect {
            Effect::Resubscribe(on) => {
                tracing::warn!(
                    shard = self.shards[on].name,
                    "the subscription hears nothing: making it anew"
                );
                self.shards[on].deaf.notify_one();
            }
            Effect::Up(on) => {
                self.gauge_up(on, true);
                tracing::info!(shard = self.shards[on].name, "Redis answers and is heard");
            }
            Effect::Down { on, fits } => {
                self.gauge_up(on, false);
                if fits && !self.tasks.is_stopped() {
                    let shard = &self.shards[on].name;
                    tracing::warn!(
                        shard,
                        "Redis is away: events go to this node's own clients and wait for the others; `foghorn doctor` says what is in the way"
                    );
                }
            }
            Effect::Asked { on, from, id, body } => {
                let inner = Arc::clone(self);
                self.tasks.spawn("cluster-answer", async move {
                    let Some(peer) = inner.peer().filter(|_| inner.questions.is_new(from, id))
                    else {
                        return;
                    };
                    // A node that has nothing to say is not waited for.
                    let answer = peer.answer(body).await.unwrap_or_default();
                    inner.with(|mesh| mesh.answer(on, from, id, answer));
                });
            }
            Effect::Answered { from, id, body } => self.questions.answered(id, from, body),
        }
    }

    /// What the other nodes do not have yet.
    fn waiting(&self, state: &State) -> Unkept {
        let unkept = self.unkept.get().map(|count| count()).unwrap_or_default();
        Unkept {
            events: state.waiting.0 + unkept.events,
            bytes: state.waiting.1 + unkept.bytes,
            oldest: state
                .oldest_ms
                .map(Duration::from_millis)
                .max(unkept.oldest),
        }
    }

    fn peer(&self) -> Option<Arc<dyn ClusterMember>> {
        self.peer.lock().as_ref()?.upgrade()
    }

    fn gauge_up(&self, on: usize, up: bool) {
        let shard = self.shards[on].name.clone();
        ::metrics::gauge!(metrics::REDIS_UP, "shard" => shard).set(f64::from(u8::from(up)));
    }

    fn identity(&self) -> Identity {
        self.peer().map_or_else(Identity::default, |peer| Identity {
            id: peer.id(),
            name: peer.name(),
            keys: peer.keys(),
            view: peer.view(),
        })
    }

    fn heard(self: &Arc<Self>, on: usize, heard: Heard) {
        match heard {
            Heard::Subscribed => self.with(|mesh| mesh.subscribed(on)),
            Heard::Message(bytes) => match mesh::read(bytes) {
                Ok(incoming) => self.with(|mesh| mesh.hear(on, incoming)),
                Err(why) => mesh::skipped(why),
            },
            Heard::Lagged => {
                tracing::warn!(
                    shard = self.shards[on].name,
                    "messages came faster than they were taken: asking for them"
                );
                self.with(|mesh| mesh.lagged());
            }
            Heard::Ended(None) => self.with(|mesh| mesh.unsubscribed(on)),
            Heard::Ended(Some(why)) => {
                tracing::warn!(
                    shard = self.shards[on].name,
                    "cannot be subscribed to: {why}; trying on"
                );
                self.with(|mesh| mesh.unsubscribed(on));
            }
        }
    }
}
