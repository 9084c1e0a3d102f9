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

use super::wire::Wire;
use super::{Connection, End, RECEIVED, SENT};
use crate::connection::{Close, Session};

/// How long the peer has to answer a close frame.
const CLOSE_WAIT: Duration = Duration::from_secs(3);
/// Why the connection is closing, and until when the peer may answer.
pub(super) struct Closing {
    pub(super) end: End,
    pub(super) deadline: Pin<Box<Sleep>>,
}

impl<S: Session> Connection<'_, S> {
    /// The peer sent a close frame; the parser has answered it or will, at its next read.
    pub(super) fn peer_closes(&mut self, frame: Option<CloseFrame>) {
        RECEIVED.close.increment(1);
        if self.closing.is_none() {
            let reason = match frame {
                Some(frame) => {
                    format!("the peer closed: {} {}", u16::from(frame.code), frame.reason.as_str().escape_debug())
                }
                None => "the peer closed".into(),
            };
            SENT.close.increment(1);
            let end = End { label: "closed", reason };
            let deadline = Box::pin(tokio::time::sleep(CLOSE_WAIT));
            self.closing = Some(Box::new(Closing { end, deadline }));
        }
    }

    pub(super) fn start_close(&mut self, close: &Close, cx: &mut Context<'_>) {
        if self.closing.is_some() {
            return;
        }
        let frame = CloseFrame { code: close.code.into(), reason: close.reason.as_ref().into() };
        let mut wire = Wire { input: &[], outbox: &self.outbox };
        // An error here means that the parser has seen the end already; the deadline covers that too.
        if self.socket.context.close(&mut wire, Some(frame)).is_ok() {
            SENT.close.increment(1);
        }
        let end = End { label: close.label, reason: close.reason.clone().into_owned() };
        let mut deadline = Box::pin(tokio::time::sleep(CLOSE_WAIT));
        // Polled once, so that it wakes this task.
        let _ = deadline.as_mut().poll(cx);
        self.closing = Some(Box::new(Closing { end, deadline }));
    }
}

/// What a client is told whose bytes are no WebSocket, or too many.
pub(super) fn refusal(error: &Error) -> Close {
    match error {
        Error::Utf8(_) => Close::new(1007, "a text message must be UTF-8", "utf8"),
        Error::Capacity(CapacityError::MessageTooLong { .. }) => {
            Close::new(1009, "the message is longer than this server takes", "too-big")
        }
        Error::Protocol(error) => Close {
            code: 1002,
            reason: error.to_string().chars().take(100).collect::<String>().into(),
            label: "protocol",
        },
        _ => Close::new(1002, "not the WebSocket protocol", "protocol"),
    }
}
