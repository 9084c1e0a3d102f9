//! Reading a partition's log: pages come in, and what they say about holes, lost data and other logs.
//!
//! Invariant: a read ends with everything up to the log's end known; what could not be accounted for is declared lost,
//! and the whole log is read and offered before that.

use std::time::Duration;

use super::{Act, Follower, Now, decode};
use crate::broker::log::{Cursor, Entry, EntryId, Heard, Known, LOG_AGE_MS, Page, Position, Step};
use crate::broker::wire::Body;
use crate::metrics;

/// Reading the log.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fill {
    /// A hole was seen, as opposed to a look at the log for other reasons.
    hole: bool,
    /// The whole log is read, not just what follows.
    whole: bool,
    /// Nothing was known before: this is where following begins.
    first: bool,
    /// Something may be missing.
    lost: bool,
    /// The log is not the one it was.
    torn: bool,
    /// The last entry read.
    last: Option<Position>,
}

impl Follower {
    /// Starts reading the log, for a hole or to look.
    pub(super) fn begin(&mut self, hole: bool) {
        if hole {
            ::metrics::counter!(metrics::GAPS_SEEN).increment(1);
        }
        let (whole, cursor) = match self.known {
            Known::Upto(at) => (false, Cursor::From(at.id)),
            _ => (true, Cursor::From(EntryId::ZERO)),
        };
        self.fill = Some(Fill { hole, whole, first: self.known == Known::Nothing, ..Fill::default() });
        self.read(cursor);
    }

    fn read(&mut self, cursor: Cursor) {
        self.settled = self.held.len();
        self.acts.push_back(Act::Read(cursor));
    }

    /// A page that was asked for.
    pub fn page(&mut self, page: Page, now: Now) {
        let Some(mut fill) = self.fill.take() else { return };
        let Some(head) = page.head else {
            if let Known::Upto(at) = self.known {
                self.tear(&mut fill, at.epoch);
            }
            self.known = Known::Empty;
            return self.finish(fill, now);
        };
        if !self.same_log(&fill, head) {
            return self.start_over(fill, true);
        }
        let mut entries = page.entries.iter().peekable();
        if fill.first && fill.last.is_none() {
            fill.lost |= !reaches_back(entries.peek().copied(), page.now_ms, now);
        }
        for entry in entries {
            match self.link(&fill, entry) {
                Link::Anchor => {}
                Link::Fits => self.take_read(&fill, entry, page.now_ms, now),
                Link::Broken if fill.whole => {
                    fill.lost = true;
                    self.take_read(&fill, entry, page.now_ms, now);
                }
                // Numbers that were known already under other ids: the log counts again.
                Link::Broken => {
                    let again = matches!(self.known, Known::Upto(at) if entry.seq <= at.seq + 1) && fill.last.is_none();
                    return self.start_over(fill, again);
                }
            }
            fill.last = Some(Position { epoch: head.epoch, seq: entry.seq, id: entry.id });
        }
        if let (true, Some(last)) = (page.more, fill.last) {
            self.fill = Some(fill);
            return self.read(Cursor::After(last.id));
        }
        // What the log no longer holds: before its first entry, or all of it once it was quiet for too long.
        let upto = fill.last.or(match self.known {
            Known::Upto(at) if !fill.whole => Some(at),
            _ => None,
        });
        fill.lost |= !fill.first && upto.map_or(0, |at| at.seq) < head.seq;
        if let Known::Upto(at) = self.known
            && at.epoch != head.epoch
        {
            self.tear(&mut fill, at.epoch);
        }
        self.known = Known::Upto(head);
        self.finish(fill, now);
    }

    /// Whether the log's end fits what is known and what was read before.
    fn same_log(&self, fill: &Fill, head: Position) -> bool {
        let before = match (fill.last, self.known) {
            (Some(last), _) => last,
            (None, Known::Upto(at)) if !fill.whole => at,
            _ => return true,
        };
        head.epoch == before.epoch && head.seq >= before.seq && (head.seq > before.seq || head.id == before.id)
    }

