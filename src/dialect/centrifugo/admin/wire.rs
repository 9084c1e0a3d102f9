//! The frames that operators get, and how their connections end.
//!
//! Invariant: answers are arrays, as the API's are; a message that is watched is an object of its own.

use std::borrow::Cow;

use bytes::Bytes;

use super::super::message;
use super::super::wire::{self, DIALECT, heartbeat};
use super::session::{SLOW, STALE};
use crate::connection::websocket::framing::{payload, text_frame};
use crate::event::Event;
use crate::outbox::{Deflate, Kind, Wire};
use crate::session::{Close, Why};

/// An operator's socket.
pub(super) static ADMIN: Kind = Kind {
    dialect: DIALECT,
    label: "admin",
    wire: &AdminFrames,
    deflate: Deflate::Never,
    drained_last: true,
    closed_at_once: false,
    pinger_patience: None,
    close: |why| Some(close(why)),
};

/// What an operator is told whose connection ends for this reason: unlike a client it may always come back when it is slow.
fn close(why: &Why) -> Close {
    match why {
        Why::Slow => SLOW,
        Why::Idle => STALE,
        why => wire::close(why),
    }
}

/// A message that is watched, with this body.
pub fn shown(body: &str) -> Bytes {
    text_frame(&[
        br#"{"method":"message","error":null,"body":"#,
        body.as_bytes(),
        b"}",
    ])
}

struct AdminFrames;

impl Wire for AdminFrames {
    fn name(&self) -> &'static str {
        "centrifugo/admin"
    }

    fn event(&self, event: &Event) -> Bytes {
        shown(&message::body(event))
    }

    fn message(&self, text: &[u8]) -> Bytes {
        text_frame(&[text])
    }

    fn heartbeat(&self) -> &'static [u8] {
        heartbeat()
    }

    fn text<'f>(&self, frame: &'f [u8]) -> Cow<'f, [u8]> {
        payload(frame).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_too_slow_or_says_nothing_may_come_back() {
        for why in [Why::Slow, Why::Idle, Why::Missed, Why::Draining] {
            let told = (ADMIN.close)(&why).expect("a close").reason.to_string();
            assert!(told.contains(r#""reconnect":true"#), "{told}");
        }
    }
}
