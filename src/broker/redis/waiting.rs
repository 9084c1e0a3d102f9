//! What was accepted and Redis does not have yet, counted over all partitions.
//!
//! Invariant: neither count nor bytes ever exceed their bounds.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::config::Bounds;

/// What waits in all partitions together.
pub struct Waiting {
    bounds: Bounds,
    count: AtomicUsize,
    bytes: AtomicUsize,
}

impl Waiting {
    /// Nothing waits.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, count: AtomicUsize::new(0), bytes: AtomicUsize::new(0) }
    }

    /// Events that wait.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Their bytes.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How old the oldest may become.
    pub fn age(&self) -> Duration {
        self.bounds.age
    }

    /// Makes room for one more, or names the bound that forbids it.
    pub fn enter(&self, cost: usize) -> Result<(), &'static str> {
        if self.count.fetch_add(1, Ordering::Relaxed) >= self.bounds.count {
            self.count.fetch_sub(1, Ordering::Relaxed);
            return Err("count");
        }
        if self.bytes.fetch_add(cost, Ordering::Relaxed).saturating_add(cost) > self.bounds.bytes {
            self.leave(cost);
            return Err("bytes");
        }
        Ok(())
    }

    /// One is gone.
    pub fn leave(&self, cost: usize) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(cost, Ordering::Relaxed);
    }
}
