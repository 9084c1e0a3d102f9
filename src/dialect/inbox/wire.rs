//! Blocks of event streams, and the kind of client that reads them.
//!
//! Invariants: a block is whole, and its data is one line, so that its end is where the empty line is; what depends on the
//! connection is not written here: it is asked for by a comment, a *note*, which the stream's body replaces.

use std::borrow::Cow;

use bytes::Bytes;

use super::id;
use crate::event::Event;
use crate::outbox::{Deflate, Kind, Wire};
use crate::session::{Close, Why};

/// How metrics and logs call the dialect.
pub const DIALECT: &str = "inbox";

/// A note: nothing was said for long.
pub(super) const BEAT: &[u8] = b":beat\n\n";
/// A note: the node ends.
pub const DRAIN: &[u8] = b":drain\n\n";
/// A note: events may be missing.
pub(super) const RESYNC: &[u8] = b":resync\n\n";
/// A note without a meaning: whether it is taken shows whether the client still reads.
const PROBE: &[u8] = b":\n\n";

/// A page, or a program, that reads an event stream.
pub static STREAM: Kind = Kind {
    dialect: DIALECT,
    label: "stream",
    wire: &Blocks,
    deflate: Deflate::Never,
    drained_last: false,
    closed_at_once: false,
    pinger_patience: None,
    close: |why| (*why != Why::Missed).then(|| close(why)),
};

fn close(why: &Why) -> Close {
    let (reason, label) = match why {
        Why::Draining => ("this node is about to end", "drain"),
        Why::Slow => ("too slow: what was sent was not read in time", "overflow"),
        Why::Silent => ("nothing was read for too long", "dead"),
        Why::Administrator => ("disconnected by an administrator", "admin"),
        _ => ("ended", "other"),
    };
    Close::new(Close::ABNORMAL, reason, label)
}

/// A block of these lines, `event` first.
pub fn block(name: &str, data: &[u8], id: &str) -> Bytes {
    [
        b"event: ",
        name.as_bytes(),
        b"\ndata: ",
        data,
        b"\nid: ",
        id.as_bytes(),
        b"\n\n",
    ]
    .concat()
    .into()
}

/// See the module.
pub struct Blocks;

impl Wire for Blocks {
    fn name(&self) -> &'static str {
        "inbox/stream"
    }

    fn event(&self, event: &Event) -> Bytes {
        block(&event.name, &event.data, &id::of_event(event))
    }

    fn message(&self, text: &[u8]) -> Bytes {
        Bytes::copy_from_slice(text)
    }

    fn heartbeat(&self) -> &'static [u8] {
        PROBE
    }

    fn goodbye(&self, close: &Close) -> Bytes {
        match close.label {
            "drain" => Bytes::from_static(DRAIN),
            _ => Bytes::new(),
        }
    }

    fn missed(&self) -> &[u8] {
        RESYNC
    }

    fn text<'f>(&self, frame: &'f [u8]) -> Cow<'f, [u8]> {
        frame.into()
    }
}
