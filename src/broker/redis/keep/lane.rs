//! One shard's lane: what is asked of it beside carrying events, in order, many at once in a pipeline.
//!
//! Invariants: calls are made in the order in which they were given, but for those that Redis put off in the midst of others. A
//! question is answered within little more than [`PATIENCE`], at once while the shard is known to be away. What is to be kept waits for the shard: it
//! is told so once, and is given up only where the others need it and the shard alone is in the way. What waits is bounded.
//! Nothing connects before the first call.

mod calls;
mod task;
mod time;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use fred::types::Value;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

use super::super::config::Server;
use crate::broker::Bounds;
use crate::broker::clustered::Unkept;
use crate::broker::keep::{KeepError, PATIENCE};
use crate::drain::Tasks;
use crate::event::Place;

/// What is to be done in Redis.
#[derive(Debug)]
pub struct Call {
    /// The metric label.
    pub(super) name: &'static str,
    /// A script of [`super::scripts`].
    pub(super) script: &'static str,
    /// Its keys, all with one hash tag.
    pub(super) keys: Vec<String>,
    /// Its arguments.
    pub(super) args: Vec<Bytes>,
    /// Whether two further arguments say how it was told while it waited, and that it is made again: it must not be done twice
    /// where nobody knows if it was done.
    pub(super) tells_again: bool,
    /// Since when whoever asks is given what comes, where that matters: what was told of as waiting is not to be told of again.
    pub(super) since: Option<Instant>,
}

impl Call {
    fn cost(&self) -> usize {
        let keys = self.keys.iter().map(String::len).sum::<usize>();
        256 + keys + self.args.iter().map(Bytes::len).sum::<usize>()
    }
}

type Then = Box<dyn FnOnce(Result<Value, KeepError>) + Send + Sync>;

/// What becomes of a call while the shard is away.
enum Away {
    /// It is answered that it is.
    Fails,
    /// It waits; this is to be told of that.
    Tells(Box<dyn FnOnce(Telling) + Send + Sync>),
    /// It waits, and that was told: up to which place its node's clients had the channel then.
    Waits(Arc<OnceLock<Place>>),
}

/// What is being told of something that waits. While there is one of these nothing of it is done: whoever reads what is kept
/// either finds it there or is told of it, and not both.
pub struct Telling {
    all: Arc<Tellings>,
    after: Arc<OnceLock<Place>>,
}

#[derive(Default)]
struct Tellings {
    count: AtomicUsize,
    none: Notify,
}

impl Telling {
    fn new(all: &Arc<Tellings>, after: &Arc<OnceLock<Place>>) -> Self {
        all.count.fetch_add(1, Ordering::AcqRel);
        Self {
            all: Arc::clone(all),
            after: Arc::clone(after),
        }
    }

    /// It was told, when this node's clients had the channel up to here, as far as that is known.
    pub fn done(self, after: Option<Place>) {
        if let Some(after) = after {
            // Nobody else sets it.
            let _ = self.after.set(after);
        }
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        if self.all.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.all.none.notify_one();
        }
    }
}

struct Job {
    call: Call,
    began: Instant,
    tries: u8,
    away: Away,
    then: Then,
}

#[derive(Default)]
struct Load {
    calls: AtomicUsize,
    bytes: AtomicUsize,
    /// Of those that are to be kept.
    unkept: AtomicUsize,
    unkept_bytes: AtomicUsize,
    /// Since when the oldest of them waits for the shard, which is away.
    since: Mutex<Option<Instant>>,
    /// How often it has connected.
    connections: AtomicU64,
}

impl Job {
    fn by(&self) -> Instant {
        self.began + PATIENCE
    }

    fn waits(&self) -> bool {
        !matches!(self.away, Away::Fails)
    }

