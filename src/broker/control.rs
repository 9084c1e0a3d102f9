//! What nodes say of themselves and ask one another: packets without a number.
//!
//! Invariant: a kind or a field that a node does not know is skipped; a length alone never reserves memory.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use super::packet::{self, CONTROL, FORMAT, HEAD, Head, Reader, Stamp, put};

const ANNOUNCE: u8 = CONTROL;
const LEAVE: u8 = CONTROL + 1;
const ASK: u8 = CONTROL + 2;
const FILL: u8 = CONTROL + 3;
const SYNC_ASK: u8 = CONTROL + 4;
const SYNC: u8 = CONTROL + 5;
const QUESTION: u8 = CONTROL + 6;
const ANSWER: u8 = CONTROL + 7;
const CANARY: u8 = CONTROL + 8;

/// What a node says of itself, beside its numbers and its view.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct About {
    /// What operators know it by.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// How long it has been running, in milliseconds.
    pub uptime_ms: u64,
    /// Its clock, Unix time in milliseconds.
    pub clock_ms: u64,
    /// Whether it has joined: only then can it tell others what happened.
    pub joined: bool,
    /// Into how many partitions it divides channels.
    pub partitions: u32,
    /// Which of its shards this was said on, from 0.
    pub shard: usize,
    /// Which of its shards it has.
    pub up: Vec<bool>,
    /// Fingerprints of the keys that it takes.
    pub keys: Vec<String>,
}

/// A node's word about itself, once a second on each shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announcement {
    /// Who it is.
    pub about: About,
    /// For each partition that it published in: up to which number Redis took it.
    pub numbers: Vec<(u32, u64)>,
    /// Origins that it has not heard of late, with the last number of each partition that it knows of: one that is gone
    /// announces no more what it published last.
    pub silent: Vec<(u64, Vec<(u32, u64)>)>,
    /// What it shows operators.
    pub view: Bytes,
}

/// Which numbers of an origin's are missing: from `from` to the one before `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The question's number.
    pub(super) id: u64,
    /// Whose events.
    pub(super) origin: u64,
    /// In which partition.
    pub(super) partition: u32,
    /// The first that is missing.
    pub(super) from: u64,
    /// The first that is not.
    pub(super) to: u64,
    /// How many bytes an answer may have, unless a single packet is larger.
    pub(super) most: u32,
}

/// Some of what was asked for; empty: none of it is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fill {
    /// The question's number.
    pub(super) id: u64,
    /// Numbered packets, in order.
    pub(super) packets: Vec<Bytes>,
}

/// How far a node knows what one origin published in one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The origin.
    pub(super) origin: u64,
    /// The partition.
    pub(super) partition: u32,
    /// What comes next: everything before was delivered or declared.
    pub(super) next: u64,
    /// The first number that is not known to exist.
    pub(super) head: u64,
}

/// A part of what a node knows, for one that starts or missed something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sync {
    /// The question's number.
    pub(super) id: u64,
    /// How far each origin's numbers are known; in the first part.
    pub(super) next: Vec<Known>,
    /// For how long each of these origins was not heard, in milliseconds; in the first part.
    pub(super) silent: Vec<(u64, u64)>,
    /// Origins of which the node itself does not know what it may have missed; in the first part.
    pub(super) unsure: Vec<u64>,
    /// Packets of late with their age in milliseconds, oldest first.
    pub(super) recent: Vec<(u64, Bytes)>,
    /// Where the next part begins; `None`: this was the last.
    pub(super) cursor: Option<u64>,
}

/// What was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// See [`Announcement`].
    Announce(Announcement),
    /// The sender is about to end. For each partition that it published in: up to which number.
    Leave(Vec<(u32, u64)>),
    /// See [`Ask`].
    Ask(Ask),
    /// See [`Fill`].
    Fill(Fill),
    /// What do you know, from `cursor` on, and which events of the last `replay_ms` milliseconds?
    SyncAsk {
        /// The question's number.
        id: u64,
        /// Where to begin; 0 the first time.
        cursor: u64,
        /// How far back.
        replay_ms: u64,
        /// How many bytes a part of the answer may have, unless a single packet is larger.
        most: u32,
    },
    /// See [`Sync`].
    Sync(Sync),
    /// A dialect's or an operator's question to all nodes.
    Question {
        /// The question's number.
        id: u64,
        /// What is asked.
        body: Bytes,
    },
    /// One node's answer.
    Answer {
        /// The question's number.
        id: u64,
        /// What is answered.
        body: Bytes,
    },
    /// It proves that the channel of a partition is heard.
    Canary(u32),
}

