//! Answers that go on for as long as their client reads. Over HTTP/1 such an answer takes its connection over: what serves
//! requests holds two buffers of 8 KiB for as long as it serves, what only writes needs none.
//!
//! Invariants: what was answered before has gone before; a body's piece goes out whole, and the next is taken when it has
//! gone; the body ends with the connection, whichever side ended it. Whatever the client sends after its request is thrown
//! away: it was told that nothing more is answered.

use std::io::Cursor;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use axum::body::HttpBody;
use bytes::buf::Chain;
use bytes::{Buf, Bytes};
use http::header::{CONNECTION, DATE, HeaderName, TRANSFER_ENCODING};
use http::response::Parts;
use http::{HeaderValue, Version};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;
use tokio_util::io::poll_write_buf;

use super::answer::Answer;
use super::exchange::Exchange;
use crate::drain::Tasks;
use crate::unfinished::metered::Meter;

/// Marks an answer whose body goes on for as long as its client reads, among its extensions.
#[derive(Clone, Copy, Debug)]
pub struct Lasts;

/// An answer that lasts, with its head as it is written.
pub(super) struct Lasting {
    head: Bytes,
    framing: Framing,
    body: Answer,
}

/// How the client knows where the body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// Where the connection does.
    UntilClose,
    /// Each piece has its size before it.
    Chunked,
}

/// A piece of the body as it is written: its size, itself, and what follows it.
type Piece = Chain<Chain<Cursor<[u8; 10]>, Bytes>, &'static [u8]>;

impl Lasting {
    /// The answer of `head` and `body` to a request of `version`.
    pub(super) fn new(version: Version, head: &Parts, body: Answer) -> Self {
        let framing = if version == Version::HTTP_11 {
            Framing::Chunked
        } else {
            Framing::UntilClose
        };
        Self {
            head: head_of(framing, head),
            framing,
            body,
        }
    }

    /// Writes all of it to `io`, until it has ended, its client has left, or the connection must end. At the end of the node
    /// it has `patience` to end too.
    pub(super) async fn serve<I>(
        self: Box<Self>,
        io: I,
        exchange: &Exchange,
        tasks: &Tasks,
        patience: Duration,
    ) where
        I: AsyncRead + AsyncWrite + Unpin,
    {
        let mut writer = pin!(Writer::new(io, *self, exchange.meter()));
        tokio::select! {
            () = writer.as_mut() => return,
            () = exchange.must_end() => return,
            () = tasks.stopped() => {}
        }
        let _ = timeout(patience, writer).await;
    }
}

/// The head as HTTP/1 writes it.
fn head_of(framing: Framing, parts: &Parts) -> Bytes {
    let mut head = Vec::with_capacity(512);
    let version = match framing {
        Framing::Chunked => "HTTP/1.1",
        Framing::UntilClose => "HTTP/1.0",
    };
    let reason = parts.status.canonical_reason().unwrap_or_default();
    head.extend_from_slice(format!("{version} {} {reason}\r\n", parts.status.as_str()).as_bytes());
    let mut line = |name: &HeaderName, value: &HeaderValue| {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    };
    for (name, value) in &parts.headers {
        line(name, value);
    }
    line(&CONNECTION, &HeaderValue::from_static("close"));
    if framing == Framing::Chunked {
        line(&TRANSFER_ENCODING, &HeaderValue::from_static("chunked"));
    }
    if let Ok(now) = HeaderValue::from_str(&httpdate::fmt_http_date(SystemTime::now())) {
        line(&DATE, &now);
    }
    head.extend_from_slice(b"\r\n");
    head.into()
}

/// `data` with what HTTP/1 puts around it.
fn piece(framing: Framing, data: Bytes) -> Piece {
    let (line, after): (_, &'static [u8]) = match framing {
        Framing::UntilClose => (bare(), b""),
        Framing::Chunked => (size_line(data.len()), b"\r\n"),
    };
    line.chain(data).chain(after)
}

/// What ends a body.
fn end(framing: Framing) -> Piece {
    match framing {
        Framing::UntilClose => piece(framing, Bytes::new()),
        Framing::Chunked => bare()
            .chain(Bytes::from_static(b"0\r\n"))
            .chain(b"\r\n".as_slice()),
    }
}

fn bare() -> Cursor<[u8; 10]> {
    let mut line = Cursor::new([0; 10]);
    line.set_position(10);
    line
}

