//! The events of a run: their libraries' ids, their text, and the stamp inside by which a receiver knows them.
//!
//! An event is an ordinary `repo-update`. Its `commit_id` has the shape of a real one, 40 hex digits: the run (8), the
//! library (8), the event's number within that library (8, from 1), the time it was posted (16, [`crate::clock`]).
//!
//! Invariant: a receiver finds the stamp with one search and without parsing JSON.

use memchr::memmem;
use std::fmt::Write;

/// What an event says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The run it belongs to: events of other runs are counted apart.
    pub run: u32,
    /// The library's number.
    pub channel: u32,
    /// The event's number within its library, from 1.
    pub seq: u32,
    /// When it was handed to the sender, in nanoseconds of the common clock.
    pub at_ns: u64,
}

/// Which of a library's `posters` an event is of, by its number: they take turns, so that each has numbers of its own.
pub fn poster(seq: u32, posters: u32) -> usize {
    (seq % posters) as usize
}

/// The id of a run's library.
pub fn repo(run: u32, channel: u32) -> String {
    format!("{run:08x}-0000-4000-8000-0000{channel:08x}")
}

/// What stands before a stamp.
pub const MARK: &[u8] = br#""commit_id":""#;

/// Writes an event's body over `out`. `pad` bytes of filling make it larger than the usual 150.
pub fn body(out: &mut String, s: Stamp, pad: usize) {
    out.clear();
    let Stamp {
        run,
        channel,
        seq,
        at_ns,
    } = s;
    let repo = repo(run, channel);
    write!(out, r#"{{"type":"repo-update","content":{{"repo_id":"{repo}","commit_id":"{run:08x}{channel:08x}{seq:08x}{at_ns:016x}""#)
        .expect("writing to a string cannot fail");
    if pad > 0 {
        out.push_str(r#","filling":""#);
        out.extend(std::iter::repeat_n('x', pad));
        out.push('"');
    }
    out.push_str("}}");
}

fn hex(b: &[u8]) -> Option<u64> {
    b.iter().try_fold(0u64, |n, c| {
        (*c as char).to_digit(16).map(|d| n << 4 | u64::from(d))
    })
}

/// Finds the stamp in what a client received.
pub fn find(finder: &memmem::Finder<'_>, payload: &[u8]) -> Option<Stamp> {
    let at = finder.find(payload)? + MARK.len();
    let b = payload.get(at..at + 40)?;
    Some(Stamp {
        run: hex(&b[..8])? as u32,
        channel: hex(&b[8..16])? as u32,
        seq: hex(&b[16..24])? as u32,
        at_ns: hex(&b[24..])?,
    })
}

/// The searcher [`find`] wants; made once.
pub fn finder() -> memmem::Finder<'static> {
    memmem::Finder::new(MARK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_survives_the_way() {
        let s = Stamp {
            run: 0xdead_beef,
            channel: 17,
            seq: 4_000_000_000,
            at_ns: 0x1234_5678_9abc,
        };
        for pad in [0, 5000] {
            let mut text = String::new();
            body(&mut text, s, pad);
            let v: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(v["type"], "repo-update");
            assert_eq!(v["content"]["repo_id"], repo(s.run, s.channel));
            assert_eq!(v["content"]["commit_id"].as_str().unwrap().len(), 40);
            assert_eq!(find(&finder(), text.as_bytes()), Some(s));
        }
    }

    #[test]
    fn repo_ids_have_the_shape_of_uuids() {
        assert_eq!(repo(1, 2), "00000001-0000-4000-8000-000000000002");
    }

    #[test]
    fn foreign_text_has_no_stamp() {
        for t in [
            "",
            "{}",
            r#"{"commit_id":"zz"}"#,
            r#"{"commit_id":"0123456789012345678901234567890123456789"#,
        ] {
            let found = find(&finder(), t.as_bytes());
            assert_eq!(found.is_some(), t.len() > 50, "{t}");
        }
    }
}
