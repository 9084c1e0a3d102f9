//! What nodes say to one another: numbered packets, which carry events, and the head that every packet has. Pure
//! functions; the golden bytes in the tests are the contract between versions.
//!
//! ```text
//! head     "FG" | format u8 | kind u8 | span u32 | origin u64 | number u64 | partition u32 | 0 u32   (big-endian, 32 bytes)
//! event    flags u8 | accepted ms u64 | [key u64] | [epoch u64 | number u64] | channel | name | [count u32, users] | meta | data to the end
//! lost     count u32 | channels
//! texts and byte strings: length u32, then so many bytes
//! ```
//!
//! Invariant: the head stays what it is in every format to come, and kinds below [`CONTROL`] are numbered. So an older
//! node can count a newer one's packet, skip it, and still know that nothing is missing.

use bytes::{BufMut, Bytes, BytesMut};

use crate::buffer::{self, Buffer};
use crate::event::{Channel, Event, Kept, Place, Recipients};

/// The format written by this version.
pub const FORMAT: u8 = 2;
/// Kinds from here on are not numbered: nodes speak of themselves.
pub const CONTROL: u8 = 0x80;
/// Bytes of the head.
pub const HEAD: usize = 32;

const MAGIC: &[u8; 2] = b"FG";
const EVENT: u8 = 1;
const LOST: u8 = 2;
const KEYED: u8 = 1;
const FOR_USERS: u8 = 2;
/// It has a place in what its channel keeps; epoch 0: it should have one, and has none.
const KEPT: u8 = 4;

/// Names an event in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stamp {
    /// One start of one node: a random number.
    pub origin: u64,
    /// The partition, as the origin divides channels.
    pub partition: u32,
    /// Counts an origin's events in a partition from 1, without holes.
    pub number: u64,
}

/// A packet's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Who speaks; for numbered packets the event's name.
    pub(super) stamp: Stamp,
    /// How many numbers it stands for, from the stamp's on; 1 for an event.
    pub(super) span: u32,
    /// What follows.
    pub kind: u8,
    /// The format that it is written in.
    pub(super) format: u8,
}

/// What a numbered packet carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// An event.
    Event(Event),
    /// Its origin had to drop events of these channels; empty: of any channel of the partition.
    Lost(Vec<Channel>),
    /// It cannot be read here; its numbers count all the same.
    Skipped(Unreadable),
}

/// A numbered packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Its name.
    pub stamp: Stamp,
    /// How many numbers it stands for, at least 1.
    pub(super) span: u32,
    /// What it carries.
    pub content: Content,
    /// All of it, as it goes from node to node.
    pub bytes: Bytes,
}

impl Packet {
    /// The number after its last.
    pub fn end(&self) -> u64 {
        self.stamp
            .number
            .saturating_add(u64::from(self.span.max(1)))
    }
}

/// Why something could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Unreadable {
    /// A newer node wrote it.
    #[error("written by a newer version")]
    Newer,
    /// A node of version 0.1.0 wrote it, which does not form a cluster with this one.
    #[error("written by version 0.1.0, which cannot form one cluster with this version")]
    Older,
    /// It is none of ours, or damaged.
    #[error("malformed")]
    Malformed,
}

impl Unreadable {
    /// The metric label.
    pub fn label(self) -> &'static str {
        self.into()
    }
}

/// An event that is written but for its stamp, which is given under a lock.
#[derive(Debug)]
pub struct Draft {
    bytes: Buffer,
    data: usize,
    event: Event,
}

impl Draft {
    /// Writes an event. Its data is copied once, into the packet.
    pub fn new(event: Event) -> Self {
        let flags = if event.idempotency_key.is_some() {
            KEYED
        } else {
            0
        } | if matches!(event.recipients, Recipients::Users(_)) {
            FOR_USERS
        } else {
            0
        } | if event.kept == Kept::No { 0 } else { KEPT };
        let mut bytes = BytesMut::with_capacity((HEAD + 40 + event.cost()).min(buffer::LARGE));
        bytes.put_bytes(0, HEAD);
        bytes.put_u8(flags);
        bytes.put_u64(event.accepted_ms);
        if let Some(key) = event.idempotency_key {
            bytes.put_u64(key);
        }
        match event.kept {
            Kept::No => {}
            Kept::At(place) => {
                bytes.put_u64(place.epoch);
                bytes.put_u64(place.number);
            }
            Kept::Missed | Kept::Later => bytes.put_bytes(0, 16),
        }
        put(&mut bytes, event.channel.as_str().as_bytes());
        put(&mut bytes, event.name.as_bytes());
        if let Recipients::Users(users) = &event.recipients {
            bytes.put_u32(users.len() as u32);
            users
                .iter()
                .for_each(|user| put(&mut bytes, user.as_bytes()));
        }
        put(&mut bytes, &event.meta);
        let data = bytes.len();
        Self {
            bytes: Buffer::joined(bytes, &event.data),
            data,
            event,
        }
    }

    /// The event.
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// Its bytes so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Never: the head alone has bytes.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The packet under its stamp. Event and packet share their bytes.
    pub fn stamp(mut self, stamp: Stamp) -> Packet {
        write_head(
            &mut self.bytes,
            Head {
                stamp,
                span: 1,
                kind: EVENT,
                format: FORMAT,
            },
        );
        let bytes = self.bytes.freeze();
        let event = Event {
            data: bytes.slice(self.data..),
            ..self.event
        };
        Packet {
            stamp,
            span: 1,
            content: Content::Event(event),
            bytes,
        }
    }
}

