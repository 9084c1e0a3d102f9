//! How a WebSocket connection ends: close frames, the time the peer has to answer one, and reasons.
//!
//! Invariant: once a connection is closing, it ends: when the peer has answered, hung up, or let [`CLOSE_WAIT`] pass.

use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::time::Sleep;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error};
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketContext};

use super::deflate::codec::Unreadable;
use super::wire::{ParserView, config};
use super::{Connection, End, RECEIVED, SENT};
use crate::session::{Close, Session, Why};
use crate::unfinished::Reason;

/// How long the peer has to answer a close frame.
const CLOSE_WAIT: Duration = Duration::from_secs(3);
/// What came was none.
const NO_WEBSOCKET: &str = "not the WebSocket protocol";

/// Why the connection is closing, and until when the peer may answer.
pub(super) struct Closing {
    pub(super) end: End,
    pub(super) deadline: Pin<Box<Sleep>>,
}

impl<S: Session> Connection<S> {
    /// The peer sent a close frame; the parser has answered it or will, at its next read.
    pub(super) fn peer_closes(&mut self, frame: Option<CloseFrame>) {
        RECEIVED.close.increment(1);
        if self.closing.is_none() {
            let reason = match frame {
                Some(frame) => {
                    format!(
                        "the peer closed: {} {}",
                        u16::from(frame.code),
                        frame.reason.as_str().escape_debug()
                    )
                }
                None => "the peer closed".into(),
            };
            SENT.close.increment(1);
            let end = End {
                label: "closed",
                reason,
            };
            let deadline = Box::pin(tokio::time::sleep(CLOSE_WAIT));
            self.closing = Some(Box::new(Closing { end, deadline }));
        }
    }

    pub(super) fn start_close(&mut self, close: &Close, cx: &mut Context<'_>) {
        if self.closing.is_some() {
            return;
        }
        if self
            .begun
            .as_ref()
            .is_some_and(|begun| begun.share.is_over())
        {
            // What is there of it goes at once; the parser could see no answer before the rest of it anyway.
            (self.begun, self.deaf) = (None, true);
        }
        let goodbye = self.outbox.kind().wire.goodbye(close);
        if !goodbye.is_empty() {
            self.outbox.push_control(&goodbye);
        }
        let frame = CloseFrame {
            code: close.code.into(),
            reason: close.reason.as_ref().into(),
        };
        let mut wire = ParserView {
            input: &[],
            inflater: None,
            outbox: &self.outbox,
        };
        // An error here means that the parser has seen the end already; the deadline covers that too.
        if self.socket.context.close(&mut wire, Some(frame)).is_ok() {
            SENT.close.increment(1);
        }
        if self.deaf {
            self.socket.context =
                WebSocketContext::new(Role::Server, Some(config(self.link.shared().max_message)));
            if let Some(inflater) = self.socket.near.inflater() {
                inflater.clear();
            }
        }
        let end = End {
            label: close.label,
            reason: close.reason.clone().into_owned(),
        };
        let mut deadline = Box::pin(tokio::time::sleep(CLOSE_WAIT));
        // Polled once, so that it wakes this task.
        let _ = deadline.as_mut().poll(cx);
        self.closing = Some(Box::new(Closing { end, deadline }));
    }
}

/// What becomes of a client that has begun a message and does not end it.
pub(super) fn unfinished(reason: Reason) -> Why {
    match reason {
        Reason::Time => Why::Unfinished,
        Reason::Bound => Why::Crowded,
    }
}

/// What is wrong with bytes that are no WebSocket, or too many.
pub(super) fn fault(error: &Error) -> Why {
    match error {
        Error::Utf8(_) => Why::NotText,
        Error::Capacity(CapacityError::MessageTooLong { .. }) => Why::TooLong,
        Error::Protocol(error) => Why::Protocol(error.to_string()),
        Error::Io(error) => match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(Unreadable::TooLong) => Why::TooLong,
            Some(broken) => Why::Protocol(broken.to_string()),
            None => Why::Protocol(NO_WEBSOCKET.into()),
        },
        _ => Why::Protocol(NO_WEBSOCKET.into()),
    }
}
