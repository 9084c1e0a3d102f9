//! Answers over HTTP/2 whose peer takes nothing of them, though it is there: it answers pings, and grants no window.
//!
//! Invariants: of one answer hyper holds two pieces of [`PIECE`] at most, however much waits; where the peer does not
//! take the piece at hand for [`STALL`], its answer ends, and no other on the same connection.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use ::metrics::counter;
use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::exchange::Cut;
use crate::metrics;
use crate::unfinished::metered::STALL;

/// Bytes that are handed over at a time: what fits in one frame of HTTP/2, if the peer says nothing else.
const PIECE: usize = 16 << 10;

tokio::task_local! {
    /// The answer that this task writes.
    static WRITTEN: Written;
}

/// What the task that writes an answer and the answer's body know of one another: hyper is between them.
#[derive(Default)]
struct Written {
    /// Since when the peer has to take a piece that was handed over, where there is one.
    owed: Cell<Option<Instant>>,
    cut: Cut,
}

/// What cuts off the answer that this task writes; `None` where it writes none over HTTP/2.
pub(super) fn cut() -> Option<Cut> {
    WRITTEN.try_with(|written| written.cut.clone()).ok()
}

/// Writes an answer, by `stream`, until it has gone, its peer has taken nothing of it for too long, or it is cut off. Where
/// `stream` is dropped before its end, hyper tells the peer.
pub(super) async fn unless_stalled(stream: impl Future<Output = ()>) {
    let written = Written::default();
    let cut = written.cut.clone();
    let watched = WRITTEN.scope(written, async move {
        let mut stream = pin!(stream);
        let mut until = None;
        poll_fn(|cx| match stream.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => poll_stalled(&mut until, cx),
        })
        .await;
    });
    tokio::select! {
        () = watched => {}
        () = cut.cut() => {}
    }
}

/// Ready when the peer has not taken what it is owed for too long.
fn poll_stalled(until: &mut Option<Pin<Box<Sleep>>>, cx: &mut Context<'_>) -> Poll<()> {
    let Some(since) = WRITTEN.with(|written| written.owed.get()) else {
        *until = None;
        return Poll::Pending;
    };
    let late = since + STALL;
    let sleep = until.get_or_insert_with(|| Box::pin(sleep_until(late)));
    if sleep.deadline() != late {
        sleep.as_mut().reset(late);
    }
    std::task::ready!(sleep.as_mut().poll(cx));
    counter!(metrics::UNFINISHED_ENDED, "reason" => "stalled").increment(1);
    Poll::Ready(())
}

/// A body in pieces. hyper asks for the next one when the peer has room for what was handed over before.
pub(super) struct Pieces {
    body: Body,
    /// What is left of what `body` gave.
    rest: Bytes,
}

impl Pieces {
    /// `body` in pieces.
    pub(super) fn new(body: Body) -> Self {
        let rest = Bytes::new();
        Self { body, rest }
    }

    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            let polled = Pin::new(&mut self.body).poll_frame(cx);
            let Poll::Ready(Some(Ok(frame))) = polled else {
                return polled;
            };
            match frame.into_data() {
                Ok(data) => self.rest = data,
                Err(frame) => return Poll::Ready(Some(Ok(frame))),
            }
        }
        let piece = self.rest.split_to(self.rest.len().min(PIECE));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let next = self.next(cx);
        let owed = matches!(next, Poll::Ready(Some(Ok(_)))).then(Instant::now);
        // Not there where somebody else than an HTTP/2 connection's task reads.
        let _ = WRITTEN.try_with(|written| written.owed.set(owed));
        next
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64) + self.body.size_hint()
    }
}
