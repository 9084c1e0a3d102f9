//! One channel in which something is missing: what waits there, and when the past says that nothing is.
//!
//! Invariant: pure.

use std::collections::BTreeMap;

use crate::event::{Event, Kept, Past, Place};

/// For how long an event waits before those that are missing before it are looked for in the past, in milliseconds: healing
/// takes less, as a rule.
pub const HOLD_MS: u64 = 500;

/// Where a channel is that has kept nothing.
pub const NOTHING: Place = Place {
    epoch: 0,
    number: 0,
};

/// A channel in which something is missing, or has to wait for what this node's clients had early.
pub struct Gap {
    /// Up to here it came out.
    pub(super) last: Place,
    /// Whether that is known, and not taken for so.
    pub(super) is_known: bool,
    /// None where it came out already, since something without a place had to come behind it.
    pub(super) waiting: BTreeMap<Place, Option<Event>>,
    /// Somebody read that the past has reached this place.
    pub(super) expected: Option<Place>,
    /// When the past is read for what is missing, in milliseconds.
    pub(super) read_ms: u64,
    /// Since when it waits, in milliseconds.
    pub(super) since_ms: u64,
    pub(super) is_read: bool,
}

impl Gap {
    pub fn new(last: Place, is_known: bool, now_ms: u64) -> Self {
        Self {
            last,
            is_known,
            waiting: BTreeMap::new(),
            expected: None,
            read_ms: now_ms + HOLD_MS,
            since_ms: now_ms,
            is_read: false,
        }
    }

    /// Whether what waits first is next.
    pub fn is_next_here(&self) -> bool {
        let first = self.waiting.first_key_value();
        first.is_some_and(|(first, _)| follows(self.last, *first))
    }

    /// Begins a new epoch, where nothing is missing before the first of it that waits: the past joins it to what came out, or
    /// nothing can have been before it, or it counts on. Returns whether it follows what came out here; none where none begins.
    pub fn begin_epoch(&mut self, past: &Past) -> Option<bool> {
        let (last, first) = (self.last, self.waiting.first_key_value());
        let first = first.map(|(first, _)| *first);
        let first = first.filter(|first| first.epoch > last.epoch)?;
        let oldest = past.events.first().and_then(place_of);
        let joined = oldest.is_some_and(|oldest| oldest <= last);
        let is_newest = past.newest.map(|newest| newest.epoch) == Some(first.epoch);
        let counts_on =
            is_newest && past.began == Some(last.number) && first.number == last.number + 1;
        let is_first = [1, Place::MISSING + 1].contains(&first.number) || counts_on;
        let has = has(past, first);
        // So much came behind it that it is not kept any more.
        let had = past.newest > Some(first) && oldest.is_none_or(|oldest| oldest > first);
        let begins = has && joined || (has || had) && is_first;
        begins.then(|| {
            self.last = Place {
                number: first.number - 1,
                ..first
            };
            counts_on || self::has(past, last)
        })
    }

    /// A new epoch of the past with nothing in it is no gap, unless the past has lost what waits.
    pub fn renew(&mut self, past: &Past) {
        let first = self.waiting.first_key_value().map(|(first, _)| *first);
        if let Some(newest) = past.newest.filter(|_| is_renewed(self.last, past))
            && first.is_none_or(|first| first > newest)
        {
            self.last = newest;
        }
    }

    /// What waits last of the epoch that came out last.
    pub fn last_of_its_epoch(&self) -> Option<Place> {
        let end = Place {
            number: u64::MAX,
            ..self.last
        };
        let mut waiting = self.waiting.range(..=end);
        waiting.next_back().map(|(place, _)| *place)
    }

    pub fn is_over(&self) -> bool {
        self.waiting.is_empty() && self.expected.is_none_or(|place| place <= self.last)
    }

    pub fn size(&self) -> usize {
        1 + self.waiting.len()
    }
}

/// Whether nothing is missing between the last place that came out and a later one. The numbers of two epochs do not say.
pub fn follows(last: Place, next: Place) -> bool {
    next.number == last.number + 1 && (next.epoch == last.epoch || last == NOTHING)
}

pub fn place_of(event: &Event) -> Option<Place> {
    match event.kept {
        Kept::At(place) => Some(place),
        _ => None,
    }
}

/// Whether a past has, or had, what was given this place: what is lost is the end of an epoch.
pub fn had(past: &Past, place: Place) -> bool {
    let is_upto = |event: &Event| place_of(event).is_some_and(|other| other.epoch <= place.epoch);
    let upto = &past.events[..past.events.partition_point(is_upto)];
    let last = upto.last().and_then(place_of);
    last.is_some_and(|last| last.epoch == place.epoch && last >= place)
}

/// Whether a past has what was given this place.
fn has(past: &Past, place: Place) -> bool {
    let found = past.events.binary_search_by_key(&Some(place), place_of);
    found.is_ok()
}

/// Whether the past has got a new epoch since `last`, and nothing else.
fn is_renewed(last: Place, past: &Past) -> bool {
    let newest = past
        .newest
        .filter(|newest| newest.epoch > last.epoch && newest.number == last.number);
    newest.is_some() && past.events.last().and_then(place_of) <= Some(last)
}
