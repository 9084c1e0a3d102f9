//! The two sides of a WebSocket's connection: what its task reads from, and what writes its frames.
//!
//! Invariant: in clear text the outbox writes to the socket by itself; encrypted, the task takes frames from the outbox and
//! encrypts them, so that both cost an idle connection in clear text nothing.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio_rustls::server::TlsStream;

use super::deflate::inflater::Inflater;
use crate::connection::ClientInfo;
use crate::outbox::{Bounds, Outbox};
use crate::unfinished::metered::Below;

/// A connection, as the handshake left it.
pub(in crate::connection) enum Io {
    /// In clear text.
    Plain(TcpStream),
    /// Encrypted.
    Tls(Box<TlsStream<Below<TcpStream>>>),
}

/// What the connection's task has of it.
pub(super) enum Near {
    Plain(OwnedReadHalf),
    Tls(Box<Encrypted>),
    /// One of these, where messages may be compressed. Apart, so that all others pay nothing for it.
    Deflated(Box<Deflated>),
}

pub(super) struct Deflated {
    near: Near,
    inflater: Inflater,
}

pub(super) struct Encrypted {
    stream: TlsStream<Below<TcpStream>>,
    /// Frames that are taken from the outbox and not written yet.
    frames: Bytes,
}

impl Io {
    /// The outbox in front of the client, and what the task has to do with.
    pub(super) fn split(self, client: ClientInfo, bounds: Bounds) -> (Arc<Outbox>, Near) {
        match self {
            Self::Plain(stream) => {
                let (reader, writer) = stream.into_split();
                (
                    Outbox::new(client.id, client.kind, bounds, writer),
                    Near::Plain(reader),
                )
            }
            Self::Tls(stream) => {
                // The task that takes from it is the one that ends.
                let outbox = Outbox::taken(client.id, client.kind, bounds, || {});
                (
                    outbox,
                    Near::Tls(Box::new(Encrypted {
                        stream: *stream,
                        frames: Bytes::new(),
                    })),
                )
            }
        }
    }
}

impl Near {
    /// The same, where what comes may be compressed. Messages have `most` bytes at most.
    pub(super) fn deflated(self, most: usize) -> Self {
        Self::Deflated(Box::new(Deflated {
            near: self,
            inflater: Inflater::new(most),
        }))
    }

    /// What reads compressed messages, where there are any.
    pub(super) fn inflater(&mut self) -> Option<&mut Inflater> {
        match self {
            Self::Plain(_) | Self::Tls(_) => None,
            Self::Deflated(deflated) => Some(&mut deflated.inflater),
        }
    }

    /// Reads what is there.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(reader) => Pin::new(reader).poll_read(cx, buffer),
            Self::Tls(encrypted) => Pin::new(&mut encrypted.stream).poll_read(cx, buffer),
            Self::Deflated(deflated) => deflated.near.poll_read(cx, buffer),
        }
    }

    /// Writes what `outbox` has. Ready when nothing is left.
    pub(super) fn poll_flush(
        &mut self,
        outbox: &Outbox,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(_) => outbox.poll_flush(cx),
            Self::Tls(encrypted) => encrypted.poll_flush(outbox, cx),
            Self::Deflated(deflated) => deflated.near.poll_flush(outbox, cx),
        }
    }
}

impl Encrypted {
    fn poll_flush(&mut self, outbox: &Outbox, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.frames.is_empty() {
                match outbox.take() {
                    Some(frames) => self.frames = frames,
                    None => return Pin::new(&mut self.stream).poll_flush(cx),
                }
            }
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.frames))?;
            self.frames.advance(written);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_compresses_pays_for_it_and_not_much() {
        assert_eq!(size_of::<Near>(), 16);
        let bytes = size_of::<Deflated>();
        assert!(bytes <= 160, "{bytes} bytes for each connection");
    }
}
