//! One shard's lane: what is asked of it beside carrying events, in order, many at once in a pipeline.
//!
//! Invariants: calls are made in the order in which they were given; each is answered within little more than [`PATIENCE`],
//! at once while the shard is known to be away; what waits is bounded. Nothing connects before the first call.

mod task;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use fred::types::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::super::config::Server;
use crate::broker::keep::{KeepError, PATIENCE};
use crate::drain::Tasks;

/// Calls that may wait.
const CALLS: usize = 65_536;
/// Their bytes.
const BYTES: usize = 64 << 20;

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
    /// Whether it may be done twice: it is tried again where nobody knows if it was done.
    pub(super) repeatable: bool,
}

impl Call {
    fn cost(&self) -> usize {
        let keys = self.keys.iter().map(String::len).sum::<usize>();
        256 + keys + self.args.iter().map(Bytes::len).sum::<usize>()
    }
}

type Then = Box<dyn FnOnce(Result<Value, KeepError>) + Send + Sync>;

struct Job {
    call: Call,
    by: Instant,
    tries: u8,
    then: Then,
}

#[derive(Default)]
struct Load {
    calls: AtomicUsize,
    bytes: AtomicUsize,
    /// How often it has connected.
    connections: AtomicU64,
}

impl Job {
    /// Answers it.
    fn end(self, load: &Load, answer: Result<Value, KeepError>) {
        load.bytes.fetch_sub(self.call.cost(), Ordering::Relaxed);
        let result = answer.as_ref().err().map_or("ok", KeepError::label);
        ::metrics::counter!(crate::metrics::KEEPER_CALLS, "call" => self.call.name, "result" => result).increment(1);
        (self.then)(answer);
        // Last, so that whoever waits for it to be 0 finds what was done by it.
        load.calls.fetch_sub(1, Ordering::Release);
    }
}

/// See the module.
pub(super) struct Lane {
    jobs: mpsc::UnboundedSender<Job>,
    load: Arc<Load>,
}

impl Lane {
    /// Not connected yet.
    pub fn start(server: Server, tasks: &Tasks) -> Self {
        let (jobs, receiver) = mpsc::unbounded_channel();
        let load = Arc::new(Load::default());
        tasks.spawn(
            "keeper-lane",
            task::run(server, receiver, Arc::clone(&load), tasks.clone()),
        );
        Self { jobs, load }
    }

    /// Puts a call in line; `then` is told its answer, by the lane's task or at once, and must not wait.
    pub fn send(
        &self,
        call: Call,
        then: impl FnOnce(Result<Value, KeepError>) + Send + Sync + 'static,
    ) {
        let (load, cost) = (&self.load, call.cost());
        let job = Job {
            call,
            by: Instant::now() + PATIENCE,
            tries: 0,
            then: Box::new(then),
        };
        let calls = load.calls.fetch_add(1, Ordering::Relaxed);
        let bytes = load.bytes.fetch_add(cost, Ordering::Relaxed);
        if calls >= CALLS || bytes + cost > BYTES {
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
        match task::in_time(answer, by, &mut asked).await {
            Some(answer) => answer.unwrap_or(Err(KeepError::Ending)),
            None => Err(KeepError::Late),
        }
    }

    /// Calls that were not answered yet.
    pub fn waiting(&self) -> usize {
        self.load.calls.load(Ordering::Acquire)
    }

    /// How often it has connected: what changed in between may be gone from Redis.
    pub fn connections(&self) -> u64 {
        self.load.connections.load(Ordering::Acquire)
    }
}
