//! The order of what channels keep: nodes publish what each of them has kept, and two may be heard the other way round than
//! they are in the past. Whoever has the later one must have the earlier one too, or coming back would leave it out.
//!
//! Invariants: pure. Events of a channel come out in the order of their places, each as often as it went in; none stays longer
//! than [`HOLD_MS`] after the one before it is missing; what its node gives before it has a place comes behind what is held
//! then; what is held is bounded.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};

use ahash::RandomState;

use crate::event::{Channel, Event, Kept, Place};

/// For how long an event waits for those before it, in milliseconds: healing a hole takes less, as a rule.
pub(super) const HOLD_MS: u64 = 500;
/// Events that may wait, of all channels.
const HELD: usize = 4_096;
/// Channels whose last place is known.
const CHANNELS: usize = 65_536;
/// A channel that was silent for this long is forgotten, in milliseconds: nothing from before is on its way any more.
const SILENT_MS: u64 = 60_000;

struct Row {
    last: Place,
    heard_ms: u64,
    /// What waits, by number, all of the last place's epoch; each with what came behind it and has no place yet.
    waiting: BTreeMap<u64, Vec<Event>>,
    /// When it stops waiting, in milliseconds.
    until_ms: u64,
}

/// See the module.
#[derive(Default)]
pub struct Order {
    rows: HashMap<Channel, Row, RandomState>,
    /// Channels by when they were first known, for those that fall silent.
    known: VecDeque<Channel>,
    waiting: usize,
}

impl Order {
    /// Takes an event that has come; adds to `out` what comes out.
    pub fn take(&mut self, event: Event, now_ms: u64, out: &mut Vec<Event>) {
        let Kept::At(place) = event.kept else {
            return self.unplaced(event, out);
        };
        self.forget(now_ms);
        let Some(row) = self.rows.get_mut(&event.channel) else {
            let last = Place {
                number: before(place, event.accepted_ms),
                ..place
            };
            let mut row = Row {
                last,
                heard_ms: now_ms,
                waiting: BTreeMap::new(),
                until_ms: now_ms + HOLD_MS,
            };
            self.known.push_back(event.channel.clone());
            let channel = event.channel.clone();
            row.waiting.insert(place.number, vec![event]);
            self.waiting += 1;
            self.waiting -= row.release(out);
            self.rows.insert(channel, row);
            return;
        };
        row.heard_ms = now_ms;
        if place.epoch > row.last.epoch {
            // Of an epoch that is over nothing more is waited for.
            self.waiting -= row.waiting.values().map(Vec::len).sum::<usize>();
            out.extend(std::mem::take(&mut row.waiting).into_values().flatten());
            row.last = place;
            return out.push(event);
        }
        if place.epoch < row.last.epoch || place.number <= row.last.number {
            // It is late: what it should have come before has not waited any longer.
            return out.push(event);
        }
        if row.waiting.is_empty() {
            row.until_ms = now_ms + HOLD_MS;
        }
        self.waiting += usize::from(row.hold(place.number, event));
        self.waiting -= row.release(out);
        if self.waiting > HELD {
            self.give_up(u64::MAX, out);
        }
    }

    /// Takes an event that has no place.
    fn unplaced(&mut self, event: Event, out: &mut Vec<Event>) {
        // One that is given early would overtake what its own node published before.
        let row = self
            .rows
            .get_mut(&event.channel)
            .filter(|_| event.kept == Kept::Later);
        let Some(mut last) = row.and_then(|row| row.waiting.last_entry()) else {
            return out.push(event);
        };
        last.get_mut().push(event);
        self.waiting += 1;
        if self.waiting > HELD {
            self.give_up(u64::MAX, out);
        }
    }

    /// Adds to `out` what has waited for long enough.
    pub fn tick(&mut self, now_ms: u64, out: &mut Vec<Event>) {
        if self.waiting > 0 {
            self.give_up(now_ms, out);
        }
    }