    /// Answers it.
    fn end(self, load: &Load, answer: Result<Value, KeepError>) {
        let cost = self.call.cost();
        load.bytes.fetch_sub(cost, Ordering::Relaxed);
        let waited = self.waits();
        let result = answer.as_ref().err().map_or("ok", KeepError::label);
        ::metrics::counter!(crate::metrics::KEEPER_CALLS, "call" => self.call.name, "result" => result).increment(1);
        (self.then)(answer);
        // Last, so that whoever waits for it to be 0 finds what was done by it.
        if waited {
            load.unkept_bytes.fetch_sub(cost, Ordering::Relaxed);
            load.unkept.fetch_sub(1, Ordering::Release);
        }
        load.calls.fetch_sub(1, Ordering::Release);
    }
}

/// See the module.
pub(super) struct Lane {
    jobs: mpsc::UnboundedSender<Job>,
    load: Arc<Load>,
    bounds: Bounds,
}

impl Lane {
    /// Not connected yet. So much may wait; `carried` says whether the other nodes would get now what is not kept.
    pub fn start(
        server: Server,
        bounds: Bounds,
        carried: impl Fn() -> bool + Send + Sync + 'static,
        tasks: &Tasks,
    ) -> Self {
        let (jobs, receiver) = mpsc::unbounded_channel();
        let load = Arc::new(Load::default());
        let carried = Box::new(carried);
        let task = task::Task::new(server, Arc::clone(&load), bounds.age, carried, tasks);
        tasks.spawn("keeper-lane", task.run(receiver));
        Self { jobs, load, bounds }
    }

    /// Puts a question in line; `then` is told its answer, by the lane's task or at once, and must not wait.
    pub fn send(
        &self,
        call: Call,
        then: impl FnOnce(Result<Value, KeepError>) + Send + Sync + 'static,
    ) {
        self.put(call, Away::Fails, Box::new(then));
    }

    /// The same of what is to be kept. While the shard is away it waits, which `tell` is told once.
    pub fn keep(
        &self,
        call: Call,
        tell: impl FnOnce(Telling) + Send + Sync + 'static,
        then: impl FnOnce(Result<Value, KeepError>) + Send + Sync + 'static,
    ) {
        self.put(call, Away::Tells(Box::new(tell)), Box::new(then));
    }

    fn put(&self, call: Call, away: Away, then: Then) {
        let (load, cost) = (&self.load, call.cost());
        let job = Job {
            call,
            began: Instant::now(),
            tries: 0,
            away,
            then,
        };
        let calls = load.calls.fetch_add(1, Ordering::Relaxed);
        let bytes = load.bytes.fetch_add(cost, Ordering::Relaxed);
        if job.waits() {
            load.unkept.fetch_add(1, Ordering::Relaxed);
            load.unkept_bytes.fetch_add(cost, Ordering::Relaxed);
        }
        if calls >= self.bounds.count || bytes + cost > self.bounds.bytes {
            return job.end(load, Err(KeepError::Crowded));
        }
        if let Err(unsent) = self.jobs.send(job) {
            unsent.0.end(load, Err(KeepError::Ending));
        }
    }

    /// Makes a call.
    pub async fn ask(&self, call: Call) -> Result<Value, KeepError> {
        let (sender, answer) = oneshot::channel();
        self.send(call, move |result| {
            // Whoever asked may have gone.
            let _ = sender.send(result);
        });
        let mut asked = Instant::now();
        let by = asked + 2 * PATIENCE;
        match time::in_time(answer, by, &mut asked).await {
            Some(answer) => answer.unwrap_or(Err(KeepError::Ending)),
            None => Err(KeepError::Late),
        }
    }

    /// Calls that were not answered yet.
    pub fn waiting(&self) -> usize {
        self.load.calls.load(Ordering::Acquire)
    }

    /// Counts what is to be kept and is not yet.
    pub fn unkept(&self) -> impl Fn() -> Unkept + Send + Sync + 'static {
        let load = Arc::clone(&self.load);
        move || Unkept {
            events: load.unkept.load(Ordering::Acquire),
            bytes: load.unkept_bytes.load(Ordering::Relaxed),
            oldest: load.since.lock().map(|since| since.elapsed()),
        }
    }

    /// How often it has connected: what changed in between may be gone from Redis.
    pub fn connections(&self) -> u64 {
        self.load.connections.load(Ordering::Acquire)
    }
}
