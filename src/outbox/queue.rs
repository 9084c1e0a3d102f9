//! What waits for one client: frames, the first of which may be half sent.
//!
//! Invariant: the gauges show the sum over all queues, also of those that are dropped.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::LazyLock;

use ::metrics::{Gauge, gauge};
use bytes::Bytes;

use super::coalesced::Coalesced;
use crate::metrics;

static WAITING: LazyLock<Gauge> = LazyLock::new(|| gauge!(metrics::OUTBOX_BYTES));
static DEPTH: LazyLock<Gauge> = LazyLock::new(|| gauge!(metrics::OUTBOX_MESSAGES));

#[derive(Default)]
pub(super) struct Queue {
    frames: VecDeque<Bytes>,
    /// Bytes of the first frame that are already sent.
    sent: usize,
    /// Bytes queued and not sent.
    bytes: usize,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    /// Bytes that are not sent.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends `frame`. Of the first one, `sent` bytes may have been sent; of all others, none.
    pub(super) fn push(&mut self, frame: Bytes, sent: usize) {
        debug_assert!(sent == 0 || self.frames.is_empty());
        self.sent += sent;
        self.bytes += frame.len() - sent;
        WAITING.increment((frame.len() - sent) as f64);
        DEPTH.increment(1.0);
        self.frames.push_back(frame);
    }

    /// Fills `slices` with what is to be sent next; how many there are.
    pub(super) fn next<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        for (slice, frame) in slices.iter_mut().zip(&self.frames) {
            *slice = IoSlice::new(frame);
        }
        if let Some(first) = self.frames.front() {
            slices[0] = IoSlice::new(&first[self.sent..]);
        }
        self.frames.len().min(slices.len())
    }

    /// Takes out what is next, as many whole frames as go together; nothing of them may be sent yet.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        let frames = self.frames.make_contiguous();
        let mut pieces = Coalesced(frames);
        let piece = pieces.next()?;
        let count = frames.len() - pieces.0.len();
        self.frames.drain(..count);
        self.bytes -= piece.len();
        WAITING.decrement(piece.len() as f64);
        DEPTH.decrement(count as f64);
        if self.frames.is_empty() {
            self.frames = VecDeque::new();
        }
        Some(piece)
    }

    /// `n` more bytes are sent.
    pub(super) fn advance(&mut self, n: usize) {
        self.bytes -= n;
        WAITING.decrement(n as f64);
        self.sent += n;
        while let Some(first) = self.frames.front() {
            if self.sent < first.len() {
                return;
            }
            self.sent -= first.len();
            self.frames.pop_front();
            DEPTH.decrement(1.0);
        }
        // A queue that was long must not stay allocated for a connection's whole life.
        self.frames = VecDeque::new();
    }

    /// Forgets everything, except a first frame that is half sent.
    pub(super) fn forget_unsent(&mut self) {
        let (begun, sent) = (
            self.frames.front().filter(|_| self.sent > 0).cloned(),
            self.sent,
        );
        self.clear();
        if let Some(frame) = begun {
            self.push(frame, sent);
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        WAITING.decrement(self.bytes as f64);
        DEPTH.decrement(self.frames.len() as f64);
        (self.frames, self.bytes, self.sent) = (VecDeque::new(), 0, 0);
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.clear();
    }
}
