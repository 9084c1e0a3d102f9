//! Event streams: the body of an answer that goes on for as long as the client reads, as Server-Sent Events do.
//!
//! Invariants: the body takes from an outbox, which bounds it; whoever does not take anything for too long is cut off, as the
//! sweep says; all of it ends with the body, whatever way the connection ended.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::request::Parts;
use hyper::body::{Body, Frame};

use super::entry::{self, Open, Refused, Visit, Wish};
use super::link::Link;
use super::{ClientInfo, Shared};
use crate::admission::Admitted;
use crate::outbox::{Kind, Outbox};
use crate::session::Session;

/// Cuts the client's connection off.
pub(super) type HangUp = Box<dyn Fn() + Send + Sync>;

/// A client that reads an event stream: it says nothing more, so its session begins with [`Session::on_start`].
pub struct EventStream<S: Session> {
    link: Link<S>,
    outbox: Arc<Outbox>,
    open: Open,
    /// Why it ended, and in which words.
    end: Option<(&'static str, String)>,
    _inside: Admitted,
}

/// Opens a stream to who sent `request`, served by what `session` makes. Its wire is that of `kind`. `hang_up` is what
/// cuts off a client that does not read ([`Cut`](crate::listen::Cut) in the request's extensions). Pages of which origins may
/// read it the caller has judged.
///
/// # Errors
/// [`Refused`]: what the client is told then is its dialect's business.
pub fn open<S, F>(
    shared: &Arc<Shared>,
    kind: &'static Kind,
    request: &Parts,
    hang_up: HangUp,
    session: F,
) -> Result<EventStream<S>, Refused>
where
    S: Session,
    F: FnOnce(ClientInfo) -> S,
{
    let Visit { client, admitted } = entry::enter(shared, kind, Wish::Stream, request)?;
    let outbox = Outbox::taken(client.id, kind, shared.outbox, hang_up);
    let link = Link::new(Arc::clone(shared), client, &outbox, session(client));
    Ok(EventStream {
        link,
        outbox,
        open: Open::new(kind),
        end: None,
        _inside: admitted,
    })
}

impl<S: Session + Unpin> Body for EventStream<S> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.end.is_some() {
            return Poll::Ready(None);
        }
        self.outbox.register(cx.waker());
        self.link.attend(cx);
        if !self.link.is_waiting() {
            // The client says nothing, so nothing was kept.
            self.link.resume();
        }
        if let Some(frames) = self.outbox.take() {
            self.link.peer().heard();
            return Poll::Ready(Some(Ok(Frame::data(frames))));
        }
        let Some(close) = self.outbox.take_close() else {
            return Poll::Pending;
        };
        let goodbye = self.outbox.kind().wire.goodbye(&close);
        self.end = Some((close.label, close.reason.into_owned()));
        Poll::Ready(if goodbye.is_empty() {
            None
        } else {
            Some(Ok(Frame::data(goodbye)))
        })
    }
}

impl<S: Session> EventStream<S> {
    /// Where its client is, as far as proxies told the truth.
    pub fn address(&self) -> IpAddr {
        self.link.peer().address
    }

    /// Why it has ended, as metrics call it, when nobody reads it any more. It ends with that at the latest.
    pub fn why(&mut self) -> &'static str {
        self.ended().0
    }

    fn ended(&mut self) -> &(&'static str, String) {
        let outbox = &self.outbox;
        self.end.get_or_insert_with(|| match outbox.take_close() {
            Some(close) => (close.label, close.reason.into_owned()),
            None => ("gone", "the peer hung up".to_owned()),
        })
    }
}

impl<S: Session> Drop for EventStream<S> {
    fn drop(&mut self) {
        let (why, reason) = self.ended().clone();
        self.outbox.finish();
        self.open.ended(why, &reason);
    }
}
