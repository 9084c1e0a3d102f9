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
mod tests {
    use proptest::prelude::*;
    use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
    use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketContext};
    use tokio_tungstenite::tungstenite::{Bytes as Payload, Message};

    use super::super::super::wire::config;
    use super::super::codec::{Level, deflate};
    use super::*;

    const MOST: usize = 4_096;

    /// The parser, in front of what comes in pieces; what it answers is nobody's.
    struct Pieces<'a> {
        inflater: &'a mut Inflater,
        input: &'a [u8],
    }

    impl io::Read for Pieces<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.inflater.read(&mut self.input, into)
        }
    }

    impl io::Write for Pieces<'_> {
        fn write(&mut self, frames: &[u8]) -> io::Result<usize> {
            Ok(frames.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What the parser finds in `bytes`, which come in pieces of these sizes, one after another and from the start again.
    fn read(bytes: &[u8], sizes: &[usize]) -> Result<Vec<Message>, Error> {
        let mut inflater = Inflater::new(MOST);
        let mut parser = WebSocketContext::new(Role::Server, Some(config(MOST)));
        let (mut found, mut rest, mut sizes) = (Vec::new(), bytes, sizes.iter().cycle());
        while !rest.is_empty() {
            let size = sizes.next().copied().unwrap_or(1).clamp(1, rest.len());
            let (input, behind) = rest.split_at(size);
            rest = behind;
            let mut pieces = Pieces {
                inflater: &mut inflater,
                input,
            };
            loop {
                match parser.read(&mut pieces) {
                    Ok(message) => found.push(message),
                    Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
        }
        assert!(inflater.message.is_none() && inflater.ready.is_empty());
        Ok(found)
    }

    /// A frame as a client sends it.
    fn sent(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [0xa1, 0x02, 0x73, 0xc4];
        let mut frame = match payload.len() {
            length @ 0..=125 => vec![first, 0x80 | length as u8],
            length => [&[first, 0x80 | 126], &(length as u16).to_be_bytes()[..]].concat(),
        };
        frame.extend(mask);
        frame.extend(
            payload
                .iter()
                .zip(mask.iter().cycle())
                .map(|(byte, mask)| byte ^ mask),
        );
        frame
    }

    fn compressed(text: &str) -> Vec<u8> {
        deflate(text.as_bytes(), Level::Search(6))
    }

    /// A compressed message in three parts, the last of them empty, with a ping between them; and others around it.
    fn conversation() -> (Vec<u8>, Vec<Message>) {
        let (long, short) = ("a message that goes on ".repeat(100), "and a short one");
        let message = compressed(&long);
        let (one, two) = message.split_at(message.len() / 3);
        let bytes = [
            sent(0x81, b"as it is"),
            sent(0x41, one),
            sent(0x89, b"in between"),
            sent(0x00, two),
            sent(0x80, b""),
            sent(0xc2, &compressed(short)),
            sent(0x01, b"also in "),
            sent(0x80, b"parts"),
            sent(0xc1, b"\0"),
        ];
        let found = vec![
            Message::text("as it is"),
            Message::Ping(Payload::from_static(b"in between")),
            Message::text(long),
            Message::binary(short.as_bytes().to_vec()),
            Message::text("also in parts"),
            Message::text(""),
        ];
        (bytes.concat(), found)
    }

    #[test]
    fn messages_come_whole_and_in_order_wherever_what_is_sent_is_cut() {
        let (bytes, wanted) = conversation();
        for cut in 1..bytes.len() {
            let found = read(&bytes, &[cut, bytes.len()]).expect("messages");
            assert_eq!(found, wanted, "cut at {cut}");
        }
        assert_eq!(read(&bytes, &[1]).expect("messages"), wanted);
    }

    fn unreadable(bytes: &[u8]) -> Option<Unreadable> {
        match read(bytes, &[MOST]) {
            Err(Error::Io(error)) => error.get_ref()?.downcast_ref().copied(),
            _ => None,
        }
    }

    #[test]
    fn what_is_too_long_is_given_up_compressed_or_inflated() {
        let bomb = compressed(&"x".repeat(MOST + 1));
        assert_eq!(unreadable(&sent(0xc1, &bomb)), Some(Unreadable::TooLong));
        let (one, two) = bomb.split_at(3);
        let parts = [sent(0x41, one), sent(0x80, two)].concat();
        assert_eq!(unreadable(&parts), Some(Unreadable::TooLong));
        // Before it is here.
        let head = &sent(0xc1, &[0; MOST + 1])[..8];
        assert_eq!(unreadable(head), Some(Unreadable::TooLong));
        let parts = [sent(0x41, &[0; MOST]), sent(0x80, b"x")[..6].to_vec()].concat();
        assert_eq!(unreadable(&parts), Some(Unreadable::TooLong));
        let longest = "x".repeat(MOST);
        let found = read(&sent(0xc1, &compressed(&longest)), &[MOST]).expect("a message");
        assert_eq!(found, [Message::text(longest)]);
    }

    #[test]
    fn what_is_nothing_compressed_is_an_error_and_what_follows_is_read() {
        let broken = sent(0xc1, b"\xff\xff\xff");
        assert_eq!(unreadable(&broken), Some(Unreadable::Broken));
        let mut inflater = Inflater::new(MOST);
        let (bytes, mut into) = ([broken, sent(0x88, b"")].concat(), [0; 16]);
        let mut input = &bytes[..];
        assert!(inflater.read(&mut input, &mut into).is_err());
        assert_eq!(inflater.read(&mut input, &mut into).ok(), Some(6));
        assert_eq!(into[..2], [0x88, 0x80]);
    }

    #[test]
    fn what_breaks_the_protocol_the_parser_refuses() {
        let whole = compressed("a message");
        let (one, two) = whole.split_at(4);
        let [begun, goes_on] = [sent(0x41, one), sent(0x00, two)];
        let reserved = |frame: Vec<u8>| match read(&frame, &[MOST]) {
            Err(Error::Protocol(error)) => error,
            other => panic!("{other:?} of {frame:x?}"),
        };
        for frame in [
            sent(0xc9, b"a ping"),
            sent(0xe1, &whole),
            sent(0xd1, &whole),
            [begun.clone(), sent(0xc0, two)].concat(),
            sent(0xa1, b"text"),
        ] {
            assert_eq!(reserved(frame), ProtocolError::NonZeroReservedBits);
        }
        for inside in [sent(0x81, b"text"), sent(0xc1, &whole), sent(0x41, one)] {
            let error = reserved([begun.clone(), goes_on.clone(), inside].concat());
            assert_eq!(error, ProtocolError::ExpectedFragment(Data::Text));
        }
        let inside = [sent(0x01, b"plain"), sent(0xc1, &whole)].concat();
        assert_eq!(
            reserved(inside),
            ProtocolError::ExpectedFragment(Data::Text)
        );
        assert_eq!(
            reserved(sent(0x80, two)),
            ProtocolError::UnexpectedContinueFrame
        );
        assert_eq!(
            reserved(sent(0xc3, &whole)),
            ProtocolError::InvalidOpcode(3)
        );
        let bare = [&[0xc1, whole.len() as u8], &whole[..]].concat();
        assert_eq!(reserved(bare), ProtocolError::UnmaskedFrameFromClient);
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_bytes_come(sizes in prop::collection::vec(1..80_usize, 1..20)) {
            let (bytes, wanted) = conversation();
            prop_assert_eq!(read(&bytes, &sizes).expect("messages"), wanted);
        }

        #[test]
        fn whatever_comes_ends_in_messages_or_an_error(
            frames in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..200)), 0..8),
        ) {
            let bytes: Vec<u8> = frames.iter().flat_map(|(first, payload)| sent(*first, payload)).collect();
            let mut inflater = Inflater::new(MOST);
            let (mut input, mut into) = (&bytes[..], [0; 64]);
            while let Ok(count) = inflater.read(&mut input, &mut into) {
                prop_assert!(count > 0 && inflater.ready.len() <= MOST + HEAD);
            }
        }
    }
}
