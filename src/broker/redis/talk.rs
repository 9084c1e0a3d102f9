//! What nodes say of themselves, and what they ask each other, through whichever shard is up.
//!
//! ```text
//! <prefix>:nodes                hash: node -> <Redis' milliseconds> LF <view>; forgotten soon after the node
//! {<prefix>:ask}                channel: 1 SP <asking node> SP <number> LF <question>
//! {<prefix>:answer:<node>}      channel: 1 SP <number> LF <answer>
//! ```
//!
//! Invariant: nothing of this is in the way of events: queues are short, and what does not fit is dropped.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use parking_lot::{Mutex, RwLock};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::shard::Shard;
use crate::broker::cluster::{Later, Peer, Seen};
use crate::broker::wire;
use crate::drain::Tasks;
use crate::event::now_ms;

/// How often a node says that it is there.
const BEAT: Duration = Duration::from_secs(3);

/// How long a node may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// Questions that may wait, and those that are answered at the same time.
const QUESTIONS: usize = 32;

/// A question that another node asked, and the shard it came through.
pub struct Question {
    shard: usize,
    node: u64,
    number: u64,
    text: Bytes,
}

/// The cluster's talk as this node takes part in it.
pub struct Talk {
    node: u64,
    peers: RwLock<Vec<Weak<dyn Peer>>>,
    asked: Mutex<HashMap<u64, mpsc::Sender<Bytes>>>,
    questions: mpsc::Sender<Question>,
    left: AtomicBool,
}

/// Removes a question of ours once nobody waits for its answers.
struct Asking<'a>(&'a Talk, u64);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.asked.lock().remove(&self.1);
    }
}

impl Talk {
    /// For a node that is told apart by `node`; the receiver is for [`run`].
    pub fn new(node: u64) -> (Self, mpsc::Receiver<Question>) {
        let (questions, receiver) = mpsc::channel(QUESTIONS);
        (
            Self { node, peers: RwLock::default(), asked: Mutex::default(), questions, left: AtomicBool::new(false) },
            receiver,
        )
    }

    /// The name of this node's channel for answers.
    pub fn node(&self) -> u64 {
        self.node
    }

    /// Whether this node has taken its leave.
    pub fn has_left(&self) -> bool {
        self.left.load(Ordering::Acquire)
    }

    /// Makes a peer known, for as long as it lives.
    pub fn join(&self, peer: &Arc<dyn Peer>) {
        let mut peers = self.peers.write();
        peers.retain(|known| known.strong_count() > 0);
        peers.push(Arc::downgrade(peer));
    }

    fn peers(&self) -> Vec<Arc<dyn Peer>> {
        self.peers.read().iter().filter_map(Weak::upgrade).collect()
    }

    /// Something came over the channel for questions of the shard with this index.
    pub fn heard_question(&self, shard: usize, message: &Bytes) {
        let Some((head, text)) = split(message) else { return };
        if let [_, node, number] = head.as_slice()
            && let (Some(node), Some(number)) = (wire::hex(node), wire::hex(number))
        {
            // Who asks too much gets no answer.
            let _ = self.questions.try_send(Question { shard, node, number, text });
        }
    }

    /// Something came over this node's channel for answers.
    pub fn heard_answer(&self, message: &Bytes) {
        let Some((head, text)) = split(message) else { return };
        if let [_, number] = head.as_slice()
            && let Some(waiting) = wire::hex(number).and_then(|number| self.asked.lock().get(&number).cloned())
        {
            // Nobody may be waiting any more.
            let _ = waiting.try_send(text);
        }
    }

    /// All nodes that said lately, through any shard, that they are there; this one as it is now.
    pub async fn nodes(&self, shards: &[Arc<Shard>], within: Duration) -> Vec<Seen> {
        let mut seen: HashMap<String, Seen> = HashMap::new();
        let lists = join_all(shards.iter().map(|shard| timeout(within, shard.nodes()))).await;
        for node in lists.into_iter().flatten().flatten().flatten() {
            let newer = seen.get(&node.id).is_none_or(|known| known.seen_ms < node.seen_ms);
            if newer {
                seen.insert(node.id.clone(), node);
            }
        }
        for peer in self.peers() {
            let here = Seen { id: peer.id(), view: peer.view(), seen_ms: now_ms() };
            seen.insert(here.id.clone(), here);
        }
        let mut seen: Vec<Seen> = seen.into_values().collect();
        seen.sort_by(|a, b| a.id.cmp(&b.id));
        seen
    }

