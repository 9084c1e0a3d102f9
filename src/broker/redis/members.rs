//! The cluster's view over Redis: leases that run out by themselves, and questions over a channel all nodes hear.
//!
//! Invariants: every shard has every node's lease, so that a lost shard blinds nobody who has another; a question that
//! comes over several shards is answered once; nothing here can hold up an event.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use super::script::{self, Lease};
use super::shard::{Pulse, Shard};
use crate::broker::cluster::{Peer, Seen};
use crate::drain::Tasks;
use crate::event::now_ms;

/// How often a lease is renewed and the others' are read.
const RENEW: Duration = Duration::from_secs(2);
/// How long a lease lasts, in milliseconds.
pub(super) const LEASE_MS: u64 = 10_000;
/// How long a node that ends may take to say so.
const FAREWELL: Duration = Duration::from_millis(500);
/// Questions that are remembered, so as not to answer one twice.
const REMEMBERED: usize = 256;

/// What begins a question and an answer on the wire. What begins otherwise is from a newer node, and skipped.
const QUESTION: &[u8] = b"Q1 ";
const ANSWER: &[u8] = b"A1 ";

/// See the module's description.
pub struct Members {
    peer: Mutex<Option<Weak<dyn Peer>>>,
    joined: Notify,
    /// By id, with when they were last seen, by this machine's clock.
    seen: Mutex<HashMap<String, Seen>>,
    /// Who waits for answers, by the question's number.
    pending: Mutex<HashMap<u64, mpsc::UnboundedSender<(String, Bytes)>>>,
    answered: Mutex<VecDeque<u64>>,
    last: AtomicU64,
    tasks: Tasks,
}

impl Members {
    /// Nobody has joined yet.
    pub fn new(tasks: Tasks) -> Arc<Self> {
        Arc::new(Self {
            peer: Mutex::new(None),
            joined: Notify::new(),
            seen: Mutex::default(),
            pending: Mutex::default(),
            answered: Mutex::default(),
            last: AtomicU64::new(rand::random()),
            tasks,
        })
    }

    /// From now on `peer` has leases and is asked.
    pub fn join(&self, peer: &Arc<dyn Peer>) {
        *self.peer.lock() = Some(Arc::downgrade(peer));
        self.joined.notify_waiters();
    }

    fn peer(&self) -> Option<Arc<dyn Peer>> {
        self.peer.lock().as_ref()?.upgrade()
    }

    /// All nodes whose leases hold, as they were last read.
    pub fn nodes(&self) -> Vec<Seen> {
        let mut seen = self.seen.lock();
        let now = now_ms();
        seen.retain(|_, node| now.saturating_sub(node.seen_ms) <= LEASE_MS);
        seen.values().cloned().collect()
    }

    fn saw(&self, leases: Vec<Lease>, redis_ms: u64) {
        let now = now_ms();
        let mut seen = self.seen.lock();
        for Lease { id, view, at_ms } in leases {
            let seen_ms = now.saturating_sub(redis_ms.saturating_sub(at_ms));
            // Of what several shards say the newest counts.
            if seen.get(&id).is_none_or(|known| known.seen_ms <= seen_ms) {
                seen.insert(id.clone(), Seen { id, view, seen_ms });
            }
        }
    }

    /// This node's leases end now, on all shards.
    pub async fn leave(&self, shards: &[Arc<Shard>]) {
        let Some(peer) = self.peer.lock().take().and_then(|peer| peer.upgrade()) else { return };
        let id = peer.id();
        let leaving = shards.iter().map(|shard| shard.withdraw(&id));
        // Where it fails the lease runs out by itself.
        let _ = tokio::time::timeout(FAREWELL, futures_util::future::join_all(leaving)).await;
    }

    /// Asks every node, over every shard.
    pub async fn ask(&self, shards: &[Arc<Shard>], question: Bytes, expected: usize, within: Duration) -> Vec<Bytes> {
        let Some(peer) = self.peer() else { return Vec::new() };
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let number = self.last.fetch_add(1, Ordering::Relaxed);
        self.pending.lock().insert(number, sender.clone());
        let message = frame(QUESTION, number, &peer.id(), &question);
        let mut answers: HashMap<String, Bytes> = HashMap::new();
        let collect = async {
            // What this node itself answers needs no Redis.
            if let Some(own) = peer.answer(question).await {
                answers.insert(peer.id(), own);
            }
            futures_util::future::join_all(shards.iter().map(|shard| shard.say(message.clone()))).await;
            while answers.len() < expected {
                let Some((id, answer)) = receiver.recv().await else { return };
                answers.insert(id, answer);
            }
        };
        // Whoever is late is left out.
        let _ = tokio::time::timeout(within, collect).await;
        self.pending.lock().remove(&number);
        answers.into_values().collect()
    }