    fn give_up(&mut self, now_ms: u64, out: &mut Vec<Event>) {
        for row in self
            .rows
            .values_mut()
            .filter(|row| !row.waiting.is_empty() && row.until_ms <= now_ms)
        {
            if let Some((first, _)) = row.waiting.first_key_value() {
                row.last.number = first - 1;
            }
            self.waiting -= row.release(out);
            // Behind the next hole they wait anew.
            row.until_ms = row.until_ms.saturating_add(HOLD_MS);
        }
    }

    fn forget(&mut self, now_ms: u64) {
        // One is looked at for each event that comes, so that none of them takes long.
        let Some(channel) = self.known.pop_front() else {
            return;
        };
        let silent =
            |row: &Row| row.waiting.is_empty() && now_ms.saturating_sub(row.heard_ms) > SILENT_MS;
        let crowded = self.known.len() >= CHANNELS;
        match self.rows.get(&channel) {
            Some(row) if silent(row) || crowded && row.waiting.is_empty() => {
                drop(self.rows.remove(&channel))
            }
            Some(_) => self.known.push_back(channel),
            None => {}
        }
    }
}

impl Row {
    /// Lets an event wait. Returns whether none of its number did.
    fn hold(&mut self, number: u64, event: Event) -> bool {
        match self.waiting.entry(number) {
            Entry::Vacant(entry) => {
                entry.insert(vec![event]);
                true
            }
            Entry::Occupied(mut entry) => {
                entry.get_mut()[0] = event;
                false
            }
        }
    }

    /// Gives what is next, and next to that. How many that were.
    fn release(&mut self, out: &mut Vec<Event>) -> usize {
        let before = out.len();
        while let Some(events) = self.waiting.remove(&(self.last.number + 1)) {
            self.last.number += 1;
            out.extend(events);
        }
        out.len() - before
    }
}

