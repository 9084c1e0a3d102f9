//! What comes in from clients that compress: their compressed messages become frames that the parser knows.
//!
//! Invariants: all else goes through as it came, in order, and is the parser's to judge; a message is kept as it came until it
//! is whole, so that it takes what it is counted for; it is inflated when the parser asks for it, one at a time, and never
//! beyond the longest message.

use std::io::{self, Cursor};

use bytes::{Buf, Bytes};
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::codec::{Unreadable, inflate};

/// The longest head of a frame: two bytes, eight of length, four of the mask.
const HEAD: usize = 14;

/// A frame whose payload is under way.
enum Frame {
    /// It goes through; so many bytes are still to come.
    Passing(u64),
    /// It is part of a compressed message.
    Part(Part),
}

struct Part {
    /// Bytes still to come.
    left: u64,
    opcode: OpCode,
    is_last: bool,
    /// For the next byte and those behind it.
    mask: [u8; 4],
}

/// See the module's description. One for each connection that compresses; idle, it holds nothing but itself.
pub(in crate::connection::websocket) struct Inflater {
    /// The longest message, as it came and inflated.
    most: usize,
    head: [u8; HEAD],
    /// How much of the head is here.
    have: usize,
    /// `None` while a head is under way.
    frame: Option<Frame>,
    /// A compressed message that has begun.
    message: Option<Vec<u8>>,
    /// What the parser reads next.
    ready: Bytes,
}

impl Inflater {
    /// Nothing has come. Messages have `most` bytes at most.
    pub(in crate::connection::websocket) fn new(most: usize) -> Self {
        Self {
            most,
            head: [0; HEAD],
            have: 0,
            frame: None,
            message: None,
            ready: Bytes::new(),
        }
    }

    /// Forgets what has come.
    pub(in crate::connection::websocket) fn clear(&mut self) {
        *self = Self::new(self.most);
    }

    /// Fills `into` with what the parser is to read next, and takes of `input` what that needs.
    ///
    /// # Errors
    /// `WouldBlock` where more has to come; [`Unreadable`] inside of another one.
    pub(in crate::connection::websocket) fn read(
        &mut self,
        input: &mut &[u8],
        into: &mut [u8],
    ) -> io::Result<usize> {
        loop {
            if !self.ready.is_empty() {
                return Ok(self.hand_out(into));
            }
            if input.is_empty() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let taken = match self.frame.take() {
                None => self.take_head(input),
                Some(Frame::Part(part)) => self.take_part(part, input),
                Some(Frame::Passing(left)) => {
                    let count = at_most(left, input.len().min(into.len()));
                    input.copy_to_slice(&mut into[..count]);
                    self.pass(left - count as u64);
                    return Ok(count);
                }
            };
            taken.map_err(|unreadable| io::Error::new(io::ErrorKind::InvalidData, unreadable))?;
        }
    }

    fn hand_out(&mut self, into: &mut [u8]) -> usize {
        let count = self.ready.len().min(into.len());
        self.ready.copy_to_slice(&mut into[..count]);
        if self.ready.is_empty() {
            // A large message must not stay behind.
            self.ready = Bytes::new();
        }
        count
    }

    fn take_head(&mut self, input: &mut &[u8]) -> Result<(), Unreadable> {
        let (had, more) = (self.have, input.len().min(HEAD - self.have));
        self.have += more;
        self.head[had..self.have].copy_from_slice(&input[..more]);
        let mut cursor = Cursor::new(&self.head[..self.have]);
        let (head, begun) = match FrameHeader::parse(&mut cursor) {
            Ok(None) => {
                input.advance(more);
                return Ok(());
            }
            Ok(begun) => (cursor.position() as usize, begun),
            // The parser will say what is wrong with it.
            Err(_) => (self.have, None),
        };
        input.advance(head - had);
        self.have = 0;
        let part = begun
            .as_ref()
            .and_then(|(header, length)| self.part(header, *length));
        if let Some(part) = part {
            return self.begin(part);
        }
        self.ready = Bytes::copy_from_slice(&self.head[..head]);
        self.pass(begun.map_or(0, |(_, length)| length));
        Ok(())
    }

    /// What a frame is of a compressed message; `None`: nothing.
    fn part(&self, header: &FrameHeader, length: u64) -> Option<Part> {
        let begins =
            header.rsv1 && matches!(header.opcode, OpCode::Data(Data::Text | Data::Binary));
        let goes_on =
            self.message.is_some() && !header.rsv1 && header.opcode == OpCode::Data(Data::Continue);
        let is_part = (begins || goes_on) && !header.rsv2 && !header.rsv3;
        let part = |mask| Part {
            left: length,
            opcode: header.opcode,
            is_last: header.is_final,
            mask,
        };
        header.mask.filter(|_| is_part).map(part)
    }

    fn begin(&mut self, part: Part) -> Result<(), Unreadable> {
        if part.opcode != OpCode::Data(Data::Continue) {
            self.message = Some(Vec::new());
            if !part.is_last {
                // So the parser knows that a message is under way, and judges what comes in the midst of it.
                self.ready = frame(part.opcode, false, b"");
            }
        }
        let held = self.message.as_ref().map_or(0, Vec::len) as u64;
        if held.saturating_add(part.left) > self.most as u64 {
            self.message = None;
            return Err(Unreadable::TooLong);
        }
        self.go_on(part)
    }

    fn take_part(&mut self, mut part: Part, input: &mut &[u8]) -> Result<(), Unreadable> {
        let count = at_most(part.left, input.len());
        let masked = input[..count].iter().zip(part.mask.iter().cycle());
        let message = self.message.get_or_insert_default();
        message.extend(masked.map(|(byte, mask)| byte ^ mask));
        input.advance(count);
        part.left -= count as u64;
        part.mask.rotate_left(count % 4);
        self.go_on(part)
    }

    /// More of a part is to come, or it is here, and with the last one the message.
    fn go_on(&mut self, part: Part) -> Result<(), Unreadable> {
        if part.left > 0 {
            self.frame = Some(Frame::Part(part));
        } else if part.is_last {
            let message = self.message.take().unwrap_or_default();
            self.ready = frame(part.opcode, true, &inflate(message, self.most)?);
        }
        Ok(())
    }

    fn pass(&mut self, left: u64) {
        self.frame = (left > 0).then_some(Frame::Passing(left));
    }
}

fn at_most(left: u64, room: usize) -> usize {
    usize::try_from(left).unwrap_or(usize::MAX).min(room)
}

/// A frame as a client sends it that does not compress. Its mask changes nothing.
fn frame(opcode: OpCode, is_final: bool, payload: &[u8]) -> Bytes {
    let header = FrameHeader {
        opcode,
        is_final,
        mask: Some([0; 4]),
        ..FrameHeader::default()
    };
    let length = payload.len() as u64;
    let mut frame = Vec::with_capacity(header.len(length) + payload.len());
    // Writing to a vector does not fail.
    let _ = header.format(length, &mut frame);
    frame.extend_from_slice(payload);
    frame.into()
}

#[cfg(test)]
mod tests;
