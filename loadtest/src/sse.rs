//! Event streams, just what a load generator needs: the chunks of HTTP/1.1 (RFC 9112, 7.1), and in them the blocks of Server-Sent
//! Events (WHATWG HTML, 9.2).
//!
//! Invariant: a block is given once, when all of it has arrived; one that came whole in one chunk is not copied. Lines are taken to
//! end in LF, as all the servers measured end theirs.

/// The body of a stream, as far as it has come.
#[derive(Debug, Default)]
pub struct Body {
    chunked: bool,
    /// The begin of a block that the next chunk goes on with.
    rest: Vec<u8>,
}

/// Nothing more comes of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// The last chunk has come.
    #[error("the stream ended")]
    Last,
    /// What came is no chunk.
    #[error("the body's chunks are broken")]
    Broken,
}

impl Body {
    /// One of which nothing has come.
    pub fn new(chunked: bool) -> Self {
        let rest = Vec::new();
        Self { chunked, rest }
    }

    /// Gives each block that is whole to `on`, which says whether to go on; how many bytes of `b` are done with. Those that are not
    /// are to come again, with more behind them.
    ///
    /// # Errors
    /// When the body has ended.
    pub fn take(&mut self, b: &[u8], mut on: impl FnMut(&[u8]) -> bool) -> Result<usize, Ended> {
        if !self.chunked {
            return Ok(blocks(b, &mut on).unwrap_or(b.len()));
        }
        let mut at = 0;
        while let Some(c) = chunk(&b[at..])? {
            if c.len == 0 {
                return Err(Ended::Last);
            }
            let text = &b[at + c.head..at + c.head + c.len];
            at += c.size();
            if !self.go_on(text, &mut on) {
                break;
            }
        }
        Ok(at)
    }

    /// A chunk's text; false when no more is wanted.
    fn go_on(&mut self, text: &[u8], on: &mut impl FnMut(&[u8]) -> bool) -> bool {
        let mut all = std::mem::take(&mut self.rest);
        let text = if all.is_empty() {
            text
        } else {
            all.extend_from_slice(text);
            &all
        };
        let done = blocks(text, on);
        self.rest = text[done.unwrap_or(text.len())..].to_vec();
        done.is_some()
    }
}

/// Gives each block that is whole to `on`; their bytes, or `None` when no more is wanted.
fn blocks(b: &[u8], on: &mut impl FnMut(&[u8]) -> bool) -> Option<usize> {
    let mut at = 0;
    while let Some(size) = block(&b[at..]) {
        if !on(&b[at..at + size]) {
            return None;
        }
        at += size;
    }
    Some(at)
}

/// Where one chunk lies in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Chunk {
    /// Bytes of the line before the text.
    head: usize,
    /// Bytes of text; none in the last chunk.
    len: usize,
}

impl Chunk {
    /// Bytes of the whole chunk, the line end behind it included.
    fn size(&self) -> usize {
        self.head + self.len + 2
    }
}

/// The line before a chunk's text is no longer than this, in bytes.
const LONGEST_HEAD: usize = 256;
/// So many digits fit any length that a machine has memory for.
const MOST_DIGITS: usize = 12;

/// Reads the chunk at the start of `b`; `None` while some of it is missing. Of the last one only the line is looked at.
fn chunk(b: &[u8]) -> Result<Option<Chunk>, Ended> {
    let Some(end) = memchr::memchr(b'\n', &b[..b.len().min(LONGEST_HEAD)]) else {
        return if b.len() < LONGEST_HEAD {
            Ok(None)
        } else {
            Err(Ended::Broken)
        };
    };
    let line = b[..end].strip_suffix(b"\r").ok_or(Ended::Broken)?;
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
    let (head, len) = (end + 1, hex(digits.trim_ascii()).ok_or(Ended::Broken)?);
    let chunk = Chunk { head, len };
    if len == 0 {
        return Ok(Some(chunk));
    }
    match b.get(head + len..chunk.size()) {
        None => Ok(None),
        Some(b"\r\n") => Ok(Some(chunk)),
        Some(_) => Err(Ended::Broken),
    }
}

/// The text of a whole body in chunks at the start of `b`, and the body's bytes; `None` while some of it is missing.
///
/// # Errors
/// When it is no such body.
pub fn in_chunks(b: &[u8]) -> Result<Option<(Vec<u8>, usize)>, Ended> {
    let (mut text, mut at) = (Vec::new(), 0);
    while let Some(c) = chunk(&b[at..])? {
        if c.len == 0 {
            // Nothing stands between the last one and the blank line: nobody here sends trailers.
            return Ok((b.len() >= at + c.size()).then_some((text, at + c.size())));
        }
        text.extend_from_slice(&b[at + c.head..at + c.head + c.len]);
        at += c.size();
    }
    Ok(None)
}

fn hex(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || digits.len() > MOST_DIGITS {
        return None;
    }
    digits.iter().try_fold(0, |n, digit| {
        (*digit as char).to_digit(16).map(|d| n << 4 | d as usize)
    })
}