/// Behind which number an event of a channel that is not known comes. An epoch is named by when it began, in microseconds:
/// what came before in a young one is on its way, or this node has just started.
fn before(place: Place, accepted_ms: u64) -> u64 {
    let young = (place.epoch / 1_000).abs_diff(accepted_ms) < SILENT_MS / 2;
    if young {
        0
    } else {
        place.number.saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(epoch: u64, number: u64) -> Event {
        let kept = Kept::At(Place { epoch, number });
        Event {
            kept,
            ..Event::new(Channel::new("c", "x"), "n", number.to_string())
        }
    }

    fn places(events: &[Event]) -> Vec<(u64, u64)> {
        let place = |event: &Event| match event.kept {
            Kept::At(place) => (place.epoch, place.number),
            _ => (0, 0),
        };
        events.iter().map(place).collect()
    }

    fn take(order: &mut Order, now_ms: u64, event: Event) -> Vec<(u64, u64)> {
        let mut out = Vec::new();
        order.take(event, now_ms, &mut out);
        places(&out)
    }

    #[test]
    fn the_first_of_a_channel_that_has_just_begun_is_waited_for() {
        let (mut order, now_ms) = (Order::default(), 1_790_000_000_000);
        let of = |epoch_ms: u64, number| Event {
            accepted_ms: now_ms,
            ..event(epoch_ms * 1_000, number)
        };
        assert_eq!(take(&mut order, 0, of(now_ms - 5, 2)), []);
        let epoch = (now_ms - 5) * 1_000;
        assert_eq!(
            take(&mut order, 1, of(now_ms - 5, 1)),
            [(epoch, 1), (epoch, 2)]
        );
        let epoch = (now_ms - 100_000) * 1_000;
        assert_eq!(
            take(&mut Order::default(), 0, of(now_ms - 100_000, 2)),
            [(epoch, 2)],
            "it began long ago"
        );
    }

    #[test]
    fn what_comes_too_early_waits_for_what_is_before_it_and_not_for_long() {
        let mut order = Order::default();
        assert_eq!(take(&mut order, 0, event(1, 5)), [(1, 5)]);
        assert_eq!(take(&mut order, 0, event(1, 7)), []);
        assert_eq!(take(&mut order, 9, event(1, 6)), [(1, 6), (1, 7)]);
        assert_eq!(take(&mut order, 10, event(1, 9)), []);
        let mut out = Vec::new();
        order.tick(9 + HOLD_MS, &mut out);
        assert!(out.is_empty());
        order.tick(10 + HOLD_MS, &mut out);
        assert_eq!(places(&out), [(1, 9)]);
        assert_eq!(
            take(&mut order, 600, event(1, 8)),
            [(1, 8)],
            "late, and not left out"
        );
        assert_eq!(take(&mut order, 600, event(1, 11)), []);
        assert_eq!(
            take(&mut order, 600, event(2, 1)),
            [(1, 11), (2, 1)],
            "another epoch"
        );
        assert_eq!(take(&mut order, 600, event(1, 12)), [(1, 12)]);
    }

    #[test]
    fn what_has_no_place_yet_comes_behind_what_waits() {
        let later = Event {
            kept: Kept::Later,
            ..event(1, 0)
        };
        let mut order = Order::default();
        assert_eq!(take(&mut order, 0, event(1, 5)), [(1, 5)]);
        assert_eq!(take(&mut order, 0, later.clone()), [(0, 0)]);
        assert_eq!(take(&mut order, 0, event(1, 7)), []);
        assert_eq!(take(&mut order, 0, later.clone()), []);
        assert_eq!(take(&mut order, 1, event(1, 8)), []);
        assert_eq!(
            take(&mut order, 2, event(1, 6)),
            [(1, 6), (1, 7), (0, 0), (1, 8)]
        );
        assert_eq!(take(&mut order, 3, event(1, 10)), []);
        assert_eq!(take(&mut order, 3, later), []);
        assert_eq!(
            take(&mut order, 4, event(2, 1)),
            [(1, 10), (0, 0), (2, 1)],
            "another epoch"
        );
        assert_eq!(order.waiting, 0);
    }

    #[test]
    fn what_it_knows_and_holds_is_bounded() {
        let (mut order, mut out) = (Order::default(), Vec::new());
        for number in 0..3 * CHANNELS as u64 {
            let event = Event {
                channel: Channel::new("c", &number.to_string()),
                ..event(1, 1)
            };
            order.take(event, number / 1_000, &mut out);
        }
        assert!(
            order.rows.len() <= CHANNELS + 2 && order.known.len() == order.rows.len(),
            "{}",
            order.rows.len()
        );
        order.take(event(1, 1), 0, &mut out);
        (2..2 * HELD as u64).for_each(|number| order.take(event(1, 2 * number), 0, &mut out));
        assert!(order.waiting <= HELD);
    }

    proptest! {
        /// However a few neighbours change places and epochs change: all come out, in order but for what was given up.
        #[test]
        fn all_come_out_in_order(swaps in prop::collection::vec(0usize..4, 1..200), epochs in prop::collection::vec(1u64..80, 0..3)) {
            let mut all: Vec<(u64, u64)> = Vec::new();
            for n in 0..swaps.len() as u64 {
                all.push((1 + epochs.iter().filter(|at| **at <= n).count() as u64, n + 1));
            }
            let mut heard = all.clone();
            for (at, by) in swaps.iter().enumerate() {
                let other = (at + by).min(heard.len() - 1);
                if heard[at].0 == heard[other].0 && at > 0 {
                    heard.swap(at, other);
                }
            }
            let (mut order, mut out) = (Order::default(), Vec::new());
            heard.iter().for_each(|(epoch, number)| order.take(event(*epoch, *number), 0, &mut out));
            order.tick(HOLD_MS, &mut out);
            prop_assert_eq!(order.waiting, 0);
            let mut given = places(&out);
            prop_assert_eq!(given.len(), all.len());
            let fine = heard.iter().scan(0, |epoch, (of, _)| Some(std::mem::replace(epoch, *of) <= *of)).all(|fine| fine);
            // An epoch's first may itself come too late.
            let firsts: Vec<_> = all.iter().filter(|(e, n)| all.iter().all(|(of, m)| of != e || m >= n)).collect();
            let begun = firsts.iter().all(|first| heard.iter().find(|(of, _)| *of == first.0) == Some(**first).as_ref());
            if fine && begun {
                prop_assert_eq!(&given, &all);
            }
            given.sort_unstable();
            prop_assert_eq!(given, all);
        }
    }
}