    fn link(&self, fill: &Fill, entry: &Entry) -> Link {
        let fits =
            |seq: u64, id: EntryId| if entry.seq == seq + 1 && entry.prev == id { Link::Fits } else { Link::Broken };
        match (fill.last, self.known) {
            (Some(last), _) => fits(last.seq, last.id),
            (None, Known::Upto(at)) if !fill.whole => {
                if entry.seq == at.seq && entry.id == at.id {
                    Link::Anchor
                } else {
                    fits(at.seq, at.id)
                }
            }
            (None, Known::Empty) => fits(0, EntryId::ZERO),
            // The first entry of a log that is read from its start for other reasons has nothing to fit.
            (None, _) => Link::Fits,
        }
    }

    fn start_over(&mut self, fill: Fill, torn: bool) {
        let mut fill = Fill { whole: true, lost: true, last: None, ..fill };
        if torn && let Known::Upto(_) = self.known {
            fill.torn = true;
        }
        self.fill = Some(fill);
        self.read(Cursor::From(EntryId::ZERO));
    }

    fn tear(&mut self, fill: &mut Fill, epoch: u64) {
        fill.lost = true;
        fill.torn = true;
        self.forget(epoch);
    }

    fn forget(&mut self, epoch: u64) {
        if !self.former.contains(&epoch) {
            self.former.push_back(epoch);
            if self.former.len() > 8 {
                self.former.pop_front();
            }
        }
    }

    fn finish(&mut self, mut fill: Fill, now: Now) {
        let rest = self.held.split_off(self.settled.min(self.held.len()));
        for heard in std::mem::replace(&mut self.held, rest) {
            self.settle(&mut fill, heard, now);
        }
        self.settled = 0;
        if fill.torn {
            ::metrics::counter!(metrics::EPOCH_CHANGES).increment(1);
            self.acts.push_back(Act::Republish);
        }
        if fill.lost {
            ::metrics::counter!(metrics::GAPS_LOST).increment(1);
            self.acts.push_back(Act::Lost(None));
        } else if fill.hole {
            ::metrics::counter!(metrics::GAPS_FILLED).increment(1);
        }
        // The first of these that does not fit starts another read, which holds the rest.
        for heard in std::mem::take(&mut self.held) {
            self.heard(heard, now);
        }
    }

    /// Something that was heard before the log was read: if it still does not fit, it is from a log that is gone.
    fn settle(&mut self, fill: &mut Fill, heard: Heard, now: Now) {
        match self.known.step(&heard) {
            Step::Next => self.advance(&heard, now),
            Step::Past => self.take(&heard.entry, now),
            Step::Unclear => {
                let another = !matches!(self.known, Known::Upto(at) if at.epoch == heard.epoch);
                if !another || !self.former.contains(&heard.epoch) {
                    fill.lost = true;
                    fill.torn = true;
                }
                if another {
                    self.forget(heard.epoch);
                }
                self.take(&heard.entry, now);
            }
        }
    }

    /// Takes an entry that was read from the log; `redis_ms` is Redis' clock.
    fn take_read(&mut self, fill: &Fill, entry: &Entry, redis_ms: u64, now: Now) {
        let age = redis_ms.saturating_sub(entry.id.ms);
        if !fill.first || age <= now.listening_ms {
            return self.take(entry, now);
        }
        // From before this node listened: nobody here has waited for it.
        let Some(Body::Event(stamp, event)) = decode(entry) else { return };
        if !self.fresh(stamp, now) || !self.repeats.is_first(&event, now.ms) || age > self.replay_ms {
            return;
        }
        self.acts.push_back(if self.own_delivered {
            Act::Deliver(event)
        } else {
            Act::Remember(event, Duration::from_millis(age))
        });
    }
}

/// How an entry of the log stands to what was read before it.
enum Link {
    /// It is what was known last.
    Anchor,
    /// It follows.
    Fits,
    /// Something is missing before it.
    Broken,
}

/// Whether a log that begins with `first` holds everything since this node listens.
fn reaches_back(first: Option<&Entry>, redis_ms: u64, now: Now) -> bool {
    match first {
        Some(entry) if entry.seq == 1 => true,
        Some(entry) => redis_ms.saturating_sub(entry.id.ms) >= now.listening_ms,
        None => now.listening_ms < LOG_AGE_MS,
    }
}
