//! The body of an event stream: what the outbox gives, with what depends on the connection put in.
//!
//! Invariants: blocks go out whole, nothing that the past has told is told again; what its client had last is known at any
//! time, so that a sign of life carries it.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::{Bytes, HttpBody};
use hyper::body::Frame;

use super::id::{self, Mark, Position};
use super::posted::string;
use super::recovery::Recovery;
use super::roster::Here;
use super::session::{InboxSession, Progress};
use super::wire::{BEAT, Blocks, DRAIN, RESYNC, block};
use crate::connection::stream::EventStream;
use crate::event::{Event, Past, Place, now_ms};
use crate::outbox::Wire;

/// What streams are told of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Whether signs of life are events that pages see, or comments.
    pub(super) heartbeats: bool,
    /// Over how long clients of a node that ends come back.
    pub(super) drain: Duration,
}

/// What a stream begins with.
pub(super) struct Opening {
    /// What is told of the past.
    pub(super) recovery: Recovery,
    /// Where the client is before it has read that.
    pub(super) start: Mark,
    /// What of the past is known and not told again ([`Past::had`]).
    pub(super) known: Past,
    /// The id that its client gave.
    pub(super) given: Option<String>,
}

/// See the module.
pub(super) struct InboxStream {
    inner: EventStream<InboxSession>,
    here: Here,
    progress: Arc<Progress>,
    manner: Manner,
    first: Option<Bytes>,
    replay: std::vec::IntoIter<Event>,
    known: Past,
    last: Position,
    began: Instant,
    blocks: u64,
}

impl InboxStream {
    /// The body of the stream whose outbox and session are `inner`.
    pub fn new(
        inner: EventStream<InboxSession>,
        here: Here,
        progress: Arc<Progress>,
        manner: Manner,
        opening: Opening,
    ) -> Self {
        let last = Position {
            ms: now_ms(),
            mark: opening.start,
        };
        let mut stream = Self {
            inner,
            here,
            progress,
            manner,
            first: None,
            replay: opening.recovery.events.into_iter(),
            known: opening.known,
            last,
            began: Instant::now(),
            blocks: 0,
        };
        let resync = opening
            .recovery
            .resync
            .then(|| stream.resync(opening.given.as_deref().unwrap_or_default()));
        stream.first = Some(
            [stream.connect(), resync.unwrap_or_default()]
                .concat()
                .into(),
        );
        stream
    }

    /// What tells the stream from all others of its node.
    fn key(&self) -> String {
        format!("{}_{}", self.here.user(), self.here.ms())
    }

