//! One partition as its tasks share it: the publisher's queue, the receiver's inbox, and where both stand.
//!
//! Invariant: nobody waits here. What does not fit into the inbox marks the line as lagged, and the receiver reads the
//! log instead.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use super::outgoing::Outgoing;
use crate::broker::log::{Known, Position};
use crate::broker::wire::Stamp;
use crate::event::Event;

/// Messages that may wait for the receiver.
const INBOX: usize = 4_096;

/// Bytes that may wait for the receiver; a single larger message is let in.
const INBOX_BYTES: usize = 8 << 20;

/// What the receiver is told.
pub enum Input {
    /// A message, undecoded.
    Message(Bytes),
    /// The log's end, and what was known when it was asked for.
    Head(Option<Position>, Known),
}

/// The receiver's ends.
pub struct Ends {
    /// From Redis.
    pub remote: mpsc::Receiver<Input>,
    /// From this node's own publisher: events that do not wait for Redis.
    pub local: mpsc::UnboundedReceiver<(Stamp, Event)>,
}

/// See the module.
pub struct Line {
    /// Which partition.
    pub partition: u32,
    /// The publisher's queue.
    pub outgoing: Mutex<Outgoing>,
    /// Wakes the publisher.
    pub wake: Notify,
    republish: AtomicBool,
    /// What the publisher last heard from Redis.
    pub confirmed: Mutex<Option<Position>>,
    /// What the receiver knows.
    pub known: Mutex<Known>,
    remote: mpsc::Sender<Input>,
    local: mpsc::UnboundedSender<(Stamp, Event)>,
    inbox_bytes: AtomicUsize,
    lagged: AtomicBool,
    start: Instant,
    /// When the channel was last heard, and when it was last asked to be, in milliseconds since the start; 0 is never.
    heard_ms: AtomicU64,
    asked_ms: AtomicU64,
}

impl Line {
    /// A partition at rest.
    pub fn new(partition: u32, outgoing: Outgoing, start: Instant) -> (Self, Ends) {
        let (remote, remote_end) = mpsc::channel(INBOX);
        let (local, local_end) = mpsc::unbounded_channel();
        let line = Self {
            partition,
            outgoing: Mutex::new(outgoing),
            wake: Notify::new(),
            republish: AtomicBool::new(false),
            confirmed: Mutex::new(None),
            known: Mutex::new(Known::Nothing),
            remote,
            local,
            inbox_bytes: AtomicUsize::new(0),
            lagged: AtomicBool::new(false),
            start,
            heard_ms: AtomicU64::new(0),
            asked_ms: AtomicU64::new(0),
        };
        (line, Ends { remote: remote_end, local: local_end })
    }

    /// Milliseconds since the broker started, and at least 1.
    pub fn now_ms(&self) -> u64 {
        self.start.elapsed().as_millis() as u64 + 1
    }

    /// A message came.
    pub fn message(&self, message: Bytes) {
        self.heard_ms.store(self.now_ms(), Ordering::Relaxed);
        let len = message.len();
        if self.inbox_bytes.fetch_add(len, Ordering::Relaxed) > INBOX_BYTES
            || self.remote.try_send(Input::Message(message)).is_err()
        {
            self.inbox_bytes.fetch_sub(len, Ordering::Relaxed);
            self.lag();
        }
    }

    /// The receiver has taken a message of `len` bytes.
    pub fn taken(&self, len: usize) {
        self.inbox_bytes.fetch_sub(len, Ordering::Relaxed);
    }

    /// The channel was heard, though it said nothing.
    pub fn canary(&self) {
        self.heard_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    /// The log's end. A full inbox says enough by itself.
    pub fn head(&self, head: Option<Position>, before: Known) {
        let _ = self.remote.try_send(Input::Head(head, before));
    }

    /// Messages were dropped.
    pub fn lag(&self) {
        self.lagged.store(true, Ordering::Release);
    }

    /// Whether messages were dropped since last asked.
    pub fn take_lagged(&self) -> bool {
        self.lagged.swap(false, Ordering::AcqRel)
    }

    /// Gives events to this node's own clients. The waiting queue's bounds hold for them too.
    pub fn deliver_here(&self, events: Vec<(Stamp, Event)>) {
        for event in events {
            // Only a receiver that has ended does not take them.
            let _ = self.local.send(event);
        }
    }

    /// Redis lost data: the publisher sends again what it sent lately.
    pub fn ask_republish(&self) {
        self.republish.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Whether the publisher has noticed that the log `now` took the place of `before`: it has then sent again what it sent
    /// lately, and twice that much could push out of the log what others have not read yet. Within one log that
    /// lost its end there is no telling.
    pub fn publisher_knows(&self, before: Known, now: Known) -> bool {
        let (Known::Upto(before), Known::Upto(now)) = (before, now) else { return false };
        before.epoch != now.epoch && self.confirmed.lock().is_none_or(|confirmed| confirmed.epoch == now.epoch)
    }

    /// Whether the publisher was asked to.
    pub fn take_republish(&self) -> bool {
        self.republish.swap(false, Ordering::AcqRel)
    }

    /// A new subscription: nothing is proven.
    pub fn unproven(&self) {
        self.heard_ms.store(0, Ordering::Relaxed);
        self.asked_ms.store(0, Ordering::Relaxed);
    }

    /// Whether the subscription was heard since it was made.
    pub fn is_proven(&self) -> bool {
        self.heard_ms.load(Ordering::Relaxed) > 0
    }

    /// Whether the line was quiet for so long that it should be asked for a sign of life.
    pub fn should_ask(&self, quiet_ms: u64) -> bool {
        let heard = self.heard_ms.load(Ordering::Relaxed);
        heard == 0 || self.now_ms().saturating_sub(heard) >= quiet_ms
    }

    /// Redis took a canary at `at_ms`: it should be heard. The first that is not answered counts.
    pub fn asked(&self, at_ms: u64) {
        if self.asked_ms.load(Ordering::Relaxed) <= self.heard_ms.load(Ordering::Relaxed) {
            self.asked_ms.store(at_ms, Ordering::Relaxed);
        }
    }

    /// For how many milliseconds it has been asked in vain.
    pub fn silent_ms(&self) -> u64 {
        let (asked, heard) = (self.asked_ms.load(Ordering::Relaxed), self.heard_ms.load(Ordering::Relaxed));
        if asked > heard { self.now_ms().saturating_sub(asked) } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::log::EntryId;

    #[test]
    fn the_publisher_is_asked_again_only_where_it_may_not_know() {
        let at = |epoch, seq| Position { epoch, seq, id: EntryId { ms: seq, n: 0 } };
        let upto = |epoch, seq| Known::Upto(at(epoch, seq));
        let line = Line::new(0, Outgoing::new(1, 2), Instant::now()).0;
        for (confirmed, before, now, knows) in [
            (Some(at(1, 5)), upto(1, 5), upto(2, 9), false),
            (Some(at(2, 9)), upto(1, 5), upto(2, 9), true),
            // It was refused, and has put what it had back in line.
            (None, upto(1, 5), upto(2, 9), true),
            (Some(at(1, 5)), upto(1, 5), Known::Empty, false),
            (Some(at(1, 5)), upto(1, 5), upto(1, 3), false),
        ] {
            *line.confirmed.lock() = confirmed;
            assert_eq!(line.publisher_knows(before, now), knows, "{confirmed:?} {before:?} {now:?}");
        }
    }
}
