//! Keeps within this process, for the nodes that share a memory broker.
//!
//! Invariants: a past's order is the order of delivery, since both are decided under one lock; nothing here outlives the
//! process; all of it is bounded ([`Bounds`]), and presence by the connections that are there.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ahash::RandomState;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::said::{SaidOnce, Saying};
use super::shelf::{Bounds, Shelf};
use super::{Keep, Lease, Past, Presence};
use crate::broker::Receipt;
use crate::broker::memory::MemoryBroker;
use crate::event::{Channel, Event, now_ms};
use crate::metrics;

/// Who is present in a channel: what was said of each, and which guard it belongs to.
type Here = BTreeMap<Arc<str>, (u64, Bytes)>;

/// What all nodes of the process have in common.
#[derive(Default)]
pub struct MemoryStore {
    shelf: Mutex<Shelf>,
    present: Mutex<HashMap<Channel, Here, RandomState>>,
    leases: Mutex<HashMap<String, Arc<Semaphore>>>,
    said: Mutex<SaidOnce>,
    /// Numbers guards and leases.
    last: AtomicU64,
}

impl MemoryStore {
    /// Keeps so much.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            shelf: Mutex::new(Shelf::new(bounds)),
            ..Self::default()
        }
    }

    fn next(&self) -> u64 {
        self.last.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn leave(&self, channel: &Channel, id: &Arc<str>, guard: u64) {
        let mut present = self.present.lock();
        let Some(here) = present.get_mut(channel) else {
            return;
        };
        if here.get(id).is_some_and(|(of, _)| *of == guard) {
            here.remove(id);
        }
        if here.is_empty() {
            present.remove(channel);
        }
    }
}

/// Keeps for one node.
#[derive(Clone)]
pub struct MemoryKeeper {
    broker: MemoryBroker,
    kept: Arc<MemoryStore>,
}

impl MemoryKeeper {
    /// Keeps in `kept` what `broker` delivers.
    pub fn new(broker: MemoryBroker, kept: Arc<MemoryStore>) -> Self {
        Self { broker, kept }
    }

    pub(super) fn keep(&self, event: Event, keep: Keep) -> Receipt {
        let mut shelf = self.kept.shelf.lock();
        let event = shelf.keep(event, keep, now_ms());
        let (events, bytes) = shelf.held();
        ::metrics::gauge!(metrics::PAST_EVENTS).set(events as f64);
        ::metrics::gauge!(metrics::PAST_BYTES).set(bytes as f64);
        ::metrics::counter!(metrics::KEPT, "result" => "kept").increment(1);
        // Under the lock, which it never waits under: so places are delivered in their order.
        self.broker.publish(event)
    }

    pub(super) fn past(&self, channel: &Channel) -> Past {
        self.kept.shelf.lock().past(channel, now_ms())
    }

    pub(super) fn enter(&self, channel: &Channel, id: &str, who: Bytes) -> Presence {
        let (guard, id) = (self.kept.next(), Arc::<str>::from(id));
        self.kept
            .present
            .lock()
            .entry(channel.clone())
            .or_default()
            .insert(Arc::clone(&id), (guard, who));
        let (kept, channel) = (Arc::clone(&self.kept), channel.clone());
        Presence::new(move || kept.leave(&channel, &id, guard))
    }

    pub(super) fn present(&self, channel: &Channel) -> Vec<(Arc<str>, Bytes)> {
        let present = self.kept.present.lock();
        let here = present.get(channel).into_iter().flatten();
        here.map(|(id, (_, who))| (Arc::clone(id), who.clone()))
            .collect()
    }

    pub(super) fn claim(&self, channel: &Channel, what: &str) -> Saying {
        let (what, me) = (format!("{channel}:{what}"), rand::random());
        self.kept.said.lock().claim(what, me, now_ms())
    }

    pub(super) fn settle(
        &self,
        channel: &Channel,
        what: &str,
        claim: u128,
        lasts: Option<Duration>,
    ) {
        let what = format!("{channel}:{what}");
        let lasts_ms = lasts.map(|lasts| lasts.as_millis() as u64);
        let mut said = self.kept.said.lock();
        said.settle(what, claim, lasts_ms, now_ms());
    }

    pub(super) async fn only_one(&self, name: &str) -> Lease {
        let semaphore = Arc::clone(
            self.kept
                .leases
                .lock()
                .entry(name.to_owned())
                .or_insert_with(one),
        );
        let permit = semaphore.acquire_owned().await;
        Lease::new(
            self.kept.next(),
            CancellationToken::new(),
            None,
            move || release(permit.ok()),
        )
    }
}

fn one() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(1))
}

/// Whoever waits has it next.
fn release(permit: Option<OwnedSemaphorePermit>) {
    drop(permit);
}