    /// Something was said on the channel that all nodes hear. Never waits.
    pub fn heard(self: &Arc<Self>, shard: &Arc<Shard>, message: &Bytes) {
        let Some((kind, number, id, body)) = unframe(message) else { return };
        let Some(peer) = self.peer() else { return };
        if kind == ANSWER {
            if let Some(waiting) = self.pending.lock().get(&number) {
                // Nobody waits any more: then it came too late.
                let _ = waiting.send((id, body));
            }
        } else if id != peer.id() && self.is_new(number) {
            let shard = Arc::clone(shard);
            self.tasks.spawn("cluster-answer", async move {
                if let Some(answer) = peer.answer(body).await {
                    shard.say(frame(ANSWER, number, &peer.id(), &answer)).await;
                }
            });
        }
    }

    fn is_new(&self, number: u64) -> bool {
        let mut answered = self.answered.lock();
        let new = !answered.contains(&number);
        if new {
            answered.push_back(number);
            if answered.len() > REMEMBERED {
                answered.pop_front();
            }
        }
        new
    }
}

impl Shard {
    /// Keeps this node's lease on this shard and reads the others', until the process stops.
    pub async fn run_lease(self: Arc<Self>, members: Arc<Members>, tasks: Tasks) {
        loop {
            let joined = members.joined.notified();
            if let Some(peer) = members.peer() {
                self.renew_lease(&members, peer.as_ref()).await;
            }
            tokio::select! {
                () = tokio::time::sleep(RENEW.mul_f64(rand::random_range(0.9..1.1))) => {}
                () = joined => {}
                // A shard that has just come up has no lease of ours.
                () = self.came_up() => {}
                () = tasks.stopped() => return,
            }
        }
    }

    async fn renew_lease(&self, members: &Members, peer: &dyn Peer) {
        let Ok(client) = self.client() else { return };
        let (asked, before_ms) = (Instant::now(), now_ms());
        match self.trusted(script::lease(&client, &self.names, &peer.id(), peer.view()).await) {
            Ok((redis_ms, leases)) => {
                let round_trip = asked.elapsed();
                let here_ms = before_ms as i64 + round_trip.as_millis() as i64 / 2;
                *self.pulse.lock() = Some(Pulse { round_trip, clock_offset_ms: here_ms - redis_ms as i64 });
                members.saw(leases, redis_ms);
            }
            // The probe finds the same trouble and says so.
            Err(error) => tracing::debug!(shard = self.name, "no lease: {error}"),
        }
    }
}

/// `Q1 NUMBER ID` or `A1 NUMBER ID`, a newline, and what is said.
fn frame(kind: &[u8], number: u64, id: &str, body: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(kind.len() + id.len() + body.len() + 24);
    bytes.put_slice(kind);
    bytes.put_slice(format!("{number:016x} {id}\n").as_bytes());
    bytes.put_slice(body);
    bytes.freeze()
}

fn unframe(message: &Bytes) -> Option<(&'static [u8], u64, String, Bytes)> {
    let kind = [QUESTION, ANSWER].into_iter().find(|kind| message.starts_with(kind))?;
    let end = message.iter().position(|byte| *byte == b'\n')?;
    let head = std::str::from_utf8(&message[kind.len()..end]).ok()?;
    let (number, id) = head.split_once(' ')?;
    Some((kind, u64::from_str_radix(number, 16).ok()?, id.to_owned(), message.slice(end + 1..)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_read_back_and_anything_else_is_skipped() {
        let message = frame(QUESTION, 7, "a-b", b"{}\n");
        assert_eq!(unframe(&message), Some((QUESTION, 7, "a-b".to_owned(), Bytes::from_static(b"{}\n"))));
        for other in ["", "Q1 ", "Q2 0 a\n", "Q1 x a\n{}", "Q1 0000\n", "A1 1 a"] {
            assert_eq!(unframe(&Bytes::from(other)), None, "{other}");
        }
    }

    #[test]
    fn a_question_is_answered_once() {
        let members = Members::new(Tasks::new());
        assert!(members.is_new(1) && !members.is_new(1) && members.is_new(2));
        (10..10 + 2 * REMEMBERED as u64).for_each(|number| assert!(members.is_new(number)));
        assert!(members.answered.lock().len() <= REMEMBERED);
    }

    #[test]
    fn the_newest_lease_counts_and_old_ones_run_out() {
        let members = Members::new(Tasks::new());
        let lease = |view: &'static str, at_ms| Lease { id: "a".into(), view: Bytes::from(view), at_ms };
        members.saw(vec![lease("new", 990)], 1_000);
        members.saw(vec![lease("old", 4_000)], 9_000);
        assert_eq!(members.nodes().first().map(|seen| seen.view.clone()), Some(Bytes::from("new")));
        members.seen.lock().values_mut().for_each(|seen| seen.seen_ms -= LEASE_MS + 1_000);
        assert!(members.nodes().is_empty());
    }
}
