//! A connection's outbox: what the client has not taken yet, bounded in messages and bytes.
//!
//! Invariants: frames go out whole, in the order of `push`; `push` never waits. In front of a socket a frame goes straight out
//! while nothing is queued, and what the socket does not take is queued; other far ends take from the queue. An outbox that
//! would exceed its bounds ends its connection ([`Why::Slow`]) instead of dropping a message or waiting.

mod coalesced;
mod ending;
mod far;
mod kind;
mod queue;
#[cfg(test)]
pub(crate) mod testing;
mod wire;

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use ::metrics::counter;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::net::tcp::OwnedWriteHalf;

use crate::metrics;
use crate::session::{Close, Why};
use coalesced::Coalesced;
use far::Far;
pub use kind::{Deflate, Kind};
use queue::Queue;
pub use wire::Wire;

/// How much may wait for one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Messages.
    pub messages: usize,
    /// Bytes, frame headers included.
    pub bytes: usize,
}

/// What is still wanted of the connection.
#[derive(Debug)]
enum State {
    Open,
    /// The task is to send this close frame and end.
    Closing(Box<Close>),
    /// The task has taken the close in hand, or ended: nothing more is queued for the client.
    Ended,
}

struct Inner {
    queue: Queue,
    state: State,
    waker: Option<Waker>,
}

/// See the module's description. Shared between the hub, the sweep and the connection's task.
pub struct Outbox {
    id: u64,
    kind: &'static Kind,
    bounds: Bounds,
    far: Far,
    inner: Mutex<Inner>,
}

impl Outbox {
    /// An empty outbox in front of `socket`, which is written to at once. `id` is unique in this process.
    pub fn new(id: u64, kind: &'static Kind, bounds: Bounds, socket: OwnedWriteHalf) -> Arc<Self> {
        Self::before(id, kind, bounds, Far::Socket(socket))
    }

    /// An empty outbox that something else takes from ([`Outbox::take`]): the body of an answer, or encryption. `hang_up` cuts
    /// the connection off where nobody takes any more.
    pub fn taken(
        id: u64,
        kind: &'static Kind,
        bounds: Bounds,
        hang_up: impl Fn() + Send + Sync + 'static,
    ) -> Arc<Self> {
        Self::before(id, kind, bounds, Far::Taken(Box::new(Box::new(hang_up))))
    }

    fn before(id: u64, kind: &'static Kind, bounds: Bounds, far: Far) -> Arc<Self> {
        let inner = Inner {
            queue: Queue::default(),
            state: State::Open,
            waker: None,
        };
        Arc::new(Self {
            id,
            kind,
            bounds,
            far,
            inner: Mutex::new(inner),
        })
    }

