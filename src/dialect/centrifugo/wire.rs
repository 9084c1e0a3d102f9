//! The frames that clients get, and how their connections end.
//!
//! Invariant: a message is one JSON object, or an array of answers, in one text frame.

use std::borrow::Cow;

use bytes::Bytes;

use super::answers as a;
use super::message;
use crate::connection::websocket::deflate::{self, Effort};
use crate::connection::websocket::framing::{payload, text_frame};
use crate::event::Event;
use crate::outbox::{Deflate, Kind, Wire};
use crate::session::{Close, Why};

/// How metrics and logs call the dialect.
pub const DIALECT: &str = "centrifugo";

/// A ping as v1 sends it.
pub const PING: &[u8] = b"\x89\x04ping";

/// A page, or a program, with a WebSocket.
pub static SOCKET: Kind = Kind {
    dialect: DIALECT,
    label: "websocket",
    wire: &Frames,
    deflate: Deflate::Never,
    drained_last: false,
    closed_at_once: true,
    pinger_patience: None,
    close: |why| Some(close(why)),
};

/// The kind of clients with a WebSocket, whose messages are compressed like this where they offer it. It is made once at the
/// start of a node.
pub fn socket(compression: Option<Effort>) -> &'static Kind {
    compression.map_or(&SOCKET, |effort| {
        deflate::offered(&SOCKET, "centrifugo/websocket-deflate", effort)
    })
}

/// What a client is told that ends for this reason.
pub fn close(why: &Why) -> Close {
    match why {
        Why::Draining => a::SHUTTING_DOWN,
        Why::Missed => a::MISSED,
        Why::Slow => a::SLOW,
        Why::Silent => Close::new(Close::ABNORMAL, "no pong came in time", "dead"),
        Why::Idle => a::STALE,
        Why::Administrator => a::DISCONNECT,
        Why::Unfinished | Why::Crowded => a::UNFINISHED,
        Why::TooLong => Close::new(1009, "", "too_long"),
        Why::NotText => Close::new(1007, "", "not_text"),
        Why::Protocol(_) => Close::new(1002, "", "protocol"),
    }
}

/// What says that the server is there.
pub(super) fn heartbeat() -> &'static [u8] {
    PING
}

/// What a client reads of an event, whatever its transport.
pub(super) fn text_of(event: &Event) -> String {
    format!(
        r#"{{"method":"{}","body":{}}}"#,
        event.name,
        message::body(event)
    )
}

/// See the module.
pub struct Frames;

impl Wire for Frames {
    fn name(&self) -> &'static str {
        "centrifugo/websocket"
    }

    fn event(&self, event: &Event) -> Bytes {
        let (name, body) = (event.name.as_bytes(), message::body(event));
        text_frame(&[
            br#"{"method":""#,
            name,
            br#"","body":"#,
            body.as_bytes(),
            b"}",
        ])
    }

    fn message(&self, text: &[u8]) -> Bytes {
        text_frame(&[text])
    }

    fn heartbeat(&self) -> &'static [u8] {
        PING
    }

    fn text<'f>(&self, frame: &'f [u8]) -> Cow<'f, [u8]> {
        payload(frame).into()
    }
}
