//! The kind of client that has its inbox as a WebSocket, and what it is sent: one text, which says that there is something new.
//!
//! Invariant: each notification is one unfragmented text frame. What may be lost ends no connection: the same text makes the
//! page look.

use std::borrow::Cow;

use bytes::Bytes;

use super::super::notice;
use super::super::wire::DIALECT;
use crate::connection::websocket::framing::{PING, payload, text_frame};
use crate::event::Event;
use crate::outbox::{Deflate, Kind, Wire};
use crate::session::{Close, Why};

/// Longest message of a client, bytes.
pub const LONGEST: usize = 32_768;

/// A message is too long.
pub(super) const TOO_LONG: Close =
    Close::new(1009, "the message is longer than 32768 bytes", "too-big");
/// The session at the backend, or the token, is no more.
pub const ENDED: Close = Close::new(1008, "session ended", "session");

/// The kind of clients that are told of news by `text`. It is made once at the start of a node and stays for as long as the
/// process does.
pub fn kind(text: &str) -> &'static Kind {
    let frame = text_frame(&[text.as_bytes()]);
    let wire: &'static Texts = Box::leak(Box::new(Texts { frame }));
    Box::leak(Box::new(Kind {
        dialect: DIALECT,
        label: "websocket",
        wire,
        deflate: Deflate::Never,
        drained_last: false,
        closed_at_once: false,
        pinger_patience: None,
        close,
    }))
}

fn close(why: &Why) -> Option<Close> {
    Some(match why {
        Why::Missed => return None,
        Why::Draining => Close::new(1001, "this node is about to end: connect again", "drain"),
        Why::Slow => Close::new(1013, "too slow: messages were not read in time", "overflow"),
        Why::Crowded => Close::new(
            1013,
            "too much has begun to come to this node: connect again",
            "crowded",
        ),
        Why::Silent => Close::new(
            Close::ABNORMAL,
            "dead: nothing was heard of the client",
            "dead",
        ),
        Why::Idle => Close::new(1008, "no subscription in time", "unauthenticated"),
        Why::Administrator => Close::new(1008, "disconnected by an administrator", "admin"),
        Why::Unfinished => Close::new(
            1008,
            "the message did not come to its end in time",
            "unfinished",
        ),
        Why::TooLong => TOO_LONG,
        Why::NotText => Close::new(1007, "a text message must be UTF-8", "utf8"),
        Why::Protocol(how) => Close {
            code: 1002,
            reason: how.chars().take(100).collect::<String>().into(),
            label: "protocol",
        },
    })
}

/// See the module's description.
struct Texts {
    /// What says that there is something new.
    frame: Bytes,
}

impl Wire for Texts {
    fn name(&self) -> &'static str {
        "inbox/websocket"
    }

    fn event(&self, event: &Event) -> Bytes {
        notice::text(event).map_or_else(|| self.frame.clone(), |text| text_frame(&[text]))
    }

    fn message(&self, text: &[u8]) -> Bytes {
        text_frame(&[text])
    }

    fn heartbeat(&self) -> &'static [u8] {
        PING
    }

    fn missed(&self) -> &[u8] {
        &self.frame
    }

    fn text<'f>(&self, frame: &'f [u8]) -> Cow<'f, [u8]> {
        payload(frame).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_may_be_lost_ends_a_page() {
        let kind = kind("Look");
        assert_eq!((kind.close)(&Why::Missed), None);
        assert_eq!(kind.wire.missed(), b"\x81\x04Look");
        let code = |why: Why| (kind.close)(&why).map(|close| close.code);
        assert_eq!(
            [code(Why::Draining), code(Why::Slow), code(Why::TooLong)],
            [Some(1001), Some(1013), Some(1009)]
        );
    }
}
