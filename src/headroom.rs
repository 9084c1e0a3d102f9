//! What this process still has to give: file descriptors and memory.
//!
//! * [`descriptors`]: how many there are, and how many of them are kept back.
//! * [`memory`]: how near the container's limit is.
//!
//! Invariant: whoever lets somebody in looks here first, and `/readyz` says what is short before it is gone.

pub mod descriptors;
pub mod memory;

use std::sync::atomic::{AtomicBool, Ordering};

use ::metrics::gauge;

use crate::metrics;

/// What is short now. One a node.
#[derive(Debug, Default)]
pub struct Headroom {
    descriptors: AtomicBool,
    memory: AtomicBool,
}

impl Headroom {
    /// Whether all descriptors that clients may have are taken.
    pub fn lacks_descriptors(&self) -> bool {
        self.descriptors.load(Ordering::Relaxed)
    }

    /// Whether the memory that the container may use is nearly used up.
    pub fn lacks_memory(&self) -> bool {
        self.memory.load(Ordering::Relaxed)
    }

    /// Accepting clients waits for a descriptor, or no longer does.
    pub fn set_descriptors(&self, short: bool) {
        self.descriptors.store(short, Ordering::Relaxed);
        gauge!(metrics::ACCEPT_PAUSED).set(if short { 1.0 } else { 0.0 });
    }

    fn set_memory(&self, short: bool) {
        self.memory.store(short, Ordering::Relaxed);
        gauge!(metrics::MEMORY_SHORT).set(if short { 1.0 } else { 0.0 });
    }
}
