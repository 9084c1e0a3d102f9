//! What nodes say to each other through Redis: the message on a partition's channel, and the body it carries, which is
//! also what the log keeps. Pure functions; the golden bytes in the tests are the contract between versions.
//!
//! ```text
//! message   <format> SP <epoch, hex> SP <number> SP <id> SP <id before> [SP ...] LF <body>
//! canary    <format> SP "canary"
//! body      <JSON header> LF <payload bytes>
//! ```
//!
//! Invariant: the five fields of a message's first line stay where they are in every format to come, and so does `v` in
//! a body's header. So an older node can count a newer one's message, skip it, and still know that nothing is missing.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use super::log::{Entry, Heard};
use crate::event::{Channel, Event, Recipients};

/// The message format written by this version.
pub const FORMAT: u32 = 1;

/// The body version written by this version.
const VERSION: u32 = 1;

/// Why something could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// A newer node wrote it.
    #[error("written by a newer version")]
    Newer,
    /// It is none of ours, or damaged.
    #[error("malformed")]
    Malformed,
}

impl Unreadable {
    /// The metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Newer => "newer",
            Self::Malformed => "malformed",
        }
    }
}

/// A message as it came over a partition's channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// An entry of the log.
    Entry(Heard),
    /// Only a proof that the subscription works.
    Canary,
}

/// Who published something, and as which of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// A random number of the publishing process.
    pub origin: u64,
    /// Counts up from 1 for each origin and partition.
    pub counter: u64,
}

/// What an entry carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// An event.
    Event(Stamp, Event),
    /// The publisher had to drop events of these channels, or of any channel of the partition.
    Lost(Stamp, Option<Vec<Channel>>),
}

#[derive(Serialize, Deserialize)]
struct Header {
    v: u32,
    /// Origin, 16 hex digits.
    o: String,
    /// Counter.
    n: u64,
    /// Kind, absent for an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    k: Option<String>,
    /// Channel of an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    c: Option<String>,
    /// When it was accepted, Unix time in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    t: Option<u64>,
    /// Idempotency key, 16 hex digits, absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    i: Option<String>,
    /// Users an event is for, absent for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    u: Option<Vec<String>>,
    /// Channels that lost events, absent for all of the partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    l: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Version {
    v: u32,
}

/// The body of an event, and the event itself with its payload inside that body, so that both cost their bytes once.
pub fn encode_event(stamp: Stamp, event: Event) -> (Bytes, Event) {
    let users = match &event.recipients {
        Recipients::All => None,
        Recipients::Users(users) => Some(users.iter().map(|u| u.to_string()).collect()),
    };
    let header = Header {
        v: VERSION,
        o: format!("{:016x}", stamp.origin),
        n: stamp.counter,
        k: None,
        c: Some(event.channel.as_str().to_owned()),
        t: Some(event.accepted_ms),
        i: event.idempotency_key.map(|key| format!("{key:016x}")),
        u: users,
        l: None,
    };
    let body = assemble(&header, &event.payload);
    let payload = body.slice(body.len() - event.payload.len()..);
    (body, Event { payload, ..event })
}

/// The body that declares events lost; `None` means any channel of the partition.
pub fn encode_lost(stamp: Stamp, channels: Option<&[Channel]>) -> Bytes {
    let header = Header {
        v: VERSION,
        o: format!("{:016x}", stamp.origin),
        n: stamp.counter,
        k: Some("lost".to_owned()),
        c: None,
        t: None,
        i: None,
        u: None,
        l: channels.map(|list| list.iter().map(|c| c.as_str().to_owned()).collect()),
    };
    assemble(&header, &[])
}

fn assemble(header: &Header, payload: &[u8]) -> Bytes {
    let header = serde_json::to_vec(header).expect("strings and numbers always serialize");
    let mut body = BytesMut::with_capacity(header.len() + 1 + payload.len());
    body.put_slice(&header);
    body.put_u8(b'\n');
    body.put_slice(payload);
    body.freeze()
}

/// Reads a body. The payload is copied, so that keeping it does not keep a connection's read buffer.
///
/// # Errors
/// [`Unreadable`], which the caller counts; the entry itself still has its place in the log.
pub fn decode_body(body: &[u8]) -> Result<Body, Unreadable> {
    let end = body.iter().position(|b| *b == b'\n').ok_or(Unreadable::Malformed)?;
    let (head, payload) = (&body[..end], &body[end + 1..]);
    let version: Version = serde_json::from_slice(head).map_err(|_| Unreadable::Malformed)?;
    if version.v > VERSION {
        return Err(Unreadable::Newer);
    }
    let header: Header = serde_json::from_slice(head).map_err(|_| Unreadable::Malformed)?;
    let stamp = Stamp { origin: hex(&header.o).ok_or(Unreadable::Malformed)?, counter: header.n };
    match header.k.as_deref() {
        None => {
            let channel = Channel::from_text(&header.c.ok_or(Unreadable::Malformed)?);
            let recipients = header.u.map_or(Recipients::All, Recipients::users);
            let accepted_ms = header.t.ok_or(Unreadable::Malformed)?;
            let payload = Bytes::copy_from_slice(payload);
            let idempotency_key = header.i.map(|key| hex(&key).ok_or(Unreadable::Malformed)).transpose()?;
            Ok(Body::Event(stamp, Event { channel, payload, recipients, accepted_ms, idempotency_key }))
        }
        Some("lost") => {
            let channels = header.l.map(|list| list.iter().map(|c| Channel::from_text(c)).collect());
            Ok(Body::Lost(stamp, channels))
        }
        Some(_) => Err(Unreadable::Newer),
    }
}

/// The message that only proves a subscription.
pub fn encode_canary() -> String {
    format!("{FORMAT} canary")
}

/// Reads a message. A newer format's first line is read like ours, see the invariant above.
///
/// # Errors
/// [`Unreadable`], which the caller counts; what it carried is found missing by the next message.
pub fn decode_message(bytes: &Bytes) -> Result<Message, Unreadable> {
    let end = bytes.iter().position(|b| *b == b'\n').unwrap_or(bytes.len());
    let line = std::str::from_utf8(&bytes[..end]).map_err(|_| Unreadable::Malformed)?;
    let mut fields = line.split(' ');
    let format: u32 = fields.next().and_then(|f| f.parse().ok()).ok_or(Unreadable::Malformed)?;
    let refusal = if format > FORMAT { Unreadable::Newer } else { Unreadable::Malformed };
    let epoch = fields.next().ok_or(refusal)?;
    if epoch == "canary" {
        return Ok(Message::Canary);
    }
    let epoch = hex(epoch).ok_or(refusal)?;
    let seq = fields.next().and_then(|f| f.parse().ok()).ok_or(refusal)?;
    let id = fields.next().and_then(|f| f.parse().ok()).ok_or(refusal)?;
    let prev = fields.next().and_then(|f| f.parse().ok()).ok_or(refusal)?;
    let body = bytes.slice((end + 1).min(bytes.len())..);
    Ok(Message::Entry(Heard { epoch, entry: Entry { seq, id, prev, body } }))
}

/// Sixteen hex digits, as origins and epochs are written.
pub fn hex(text: &str) -> Option<u64> {
    (text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit())).then(|| u64::from_str_radix(text, 16).ok())?
}

#[cfg(test)]
mod tests;
