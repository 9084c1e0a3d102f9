//! What clients of the echo dialect read: lines of text in WebSocket frames, and Server-Sent Events.

use std::borrow::Cow;

use bytes::Bytes;
use foghorn::connection::websocket::framing::{PING, payload, text_frame};
use foghorn::event::{Event, Kept};
use foghorn::outbox::{Deflate, Kind, Wire};
use foghorn::session::{Close, Why};

pub static SOCKET: Kind = Kind {
    dialect: "echo",
    label: "socket",
    wire: &Lines,
    deflate: Deflate::Never,
    drained_last: false,
    closed_at_once: true,
    pinger_patience: None,
    close: |why| Some(close(why)),
};

pub static STREAM: Kind = Kind {
    label: "stream",
    wire: &Blocks,
    ..SOCKET
};

fn close(why: &Why) -> Close {
    match why {
        Why::Draining => Close::new(1001, "another node will take you", "drain"),
        Why::Missed => Close::new(1012, "something may be missing", "resync"),
        Why::Slow => Close::new(1013, "too slow", "overflow"),
        _ => Close::new(1008, "ended", "ended"),
    }
}

/// What of an event everybody reads: where it was said, what, and its place where the channel keeps it.
pub fn words(event: &Event) -> String {
    let place = match event.kept {
        Kept::At(place) => format!(" @{}.{}", place.epoch, place.number),
        Kept::No | Kept::Missed | Kept::Later => String::new(),
    };
    format!(
        "{}: {}{place}",
        event.channel.name(),
        String::from_utf8_lossy(&event.data)
    )
}

struct Lines;

impl Wire for Lines {
    fn name(&self) -> &'static str {
        "echo/websocket"
    }

    fn event(&self, event: &Event) -> Bytes {
        text_frame(&[words(event).as_bytes()])
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

struct Blocks;

impl Wire for Blocks {
    fn name(&self) -> &'static str {
        "echo/stream"
    }

    fn event(&self, event: &Event) -> Bytes {
        format!("data: {}\n\n", words(event)).into()
    }

    fn message(&self, text: &[u8]) -> Bytes {
        [b"data: ", text, b"\n\n"].concat().into()
    }

    fn heartbeat(&self) -> &'static [u8] {
        b":\n\n"
    }

    fn goodbye(&self, close: &Close) -> Bytes {
        format!("event: bye\ndata: {}\n\n", close.reason).into()
    }

    fn text<'f>(&self, frame: &'f [u8]) -> Cow<'f, [u8]> {
        frame.into()
    }
}