/// The packet that stands for `span` events which were dropped, of these channels; none: of any of the partition.
pub fn lost(stamp: Stamp, span: u32, channels: Vec<Channel>) -> Packet {
    let mut bytes = control(
        Head {
            stamp,
            span,
            kind: LOST,
            format: FORMAT,
        },
        64,
    );
    bytes.put_u32(channels.len() as u32);
    channels
        .iter()
        .for_each(|channel| put(&mut bytes, channel.as_str().as_bytes()));
    Packet {
        stamp,
        span,
        content: Content::Lost(channels),
        bytes: bytes.freeze(),
    }
}

/// A buffer that begins with a head, with room for `room` bytes more.
pub fn control(head: Head, room: usize) -> BytesMut {
    let mut bytes = BytesMut::with_capacity(HEAD + room);
    bytes.put_bytes(0, HEAD);
    write_head(&mut bytes, head);
    bytes
}

fn write_head(bytes: &mut [u8], head: Head) {
    let mut at = &mut bytes[..HEAD];
    at.put_slice(MAGIC);
    at.put_u8(head.format);
    at.put_u8(head.kind);
    at.put_u32(head.span);
    at.put_u64(head.stamp.origin);
    at.put_u64(head.stamp.number);
    at.put_u32(head.stamp.partition);
    at.put_u32(0);
}

/// Reads a head.
///
/// # Errors
/// [`Unreadable`] where it is none of ours.
pub fn head(bytes: &[u8]) -> Result<Head, Unreadable> {
    if bytes.starts_with(b"1 ") {
        return Err(Unreadable::Older);
    }
    let mut reader = Reader(bytes);
    if bytes.len() < HEAD || reader.take(2) != Some(MAGIC) {
        return Err(Unreadable::Malformed);
    }
    let read = |reader: &mut Reader<'_>| {
        let (format, kind, span) = (reader.byte()?, reader.byte()?, reader.u32()?);
        let (origin, number, partition) = (reader.u64()?, reader.u64()?, reader.u32()?);
        Some(Head {
            stamp: Stamp {
                origin,
                partition,
                number,
            },
            span,
            kind,
            format,
        })
    };
    read(&mut reader).ok_or(Unreadable::Malformed)
}

/// Reads a numbered packet whose head was read. What it cannot make sense of still has its numbers.
pub fn read(head: Head, bytes: Bytes) -> Packet {
    let bytes = buffer::kept(bytes);
    let content = if head.format > FORMAT || !matches!(head.kind, EVENT | LOST) {
        Content::Skipped(Unreadable::Newer)
    } else if head.kind == LOST {
        read_lost(&bytes[HEAD..]).map_or(Content::Skipped(Unreadable::Malformed), Content::Lost)
    } else {
        read_event(&bytes).map_or(Content::Skipped(Unreadable::Malformed), Content::Event)
    };
    Packet {
        stamp: head.stamp,
        span: head.span.max(1),
        content,
        bytes,
    }
}

fn read_event(bytes: &Bytes) -> Option<Event> {
    let mut reader = Reader(&bytes[HEAD..]);
    let flags = reader.byte()?;
    let accepted_ms = reader.u64()?;
    let idempotency_key = if flags & KEYED != 0 {
        Some(reader.u64()?)
    } else {
        None
    };
    let kept = if flags & KEPT != 0 {
        read_kept(&mut reader)?
    } else {
        Kept::No
    };
    let channel = Channel::from_text(reader.text()?);
    let name = reader.text()?.into();
    let recipients = if flags & FOR_USERS != 0 {
        let count = reader.u32()?;
        // Collected as they are read: a count alone reserves nothing.
        let users: Option<Vec<&str>> = (0..count).map(|_| reader.text()).collect();
        Recipients::users(users?)
    } else {
        Recipients::All
    };
    let meta = bytes.slice_ref(reader.string()?);
    let data = bytes.slice_ref(reader.0);
    Some(Event {
        channel,
        name,
        data,
        meta,
        recipients,
        accepted_ms,
        idempotency_key,
        kept,
    })
}

fn read_kept(reader: &mut Reader<'_>) -> Option<Kept> {
    let place = Place {
        epoch: reader.u64()?,
        number: reader.u64()?,
    };
    Some(if place.epoch == 0 {
        Kept::Missed
    } else {
        Kept::At(place)
    })
}

fn read_lost(bytes: &[u8]) -> Option<Vec<Channel>> {
    let mut reader = Reader(bytes);
    let count = reader.u32()?;
    (0..count)
        .map(|_| reader.text().map(Channel::from_text))
        .collect()
}

/// Writes a byte string.
pub fn put(bytes: &mut BytesMut, string: &[u8]) {
    bytes.put_u32(string.len() as u32);
    bytes.put_slice(string);
}

/// Reads what is left of a packet; `None` from each where it ends too early.
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// So many bytes.
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// One byte.
    pub fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    /// A big-endian number.
    pub fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// A big-endian number.
    pub fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_be_bytes)
    }

    /// A byte string.
    pub fn string(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()?;
        self.take(length as usize)
    }

    /// A byte string that is UTF-8.
    pub fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.string()?).ok()
    }
}

#[cfg(test)]
mod tests;
