//! The embedded broker: the contract of [`super::Broker`] within one process, for one node or for several that share it.
//!
//! Invariant: one task delivers each partition, so a partition's events reach every sink in the order of `publish`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use parking_lot::RwLock;
use tokio::sync::{Notify, mpsc, oneshot};

use super::cluster::{ClusterMember, Found, KnownNode};
use super::idempotency::Repeats;
use super::keep::memory::{MemoryKeeper, MemoryStore};
use super::{Health, Lost, Receipt, Sink, partition};
use crate::drain::Tasks;
use crate::event::{Event, now_ms};

/// Events waiting for delivery in one partition; past this many, what is published is lost and declared so.
const QUEUE: usize = 65_536;

/// How often a node looks up while events come: more often than anybody who waits for a receipt does.
const PULSE: Duration = Duration::from_millis(50);

/// An event, and whom to tell that it is delivered.
type Queued = (Event, oneshot::Sender<()>);

struct Inner {
    sinks: RwLock<Vec<Arc<dyn Sink>>>,
    queues: Vec<mpsc::Sender<Queued>>,
    waiting: AtomicUsize,
    came: Notify,
    peers: RwLock<Vec<Weak<dyn ClusterMember>>>,
    kept: Arc<MemoryStore>,
}

/// Delivers within the process.
#[derive(Clone)]
pub struct MemoryBroker(Arc<Inner>);

impl MemoryBroker {
    /// Starts a task for each of `partitions` partitions.
    pub fn start(partitions: u32, tasks: &Tasks) -> Self {
        let (queues, receivers): (Vec<_>, Vec<_>) =
            (0..partitions).map(|_| mpsc::channel(QUEUE)).unzip();
        let inner = Arc::new(Inner {
            sinks: RwLock::default(),
            queues,
            waiting: AtomicUsize::new(0),
            came: Notify::new(),
            peers: RwLock::default(),
            kept: Arc::default(),
        });
        for receiver in receivers {
            tasks.spawn(
                "memory-partition",
                run(receiver, Arc::clone(&inner), tasks.clone()),
            );
        }
        tasks.spawn("memory-pulse", pulse(Arc::clone(&inner), tasks.clone()));
        Self(inner)
    }

    /// Keeps what outlives delivery, for one of the nodes that share this broker.
    pub fn keeper(&self) -> MemoryKeeper {
        MemoryKeeper::new(self.clone(), Arc::clone(&self.0.kept))
    }

    /// From now on `sink` gets every event.
    pub fn attach(&self, sink: Arc<dyn Sink>) {
        self.0.sinks.write().push(sink);
    }

    /// Takes an event. It is confirmed once every sink has delivered it, so that who subscribes after the answer does not
    /// get it as news.
    pub fn publish(&self, event: Event) -> Receipt {
        let (done, receipt) = Receipt::pending();
        let partition = partition::of(&event.channel, self.0.queues.len() as u32);
        self.0.waiting.fetch_add(1, Ordering::Relaxed);
        self.0.came.notify_one();
        if let Err(error) = self.0.queues[partition as usize].try_send((event, done)) {
            self.0.waiting.fetch_sub(1, Ordering::Relaxed);
            let (event, _) = error.into_inner();
            ::metrics::counter!(crate::metrics::WAITING_DROPPED, "bound" => "count").increment(1);
            tracing::error!(channel = %event.channel, "event dropped: {QUEUE} others of its partition wait to be delivered; is this machine too slow for what is posted?");
            let sinks = self.0.sinks.read().clone();
            sinks
                .iter()
                .for_each(|sink| sink.lost(Lost::Channels(vec![event.channel.clone()])));
        }
        receipt
    }

    /// Makes a node known to the others, for as long as it lives.
    pub fn join(&self, peer: &Arc<dyn ClusterMember>) {
        let mut peers = self.0.peers.write();
        peers.retain(|known| known.strong_count() > 0);
        peers.push(Arc::downgrade(peer));
    }

    fn peers(&self) -> Vec<Arc<dyn ClusterMember>> {
        self.0
            .peers
            .read()
            .iter()
            .filter_map(Weak::upgrade)
            .collect()
    }

