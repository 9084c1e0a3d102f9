//! A connection that is lent to what serves HTTP on it, and can be taken back.
//!
//! Invariants: a connection is taken back once, and only its owner's next use of it moves bytes; whoever it was lent to then
//! has a connection that is closed.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

struct Loan<I> {
    io: Option<I>,
    /// Whether all that was written has been flushed.
    flushed: bool,
}

/// Whose the connection is.
pub struct Lender<I>(Arc<Mutex<Loan<I>>>);

/// The connection, until it is taken back.
pub struct Lent<I>(Arc<Mutex<Loan<I>>>);

/// Lends `io`.
pub fn lend<I>(io: I) -> (Lender<I>, Lent<I>) {
    let loan = Arc::new(Mutex::new(Loan {
        io: Some(io),
        flushed: true,
    }));
    (Lender(Arc::clone(&loan)), Lent(loan))
}

impl<I> Lender<I> {
    /// Takes the connection back; `None` where it was taken before.
    pub fn take(&self) -> Option<I> {
        self.0.lock().io.take()
    }

    /// Whether nothing that was written is held back. Who writes HTTP flushes after everything it wrote, and only then.
    pub fn is_flushed(&self) -> bool {
        self.0.lock().flushed
    }
}

impl<I> Lent<I> {
    /// The connection by itself; `None` where it was taken back.
    pub fn into_inner(self) -> Option<I> {
        self.0.lock().io.take()
    }

    /// What `used` makes of the connection.
    fn with<T>(&self, used: impl FnOnce(Pin<&mut I>) -> Poll<io::Result<T>>) -> Poll<io::Result<T>>
    where
        I: Unpin,
    {
        match &mut self.0.lock().io {
            Some(io) => used(Pin::new(io)),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Lent<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.with(|io| io.poll_read(cx, buffer))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Lent<I> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.lock().flushed = false;
        self.with(|io| io.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.lock().flushed = false;
        self.with(|io| io.poll_write_vectored(cx, pieces))
    }

    fn is_write_vectored(&self) -> bool {
        let loan = self.0.lock();
        loan.io.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.with(|io| io.poll_flush(cx));
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.0.lock().flushed = true;
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|io| io.poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn what_is_taken_back_goes_on_where_it_was() {
        let (mut peer, io) = tokio::io::duplex(100);
        let (lender, mut lent) = lend(io);
        assert!(lender.is_flushed());
        lent.write_all(b"lent").await.expect("written");
        assert!(!lender.is_flushed());
        lent.flush().await.expect("flushed");
        assert!(lender.is_flushed());
        let mut io = lender.take().expect("nobody has taken it");
        assert!(lender.take().is_none());
        let refused = lent.write_all(b"too late").await.expect_err("taken back");
        assert_eq!(refused.kind(), io::ErrorKind::NotConnected);
        drop(lent);
        io.write_all(b", taken").await.expect("written");
        drop(io);
        let mut read = String::new();
        peer.read_to_string(&mut read).await.expect("read");
        assert_eq!(read, "lent, taken");
    }
}
