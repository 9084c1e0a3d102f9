//! One HTTP connection's part of what is unfinished: the bytes it has sent since its last request was whole.
//!
//! Invariants: a request without a body that comes in one piece costs two counters and no lock; only a connection that waits
//! is entered in the common bound, with all it has sent since its last answer. A peer that takes nothing of an answer for
//! [`STALL`] is cut off; one that takes a little is not, also where encryption stands between the answer and the socket
//! ([`Below`]).

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ::metrics::counter;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep};

use super::{Share, Unfinished};
use crate::metrics;

/// How long a peer may take nothing of what is written to it.
pub const STALL: Duration = Duration::from_secs(30);

/// See the module's description.
pub struct Meter {
    unfinished: Arc<Unfinished>,
    within: Duration,
    stall: Duration,
    held: AtomicUsize,
    share: Mutex<Option<Share>>,
    over: Arc<Notify>,
    /// Bytes that went out below encryption.
    below: Arc<AtomicU64>,
}

impl Meter {
    /// Nothing has come yet. What is begun has to be whole `within` this time.
    pub fn new(unfinished: &Arc<Unfinished>, within: Duration) -> Arc<Self> {
        let (unfinished, over, below) = (Arc::clone(unfinished), Arc::default(), Arc::default());
        Arc::new(Self {
            unfinished,
            within,
            stall: STALL,
            held: AtomicUsize::new(0),
            share: Mutex::default(),
            over,
            below,
        })
    }

    /// `io` with what is written to it counted as taken by the peer: the socket, where what is metered is encrypted.
    pub fn below<I>(&self, io: I) -> Below<I> {
        let taken = Arc::clone(&self.below);
        Below { io, taken }
    }

    /// What has come so far is whole, or answered.
    pub fn whole(&self) {
        if self.held.swap(0, Ordering::Relaxed) > 0 {
            self.share.lock().take();
        }
    }

    /// Waits until the connection has to end: it took too long, or there is no room for what it holds.
    pub async fn over(&self) {
        self.over.notified().await;
    }

    /// So many bytes more are here.
    pub fn came(&self, bytes: usize) {
        self.held.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The peer has sent all it has sent so far.
    pub fn waits(&self) {
        let held = self.held.load(Ordering::Relaxed);
        if held == 0 {
            return;
        }
        let mut share = self.share.lock();
        match &*share {
            Some(share) => share.holds(held),
            None => {
                let over = Arc::clone(&self.over);
                *share = Some(self.unfinished.begin(
                    held,
                    self.within,
                    Box::new(move |_| over.notify_one()),
                ));
            }
        }
    }
}

/// A connection whose reads are metered, and whose writes go on.
pub struct Metered<I> {
    io: I,
    meter: Arc<Meter>,
    /// Until when its peer has to take something, where there is something that it does not take.
    stalls: Option<Stall>,
}

/// What was tried in vain. Under TLS bytes are taken in by being written, and by the peer when they are flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tried {
    Write,
    Flush,
}

struct Stall {
    tried: Tried,
    /// What had gone out below by then.
    below: u64,
    until: Pin<Box<Sleep>>,
}

impl<I> Metered<I> {
    /// Meters what is read from `io`.
    pub fn new(io: I, meter: Arc<Meter>) -> Self {
        let stalls = None;
        Self { io, meter, stalls }
    }

    /// The connection by itself.
    pub fn into_inner(self) -> I {
        self.io
    }

    /// What came of it, or an error where nothing has for too long.
    fn came<T>(
        &mut self,
        cx: &mut Context<'_>,
        tried: Tried,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stalls.take_if(|stall| stall.tried == tried);
            return polled;
        }
        let (patience, below) = (self.meter.stall, self.meter.below.load(Ordering::Relaxed));
        let stall = self.stalls.get_or_insert_with(|| Stall {
            tried,
            below,
            until: Box::pin(sleep(patience)),
        });
        if stall.below != below {
            stall.below = below;
            stall.until.as_mut().reset(Instant::now() + patience);
        }
        ready!(stall.until.as_mut().poll(cx));
        counter!(metrics::UNFINISHED_ENDED, "reason" => "stalled").increment(1);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Metered<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        match &read {
            Poll::Ready(_) => self.meter.came(buffer.filled().len() - before),
            Poll::Pending => self.meter.waits(),
        }
        read
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Metered<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.came(cx, Tried::Write, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, pieces);
        self.came(cx, Tried::Write, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.came(cx, Tried::Flush, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.io).poll_shutdown(cx);
        self.came(cx, Tried::Flush, done)
    }
}

/// A socket below encryption, which takes more in than the socket does: what the socket takes counts for who is [`Metered`]
/// above.
pub struct Below<I> {
    io: I,
    taken: Arc<AtomicU64>,
}

impl<I> Below<I> {
    fn took(&self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &polled {
            self.taken.fetch_add(*bytes as u64, Ordering::Relaxed);
        }
        polled
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Below<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Below<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.took(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, pieces);
        self.took(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn only_what_waits_for_more_is_entered() {
        let unfinished = Unfinished::new(100);
        let meter = Meter::new(&unfinished, Duration::from_secs(30));
        let (mut peer, io) = tokio::io::duplex(1_000);
        let mut metered = Metered::new(io, Arc::clone(&meter));
        let mut buffer = [0; 64];
        peer.write_all(b"a whole request").await.expect("written");
        metered.read_exact(&mut buffer[..15]).await.expect("read");
        assert!(meter.share.lock().is_none());
        meter.whole();
        peer.write_all(b"half").await.expect("written");
        metered.read_exact(&mut buffer[..4]).await.expect("read");
        let more = metered.read(&mut buffer);
        tokio::select! {
            biased;
            _ = more => unreachable!("nothing came"),
            () = std::future::ready(()) => {}
        }
        assert!(meter.share.lock().is_some());
        meter.whole();
        assert!(meter.share.lock().is_none());
    }

    #[tokio::test]
    async fn who_takes_nothing_of_an_answer_is_cut_off() {
        let mut meter = Meter::new(&Unfinished::new(100), STALL);
        Arc::get_mut(&mut meter).expect("nobody else's").stall = Duration::from_millis(20);
        let (mut peer, io) = tokio::io::duplex(10);
        let mut metered = Metered::new(io, meter);
        let mut taken = [0; 30];
        let (written, _) =
            tokio::join!(metered.write_all(&[b'x'; 30]), peer.read_exact(&mut taken));
        written.expect("all of it is taken");
        assert!(metered.stalls.is_none());
        let stalled = metered.write_all(&[b'x'; 30]).await;
        assert_eq!(
            stalled.expect_err("it is over").kind(),
            io::ErrorKind::TimedOut
        );
    }

    #[tokio::test]
    async fn who_holds_too_much_is_told_to_end() {
        let unfinished = Unfinished::new(10);
        let meter = Meter::new(&unfinished, Duration::from_secs(30));
        meter.came(11);
        meter.waits();
        meter.over().await;
    }
}
