//! A connection's outbox: what the client has not taken yet, bounded in messages and bytes.
//!
//! Invariants: frames go out whole, in the order of `push`; `push` never waits. A frame goes straight to the socket
//! while nothing is queued; what the socket does not take is queued, and an outbox that would exceed its bounds closes
//! its connection (1013) instead of dropping a message or waiting.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use ::metrics::{Gauge, counter, gauge};
use bytes::{BufMut, Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::net::tcp::OwnedWriteHalf;

use super::{Client, Close};
use crate::metrics;

/// An unfragmented, unmasked text frame with `payload` (RFC 6455, section 5.2), ready for any number of sockets.
pub fn text_frame(payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(payload.len() + 10);
    frame.put_u8(0x81);
    match payload.len() {
        n @ 0..=125 => frame.put_u8(n as u8),
        n @ 126..=0xffff => {
            frame.put_u8(126);
            frame.put_u16(n as u16);
        }
        n => {
            frame.put_u8(127);
            frame.put_u64(n as u64);
        }
    }
    frame.put_slice(payload);
    frame.freeze()
}

/// Bytes up to which frames that are sent in one go are put together.
const TOGETHER: usize = 16 << 10;

/// A ping with an empty payload.
pub const PING: &[u8] = &[0x89, 0x00];

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
    queue: VecDeque<Bytes>,
    /// Bytes of the first frame that are already sent.
    sent: usize,
    /// Bytes queued and not sent.
    bytes: usize,
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

static WAITING: LazyLock<Gauge> = LazyLock::new(|| gauge!(metrics::OUTBOX_BYTES));
static DEPTH: LazyLock<Gauge> = LazyLock::new(|| gauge!(metrics::OUTBOX_MESSAGES));

impl Outbox {
    /// An empty outbox in front of `socket`. `id` is unique in this process.
    pub fn new(id: u64, client: Client, bounds: Bounds, socket: OwnedWriteHalf) -> Arc<Self> {
        let inner = Inner { queue: VecDeque::new(), sent: 0, bytes: 0, state: State::Open, waker: None };
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
        if inner.queue.is_empty() {
            match self.write_now(&[IoSlice::new(frame)]) {
                Some(n) if n == frame.len() => return true,
                Some(n) => inner.sent = n,
                None => return self.broken(&mut inner),
            }
        }
        self.queue(&mut inner, [frame.clone()])
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
            if !self.queue(&mut inner, [together]) {
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
            match self.write_now(&[IoSlice::new(frames)]) {
                Some(n) if n == frames.len() => return,
                Some(n) => {
                    self.enqueue(&mut inner, Bytes::copy_from_slice(&frames[n..]));
                    return wake(&mut inner);
                }
                None => {
                    self.broken(&mut inner);
                    return;
                }
            }
        }
        if inner.bytes + frames.len() > self.bounds.bytes {
            self.overflow(&mut inner, "bytes");
        } else {
            self.enqueue(&mut inner, Bytes::copy_from_slice(frames));
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
        self.clear(&mut inner);
    }

    /// What the kernel still holds is not worth waiting for: the socket is reset when it is dropped.
    pub fn abandon(&self) {
        // Failing means that the socket is gone already.
        let _ = self.socket.as_ref().set_zero_linger();
    }

    /// Writes at once what the socket takes: the number of bytes, or `None` for a broken socket.
    fn write_now(&self, slices: &[IoSlice<'_>]) -> Option<usize> {
        let written = match slices {
            [one] => self.socket.try_write(one),
            _ => self.socket.try_write_vectored(slices),
        };
        match written {
            Ok(n) => Some(n),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Some(0),
            Err(_) => None,
        }
    }

    fn queue(&self, inner: &mut Inner, frames: impl IntoIterator<Item = Bytes>) -> bool {
        let was_empty = inner.queue.is_empty();
        for frame in frames {
            if inner.queue.len() >= self.bounds.messages {
                return self.overflow(inner, "messages");
            }
            if inner.bytes + frame.len() > self.bounds.bytes {
                return self.overflow(inner, "bytes");
            }
            self.enqueue(inner, frame);
        }
        if was_empty {
            wake(inner);
        }
        true
    }

    fn enqueue(&self, inner: &mut Inner, frame: Bytes) {
        let unsent = if inner.queue.is_empty() { frame.len() - inner.sent } else { frame.len() };
        inner.bytes += unsent;
        WAITING.increment(unsent as f64);
        DEPTH.increment(1.0);
        inner.queue.push_back(frame);
    }

    /// Writes until all is sent (`true`) or the socket takes no more (`false`).
    fn flush(&self, inner: &mut Inner) -> io::Result<bool> {
        while !inner.queue.is_empty() {
            let mut slices = [IoSlice::new(&[]); 16];
            let count = inner.queue.len().min(slices.len());
            for (slice, frame) in slices.iter_mut().zip(&inner.queue) {
                *slice = IoSlice::new(frame);
            }
            slices[0] = IoSlice::new(&inner.queue[0][inner.sent..]);
            match self.socket.try_write_vectored(&slices[..count]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => advance(inner, n),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn overflow(&self, inner: &mut Inner, bound: &'static str) -> bool {
        counter!(metrics::OUTBOX_OVERFLOWS, "bound" => bound).increment(1);
        // The frame that is half sent must be finished, or the close frame after it could not be read.
        let head = (inner.sent > 0).then(|| inner.queue.front().cloned()).flatten();
        let sent = inner.sent;
        self.clear(inner);
        if let Some(head) = head {
            inner.sent = sent;
            self.enqueue(inner, head);
        }
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

    fn clear(&self, inner: &mut Inner) {
        WAITING.decrement(inner.bytes as f64);
        DEPTH.decrement(inner.queue.len() as f64);
        inner.queue = VecDeque::new();
        inner.bytes = 0;
        inner.sent = 0;
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        let inner = self.inner.get_mut();
        WAITING.decrement(inner.bytes as f64);
        DEPTH.decrement(inner.queue.len() as f64);
    }
}

/// Whole frames in pieces of [`TOGETHER`] bytes; a larger frame is a piece by itself.
struct Together<'a>(&'a [Bytes]);

impl Iterator for Together<'_> {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let mut bytes = 0;
        let fits = |frame: &&Bytes| {
            bytes += frame.len();
            bytes <= TOGETHER
        };
        let count = self.0.iter().take_while(fits).count().clamp(1, self.0.len().max(1));
        let (piece, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(match piece {
            [one] => one.clone(),
            several => Bytes::from(several.concat()),
        })
    }
}

fn wake(inner: &mut Inner) {
    if let Some(waker) = &inner.waker {
        waker.wake_by_ref();
    }
}

/// `n` more bytes of the queue are sent.
fn advance(inner: &mut Inner, n: usize) {
    inner.bytes -= n;
    WAITING.decrement(n as f64);
    inner.sent += n;
    while let Some(first) = inner.queue.front() {
        if inner.sent < first.len() {
            return;
        }
        inner.sent -= first.len();
        inner.queue.pop_front();
        DEPTH.decrement(1.0);
    }
    // A queue that was long must not stay allocated for a connection's whole life.
    inner.queue = VecDeque::new();
}

#[cfg(test)]
mod tests;
