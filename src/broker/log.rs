//! One partition's log as a node follows it: positions, entries, and whether an entry continues what came before.
//!
//! Invariant: an entry is called the next one only if epoch, number and the id before it all fit. Whatever does not fit
//! makes the follower read the log: nothing is assumed from numbers alone, since a Redis that lost data counts again.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;

/// How long Redis keeps an entry, in milliseconds; a log that is quiet for as long vanishes.
pub const LOG_AGE_MS: u64 = 120_000;

/// About how many entries Redis keeps in one partition's log.
pub const LOG_ENTRIES: u64 = 1_000;

/// A Redis stream entry's id: milliseconds by Redis' clock, and a number within the millisecond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId {
    /// Unix time in milliseconds by Redis' clock.
    pub ms: u64,
    /// Tells apart the entries of one millisecond.
    pub n: u64,
}

impl EntryId {
    /// What comes before the first entry.
    pub const ZERO: Self = Self { ms: 0, n: 0 };
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.n)
    }
}

impl FromStr for EntryId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (ms, n) = text.split_once('-').ok_or(())?;
        Ok(Self { ms: ms.parse().map_err(|_| ())?, n: n.parse().map_err(|_| ())? })
    }
}

/// A place in a partition's log: the last entry that was seen, or the last there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Which log; a new one is made when Redis lost the old.
    pub epoch: u64,
    /// The entry's number, from 1.
    pub seq: u64,
    /// The entry's id.
    pub id: EntryId,
}

/// One entry of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number, from 1.
    pub seq: u64,
    /// Its id.
    pub id: EntryId,
    /// The id of the entry before it; [`EntryId::ZERO`] for the first.
    pub prev: EntryId,
    /// What it carries, see [`super::wire`].
    pub body: Bytes,
}

/// An entry as it was published, heard live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The log it was appended to.
    pub epoch: u64,
    /// The entry.
    pub entry: Entry,
}

/// Part of a log, read in one step together with the log's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The last entry there is; `None` if this Redis knows of no log.
    pub head: Option<Position>,
    /// Redis' clock, in milliseconds.
    pub now_ms: u64,
    /// Entries in order, from the cursor on.
    pub entries: Vec<Entry>,
    /// Whether there may be more.
    pub more: bool,
}

/// Where to read a log from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// This entry and what follows.
    From(EntryId),
    /// What follows this entry.
    After(EntryId),
}

/// What a node knows of a partition's log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Known {
    /// Nothing yet.
    #[default]
    Nothing,
    /// That there was none.
    Empty,
    /// Everything up to here.
    Upto(Position),
}

/// How an entry stands to what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is the next one.
    Next,
    /// It is from before.
    Past,
    /// Something is missing between, or the log is not the one it was.
    Unclear,
}

impl Known {
    /// How a live entry stands to this.
    pub fn step(&self, heard: &Heard) -> Step {
        let entry = &heard.entry;
        match self {
            Self::Nothing => Step::Unclear,
            Self::Empty if entry.seq == 1 && entry.prev == EntryId::ZERO => Step::Next,
            Self::Empty => Step::Unclear,
            Self::Upto(at) if heard.epoch != at.epoch => Step::Unclear,
            Self::Upto(at) if entry.seq == at.seq + 1 && entry.prev == at.id => Step::Next,
            // Ids grow with numbers in one log: a smaller number with a later id belongs to a log that counts again.
            Self::Upto(at) if entry.seq <= at.seq && entry.id <= at.id => Step::Past,
            Self::Upto(_) => Step::Unclear,
        }
    }

    /// How the log's end stands to this. `before` is what was known when the question was sent: an answer may be older
    /// than what has been heard meanwhile, but never older than what was known before asking.
    pub fn look(&self, head: Option<Position>, before: Known) -> Look {
        match (self, head) {
            (Self::Nothing, _) => Look::Suspect,
            (Self::Empty, None) => Look::Level,
            (Self::Empty, Some(head)) => Look::Ahead(head),
            (Self::Upto(at), head) => {
                let Self::Upto(before) = before else { return Look::Level };
                if before.epoch != at.epoch {
                    return Look::Level;
                }
                match head {
                    None => Look::Suspect,
                    Some(head) if head.epoch != at.epoch || head.seq < before.seq => Look::Suspect,
                    Some(head) if head.seq == at.seq && head.id != at.id => Look::Suspect,
                    Some(head) if head.seq > at.seq => Look::Ahead(head),
                    Some(_) => Look::Level,
                }
            }
        }
    }

    /// Whether everything up to `head` is known, or another log is.
    pub fn reached(&self, head: Position) -> bool {
        matches!(self, Self::Upto(at) if at.epoch != head.epoch || at.seq >= head.seq)
    }
}

/// How a log's end stands to what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Nothing new.
    Level,
    /// There is more, which may still be on its way.
    Ahead(Position),
    /// The log is not the one it was, or was never read: read it.
    Suspect,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64) -> EntryId {
        EntryId { ms, n: 0 }
    }

    fn heard(epoch: u64, seq: u64, at: u64, prev: u64) -> Heard {
        Heard { epoch, entry: Entry { seq, id: id(at), prev: id(prev), body: Bytes::new() } }
    }

    #[test]
    fn only_what_fits_in_every_way_is_next() {
        let known = Known::Upto(Position { epoch: 7, seq: 10, id: id(100) });
        assert_eq!(known.step(&heard(7, 11, 110, 100)), Step::Next);
        assert_eq!(known.step(&heard(7, 11, 110, 99)), Step::Unclear, "another history");
        assert_eq!(known.step(&heard(7, 12, 110, 105)), Step::Unclear, "a hole");
        assert_eq!(known.step(&heard(8, 11, 110, 100)), Step::Unclear, "a new log");
        assert_eq!(known.step(&heard(7, 10, 100, 95)), Step::Past);
        assert_eq!(known.step(&heard(7, 9, 120, 95)), Step::Unclear, "counts again");
        assert_eq!(Known::Empty.step(&heard(7, 1, 5, 0)), Step::Next);
        assert_eq!(Known::Nothing.step(&heard(7, 1, 5, 0)), Step::Unclear);
    }

    #[test]
    fn an_answer_older_than_what_was_heard_since_is_no_loss() {
        let position = |seq| Position { epoch: 7, seq, id: id(seq * 10) };
        let known = Known::Upto(position(10));
        assert_eq!(known.look(Some(position(8)), Known::Upto(position(8))), Look::Level);
        assert_eq!(known.look(Some(position(8)), Known::Upto(position(9))), Look::Suspect);
        assert_eq!(known.look(Some(position(12)), Known::Upto(position(9))), Look::Ahead(position(12)));
        assert_eq!(known.look(None, Known::Upto(position(9))), Look::Suspect);
        assert_eq!(known.look(None, Known::Empty), Look::Level, "asked before the first entry");
    }

    #[test]
    fn ids_read_as_redis_writes_them() {
        assert_eq!("1700000000000-3".parse(), Ok(EntryId { ms: 1_700_000_000_000, n: 3 }));
        assert_eq!(EntryId { ms: 5, n: 1 }.to_string(), "5-1");
        for bad in ["", "-", "1", "a-1", "1-1-1", "1--1"] {
            assert!(bad.parse::<EntryId>().is_err(), "{bad}");
        }
    }
}
