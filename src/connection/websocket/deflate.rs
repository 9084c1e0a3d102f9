//! Compressed messages (RFC 7692, permessage-deflate), for kinds of clients that agree to them.
//!
//! Invariant: each message is compressed by itself, without what came before (no context takeover, both ways). So an event is
//! compressed once for all who get it, and a connection keeps no window.
//!
//! * [`codec`]: a message, there and back. [`offer`]: what is agreed on in the handshake. [`wire`]: what goes out.
//!   [`inflater`]: what comes in.

pub mod codec;
pub(super) mod inflater;
mod offer;
mod wire;

use http::{HeaderMap, HeaderValue};

use self::codec::Level;
use self::wire::Compressed;
use crate::outbox::{Deflate, Kind};

/// What is compressed of what is sent, and how hard is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// How hard.
    pub level: Level,
    /// Messages of so many bytes, and shorter ones, go as they are.
    pub passed_bytes: usize,
}

/// `kind`, whose events and messages are one text frame each, for a node that compresses for those who offer it. What it
/// writes then is a wire of the name `wire`. It is made once at the start of a node and stays for as long as the process does.
pub fn offered(kind: &'static Kind, wire: &'static str, effort: Effort) -> &'static Kind {
    let wire: &'static Compressed = Box::leak(Box::new(Compressed {
        name: wire,
        plain: kind.wire,
        effort,
    }));
    let agreed = Box::leak(Box::new(Kind {
        wire,
        deflate: Deflate::Agreed,
        ..*kind
    }));
    Box::leak(Box::new(Kind {
        deflate: Deflate::Offered(agreed),
        ..*kind
    }))
}

/// Which kind a client of `kind` is that sends these headers, and what it is told of extensions.
pub(in crate::connection) fn agree(
    kind: &'static Kind,
    headers: &HeaderMap,
) -> (&'static Kind, Option<HeaderValue>) {
    let Deflate::Offered(agreed) = kind.deflate else {
        return (kind, None);
    };
    match offer::answer(headers) {
        Some(answer) => (agreed, Some(HeaderValue::from_static(answer))),
        None => (kind, None),
    }
}
