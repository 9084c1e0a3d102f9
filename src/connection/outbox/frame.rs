//! Frames as they go on the wire.
//!
//! Invariant: a frame is made once, whatever the number of sockets it goes to.

use bytes::{BufMut, Bytes, BytesMut};

/// An unfragmented, unmasked text frame with `payload` (RFC 6455, section 5.2), ready for any number of sockets.
pub fn text_frame(payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(payload.len() + 10);
    frame.put_u8(0x81);
    match payload.len() {
        n @ 0..=125 => frame.put_u8(n as u8),
        n @ 126..=0xffff => {
            frame.put_u8(126);
            frame.put_u16(n as u16);
        }
        n => {
            frame.put_u8(127);
            frame.put_u64(n as u64);
        }
    }
    frame.put_slice(payload);
    frame.freeze()
}

/// Bytes up to which frames that are sent in one go are put together.
const TOGETHER: usize = 16 << 10;

/// A ping with an empty payload.
pub const PING: &[u8] = &[0x89, 0x00];

/// Whole frames in pieces of [`TOGETHER`] bytes; a larger frame is a piece by itself.
pub(super) struct Together<'a>(pub(super) &'a [Bytes]);

impl Iterator for Together<'_> {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let mut bytes = 0;
        let fits = |frame: &&Bytes| {
            bytes += frame.len();
            bytes <= TOGETHER
        };
        let count = self.0.iter().take_while(fits).count().clamp(1, self.0.len().max(1));
        let (piece, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(match piece {
            [one] => one.clone(),
            several => Bytes::from(several.concat()),
        })
    }
}