    /// Asks all nodes through the first shard that is up, or only this one if none is.
    pub async fn ask(&self, shards: &[Arc<Shard>], question: Bytes, expected: usize, within: Duration) -> Vec<Bytes> {
        let Some(shard) = shards.iter().find(|shard| shard.is_up()) else {
            let answers =
                join_all(self.peers().iter().map(|peer| timeout(within, peer.answer(question.clone())))).await;
            return answers.into_iter().flatten().flatten().collect();
        };
        let (sender, mut receiver) = mpsc::channel(1_024);
        let number = rand::random();
        self.asked.lock().insert(number, sender);
        let asking = Asking(self, number);
        let mut answers = Vec::new();
        let collect = async {
            let head = format!("{} {:016x} {number:016x}\n", wire::FORMAT, self.node);
            if shard.tell(shard.names().questions(), join(&head, &question)).await.is_err() {
                return;
            }
            while answers.len() < expected
                && let Some(answer) = receiver.recv().await
            {
                answers.push(answer);
            }
        };
        // Whoever is late is left out.
        let _ = timeout(within, collect).await;
        drop(asking);
        answers
    }
}

/// Says every few seconds that this node is there, and answers what others ask, until the process stops.
pub async fn run(talk: Arc<Talk>, shards: Vec<Arc<Shard>>, mut questions: mpsc::Receiver<Question>, tasks: Tasks) {
    let mut answering: FuturesUnordered<Later<()>> = FuturesUnordered::new();
    let mut beat = tokio::time::interval(BEAT);
    loop {
        tokio::select! {
            () = tasks.stopped() => break,
            _ = beat.tick() => {
                let views = talk.peers().iter().map(|peer| (peer.id(), peer.view())).collect();
                answering.push(beat_once(shards.clone(), views));
            }
            Some(()) = answering.next() => {}
            Some(question) = questions.recv(), if answering.len() < QUESTIONS => {
                answering.push(answer(Arc::clone(&shards[question.shard]), talk.peers(), question));
            }
        }
    }
    let ids: Vec<String> = talk.peers().iter().map(|peer| peer.id()).collect();
    // A node that ends takes its name off the list; one that cannot is forgotten soon.
    join_all(shards.iter().map(|shard| timeout(Duration::from_millis(300), shard.leave(&ids)))).await;
    talk.left.store(true, Ordering::Release);
}

fn beat_once(shards: Vec<Arc<Shard>>, views: Vec<(String, Bytes)>) -> Later<()> {
    Box::pin(async move {
        // A shard that is away will hear the next one.
        join_all(shards.iter().map(|shard| shard.beat(&views))).await;
    })
}

fn answer(shard: Arc<Shard>, peers: Vec<Arc<dyn Peer>>, question: Question) -> Later<()> {
    Box::pin(async move {
        let answers = peers.iter().map(|peer| timeout(ANSWER, peer.answer(question.text.clone())));
        for text in join_all(answers).await.into_iter().flatten().flatten() {
            let head = format!("{} {:016x}\n", wire::FORMAT, question.number);
            // If it cannot be said, whoever asked counts one answer less.
            let _ = shard.tell(shard.names().answers(question.node), join(&head, &text)).await;
        }
    })
}

fn join(head: &str, text: &[u8]) -> Bytes {
    let mut message = BytesMut::with_capacity(head.len() + text.len());
    message.put_slice(head.as_bytes());
    message.put_slice(text);
    message.freeze()
}

fn split(message: &Bytes) -> Option<(Vec<&str>, Bytes)> {
    let end = message.iter().position(|b| *b == b'\n')?;
    let head = std::str::from_utf8(&message[..end]).ok()?.split(' ').collect();
    // Copied, so that keeping it does not keep a connection's read buffer.
    Some((head, Bytes::copy_from_slice(&message[end + 1..])))
}
