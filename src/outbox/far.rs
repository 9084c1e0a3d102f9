//! The far end of an outbox: a socket that is written to at once, or something that takes from the queue by itself.
//!
//! Invariant: nothing here waits.

use std::io::{self, IoSlice};
use std::task::{Context, Poll};

use tokio::net::tcp::OwnedWriteHalf;

use super::queue::Queue;

/// See the module's description. Small: each connection has one.
pub(super) enum Far {
    /// Frames go straight out.
    Socket(OwnedWriteHalf),
    /// Frames are taken; this cuts the connection off.
    #[allow(
        clippy::type_complexity,
        reason = "boxed twice, so that a connection with a socket pays nothing for it"
    )]
    Taken(Box<Box<dyn Fn() + Send + Sync>>),
}

impl Far {
    /// Writes at once what the far end takes: the number of bytes, or `None` for a broken socket.
    pub(super) fn write_now(&self, frames: &[u8]) -> Option<usize> {
        let Self::Socket(socket) = self else {
            return Some(0);
        };
        match socket.try_write(frames) {
            Ok(n) => Some(n),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Some(0),
            Err(_) => None,
        }
    }

    /// Writes until all is sent (`true`) or no more is taken (`false`).
    pub(super) fn flush(&self, queue: &mut Queue) -> io::Result<bool> {
        let Self::Socket(socket) = self else {
            return Ok(queue.is_empty());
        };
        while !queue.is_empty() {
            let mut slices = [IoSlice::new(&[]); 16];
            let count = queue.next(&mut slices);
            match socket.try_write_vectored(&slices[..count]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => queue.advance(n),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Ready when the socket may take more. What takes by itself is woken by what is queued.
    pub(super) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Socket(socket) => socket.as_ref().poll_write_ready(cx),
            Self::Taken(_) => Poll::Pending,
        }
    }

    pub(super) fn abandon(&self) {
        match self {
            // Failing means that the socket is gone already.
            Self::Socket(socket) => drop(socket.as_ref().set_zero_linger()),
            Self::Taken(hang_up) => hang_up(),
        }
    }
}
