//! How an outbox's connection is asked to end, and how its task takes that in hand.
//!
//! Invariant: the first reason given counts, and what the client is told of it is its dialect's business.

use bytes::Bytes;

use super::{Outbox, State, wake};
use crate::session::{Close, Why};

impl Outbox {
    /// Asks the connection to end, in the words of its dialect. Returns whether it will: the dialect may go on after some
    /// reasons, and its client may be told instead.
    pub fn end(&self, why: &Why) -> bool {
        if let Some(close) = self.close_for(why) {
            self.close(close);
            return true;
        }
        let told = if *why == Why::Missed {
            self.kind.wire.missed()
        } else {
            b""
        };
        if !told.is_empty() {
            self.push(&Bytes::copy_from_slice(told));
        }
        false
    }

    /// More waited for its client elsewhere than there was room for.
    pub fn end_slow(&self) {
        self.end(&Why::Slow);
    }

    /// Whether the client would notice [`Outbox::end`]: its connection ends, or it is told.
    pub fn hears_of(&self, why: &Why) -> bool {
        self.close_for(why).is_some() || *why == Why::Missed && !self.kind.wire.missed().is_empty()
    }

    pub(super) fn close_for(&self, why: &Why) -> Option<Close> {
        let wordless = || {
            why.is_final()
                .then(|| Close::new(Close::ABNORMAL, "ended without a word", "other"))
        };
        (self.kind.close)(why).or_else(wordless)
    }

    /// Asks the connection to end with `close`. The first reason given counts.
    pub fn close(&self, close: Close) {
        let mut inner = self.inner.lock();
        if matches!(inner.state, State::Open) {
            inner.state = State::Closing(Box::new(close));
            wake(&mut inner);
        }
    }

    /// For the connection's task: the close that was asked for, once. From then on nothing but control frames is taken.
    pub fn take_close(&self) -> Option<Close> {
        let mut inner = self.inner.lock();
        if !matches!(inner.state, State::Closing(_)) {
            return None;
        }
        match std::mem::replace(&mut inner.state, State::Ended) {
            State::Closing(close) => Some(*close),
            State::Open | State::Ended => None,
        }
    }

    /// Whether the connection was asked to end and has not taken that up: what it sends may be stuck.
    pub fn is_asked_to_end(&self) -> bool {
        matches!(self.inner.lock().state, State::Closing(_))
    }

    /// Whether the connection was asked to end, or has.
    pub fn is_closing(&self) -> bool {
        !matches!(self.inner.lock().state, State::Open)
    }
}
