//! How much was done on this node, by v1's names.
//!
//! Invariant: totals only grow, so two readings tell what happened between them.

use std::sync::atomic::{AtomicU64, Ordering};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Messages of clients.
    Requests,
    /// Their bytes.
    BytesIn,
    /// Bytes of answers.
    BytesOut,
    /// Clients that said who they are.
    Connects,
    /// Messages that clients published.
    ClientPublished,
    /// Answers.
    Answers,
    /// Subscriptions.
    Subscribes,
    /// Requests to the API.
    Api,
    /// WebSockets.
    WebSockets,
    /// Requests by SockJS.
    SockJs,
    /// Messages that were published, by whomever.
    Published,
    /// Joins.
    Joins,
    /// Leaves.
    Leaves,
}

/// How many there are.
const COUNTS: usize = Count::Leaves as usize + 1;

/// See the module.
#[derive(Default)]
pub struct Totals([AtomicU64; COUNTS]);

impl Totals {
    /// So many more.
    pub fn add(&self, count: Count, more: usize) {
        self.0[count as usize].fetch_add(more as u64, Ordering::Relaxed);
    }

    /// How many so far.
    pub fn get(&self, count: Count) -> u64 {
        self.0[count as usize].load(Ordering::Relaxed)
    }
}