    /// All nodes that share this broker.
    pub fn nodes(&self) -> Vec<KnownNode> {
        let seen_ms = now_ms();
        self.peers()
            .iter()
            .map(|peer| KnownNode {
                id: peer.id(),
                view: peer.view(),
                seen_ms,
                ahead_ms: Some(0),
            })
            .collect()
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
        let mut asked: FuturesUnordered<_> = self
            .peers()
            .iter()
            .map(|peer| peer.answer(question.clone()))
            .collect();
        let mut answers = Vec::new();
        let collect = async {
            while answers.len() < most
                && let Some(answer) = asked.next().await
            {
                answers.extend(answer);
            }
        };
        // Whoever is late is left out.
        let complete = tokio::time::timeout(within, collect).await.is_ok();
        (answers, complete)
    }

    /// How it is now.
    pub fn health(&self) -> Health {
        Health {
            kind: "memory",
            partitions: self.0.queues.len() as u32,
            waiting: self.0.waiting.load(Ordering::Relaxed),
            oldest: None,
            misfit: None,
            shards: Vec::new(),
        }
    }
}

async fn run(mut receiver: mpsc::Receiver<Queued>, inner: Arc<Inner>, tasks: Tasks) {
    let (mut repeats, start) = (Repeats::default(), Instant::now());
    loop {
        let (event, done) = tokio::select! {
            biased;
            queued = receiver.recv() => match queued { Some(queued) => queued, None => return },
            () = tasks.stopped() => return,
        };
        if repeats.is_first(&event, start.elapsed().as_millis() as u64) {
            let sinks = inner.sinks.read().clone();
            for sink in sinks {
                sink.deliver(event.clone()).await;
            }
        }
        inner.waiting.fetch_sub(1, Ordering::Relaxed);
        // Whoever published may have stopped waiting; that changes nothing.
        let _ = done.send(());
    }
}

/// Keeps a timer running while events come. A timer that is the next of all wakes the worker that waits for sockets; who waits
/// for a receipt sets one, and with this one it is not the next.
async fn pulse(inner: Arc<Inner>, tasks: Tasks) {
    loop {
        tokio::select! {
            () = inner.came.notified() => {}
            () = tasks.stopped() => return,
        }
        tokio::select! {
            () = tokio::time::sleep(PULSE) => {}
            () = tasks.stopped() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::{BoxFuture, pending, ready};

    use super::*;

    enum Member {
        Silent,
        Answers(Option<&'static [u8]>),
    }

    impl ClusterMember for Member {
        fn id(&self) -> String {
            String::new()
        }

        fn name(&self) -> String {
            String::new()
        }

        fn keys(&self) -> Vec<String> {
            Vec::new()
        }

        fn view(&self) -> Bytes {
            Bytes::new()
        }

        fn answer(&self, _: Bytes) -> BoxFuture<'static, Option<Bytes>> {
            match *self {
                Self::Silent => Box::pin(pending()),
                Self::Answers(answer) => Box::pin(ready(answer.map(Bytes::from_static))),
            }
        }
    }

    async fn found(members: Vec<Member>, within: Duration) -> Found {
        let broker = MemoryBroker::start(1, &Tasks::new());
        let mut joined: Vec<Arc<dyn ClusterMember>> = Vec::new();
        for member in members {
            joined.push(Arc::new(member));
        }
        joined.iter().for_each(|member| broker.join(member));
        broker.find(Bytes::from_static(b"who"), within).await
    }

    #[tokio::test]
    async fn a_node_that_is_silent_is_not_waited_for_once_another_has_answered() {
        use Member::{Answers, Silent};
        let answer = Found::Answer(Bytes::from_static(b"me"));
        let members = vec![Silent, Answers(None), Answers(Some(b"me"))];
        assert_eq!(found(members, Duration::MAX).await, answer);
        let nobody = vec![Answers(None), Answers(None)];
        assert_eq!(found(nobody, Duration::MAX).await, Found::Nowhere);
        let unsure = vec![Silent, Answers(None)];
        assert_eq!(found(unsure, Duration::ZERO).await, Found::Unsure);
    }
}