    fn connect(&self) -> Bytes {
        let mut data = Vec::from(br#"{"key":"#);
        string(&self.key(), &mut data);
        data.extend_from_slice(format!(",\"time\":{}}}", self.here.ms()).as_bytes());
        let retry = rand::random_range(2_000..=6_000_u32);
        let id = format!("{}\nretry: {retry}", self.position());
        block("connect", &data, &id)
    }

    fn resync(&self, after: &str) -> Bytes {
        let mut data = Vec::from(br#"{"after":"#);
        string(after, &mut data);
        data.push(b'}');
        block("resync", &data, &self.position())
    }

    /// Where the client is, as of now.
    fn position(&self) -> String {
        id::of(now_ms(), self.last.mark)
    }

    /// What of `frames` goes out.
    fn pass(&mut self, frames: Bytes) -> Bytes {
        let mut passed: Vec<Bytes> = blocks(&frames)
            .into_iter()
            .filter_map(|block| self.pass_one(block))
            .collect();
        self.blocks += passed.len() as u64;
        match passed.len() {
            0 => Bytes::new(),
            1 => passed.swap_remove(0),
            _ => passed.concat().into(),
        }
    }

    fn pass_one(&mut self, block: Bytes) -> Option<Bytes> {
        if block.starts_with(b":") {
            return self.answer(&block);
        }
        if let Some(position) = id_of(&block) {
            match position.mark {
                Mark::At(place) if self.known.has_at(place) => return None,
                Mark::At(place) => self.had(place),
                Mark::Named(_) => self.last.mark = position.mark,
                Mark::Nothing | Mark::Unknown => {}
            }
            self.last.ms = position.ms;
        }
        Some(block)
    }

    /// What a note is replaced by.
    fn answer(&mut self, note: &[u8]) -> Option<Bytes> {
        match note {
            BEAT if self.manner.heartbeats => {
                let ms = now_ms().to_string();
                Some(block("heartbeat", ms.as_bytes(), &self.position()))
            }
            BEAT => Some(Bytes::from_static(b":\n\n")),
            DRAIN => {
                let most = (self.manner.drain.as_millis() as u64).max(1_000);
                Some(format!("retry: {}\n\n", rand::random_range(1_000..=most)).into())
            }
            RESYNC => Some(self.resync(&id::of(self.last.ms, self.last.mark))),
            _ => None,
        }
    }

    fn had(&mut self, place: Place) {
        let newer = match self.last.mark {
            Mark::At(last) => last.epoch != place.epoch || last.number < place.number,
            Mark::Nothing | Mark::Named(_) | Mark::Unknown => true,
        };
        if newer {
            self.last.mark = Mark::At(place);
        }
    }

    /// What comes before everything new.
    fn opening(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take() {
            tracing::debug!(
                user = &**self.here.user(),
                key = self.key(),
                address = %self.inner.address(),
                "event stream connected"
            );
            self.blocks += 1;
            return Some(first);
        }
        let event = self.replay.next()?;
        self.blocks += 1;
        let written = Blocks.event(&event);
        if let Some(Position {
            mark: Mark::At(place),
            ms,
        }) = id_of(&written)
        {
            self.had(place);
            self.last.ms = ms;
        }
        Some(written)
    }

    fn out(&self, frames: Bytes) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.progress.note(now_ms());
        Poll::Ready(Some(Ok(Frame::data(frames))))
    }
}

impl HttpBody for InboxStream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let stream = self.get_mut();
        if let Some(frames) = stream.opening() {
            return stream.out(frames);
        }
        loop {
            let Some(Ok(frame)) = ready!(Pin::new(&mut stream.inner).poll_frame(cx)) else {
                return Poll::Ready(None);
            };
            let passed = frame
                .into_data()
                .map(|frames| stream.pass(frames))
                .unwrap_or_default();
            if !passed.is_empty() {
                return stream.out(passed);
            }
        }
    }
}

impl Drop for InboxStream {
    fn drop(&mut self) {
        let (key, seconds, blocks, why) = (
            self.key(),
            self.began.elapsed().as_secs(),
            self.blocks,
            self.inner.why(),
        );
        tracing::debug!(key, seconds, blocks, why, "event stream closed");
    }
}

/// The blocks of some frames, each with the empty line at its end.
fn blocks(frames: &Bytes) -> Vec<Bytes> {
    let (mut found, mut start) = (Vec::new(), 0);
    for at in frames
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| *pair == b"\n\n")
        .map(|(at, _)| at)
    {
        found.push(frames.slice(start..at + 2));
        start = at + 2;
    }
    found
}

/// The position that a block's last line tells.
fn id_of(block: &[u8]) -> Option<Position> {
    let lines = block.strip_suffix(b"\n\n")?;
    let start = lines.iter().rposition(|byte| *byte == b'\n')? + 1;
    let id = lines[start..].strip_prefix(b"id: ")?;
    Position::parse(std::str::from_utf8(id).ok()?, u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_come_apart_where_their_empty_lines_are() {
        let frames = Bytes::from_static(b"event: a\ndata: 1\nid: 1764000000000-7.2\n\n:beat\n\n");
        let blocks = blocks(&frames);
        assert_eq!(blocks, [&frames[..frames.len() - 7], b":beat\n\n"]);
        let position = Position {
            ms: 1_764_000_000_000,
            mark: Mark::At(Place {
                epoch: 7,
                number: 2,
            }),
        };
        assert_eq!(
            (id_of(&blocks[0]), id_of(&blocks[1])),
            (Some(position), None)
        );
    }
}
