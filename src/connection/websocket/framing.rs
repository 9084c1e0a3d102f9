//! WebSocket frames as a server writes them (RFC 6455, section 5.2): unmasked, never fragmented.
//!
//! Invariant: a frame is made once, whatever the number of sockets it goes to.

use bytes::Bytes;

use crate::buffer::Buffer;

/// A ping with an empty payload.
pub const PING: &[u8] = &[0x89, 0x00];

/// The first byte of a text frame.
const TEXT: u8 = 0x81;
/// That of a compressed one (RFC 7692, section 6).
const COMPRESSED_TEXT: u8 = TEXT | 0x40;

/// A text frame whose payload is `parts`, one after the other.
pub fn text_frame(parts: &[&[u8]]) -> Bytes {
    frame(TEXT, parts)
}

/// A text frame whose payload is compressed.
pub(super) fn compressed_frame(payload: &[u8]) -> Bytes {
    frame(COMPRESSED_TEXT, &[payload])
}

/// Whether a frame's payload is compressed.
pub(super) fn is_compressed(frame: &[u8]) -> bool {
    frame.first() == Some(&COMPRESSED_TEXT)
}

fn frame(first: u8, parts: &[&[u8]]) -> Bytes {
    let length = parts.iter().map(|part| part.len()).sum::<usize>();
    let mut frame = Buffer::with_room(length + 10);
    match length {
        n @ 0..=125 => frame.put(&[first, n as u8]),
        n @ 126..=0xffff => {
            frame.put(&[first, 126]);
            frame.put(&(n as u16).to_be_bytes());
        }
        n => {
            frame.put(&[first, 127]);
            frame.put(&(n as u64).to_be_bytes());
        }
    }
    parts.iter().for_each(|part| frame.put(part));
    frame.freeze()
}

/// The payload of a frame that was made here.
pub fn payload(frame: &[u8]) -> &[u8] {
    let header = match frame.get(1) {
        Some(127) => 10,
        Some(126) => 4,
        _ => 2,
    };
    frame.get(header..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_as_the_rfc_says() {
        for (length, header) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            let text = vec![b'x'; length];
            let (one, two) = text.split_at(length / 2);
            let frame = text_frame(&[one, two]);
            assert_eq!(frame.len(), length + header);
            assert_eq!(payload(&frame), text);
        }
    }
}
