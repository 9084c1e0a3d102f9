//! The blocks of an event stream, read as they come in.
//!
//! Invariants: pure; a block counts once its empty line is there, whatever pieces it came in.

/// What is no longer taken for a block, in bytes.
const LONGEST: usize = 64 << 20;

/// One block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// What it is called; empty: nothing.
    pub(in crate::cli) event: String,
    /// Its data; several lines are joined.
    pub(in crate::cli) data: String,
    /// The id that it sets.
    pub(in crate::cli) id: Option<String>,
    /// How long to wait before coming back, milliseconds.
    pub(in crate::cli) retry: Option<u64>,
}

/// What came and is not a block yet.
#[derive(Default)]
pub struct Reader {
    bytes: Vec<u8>,
}

impl Reader {
    /// Takes what came; `None`: this is no event stream any more.
    pub fn take(&mut self, bytes: &[u8]) -> Option<Vec<Block>> {
        // An empty line may have begun in what came before.
        let mut looked = self.bytes.len().saturating_sub(1);
        self.bytes.extend_from_slice(bytes);
        let mut found = Vec::new();
        let mut start = 0;
        while let Some(at) = self.bytes[looked..]
            .windows(2)
            .position(|pair| pair == b"\n\n")
        {
            let end = looked + at;
            found.extend(read(&self.bytes[start..end]));
            start = end + 2;
            looked = start;
        }
        self.bytes.drain(..start);
        (self.bytes.len() <= LONGEST).then_some(found)
    }
}

/// `None`: nothing but comments.
fn read(bytes: &[u8]) -> Option<Block> {
    let (text, mut block) = (String::from_utf8_lossy(bytes), Block::default());
    let mut lines = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with(':')) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut block.event),
            "data" => lines.push(value),
            "id" => block.id = Some(value.to_owned()),
            "retry" => block.retry = value.parse().ok(),
            _ => {}
        }
    }
    block.data = lines.join("\n");
    (block != Block::default()).then_some(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_the_same_whatever_pieces_they_come_in() {
        let text = "event: connect\ndata: {}\nid: 1-a\nretry: 2000\n\n:\n\nevent: notify\ndata: 한\ndata:b\n\nretry: 7\n\n";
        let block = |event: &str, data: &str, id: Option<&str>, retry| Block {
            event: event.to_owned(),
            data: data.to_owned(),
            id: id.map(str::to_owned),
            retry,
        };
        let expected = [
            block("connect", "{}", Some("1-a"), Some(2_000)),
            block("notify", "한\nb", None, None),
            block("", "", None, Some(7)),
        ];
        for size in 1..=text.len() {
            let mut reader = Reader::default();
            let found: Vec<Block> = text
                .as_bytes()
                .chunks(size)
                .flat_map(|piece| reader.take(piece).unwrap())
                .collect();
            assert_eq!(found, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn what_never_ends_is_no_stream() {
        let mut reader = Reader::default();
        assert!(reader.take(&vec![b'x'; LONGEST]).is_some() && reader.take(b"x").is_none());
    }
}
