//! A kind of client for the core's own tests: frames are a WebSocket's, short ones, with nothing around an event's data.
//!
//! Invariant: it belongs to no dialect.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;

use super::{Deflate, Kind, Wire};
use crate::event::Event;
use crate::session::{Close, Why};

struct Bare;

impl Wire for Bare {
    fn name(&self) -> &'static str {
        "test/bare"
    }

    fn event(&self, event: &Event) -> Bytes {
        self.message(&event.data)
    }

    fn message(&self, text: &[u8]) -> Bytes {
        [&[0x81, text.len() as u8], text].concat().into()
    }

    fn heartbeat(&self) -> &'static [u8] {
        &[0x89, 0]
    }

    fn text<'f>(&self, frame: &'f [u8]) -> Cow<'f, [u8]> {
        frame[2..].into()
    }
}

fn close(why: &Why) -> Option<Close> {
    (*why == Why::Slow).then(|| Close::new(1013, "too slow", "overflow"))
}

/// Closed for being slow only.
pub(crate) static BARE: Kind = Kind {
    dialect: "test",
    label: "bare",
    wire: &Bare,
    deflate: Deflate::Never,
    drained_last: false,
    closed_at_once: false,
    pinger_patience: Some(Duration::from_secs(10)),
    close,
};