/// The bytes of the block at the start of `b`, the blank line behind it included; `None` while some of it is missing.
fn block(b: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'\n', b)
        .find(|at| b.get(at + 1) == Some(&b'\n'))
        .map(|at| at + 2)
}

/// Whether a block only says that the server lives: a comment, or an event of that name.
pub fn is_sign_of_life(block: &[u8]) -> bool {
    [&b":"[..], b"event: heartbeat\n", b"event: ping\n"]
        .iter()
        .any(|begin| block.starts_with(begin))
}

/// What a block that only says when to come again says, in milliseconds. A server that cannot take a stream begins with it.
pub fn retry(block: &[u8]) -> Option<u64> {
    let number = block.strip_prefix(b"retry:")?.trim_ascii();
    std::str::from_utf8(number).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_given_when_all_of_it_is_there() {
        let whole = b"1a;name=value\r\nabcdefghijklmnopqrstuvwxyz\r\n";
        for cut in 0..whole.len() {
            assert_eq!(chunk(&whole[..cut]), Ok(None), "{cut}");
        }
        let c = chunk(&[&whole[..], b"5\r\n"].concat()).unwrap().unwrap();
        assert_eq!((c.head, c.len, c.size()), (15, 26, whole.len()));
        assert_eq!(chunk(b"0\r\n"), Ok(Some(Chunk { head: 3, len: 0 })));
    }

    #[test]
    fn what_is_no_chunk_is_told() {
        for broken in [
            &b"\r\n"[..],
            b"+5\r\nabcde\r\n",
            b"5\nabcde\r\n",
            b"5\r\nabcdefg",
            b"fffffffffffff\r\n",
            &[b'1'; LONGEST_HEAD],
        ] {
            assert_eq!(chunk(broken), Err(Ended::Broken), "{broken:?}");
        }
    }

    #[test]
    fn blocks_come_whole_and_once_wherever_they_are_cut() {
        let plain = b": hi\n\nevent: a\ndata: 1\n\ndata: 2\n\ndata".to_vec();
        let want = [&plain[..6], &plain[6..24], &plain[24..33]];
        for piece in 1..plain.len() {
            let chunks = plain.chunks(piece).map(|text| {
                let head = format!("{:x}\r\n", text.len()).into_bytes();
                [&head, text, b"\r\n"].concat()
            });
            for (chunked, wire) in [
                (true, chunks.collect::<Vec<_>>().concat()),
                (false, plain.clone()),
            ] {
                let (mut body, mut got, mut rest) = (Body::new(chunked), Vec::new(), Vec::new());
                for read in wire.chunks(7) {
                    rest.extend_from_slice(read);
                    let take = |block: &[u8]| {
                        got.push(block.to_vec());
                        true
                    };
                    let done = body.take(&rest, take).unwrap();
                    rest.drain(..done);
                }
                assert_eq!(got, want, "chunks of {piece}: {chunked}");
            }
        }
    }

    #[test]
    fn a_body_ends_with_its_last_chunk_and_says_no_more_when_told() {
        let mut got = 0;
        let wire = b"3\r\n:\n\n\r\n3\r\n:\n\n\r\n0\r\n\r\n";
        let count = |_: &[u8]| {
            got += 1;
            true
        };
        assert_eq!(Body::new(true).take(wire, count), Err(Ended::Last));
        assert_eq!(got, 2);
        assert_eq!(Body::new(true).take(wire, |_| false), Ok(8));
    }

    #[test]
    fn a_body_in_chunks_is_read_when_it_is_whole() {
        let wire = b"3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n";
        for cut in 0..wire.len() {
            assert_eq!(in_chunks(&wire[..cut]), Ok(None), "{cut}");
        }
        let next = [&wire[..], b"HTTP/1.1 200 OK"].concat();
        assert_eq!(in_chunks(&next), Ok(Some((b"abcde".to_vec(), wire.len()))));
        assert_eq!(in_chunks(b"zz\r\n"), Err(Ended::Broken));
    }

    #[test]
    fn blocks_end_with_a_blank_line() {
        assert_eq!(block(b"event: a\ndata: 1\n"), None);
        assert_eq!(block(b"event: a\ndata: 1\n\nevent: b\n\n"), Some(18));
        assert_eq!(block(b":\n\n"), Some(3));
    }

    #[test]
    fn signs_of_life_and_later_tries() {
        for (text, alive, again) in [
            (&b": hi\n\n"[..], true, None),
            (b"event: heartbeat\ndata: 5\n\n", true, None),
            (b"event: ping\n\n", true, None),
            (b"retry: 7000\n\n", false, Some(7000)),
            (b"event: connect\ndata: {}\nretry: 3000\n\n", false, None),
            (b"event: pingpong\ndata: 1\n\n", false, None),
        ] {
            assert_eq!((is_sign_of_life(text), retry(text)), (alive, again));
        }
    }
}
