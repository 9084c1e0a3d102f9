//! The order of what channels keep: nodes publish what each of them has kept, and two may be heard the other way round than
//! they are in the past, or the first one not at all for a while. Whoever has the later one must have the earlier one too, or
//! coming back would leave it out.
//!
//! Invariants: pure. Events of a channel come out in the order of their places, each once, whether it was heard of or taken
//! from the past; what is missing is passed over only where the past does not have it for [`FORGOTTEN_MS`] or cannot be read
//! for [`PASS_OVER_MS`], and then it is said first that there is a hole. An epoch begins when all before it is flushed. While clients have something that has no place yet,
//! nothing comes out that does; what has none does not wait. What is held is bounded.

mod fill;
mod gap;

use std::collections::HashMap;

use ahash::RandomState;

pub use self::gap::HOLD_MS;
use self::gap::{Gap, NOTHING, follows, place_of};
use super::MEMORY_OF_PLACES;
use super::filled::Filled;
use super::marks::Marks;
use super::recent::RecentChannels;
use crate::event::{Channel, Event, Kept, Past, Place};

/// For how long an event waits for one before it that the past does not have any more, in milliseconds: its publication may still come.
const FORGOTTEN_MS: u64 = 3_000;
/// For how long it waits at most, in milliseconds: the past cannot be read.
const PASS_OVER_MS: u64 = 30_000;
/// Events that may wait, of all channels; each channel that waits counts as one more.
const HELD: usize = 4_096;
/// Channels whose last place is known.
const CHANNELS: usize = 8_192;
/// Channels of which it is known what this node kept last.
const OWN: usize = 1_024;
/// An epoch that is not older when something of it is taken is young, in milliseconds.
const YOUNG_MS: u64 = 30_000;
/// What a channel that was silent for so long had reached may be forgotten in the past too, in milliseconds.
const SILENT_MS: u64 = MEMORY_OF_PLACES.as_millis() as u64;

/// What comes out.
#[derive(Default)]
pub struct Out {
    /// This, in this order.
    pub events: Vec<Event>,
    /// Of these channels something does not come out before what follows it.
    pub holes: Vec<Channel>,
    /// In these is something that the past does not have: whoever is given what follows without it must not be told elsewhere
    /// that that is all.
    pub broken: Vec<Channel>,
    /// The same, which came late: it was given on, and those who have had what followed are not here alone.
    pub late: Vec<Channel>,
}

/// See the module.
pub struct Order {
    /// Up to where channels came out that nothing waits in, and when, in milliseconds.
    given: RecentChannels<(Place, u64)>,
    gaps: HashMap<Channel, Gap, RandomState>,
    filled: Filled,
    /// Those that are filled, for one that is heard of without a place.
    filled_marks: Marks<Place>,
    /// Those that came out without one, and may be in the past all the same.
    missed_marks: Marks<()>,
    /// The last place in a channel that something of this node's was given.
    own: RecentChannels<Place>,
    /// How much waits.
    size: usize,
}

impl Order {
    /// Nothing yet. What is taken from the past may be heard of within so many milliseconds, or not at all.
    pub fn new(lasts_ms: u64) -> Self {
        Self {
            given: RecentChannels::new(CHANNELS),
            gaps: HashMap::default(),
            filled: Filled::new(lasts_ms),
            filled_marks: Marks::default(),
            missed_marks: Marks::default(),
            own: RecentChannels::new(OWN),
            size: 0,
        }
    }

    /// Takes an event that has come. While it is `held_back` nothing of its channel that has a place comes out.
    pub fn take(&mut self, event: Event, held_back: bool, now_ms: u64, out: &mut Out) {
        let Kept::At(place) = event.kept else {
            return self.unplaced(event, out);
        };
        self.filled.forget(now_ms);
        let was_filled = self.filled.take(&event.channel, place);
        let mut again = None;
        if was_filled {
            self.filled_marks.take(&event);
        } else if self.filled.has_before(&event.channel, place) {
            // Redis has lost or forgotten what was taken from it, and its node has kept it again.
            let filled =
                |before: &Place| *before < place && self.filled.has(&event.channel, *before);
            again = self.filled_marks.take_if(&event, filled);
        }
        if let Some(before) = again {
            self.filled.take(&event.channel, before);
        }
        let known = self.upto(&event.channel, now_ms);
        let last = known.unwrap_or_else(|| before(place, event.accepted_ms));
        let (channel, event) = (event.channel.clone(), again.is_none().then_some(event));
        if place <= last {
            // It is late: taken from the past already, or what follows it has not waited any longer.
            if !was_filled {
                if place.epoch < last.epoch {
                    // The past has lost it, and what followed it is told to be all.
                    out.late.push(channel);
                }
                out.events.extend(event);
            }
            return;
        }
        if !held_back && !self.gaps.contains_key(&channel) && follows(last, place) {
            self.given.set(channel, (place, now_ms));
            return out.events.extend(event);
        }
        self.hold(&channel, last, known.is_some(), now_ms, |gap| {
            if place.epoch > gap.last.epoch && place.number == gap.last.number + 1 {
                // As a rule it counts on, which the past says at once.
                gap.read_ms = now_ms;
            }
            if gap.waiting.is_empty() {
                gap.since_ms = now_ms;
            }
            gap.waiting.entry(place).or_insert(event);
        });
        self.release(&channel, held_back, now_ms, out);
        if self.size > HELD {
            let all: Vec<Channel> = self.gaps.keys().cloned().collect();
            all.iter()
                .for_each(|channel| self.pass_over(channel, now_ms, out));
        }
    }

