//! Whether this process was stopped, or starved, until a moment ago. It then wakes to timeouts that say nothing about
//! Redis, and to posts that its proxy has long sent to another node.
//!
//! Invariant: for [`BEARINGS_MS`] after a standstill nothing is concluded from what did not happen in time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::drain::Tasks;

/// How often it is noted that the process runs.
const TICK: Duration = Duration::from_millis(200);

/// Without a note for this long it did not run, in milliseconds.
const STANDSTILL_MS: u64 = 1_000;

/// How long it takes to find out how Redis is, in milliseconds.
const BEARINGS_MS: u64 = 1_000;

/// See the module.
pub struct Awake {
    start: Instant,
    noted_ms: AtomicU64,
    woke_ms: AtomicU64,
}

impl Awake {
    /// Awake, and well.
    pub fn new() -> Self {
        Self { start: Instant::now(), noted_ms: AtomicU64::new(0), woke_ms: AtomicU64::new(0) }
    }

    /// Notes that the process runs, until it stops.
    pub async fn run(&self, tasks: &Tasks) {
        loop {
            self.bearings();
            tokio::select! {
                () = sleep(TICK) => {}
                () = tasks.stopped() => return,
            }
        }
    }

    /// Until when the process takes its bearings; `None` as a rule.
    pub fn bearings(&self) -> Option<Instant> {
        let until_ms = self.at(self.start.elapsed().as_millis() as u64)?;
        Some(self.start + Duration::from_millis(until_ms))
    }

    fn at(&self, now_ms: u64) -> Option<u64> {
        let noted_ms = self.noted_ms.fetch_max(now_ms, Ordering::AcqRel);
        if now_ms.saturating_sub(noted_ms) > STANDSTILL_MS {
            self.woke_ms.store(now_ms, Ordering::Release);
            tracing::warn!("this process did not run for {:.1} s", (now_ms - noted_ms) as f64 / 1e3);
        }
        let woke_ms = self.woke_ms.load(Ordering::Acquire);
        (woke_ms > 0 && now_ms < woke_ms + BEARINGS_MS).then_some(woke_ms + BEARINGS_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standstill_is_followed_by_bearings() {
        let awake = Awake::new();
        assert!((0..5_000).step_by(200).all(|now_ms| awake.at(now_ms).is_none()));
        assert!((9_000..10_000).step_by(200).all(|now_ms| awake.at(now_ms) == Some(10_000)));
        assert_eq!(awake.at(10_000), None);
    }
}