    /// The connection's number, unique in this process.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// What kind of client it is.
    pub fn kind(&self) -> &'static Kind {
        self.kind
    }

    /// Sends `frame` or queues it. Returns whether the client is still to get it.
    pub fn push(&self, frame: &Bytes) -> bool {
        let mut inner = self.inner.lock();
        if !matches!(inner.state, State::Open) {
            return false;
        }
        let mut sent = 0;
        if inner.queue.is_empty() {
            match self.far.write_now(frame) {
                Some(n) if n == frame.len() => return true,
                Some(n) => sent = n,
                None => return self.broken(&mut inner),
            }
        }
        self.queue(&mut inner, frame.clone(), sent)
    }

    /// [`Outbox::push`] for several frames, in one go. Small ones are put together: a long history of a busy channel must
    /// not close who subscribes to it, so it is bounded by its bytes and hardly by its number.
    pub fn push_all(&self, frames: &[Bytes]) -> bool {
        match frames {
            [] => return true,
            [one] => return self.push(one),
            _ => {}
        }
        let mut inner = self.inner.lock();
        if !matches!(inner.state, State::Open) {
            return false;
        }
        for together in Coalesced(frames) {
            if !self.queue(&mut inner, together, 0) {
                return false;
            }
            if self.far.flush(&mut inner.queue).is_err() {
                return self.broken(&mut inner);
            }
        }
        true
    }

    /// Sends bytes that are whole frames: control frames of the WebSocket machinery, also after [`Outbox::take_close`].
    pub fn push_control(&self, frames: &[u8]) {
        let mut inner = self.inner.lock();
        if inner.queue.is_empty() {
            match self.far.write_now(frames) {
                Some(n) if n == frames.len() => return,
                Some(n) => {
                    inner.queue.push(Bytes::copy_from_slice(frames), n);
                    return wake(&mut inner);
                }
                None => {
                    self.broken(&mut inner);
                    return;
                }
            }
        }
        if inner.queue.bytes() + frames.len() > self.bounds.bytes {
            self.overflow(&mut inner, "bytes");
        } else {
            inner.queue.push(Bytes::copy_from_slice(frames), 0);
        }
    }

    /// For the connection's task: remembers whom to wake.
    pub fn register(&self, waker: &Waker) {
        let mut inner = self.inner.lock();
        if !inner.waker.as_ref().is_some_and(|w| w.will_wake(waker)) {
            inner.waker = Some(waker.clone());
        }
    }

    /// Wakes the connection's task.
    pub fn wake(&self) {
        wake(&mut self.inner.lock());
    }

    /// For the connection's task: writes what is queued. Ready when nothing is left.
    ///
    /// # Errors
    /// The socket's own; the connection is then gone.
    pub fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            {
                let mut inner = self.inner.lock();
                if self.far.flush(&mut inner.queue)? {
                    return Poll::Ready(Ok(()));
                }
            }
            std::task::ready!(self.far.poll_ready(cx))?;
        }
    }

    /// For what takes from the outbox: what is next, several frames together where they are small.
    pub fn take(&self) -> Option<Bytes> {
        self.inner.lock().queue.take()
    }

    /// Whether anything waits for the client.
    pub fn is_empty(&self) -> bool {
        self.inner.lock().queue.is_empty()
    }

    /// The connection is over: forgets what is queued and takes nothing more.
    pub fn finish(&self) {
        let mut inner = self.inner.lock();
        inner.state = State::Ended;
        inner.waker = None;
        inner.queue.clear();
    }

    /// What is still on its way is not worth waiting for: the socket is reset when it is dropped, or the connection is cut off.
    pub fn abandon(&self) {
        self.far.abandon();
    }

    /// Queues a frame of which `sent` bytes are sent, if it may.
    fn queue(&self, inner: &mut Inner, frame: Bytes, sent: usize) -> bool {
        let (was_empty, bytes) = (
            inner.queue.is_empty(),
            inner.queue.bytes() + frame.len() - sent,
        );
        let full = match () {
            () if inner.queue.len() >= self.bounds.messages => Some("messages"),
            () if bytes > self.bounds.bytes => Some("bytes"),
            () => None,
        };
        // What is half sent is kept in any case.
        if full.is_none() || sent > 0 {
            inner.queue.push(frame, sent);
        }
        if let Some(bound) = full {
            return self.overflow(inner, bound);
        }
        if was_empty {
            wake(inner);
        }
        true
    }

    fn overflow(&self, inner: &mut Inner, bound: &'static str) -> bool {
        counter!(metrics::OUTBOX_OVERFLOWS, "bound" => bound).increment(1);
        // The frame that is half sent must be finished, or the close frame after it could not be read.
        inner.queue.forget_unsent();
        if let Some(close) = self.close_for(&Why::Slow) {
            inner.state = State::Closing(Box::new(close));
        }
        wake(inner);
        false
    }

    fn broken(&self, inner: &mut Inner) -> bool {
        // The task finds the same error when it reads or flushes.
        wake(inner);
        false
    }
}

fn wake(inner: &mut Inner) {
    if let Some(waker) = &inner.waker {
        waker.wake_by_ref();
    }
}

#[cfg(test)]
mod tests;
