//! How an event and a message are written for one kind of client.
//!
//! Invariant: what a wire writes for an event depends on the event alone, so it is written once for all clients of that
//! wire on a node. Wires are told apart by their names, never by their addresses: wires without fields may share one.

use std::borrow::Cow;

use bytes::Bytes;

use crate::event::Event;
use crate::session::Close;

/// A dialect's envelope in a transport's framing; one static for each pair of them.
pub trait Wire: Send + Sync + 'static {
    /// What tells it from all others: `<dialect>/<transport>`.
    fn name(&self) -> &'static str;

    /// An event as whole frames, ready for any number of sockets.
    fn event(&self, event: &Event) -> Bytes;

    /// A session's message as whole frames.
    fn message(&self, text: &[u8]) -> Bytes;

    /// What asks a quiet client whether it is there, or shows it that the node is; empty: nothing does.
    fn heartbeat(&self) -> &'static [u8];

    /// What a client reads first; empty: nothing before it is told something.
    fn greeting(&self) -> &'static [u8] {
        b""
    }

    /// What a client reads last, where its transport has no close of its own, or is not seen by it; empty: the end says it all.
    fn goodbye(&self, close: &Close) -> Bytes {
        let _ = close;
        Bytes::new()
    }

    /// What a client reads where events may be missing and it is not closed for that; empty: it is told nothing.
    fn missed(&self) -> &[u8] {
        b""
    }

    /// What a frame of this wire says, without its framing: for the log.
    fn text<'f>(&self, frame: &'f [u8]) -> Cow<'f, [u8]>;
}
