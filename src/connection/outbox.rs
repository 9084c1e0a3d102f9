//! A connection's outbox: what the client has not taken yet, bounded in messages and bytes.
//!
//! Invariants: frames go out whole, in the order of `push`; `push` never waits. A frame goes straight to the socket
//! while nothing is queued; what the socket does not take is queued, and an outbox that would exceed its bounds closes
//! its connection (1013) instead of dropping a message or waiting.

mod frame;
mod queue;

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use ::metrics::counter;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::net::tcp::OwnedWriteHalf;

use super::{Client, Close};
use crate::metrics;
use frame::Together;
pub use frame::{PING, text_frame};
use queue::Queue;

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
    client: Client,
    bounds: Bounds,
    socket: OwnedWriteHalf,
    inner: Mutex<Inner>,
}

impl Outbox {
    /// An empty outbox in front of `socket`. `id` is unique in this process.
    pub fn new(id: u64, client: Client, bounds: Bounds, socket: OwnedWriteHalf) -> Arc<Self> {
        let inner = Inner { queue: Queue::default(), state: State::Open, waker: None };
        Arc::new(Self { id, client, bounds, socket, inner: Mutex::new(inner) })
    }

    /// The connection's number, unique in this process.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// What kind of client it is.
    pub fn client(&self) -> Client {
        self.client
    }

    /// Sends `frame` or queues it. Returns whether the client is still to get it.
    pub fn push(&self, frame: &Bytes) -> bool {
        let mut inner = self.inner.lock();
        if !matches!(inner.state, State::Open) {
            return false;
        }
        let mut sent = 0;
        if inner.queue.is_empty() {
            match self.write_now(frame) {
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
        for together in Together(frames) {
            if !self.queue(&mut inner, together, 0) {
                return false;
            }
            if self.flush(&mut inner).is_err() {
                return self.broken(&mut inner);
            }
        }
        true
    }

    /// Sends bytes that are whole frames: control frames of the WebSocket machinery, also after [`Outbox::take_close`].
    pub fn push_control(&self, frames: &[u8]) {
        let mut inner = self.inner.lock();
        if inner.queue.is_empty() {
            match self.write_now(frames) {
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

    /// Asks the connection to end with `close`. The first reason given counts.
    pub fn close(&self, close: Close) {
        let mut inner = self.inner.lock();
        if matches!(inner.state, State::Open) {
            inner.state = State::Closing(Box::new(close));
            wake(&mut inner);
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

    /// Whether the connection was asked to end, or has.
    pub fn is_closing(&self) -> bool {
        !matches!(self.inner.lock().state, State::Open)
    }

    /// For the connection's task: writes what is queued. Ready when nothing is left.
    ///
    /// # Errors
    /// The socket's own; the connection is then gone.
    pub fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            {
                let mut inner = self.inner.lock();
                if self.flush(&mut inner)? {
                    return Poll::Ready(Ok(()));
                }
            }
            std::task::ready!(self.socket.as_ref().poll_write_ready(cx))?;
        }
    }

    /// Whether anything waits for the socket.
    pub fn is_empty(&self) -> bool {
        self.inner.lock().queue.is_empty()
    }

    /// The connection is over: forgets what is queued and takes nothing more.
    pub fn end(&self) {
        let mut inner = self.inner.lock();
        inner.state = State::Ended;
        inner.waker = None;
        inner.queue.clear();
    }

    /// What the kernel still holds is not worth waiting for: the socket is reset when it is dropped.
    pub fn abandon(&self) {
        // Failing means that the socket is gone already.
        let _ = self.socket.as_ref().set_zero_linger();
    }

    /// Writes at once what the socket takes: the number of bytes, or `None` for a broken socket.
    fn write_now(&self, frames: &[u8]) -> Option<usize> {
        match self.socket.try_write(frames) {
            Ok(n) => Some(n),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Some(0),
            Err(_) => None,
        }
    }

    /// Queues a frame of which `sent` bytes are sent, if it may.
    fn queue(&self, inner: &mut Inner, frame: Bytes, sent: usize) -> bool {
        let (was_empty, bytes) = (inner.queue.is_empty(), inner.queue.bytes() + frame.len() - sent);
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

    /// Writes until all is sent (`true`) or the socket takes no more (`false`).
    fn flush(&self, inner: &mut Inner) -> io::Result<bool> {
        while !inner.queue.is_empty() {
            let mut slices = [IoSlice::new(&[]); 16];
            let count = inner.queue.next(&mut slices);
            match self.socket.try_write_vectored(&slices[..count]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => inner.queue.advance(n),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn overflow(&self, inner: &mut Inner, bound: &'static str) -> bool {
        counter!(metrics::OUTBOX_OVERFLOWS, "bound" => bound).increment(1);
        // The frame that is half sent must be finished, or the close frame after it could not be read.
        inner.queue.forget_unsent();
        let close = Close::new(1013, "too slow: messages were not read in time", "overflow");
        inner.state = State::Closing(Box::new(close));
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
