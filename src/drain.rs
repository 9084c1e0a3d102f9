//! How the process ends: one stop signal, one tracker for every task, one deadline.
//!
//! Invariant: nothing is spawned past [`Tasks`], so when [`Tasks::finish`] returns `true` nothing runs any more.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

/// Every task of the process, and the signal that ends them.
#[derive(Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Tasks {
    /// No tasks yet, not stopping.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `future` as a task. `name` is what logs call it.
    pub fn spawn<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tracker.spawn(future.instrument(tracing::debug_span!("task", name)));
    }

    /// Runs a future that carries a span of its own, one for each connection: kept as small as can be.
    pub fn spawn_connection<F>(&self, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tracker.spawn(future);
    }

    /// Waits for [`Tasks::stop`].
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Whether [`Tasks::stop`] was called.
    pub fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Tells every task to end.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until all tasks have ended, `deadline` at most. Returns whether they did.
    pub async fn finish(&self, deadline: Duration) -> bool {
        self.tracker.close();
        tokio::time::timeout(deadline, self.tracker.wait()).await.is_ok()
    }

    /// How many tasks run now.
    pub fn len(&self) -> usize {
        self.tracker.len()
    }

    /// Whether no task runs.
    pub fn is_empty(&self) -> bool {
        self.tracker.is_empty()
    }
}

/// Where the node stands in its life; readiness follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Not yet listening to its shards.
    Starting,
    /// Serving.
    Running,
    /// Asked to end: not ready, still taking connections while proxies notice.
    Settling,
    /// Closing its connections.
    Closing,
}

/// The node's [`Phase`], shared.
#[derive(Clone, Default)]
pub struct Life(Arc<AtomicU8>);

impl Life {
    /// The phase now.
    pub fn phase(&self) -> Phase {
        match self.0.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Running,
            2 => Phase::Settling,
            _ => Phase::Closing,
        }
    }

    /// Moves on to `phase`; a life never goes back.
    pub fn advance(&self, phase: Phase) {
        self.0.fetch_max(phase as u8, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn finish_waits_for_every_task_and_no_longer() {
        let tasks = Tasks::new();
        let inner = tasks.clone();
        tasks.spawn("waits", async move { inner.stopped().await });
        assert!(!tasks.finish(Duration::from_millis(1)).await);
        tasks.stop();
        assert!(tasks.finish(Duration::from_secs(60)).await);
        assert!(tasks.is_empty());
    }

    #[test]
    fn a_life_never_goes_back() {
        let life = Life::default();
        life.advance(Phase::Settling);
        life.advance(Phase::Running);
        assert_eq!(life.phase(), Phase::Settling);
    }
}
