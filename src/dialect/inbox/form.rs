//! Bodies of the type `application/x-www-form-urlencoded`, as pages and backends send them.
//!
//! Invariants: pure; a broken escape stands as it is; bytes that are not UTF-8 become U+FFFD.

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// The fields of a form, in their order.
pub fn fields(body: &[u8]) -> Vec<(String, String)> {
    pieces(body)
        .map(split)
        .map(|(key, value)| (decode(key), decode(value)))
        .collect()
}

/// The pieces between ampersands that are not empty.
pub fn pieces(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    body.split(|byte| *byte == b'&')
        .filter(|piece| !piece.is_empty())
}

/// A piece before and behind its first equals sign.
pub fn split(piece: &[u8]) -> (&[u8], &[u8]) {
    match piece.iter().position(|byte| *byte == b'=') {
        Some(at) => (&piece[..at], &piece[at + 1..]),
        None => (piece, b""),
    }
}

/// A piece's text: a plus is a blank, `%XX` a byte.
pub fn decode(piece: &[u8]) -> String {
    let blank = |byte: &u8| if *byte == b'+' { b' ' } else { *byte };
    text(percent_decoded(
        &piece.iter().map(blank).collect::<Vec<_>>(),
    ))
}

/// Text with `%XX` for bytes, and nothing else that is special.
pub(super) fn percent_decoded(text: &[u8]) -> Vec<u8> {
    percent_decode(text).collect()
}

/// Whether each `%` begins an escape.
pub(super) fn escapes_are_whole(text: &[u8]) -> bool {
    let marks = text.iter().enumerate().filter(|(_, byte)| **byte == b'%');
    marks.map(|(at, _)| at).all(|at| {
        let digits = text.get(at + 1..at + 3);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

/// The text that bytes stand for.
pub fn text(bytes: Vec<u8>) -> String {
    match String::from_utf8_lossy(&bytes) {
        Cow::Borrowed(_) => String::from_utf8(bytes).unwrap_or_default(),
        Cow::Owned(mended) => mended,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_cut_and_decoded() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(
            fields(b"&a=1=2&&b&=c&d+e=%ED%95%9C%"),
            [
                pair("a", "1=2"),
                pair("b", ""),
                pair("", "c"),
                pair("d e", "한%"),
            ]
        );
        assert_eq!(decode(b"%zz%4"), "%zz%4");
        assert_eq!(decode(b"%ff"), "\u{fffd}");
        assert!(
            escapes_are_whole(b"%41b") && !escapes_are_whole(b"%zz") && !escapes_are_whole(b"a%4")
        );
    }
}