    /// Something of this node's was given a place, and is about to come.
    pub fn kept(&mut self, channel: &Channel, place: Place) {
        self.own.set(channel.clone(), place);
    }

    /// Takes an event that has no place.
    fn unplaced(&mut self, event: Event, out: &mut Out) {
        if event.kept == Kept::Missed {
            // Its node had no answer, and gave it up; Redis may have kept it.
            let filled = |place: &Place| self.filled.has(&event.channel, *place);
            if let Some(place) = self.filled_marks.take_if(&event, filled) {
                self.filled.take(&event.channel, place);
                return;
            }
            self.missed_marks.add(&event, ());
        }
        // It may not wait, and must not overtake what its own node published before: that is this node; or nobody knows which, but
        // whatever that published was heard of before, unlike what was taken from the past.
        if let Some(gap) = self.gaps.get_mut(&event.channel) {
            let own = self.own.get(&event.channel);
            let was_before = |place: &Place| {
                let may_be_its = event.kept == Kept::Missed || Some(*place) <= own;
                may_be_its && !self.filled.has(&event.channel, *place)
            };
            let before = gap
                .waiting
                .iter_mut()
                .filter(|(place, _)| was_before(place));
            out.events
                .extend(before.filter_map(|(_, waits)| waits.take()));
        }
        out.events.push(event);
    }

    /// Notes an event that came out before anything else of its channel.
    pub fn remember(&mut self, event: &Event, now_ms: u64) {
        if let Kept::At(place) = event.kept
            && !self.gaps.contains_key(&event.channel)
            && self.upto(&event.channel, now_ms) < Some(place)
        {
            self.given.set(event.channel.clone(), (place, now_ms));
        }
    }

    /// Up to where a channel came out, as far as that is known; none where more came out than that.
    pub fn given_upto(&self, channel: &Channel, now_ms: u64) -> Option<Place> {
        let gap = self.gaps.get(channel);
        if gap.is_some_and(|gap| gap.waiting.values().any(Option::is_none)) {
            return None;
        }
        self.upto(channel, now_ms).filter(|place| *place != NOTHING)
    }

    fn upto(&self, channel: &Channel, now_ms: u64) -> Option<Place> {
        if let Some(gap) = self.gaps.get(channel) {
            return Some(gap.last).filter(|_| gap.is_known);
        }
        let (last, ms) = self.given.get(channel)?;
        (now_ms.saturating_sub(ms) < SILENT_MS).then_some(last)
    }

    /// Somebody has read a channel's past, and is given what follows it. Returns whether all of it came out here, too; where
    /// it did not, that is waited for. An epoch begins only where all that came before it is known to be `flushed`.
    pub fn expect(&mut self, channel: &Channel, past: &Past, flushed: bool, now_ms: u64) -> bool {
        let Some(last) = self.upto(channel, now_ms) else {
            if !self.gaps.contains_key(channel) {
                let newest = past.newest.unwrap_or(NOTHING);
                self.given.set(channel.clone(), (newest, now_ms));
            }
            return true;
        };
        let Some(newest) = past.newest.filter(|newest| *newest > last) else {
            return true;
        };
        if flushed {
            self.filled.settle_before(channel, newest.epoch);
        }
        self.hold(channel, last, true, now_ms, |gap| {
            gap.expected = gap.expected.max(Some(newest));
            if flushed {
                gap.renew(past);
            }
        });
        self.settle(channel, now_ms)
    }