/// `bytes` in hexadecimal, without zeros before it. No piece is as long as 4 GiB: an outbox is bounded.
fn size_line(bytes: usize) -> Cursor<[u8; 10]> {
    let mut line = *b"00000000\r\n";
    let mut left = bytes;
    let mut at = 8;
    while left > 0 && at > 0 {
        at -= 1;
        line[at] = b"0123456789abcdef"[left % 16];
        left /= 16;
    }
    let mut line = Cursor::new(line);
    line.set_position(at as u64);
    line
}

/// Writes an answer to a connection.
struct Writer<I> {
    io: I,
    meter: Arc<Meter>,
    framing: Framing,
    /// Until it has ended.
    body: Option<Answer>,
    piece: Piece,
    /// Whether something was written and not flushed.
    holds: bool,
}

impl<I: AsyncRead + AsyncWrite + Unpin> Writer<I> {
    fn new(io: I, answer: Lasting, meter: Arc<Meter>) -> Self {
        Self {
            io,
            meter,
            framing: answer.framing,
            body: Some(answer.body),
            piece: bare().chain(answer.head).chain(b"".as_slice()),
            holds: false,
        }
    }

    /// Whether the client has closed its side, which is how one leaves.
    fn has_left(&mut self, cx: &mut Context<'_>) -> bool {
        let mut space = [0; 256];
        loop {
            let mut thrown = ReadBuf::new(&mut space);
            let read = Pin::new(&mut self.io).poll_read(cx, &mut thrown);
            self.meter.whole();
            match read {
                Poll::Pending => return false,
                Poll::Ready(Ok(())) if !thrown.filled().is_empty() => {}
                Poll::Ready(_) => return true,
            }
        }
    }

    /// Writes the piece at hand. Ready with `false` where nobody takes it any more.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        while self.piece.has_remaining() {
            match ready!(poll_write_buf(Pin::new(&mut self.io), cx, &mut self.piece)) {
                Ok(0) | Err(_) => return Poll::Ready(false),
                Ok(_) => self.holds = true,
            }
        }
        Poll::Ready(true)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if self.holds {
            if ready!(Pin::new(&mut self.io).poll_flush(cx)).is_err() {
                return Poll::Ready(false);
            }
            self.holds = false;
        }
        Poll::Ready(true)
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> Future for Writer<I> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let writer = self.get_mut();
        if writer.has_left(cx) {
            return Poll::Ready(());
        }
        loop {
            if !ready!(writer.poll_write(cx)) {
                return Poll::Ready(());
            }
            let Some(body) = &mut writer.body else {
                return Pin::new(&mut writer.io).poll_shutdown(cx).map(drop);
            };
            match Pin::new(body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => writer.piece = piece(writer.framing, data),
                    _ => {}
                },
                // A body that fails is not ended in order, so that its client can tell.
                Poll::Ready(Some(Err(_))) => return Poll::Ready(()),
                Poll::Ready(None) => {
                    writer.body = None;
                    writer.piece = end(writer.framing);
                }
                Poll::Pending => {
                    return match ready!(writer.poll_flush(cx)) {
                        true => Poll::Pending,
                        false => Poll::Ready(()),
                    };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(mut piece: Piece) -> Bytes {
        let length = piece.remaining();
        piece.copy_to_bytes(length)
    }

    #[test]
    fn pieces_have_their_size_before_them() {
        for (bytes, size) in [
            (1, "1"),
            (10, "a"),
            (16, "10"),
            (4_096, "1000"),
            (0xabcde, "abcde"),
        ] {
            let data = Bytes::from(vec![b'x'; bytes]);
            let wanted = [format!("{size}\r\n").as_bytes(), &data, b"\r\n"].concat();
            assert_eq!(written(piece(Framing::Chunked, data)), wanted, "{size}");
        }
        assert_eq!(written(end(Framing::Chunked)), "0\r\n\r\n");
        assert_eq!(
            written(piece(Framing::UntilClose, Bytes::from_static(b"bare"))),
            "bare"
        );
        assert_eq!(written(end(Framing::UntilClose)), "");
    }

    #[test]
    fn a_head_says_that_the_connection_ends_with_the_answer() {
        let (parts, ()) = http::Response::builder()
            .header("content-type", "text/event-stream")
            .body(())
            .expect("a response")
            .into_parts();
        let head = head_of(Framing::Chunked, &parts);
        let head = std::str::from_utf8(&head).expect("text");
        let wanted = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\
            transfer-encoding: chunked\r\ndate: ";
        assert!(head.starts_with(wanted), "{head}");
        assert!(head.ends_with(" GMT\r\n\r\n"), "{head}");
        let head = head_of(Framing::UntilClose, &parts);
        assert!(head.starts_with(b"HTTP/1.0 200 OK\r\n"));
        assert!(!head.windows(8).any(|part| part == b"chunked\r"));
    }
}
