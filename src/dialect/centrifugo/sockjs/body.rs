//! Bodies of answers through which frames are fetched, from a session here or elsewhere.
//!
//! Invariants: a frame goes out whole; a body ends after the frame with which it is full, so that browsers, which keep what they
//! have read of it, give that back. When it has ended, the next request may fetch.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Bytes, HttpBody};
use futures_util::future::BoxFuture;
use hyper::body::Frame;

use super::elsewhere::RemoteFetch;
use super::frames::{self, Transport};
use crate::connection::detached::{Fetched, Fetcher};
use crate::session::Close;

/// Bytes of frames after which a body ends.
const FULL: usize = 128 << 10;

/// What frames are fetched from.
pub enum Source {
    /// A session of this node.
    Here(Fetcher),
    /// One of another.
    Elsewhere(Box<RemoteFetch>),
}

impl Source {
    /// What is next; `None`: another request has to go on.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Fetched>> {
        match self {
            Self::Here(fetcher) => fetcher.poll_next(cx).map(Some),
            Self::Elsewhere(remote) => remote.poll_next(cx),
        }
    }

    /// Further frames that are there already.
    fn more(&mut self) -> Option<Bytes> {
        match self {
            Self::Here(fetcher) => fetcher.more(),
            Self::Elsewhere(_) => None,
        }
    }

    /// The request has all that it is to have; the next one may come when this is done.
    fn leave(self) -> Option<BoxFuture<'static, ()>> {
        match self {
            Self::Here(fetcher) => {
                fetcher.has_all();
                None
            }
            Self::Elsewhere(remote) => Some(remote.leave()),
        }
    }
}

/// The next frame, and whether it is the last. It is empty where the connection ended without a word.
fn frame(fetched: Option<&Fetched>) -> (String, bool) {
    match fetched {
        Some(Fetched::Begun) => (frames::OPEN.to_owned(), false),
        Some(Fetched::Frames(waiting)) => (frames::of_waiting(waiting), false),
        Some(Fetched::End(close)) if close.code != Close::ABNORMAL => (frames::close(close), true),
        Some(Fetched::End(_)) | None => (String::new(), true),
    }
}

/// Fetches one frame.
pub async fn one(mut source: Source) -> String {
    let mut fetched = poll_fn(|cx| source.poll_next(cx)).await;
    if let Some(Fetched::Frames(first)) = &fetched {
        let mut all = first.to_vec();
        while all.len() < FULL
            && let Some(more) = source.more()
        {
            all.extend_from_slice(&more);
        }
        fetched = Some(Fetched::Frames(all.into()));
    }
    if let Some(left) = source.leave() {
        left.await;
    }
    frame(fetched.as_ref()).0
}

/// A body with one frame after another.
pub struct FrameBody {
    source: Option<Source>,
    leaving: Option<BoxFuture<'static, ()>>,
    transport: Transport,
    prelude: Option<Bytes>,
    left: usize,
}

impl FrameBody {
    /// Frames as `transport` writes them.
    pub fn new(source: Source, transport: Transport) -> Self {
        let prelude = Some(Bytes::from(transport.prelude()));
        Self {
            source: Some(source),
            leaving: None,
            transport,
            prelude,
            left: FULL,
        }
    }
}

impl HttpBody for FrameBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let body = self.get_mut();
        if let Some(prelude) = body.prelude.take() {
            return Poll::Ready(Some(Ok(Frame::data(prelude))));
        }
        if let Some(source) = &mut body.source {
            let (frame, last) = frame(ready!(source.poll_next(cx)).as_ref());
            let written = if frame.is_empty() {
                String::new()
            } else {
                body.transport.write(&frame)
            };
            body.left = body.left.saturating_sub(written.len());
            if last || body.left == 0 {
                body.leaving = body.source.take().and_then(Source::leave);
            }
            if !written.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(written.into()))));
            }
        }
        if let Some(leaving) = &mut body.leaving {
            ready!(leaving.as_mut().poll(cx));
            body.leaving = None;
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.prelude.is_none() && self.source.is_none() && self.leaving.is_none()
    }
}
