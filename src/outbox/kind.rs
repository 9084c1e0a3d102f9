//! What sets one kind of client apart, as far as the core treats them differently.
//!
//! Invariant: the core only knows why a connection ends; what the client is told of it stands in the kind, so in the
//! client's dialect.

use std::fmt;
use std::time::Duration;

use super::Wire;
use crate::session::{Close, Why};

/// A kind of client; one static for each.
pub struct Kind {
    /// The dialect that it speaks, as metrics call it.
    pub dialect: &'static str,
    /// What metrics and logs call it.
    pub label: &'static str,
    /// How it is written to.
    pub wire: &'static dyn Wire,
    /// Whether its messages may be compressed.
    pub deflate: Deflate,
    /// Whether it is closed after all others when many are closed at an even pace.
    pub drained_last: bool,
    /// Whether it is closed at once where events may be missing, and not at an even pace with others: it comes back for what
    /// followed the last one that it had, and must not have had one from behind the missing ones.
    pub closed_at_once: bool,
    /// How long a client may be silent that has shown itself to ping every second; `None`: its pings show nothing.
    pub pinger_patience: Option<Duration>,
    /// What it is told when its connection ends; `None`: it is not closed for this reason. Where the reason is one of those
    /// that leave no choice ([`Why::is_final`]), `None` ends the connection without a word.
    pub close: fn(&Why) -> Option<Close>,
}

/// Whether the messages of a WebSocket are compressed, in both directions (RFC 7692, permessage-deflate).
#[derive(Clone, Copy)]
pub enum Deflate {
    /// That is not agreed to.
    Never,
    /// Who offers it is of this kind instead, whose messages are.
    Offered(&'static Kind),
    /// They are.
    Agreed,
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.dialect, self.label)
    }
}