impl Control {
    /// The bytes that `origin` says.
    pub fn write(&self, origin: u64) -> Bytes {
        let start = |kind: u8, number: u64, partition: u32, room: usize| {
            packet::control(
                Head {
                    stamp: Stamp {
                        origin,
                        partition,
                        number,
                    },
                    span: 0,
                    kind,
                    format: FORMAT,
                },
                room,
            )
        };
        match self {
            Self::Announce(announcement) => {
                write_announcement(announcement, start(ANNOUNCE, 0, 0, 1_024))
            }
            Self::Leave(numbers) => {
                let mut bytes = start(LEAVE, 0, 0, 4 + 12 * numbers.len());
                write_numbers(numbers, &mut bytes);
                bytes.freeze()
            }
            Self::Ask(ask) => {
                let mut bytes = start(ASK, ask.id, ask.partition, 28);
                [ask.origin, ask.from, ask.to]
                    .into_iter()
                    .for_each(|number| bytes.put_u64(number));
                bytes.put_u32(ask.most);
                bytes.freeze()
            }
            Self::Fill(fill) => {
                let room = fill.packets.iter().map(|packet| packet.len() + 4).sum();
                let mut bytes = start(FILL, fill.id, 0, room);
                fill.packets
                    .iter()
                    .for_each(|packet| put(&mut bytes, packet));
                bytes.freeze()
            }
            Self::SyncAsk {
                id,
                cursor,
                replay_ms,
                most,
            } => {
                let mut bytes = start(SYNC_ASK, *id, 0, 20);
                bytes.put_u64(*cursor);
                bytes.put_u64(*replay_ms);
                bytes.put_u32(*most);
                bytes.freeze()
            }
            Self::Sync(sync) => write_sync(sync, start(SYNC, sync.id, 0, 4_096)),
            Self::Question { id, body } => with_body(start(QUESTION, *id, 0, body.len()), body),
            Self::Answer { id, body } => with_body(start(ANSWER, *id, 0, body.len()), body),
            Self::Canary(partition) => start(CANARY, 0, *partition, 0).freeze(),
        }
    }

    /// Reads what follows a head of a kind from [`CONTROL`] on; `None`: it is newer, or damaged.
    pub fn read(head: Head, bytes: &Bytes) -> Option<Self> {
        let mut reader = Reader(bytes.get(HEAD..)?);
        let (id, partition) = (head.stamp.number, head.stamp.partition);
        Some(match head.kind {
            ANNOUNCE => Self::Announce(read_announcement(&mut reader)?),
            LEAVE => Self::Leave(read_numbers(&mut reader)?),
            ASK => {
                let (origin, from, to) = (reader.u64()?, reader.u64()?, reader.u64()?);
                Self::Ask(Ask {
                    id,
                    origin,
                    partition,
                    from,
                    to,
                    most: reader.u32()?,
                })
            }
            FILL => {
                let mut packets = Vec::new();
                while !reader.0.is_empty() {
                    packets.push(slice(bytes, reader.string()?));
                }
                Self::Fill(Fill { id, packets })
            }
            SYNC_ASK => {
                let (cursor, replay_ms, most) = (reader.u64()?, reader.u64()?, reader.u32()?);
                Self::SyncAsk {
                    id,
                    cursor,
                    replay_ms,
                    most,
                }
            }
            SYNC => Self::Sync(read_sync(id, &mut reader, bytes)?),
            QUESTION => Self::Question {
                id,
                body: bytes.slice(HEAD..),
            },
            ANSWER => Self::Answer {
                id,
                body: bytes.slice(HEAD..),
            },
            CANARY => Self::Canary(partition),
            _ => return None,
        })
    }
}

