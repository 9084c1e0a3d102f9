//! How the process ends: one stop signal, one tracker for every task, one deadline.
//!
//! Invariant: no task is spawned past [`Tasks`], so when [`Tasks::finish`] returns `true` none runs any more. What may block
//! for ever is no task: it has a thread of its own ([`aside`]), which the process does not wait for.

use std::future::Future;
use std::io;
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
        self.tracker
            .spawn(future.instrument(tracing::debug_span!("task", name)));
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
        tokio::time::timeout(deadline, self.tracker.wait())
            .await
            .is_ok()
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, strum::IntoStaticStr)]
#[repr(u8)]
#[strum(serialize_all = "snake_case")]
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

impl Phase {
    /// As views and answers call it.
    pub fn label(self) -> &'static str {
        self.into()
    }
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

/// Runs `work`, which may block for as long as the system likes, on a thread of its own, called `name`. Nobody waits for
/// its end, and the process ends without it.
///
/// # Errors
/// The system has no thread to give.
#[allow(
    clippy::disallowed_methods,
    reason = "what may block for ever would hold up a node's end as a task"
)]
pub fn aside(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map(drop)
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
