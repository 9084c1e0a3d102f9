//! The kinds of clients that speak SockJS, and how they are written to.
//!
//! Invariant: what waits for a request that fetches it is lines, since whichever transport fetches them says how they are written.

use std::borrow::Cow;

use bytes::Bytes;

use super::super::answers as a;
use super::super::wire::{self, DIALECT, PING};
use super::frames::{self, END, quoted};
use crate::connection::websocket::framing::{payload, text_frame};
use crate::event::Event;
use crate::outbox::{Deflate, Kind, Wire};
use crate::session::{Close, Why};

/// A page with a WebSocket. Its heartbeats are SockJS's and a ping, which browsers answer by themselves.
pub static SOCKET: Kind = socket(&Socket {
    heartbeat: b"\x81\x01h\x89\x04ping",
});
/// The same, without SockJS's heartbeats.
pub(super) static QUIET_SOCKET: Kind = socket(&Socket { heartbeat: PING });
/// A page that fetches with requests.
pub(super) static REQUESTS: Kind = requests(&Lines { heartbeat: b"h\n" });
/// The same, without heartbeats.
pub(super) static QUIET_REQUESTS: Kind = requests(&Lines { heartbeat: b"" });

const fn socket(wire: &'static dyn Wire) -> Kind {
    Kind {
        label: "sockjs-websocket",
        wire,
        ..BASE
    }
}

const fn requests(wire: &'static dyn Wire) -> Kind {
    Kind {
        label: "sockjs",
        wire,
        ..BASE
    }
}

const BASE: Kind = Kind {
    dialect: DIALECT,
    label: "",
    wire: &Lines { heartbeat: b"" },
    deflate: Deflate::Never,
    drained_last: false,
    closed_at_once: true,
    pinger_patience: None,
    close: |why| {
        Some(match why {
            Why::TooLong => a::LIMIT_EXCEEDED,
            Why::NotText => a::INVALID_MESSAGE,
            other => wire::close(other),
        })
    },
};

/// A SockJS frame in each message.
struct Socket {
    heartbeat: &'static [u8],
}

impl Wire for Socket {
    fn name(&self) -> &'static str {
        "centrifugo/sockjs-websocket"
    }

    fn event(&self, event: &Event) -> Bytes {
        self.message(wire::text_of(event).as_bytes())
    }

    fn message(&self, text: &[u8]) -> Bytes {
        text_frame(&[
            b"a[",
            quoted(&String::from_utf8_lossy(text)).as_bytes(),
            b"]",
        ])
    }

    fn heartbeat(&self) -> &'static [u8] {
        self.heartbeat
    }

    fn greeting(&self) -> &'static [u8] {
        b"\x81\x01o"
    }

    fn goodbye(&self, close: &Close) -> Bytes {
        text_frame(&[frames::close(close).as_bytes()])
    }

    fn text<'f>(&self, frame: &'f [u8]) -> Cow<'f, [u8]> {
        payload(frame).into()
    }
}

/// Messages as [`frames::of_waiting`] reads them.
struct Lines {
    heartbeat: &'static [u8],
}

impl Wire for Lines {
    fn name(&self) -> &'static str {
        "centrifugo/sockjs"
    }

    fn event(&self, event: &Event) -> Bytes {
        self.message(wire::text_of(event).as_bytes())
    }

    fn message(&self, text: &[u8]) -> Bytes {
        let mut line = quoted(&String::from_utf8_lossy(text)).into_bytes();
        line.push(END);
        line.into()
    }

    fn heartbeat(&self) -> &'static [u8] {
        self.heartbeat
    }

    fn text<'f>(&self, frame: &'f [u8]) -> Cow<'f, [u8]> {
        frame.strip_suffix(&[END]).unwrap_or(frame).into()
    }
}

#[cfg(test)]
mod tests {
    use super::super::frames::HEARTBEAT;
    use super::*;

    #[test]
    fn a_heartbeat_is_what_its_readers_take_for_one() {
        let text = text_frame(&[HEARTBEAT.as_bytes()]);
        assert_eq!(SOCKET.wire.heartbeat(), [&text, PING].concat());
        assert_eq!(frames::of_waiting(REQUESTS.wire.heartbeat()), HEARTBEAT);
        assert_eq!(
            SOCKET.wire.greeting(),
            text_frame(&[frames::OPEN.as_bytes()])
        );
    }
}