/// A part of a buffer as bytes that share it.
fn slice(bytes: &Bytes, part: &[u8]) -> Bytes {
    bytes.slice_ref(part)
}

fn with_body(mut bytes: BytesMut, body: &[u8]) -> Bytes {
    bytes.put_slice(body);
    bytes.freeze()
}

fn write_announcement(announcement: &Announcement, mut bytes: BytesMut) -> Bytes {
    let about = serde_json::to_vec(&announcement.about).unwrap_or_default();
    put(&mut bytes, &about);
    write_numbers(&announcement.numbers, &mut bytes);
    put(&mut bytes, &announcement.view);
    for (origin, numbers) in &announcement.silent {
        bytes.put_u64(*origin);
        write_numbers(numbers, &mut bytes);
    }
    bytes.freeze()
}

fn write_numbers(numbers: &[(u32, u64)], bytes: &mut BytesMut) {
    bytes.put_u32(numbers.len() as u32);
    for (partition, number) in numbers {
        bytes.put_u32(*partition);
        bytes.put_u64(*number);
    }
}

fn read_numbers(reader: &mut Reader<'_>) -> Option<Vec<(u32, u64)>> {
    let count = reader.u32()?;
    (0..count)
        .map(|_| Some((reader.u32()?, reader.u64()?)))
        .collect()
}

fn read_announcement(reader: &mut Reader<'_>) -> Option<Announcement> {
    let about = serde_json::from_slice(reader.string()?).ok()?;
    let numbers = read_numbers(reader)?;
    // Copied: it is kept for long, and the buffer it came in is large.
    let view = Bytes::copy_from_slice(reader.string()?);
    let mut silent = Vec::new();
    while !reader.0.is_empty() {
        silent.push((reader.u64()?, read_numbers(reader)?));
    }
    Some(Announcement {
        about,
        numbers,
        silent,
        view,
    })
}

fn write_sync(sync: &Sync, mut bytes: BytesMut) -> Bytes {
    bytes.put_u64(sync.cursor.unwrap_or(u64::MAX));
    bytes.put_u32(sync.next.len() as u32);
    for known in &sync.next {
        bytes.put_u64(known.origin);
        bytes.put_u32(known.partition);
        bytes.put_u64(known.next);
        bytes.put_u64(known.head);
    }
    bytes.put_u32(sync.silent.len() as u32);
    for (origin, silent_ms) in &sync.silent {
        bytes.put_u64(*origin);
        bytes.put_u64(*silent_ms);
    }
    bytes.put_u32(sync.unsure.len() as u32);
    sync.unsure.iter().for_each(|origin| bytes.put_u64(*origin));
    for (age_ms, packet) in &sync.recent {
        bytes.put_u64(*age_ms);
        put(&mut bytes, packet);
    }
    bytes.freeze()
}

fn read_sync(id: u64, reader: &mut Reader<'_>, bytes: &Bytes) -> Option<Sync> {
    let cursor = Some(reader.u64()?).filter(|cursor| *cursor != u64::MAX);
    let count = reader.u32()?;
    let known = |reader: &mut Reader<'_>| {
        let (origin, partition, next, head) =
            (reader.u64()?, reader.u32()?, reader.u64()?, reader.u64()?);
        Some(Known {
            origin,
            partition,
            next,
            head,
        })
    };
    let next: Option<Vec<Known>> = (0..count).map(|_| known(reader)).collect();
    let count = reader.u32()?;
    let silent = |reader: &mut Reader<'_>| Some((reader.u64()?, reader.u64()?));
    let silent: Option<Vec<(u64, u64)>> = (0..count).map(|_| silent(reader)).collect();
    let count = reader.u32()?;
    let unsure: Option<Vec<u64>> = (0..count).map(|_| reader.u64()).collect();
    let mut recent = Vec::new();
    while !reader.0.is_empty() {
        recent.push((reader.u64()?, slice(bytes, reader.string()?)));
    }
    Some(Sync {
        id,
        next: next?,
        silent: silent?,
        unsure: unsure?,
        recent,
        cursor,
    })
}

#[cfg(test)]
mod tests;
