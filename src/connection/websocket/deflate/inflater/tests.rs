//! The inflater in front of the parser that it is for.

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