    /// Which events of a past that somebody has read nobody has heard of here.
    pub fn unheard(&self, channel: &Channel, past: &Past, now_ms: u64) -> Vec<Place> {
        let last = self.upto(channel, now_ms);
        let is_unheard = |place: &Place| {
            last.is_some_and(|last| *place > last) || self.filled.has(channel, *place)
        };
        let places = past.events.iter().filter_map(place_of);
        places.filter(is_unheard).collect()
    }

    /// Whether all that came before the epoch of this past, as far as the mesh knows, came out here too where it is this
    /// node's own, and is heard where it was taken from the past, which has lost it: others are still to hear of that.
    pub fn is_flushed(
        &mut self,
        channel: &Channel,
        past: &Past,
        by_mesh: bool,
        now_ms: u64,
    ) -> bool {
        self.filled.forget(now_ms);
        let epoch = past.newest.map_or(0, |newest| newest.epoch);
        let own = self.own.get(channel).filter(|own| own.epoch < epoch);
        let mut taken = self.filled.lasts_before(channel, epoch);
        by_mesh
            && own.is_none_or(|own| self.upto(channel, now_ms) >= Some(own))
            && taken.all(|place| gap::had(past, place))
    }

    /// Whether nothing waits.
    pub fn is_still(&self) -> bool {
        self.gaps.is_empty()
    }

    /// Adds to `out` what may come out now. Returns the channels whose pasts are to be read, which [`Order::fill`] is told of.
    pub fn tick(
        &mut self,
        held_back: impl Fn(&Channel) -> bool,
        now_ms: u64,
        out: &mut Out,
    ) -> Vec<Channel> {
        let all: Vec<Channel> = self.gaps.keys().cloned().collect();
        let mut wanted = Vec::new();
        for channel in all {
            let held_back = held_back(&channel);
            self.release(&channel, held_back, now_ms, out);
            let Some(gap) = self.gaps.get_mut(&channel) else {
                continue;
            };
            let is_over = now_ms >= gap.since_ms + PASS_OVER_MS;
            if is_over && !gap.is_read && !gap.waiting.is_empty() {
                self.pass_over(&channel, now_ms, out);
            } else if gap.read_ms <= now_ms && !gap.is_read && !held_back {
                if gap.is_known {
                    gap.is_read = true;
                    wanted.push(channel);
                } else {
                    self.pass_over(&channel, now_ms, out);
                }
            }
        }
        wanted
    }

    fn hold(
        &mut self,
        channel: &Channel,
        last: Place,
        is_known: bool,
        now_ms: u64,
        change: impl FnOnce(&mut Gap),
    ) {
        let gap = self.gaps.entry(channel.clone());
        let mut before = 0;
        let gap = gap
            .and_modify(|gap| before = gap.size())
            .or_insert_with(|| Gap::new(last, is_known, now_ms));
        change(gap);
        self.size = self.size + gap.size() - before;
    }

    /// Lets out what is next, and next to that.
    fn release(&mut self, channel: &Channel, held_back: bool, now_ms: u64, out: &mut Out) {
        let Some(gap) = self.gaps.get_mut(channel) else {
            return;
        };
        let before = gap.size();
        while !held_back
            && gap.is_next_here()
            && let Some((place, event)) = gap.waiting.pop_first()
        {
            gap.last = place;
            gap.is_known = true;
            out.events.extend(event);
        }
        let released = before - gap.size();
        if released > 0 {
            self.size -= released;
            // Behind the next hole they wait anew.
            gap.read_ms = now_ms + HOLD_MS;
            gap.since_ms = now_ms;
        }
        self.settle(channel, now_ms);
    }

    /// Ends a gap that is over. Returns whether there is none.
    fn settle(&mut self, channel: &Channel, now_ms: u64) -> bool {
        match self.gaps.get(channel) {
            None => true,
            Some(gap) if gap.is_over() => {
                let last = gap.last;
                self.gaps.remove(channel);
                self.gaps.shrink_to(2 * self.gaps.len());
                self.size -= 1;
                self.given.set(channel.clone(), (last, now_ms));
                true
            }
            Some(_) => false,
        }
    }
}

/// Behind which place an event of a channel that is not known comes. An epoch is named by when it began, in microseconds:
/// what came before in a young one is on its way, or this node has just started.
fn before(place: Place, accepted_ms: u64) -> Place {
    let young = (place.epoch / 1_000).abs_diff(accepted_ms) < YOUNG_MS;
    let number = match place.number {
        number if !young => number.saturating_sub(1),
        number if number > Place::MISSING => Place::MISSING,
        _ => 0,
    };
    Place { number, ..place }
}

#[cfg(test)]
mod tests;
