//! Subscribing and unsubscribing, over and over, to libraries that come only once.
//!
//! Invariant: a connection has one batch under way; the pong behind it says that the server has done all of it.

use super::Worker;
use super::conn::State;
use super::control::WorkerMessage;
use crate::{clock, stamp, wire};

/// How far it has come.
#[derive(Default)]
pub struct Churn {
    /// Pairs not begun.
    left: u64,
    /// Pairs wanted.
    wanted: u64,
    /// Pairs under way.
    open: u64,
    next: u32,
}

/// Pairs between two pings.
const BATCH: u64 = 16;
/// Numbers of these libraries begin here, far from those that get events.
const FIRST: u32 = 0x4000_0000;

impl Worker {
    pub(super) fn churn_begin(&mut self, pairs: u64) {
        self.churn = Churn {
            left: pairs,
            wanted: pairs,
            open: 0,
            next: self.churn.next,
        };
        for i in 0..self.plan.clients {
            self.churn_batch(i);
        }
    }

    /// A pong came on connection `i`.
    pub(super) fn churn_on(&mut self, i: u32) {
        if self.churn.wanted == 0 {
            return;
        }
        self.churn.open = self.churn.open.saturating_sub(BATCH);
        self.churn_batch(i);
        if self.churn.left == 0 && self.churn.open == 0 {
            say_done(std::mem::take(&mut self.churn.wanted));
        }
    }

    fn churn_batch(&mut self, i: u32) {
        if self.conns[i as usize].state != State::Ready || self.churn.left == 0 {
            return;
        }
        let user = format!("u{}@load", self.plan.first + i);
        let mut out = Vec::with_capacity(8192);
        for _ in 0..BATCH.min(self.churn.left) {
            // Each worker has its own range, so that no library is ever met twice.
            let number =
                FIRST + (self.plan.first << 16 & 0x3000_0000) + self.churn.next % 0x1000_0000;
            self.churn.next = self.churn.next.wrapping_add(1);
            let repo = stamp::repo(self.plan.run, number);
            let key = self.mask_key();
            self.plan.dialect.subscribe(
                &self.signer,
                &user,
                std::slice::from_ref(&repo),
                true,
                key,
                &mut out,
            );
            self.plan.dialect.unsubscribe(&repo, key, &mut out);
        }
        self.churn.left = self.churn.left.saturating_sub(BATCH);
        self.churn.open += BATCH;
        let key = self.mask_key();
        wire::push_client(&mut out, wire::PING, &clock::now_ns().to_be_bytes(), key);
        self.send(i, &out);
    }
}

fn say_done(pairs: u64) {
    super::say(&WorkerMessage::Churned { pairs });
}
