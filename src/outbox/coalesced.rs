//! Frames that are sent in one go, put together.
//!
//! Invariant: frames stay whole and in order.

use bytes::Bytes;

/// Bytes up to which frames are put together.
const TOGETHER: usize = 16 << 10;

/// Whole frames in pieces of [`TOGETHER`] bytes; a larger frame is a piece by itself.
pub(super) struct Coalesced<'a>(pub(super) &'a [Bytes]);

impl Iterator for Coalesced<'_> {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let mut bytes = 0;
        let fits = |frame: &&Bytes| {
            bytes += frame.len();
            bytes <= TOGETHER
        };
        let count = self
            .0
            .iter()
            .take_while(fits)
            .count()
            .clamp(1, self.0.len().max(1));
        let (piece, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(match piece {
            [one] => one.clone(),
            several => Bytes::from(several.concat()),
        })
    }
}
