//! A message, compressed and back (RFC 7692, section 7.2; RFC 1951).
//!
//! Invariants: nothing is inflated beyond its bound, whatever it would come to; a message depends on none before it.

use std::cell::RefCell;

use miniz_oxide::DataFormat;
use miniz_oxide::deflate::core::{
    CompressionStrategy, CompressorOxide, TDEFLFlush, compress_to_output,
};
use miniz_oxide::inflate::{TINFLStatus, decompress_to_vec_with_limit};

/// What a flush ends with; it is left out of a message.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// A last block without content: what a message has none of, and its reader needs.
const LAST: [u8; 5] = [1, 0, 0, 0xff, 0xff];
/// How far back what is repeated may lie: 32 KiB, as a power of two.
pub(super) const WINDOW_BITS: u8 = 15;

/// How hard is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Nothing that is repeated is looked for; frequent bytes become short.
    Huffman,
    /// From 1, fast, to 9, small; 0 compresses nothing.
    Search(u8),
}

/// Why a compressed message is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It comes to more than it may.
    #[error("a compressed message is too long")]
    TooLong,
    /// It is nothing that was compressed.
    #[error("a compressed message is broken")]
    Broken,
}

thread_local! {
    /// Some 300 KiB, for each thread that compresses. All of a node's connections are of one level.
    static COMPRESSOR: RefCell<Option<(Level, Box<CompressorOxide>)>> = const { RefCell::new(None) };
}

/// A message's payload, compressed.
pub(super) fn deflate(text: &[u8], level: Level) -> Vec<u8> {
    COMPRESSOR.with_borrow_mut(|kept| {
        if kept.as_ref().is_none_or(|(other, _)| *other != level) {
            *kept = Some((level, Box::new(compressor(level))));
        }
        let mut compressed = Vec::with_capacity(text.len() / 2 + 16);
        if let Some((_, compressor)) = kept {
            // A full flush forgets what was compressed, so that the next message does not refer to it.
            compress_to_output(compressor, text, TDEFLFlush::Full, |piece| {
                compressed.extend_from_slice(piece);
                true
            });
        }
        debug_assert!(compressed.ends_with(&TAIL));
        compressed.truncate(compressed.len().saturating_sub(TAIL.len()));
        compressed
    })
}

fn compressor(level: Level) -> CompressorOxide {
    let (strategy, level) = match level {
        Level::Huffman => (CompressionStrategy::HuffmanOnly, 1),
        Level::Search(level) => (CompressionStrategy::Default, level),
    };
    CompressorOxide::with_params(DataFormat::Raw, level, strategy, WINDOW_BITS)
}

/// What was compressed, `most` bytes of it at most.
///
/// # Errors
/// [`Unreadable`]
pub fn inflate(mut compressed: Vec<u8>, most: usize) -> Result<Vec<u8>, Unreadable> {
    compressed.extend_from_slice(&TAIL);
    compressed.extend_from_slice(&LAST);
    // One byte more than it may be shows that it is more.
    match decompress_to_vec_with_limit(&compressed, most.saturating_add(1)) {
        Ok(text) if text.len() <= most => Ok(text),
        Ok(_) => Err(Unreadable::TooLong),
        Err(error) if error.status == TINFLStatus::HasMoreOutput => Err(Unreadable::TooLong),
        Err(_) => Err(Unreadable::Broken),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LEVELS: [Level; 5] = [
        Level::Huffman,
        Level::Search(0),
        Level::Search(1),
        Level::Search(6),
        Level::Search(9),
    ];

    #[test]
    fn the_rfcs_examples_are_read() {
        // RFC 7692, sections 7.2.3.1 to 7.2.3.5: by itself, in a block without compression, in a last block, in two blocks.
        for hello in [
            &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..],
            &[
                0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00,
            ],
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
            &[
                0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
            ],
        ] {
            assert_eq!(
                inflate(hello.to_vec(), 5),
                Ok(b"Hello".to_vec()),
                "{hello:x?}"
            );
        }
        assert_eq!(
            inflate(vec![0x00], 0),
            Ok(Vec::new()),
            "nothing, section 7.2.3.6"
        );
    }

    #[test]
    fn a_message_refers_to_none_before_it() {
        for level in LEVELS {
            for round in 0..40 {
                let text = b"the same words, and the same words again".repeat(round);
                let compressed = deflate(&text, level);
                assert_eq!(inflate(compressed, text.len()), Ok(text), "{level:?}");
            }
        }
    }

    #[test]
    fn what_comes_to_too_much_is_given_up_at_the_bound() {
        let most = 65_536;
        for (length, wanted) in [
            (most, None),
            (most + 1, Some(Unreadable::TooLong)),
            (1_000 * most, Some(Unreadable::TooLong)),
        ] {
            let bomb = deflate(&vec![b' '; length], Level::Search(9));
            assert_eq!(inflate(bomb, most).err(), wanted, "{length}");
        }
    }

    proptest! {
        #[test]
        fn what_is_compressed_comes_back_each_by_itself(
            texts in prop::collection::vec(
                prop_oneof![prop::collection::vec(any::<u8>(), 0..3_000), prop::collection::vec(b'a'..b'd', 0..70_000)], 1..4),
            level in prop::sample::select(LEVELS.to_vec()),
        ) {
            for text in texts {
                prop_assert_eq!(inflate(deflate(&text, level), text.len()), Ok(text));
            }
        }

        #[test]
        fn whatever_comes_is_read_within_the_bound_or_refused(compressed in prop::collection::vec(any::<u8>(), 0..2_000)) {
            prop_assert!(inflate(compressed, 1_000).map_or(true, |text| text.len() <= 1_000));
        }
    }
}
