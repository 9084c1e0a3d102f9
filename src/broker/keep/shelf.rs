//! Pasts of channels in this process' memory.
//!
//! Invariant: pure. All pasts together stay within [`Bounds`]; what does not fit pushes out what was kept first, of whatever
//! channel, and a past never has a hole.

use std::collections::{HashMap, VecDeque};

use ahash::RandomState;

use super::{Keep, MEMORY_OF_PLACES, Past};
use crate::event::{Channel, Event, Kept, Place};

/// How often what has run out is looked for, in milliseconds.
const SWEEP_MS: u64 = 10_000;

/// Bounds over all channels.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Events.
    events: usize,
    /// Their bytes, as [`Event::cost`] has it.
    bytes: usize,
    /// Channels whose place is known.
    channels: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            events: 1_000_000,
            bytes: 256 << 20,
            channels: 100_000,
        }
    }
}

struct Row {
    newest: Place,
    events: VecDeque<Event>,
    /// When the events run out, in milliseconds.
    until_ms: u64,
}

impl Row {
    /// The number of its oldest event.
    fn oldest(&self) -> u64 {
        self.newest.number + 1 - self.events.len() as u64
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Shelf {
    bounds: Bounds,
    rows: HashMap<Channel, Row, RandomState>,
    /// Every event there is, the one kept first in front; some are gone already.
    order: VecDeque<(Channel, Place)>,
    events: usize,
    bytes: usize,
    epoch: u64,
    swept_ms: u64,
}

impl Shelf {
    /// Nothing yet.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            ..Self::default()
        }
    }

    /// Events and bytes that it holds.
    pub fn held(&self) -> (usize, usize) {
        (self.events, self.bytes)
    }

    /// Keeps an event; gives it with its place. One that was posted again has the place that it had.
    pub fn keep(&mut self, event: Event, keep: Keep, now_ms: u64) -> Event {
        if now_ms.saturating_sub(self.swept_ms) >= SWEEP_MS
            || self.rows.len() > self.bounds.channels
        {
            self.sweep(now_ms);
        }
        self.expire(&event.channel, now_ms);
        if let Some(again) = self.again(&event) {
            return again;
        }
        if !self.rows.contains_key(&event.channel) {
            // A clock that stands still, or goes back, gives no epoch twice.
            self.epoch = (self.epoch + 1).max(now_ms * 1_000);
        }
        let nothing = Place {
            epoch: self.epoch,
            number: 0,
        };
        let row = self.rows.entry(event.channel.clone());
        let row = row.or_insert_with(|| Row {
            newest: nothing,
            events: VecDeque::new(),
            until_ms: 0,
        });
        row.newest.number += 1;
        row.until_ms = now_ms + keep.lifetime.as_millis() as u64;
        let event = Event {
            kept: Kept::At(row.newest),
            ..event
        };
        row.events.push_back(event.clone());
        self.order.push_back((event.channel.clone(), row.newest));
        self.events += 1;
        self.bytes += event.cost();
        while row.events.len() > keep.events.max(1) as usize {
            drop_oldest(row, &mut self.events, &mut self.bytes);
        }
        self.fit();
        event
    }

    /// What a channel's past is now.
    pub fn past(&mut self, channel: &Channel, now_ms: u64) -> Past {
        self.expire(channel, now_ms);
        let Some(row) = self.rows.get(channel) else {
            return Past::default();
        };
        Past {
            newest: Some(row.newest),
            events: row.events.iter().cloned().collect(),
            ..Past::default()
        }
    }

    fn again(&self, event: &Event) -> Option<Event> {
        let row = self.rows.get(&event.channel)?;
        let key = event.idempotency_key?;
        row.events
            .iter()
            .find(|kept| kept.idempotency_key == Some(key))
            .cloned()
    }

    /// Drops what of a channel has run out.
    fn expire(&mut self, channel: &Channel, now_ms: u64) {
        let Some(row) = self.rows.get_mut(channel) else {
            return;
        };
        if row.until_ms <= now_ms {
            while !row.events.is_empty() {
                drop_oldest(row, &mut self.events, &mut self.bytes);
            }
        }
        if row.until_ms + MEMORY_OF_PLACES.as_millis() as u64 <= now_ms {
            self.rows.remove(channel);
        }
    }

    /// Drops what has run out, and the places of the channels silent for longest where there are too many.
    fn sweep(&mut self, now_ms: u64) {
        self.swept_ms = now_ms;
        let channels: Vec<Channel> = self.rows.keys().cloned().collect();
        channels
            .iter()
            .for_each(|channel| self.expire(channel, now_ms));
        if self.rows.len() > self.bounds.channels {
            let mut silent: Vec<(u64, Channel)> = self
                .rows
                .iter()
                .map(|(c, row)| (row.until_ms, c.clone()))
                .collect();
            silent.sort_unstable();
            // More than has to go, so that not every new channel sorts them all.
            let surplus = self.rows.len() - self.bounds.channels + self.bounds.channels / 10;
            for (_, channel) in silent.into_iter().take(surplus) {
                if let Some(mut row) = self.rows.remove(&channel) {
                    while !row.events.is_empty() {
                        drop_oldest(&mut row, &mut self.events, &mut self.bytes);
                    }
                }
            }
        }
        if self.rows.capacity() > 8 * self.rows.len().max(64) {
            self.rows.shrink_to_fit();
        }
    }

    /// Pushes out what was kept first until all of it fits.
    fn fit(&mut self) {
        while self.events > self.bounds.events || self.bytes > self.bounds.bytes {
            let Some((channel, place)) = self.order.pop_front() else {
                return;
            };
            let Some(row) = self.rows.get_mut(&channel) else {
                continue;
            };
            if row.newest.epoch == place.epoch
                && row.oldest() == place.number
                && !row.events.is_empty()
            {
                drop_oldest(row, &mut self.events, &mut self.bytes);
            }
        }
        if self.order.len() > 2 * self.events + 1_024 {
            let rows = &self.rows;
            self.order.retain(|(channel, place)| {
                rows.get(channel).is_some_and(|row| {
                    row.newest.epoch == place.epoch && row.oldest() <= place.number
                })
            });
        }
    }
}

fn drop_oldest(row: &mut Row, events: &mut usize, bytes: &mut usize) {
    if let Some(event) = row.events.pop_front() {
        *events -= 1;
        *bytes -= event.cost();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const KEEP: Keep = Keep {
        events: 4,
        lifetime: Duration::from_secs(60),
    };

    fn event(channel: u8, number: usize) -> Event {
        Event::new(
            Channel::new("c", &channel.to_string()),
            "n",
            number.to_string(),
        )
    }

    fn place(event: &Event) -> Place {
        let Kept::At(place) = event.kept else {
            panic!("it was not kept")
        };
        place
    }

    #[test]
    fn a_past_ends_with_its_lifetime_and_its_place_is_known_for_longer() {
        let mut shelf = Shelf::new(Bounds::default());
        let first = place(&shelf.keep(event(1, 0), KEEP, 1_000));
        let channel = event(1, 0).channel;
        assert_eq!(shelf.past(&channel, 60_999).events.len(), 1);
        let past = shelf.past(&channel, 61_000);
        assert_eq!(
            (past.newest, past.events.len(), shelf.held()),
            (Some(first), 0, (0, 0))
        );
        let second = place(&shelf.keep(event(1, 1), KEEP, 70_000));
        assert_eq!(second, Place { number: 2, ..first });
        assert_eq!(
            shelf.past(&channel, 70_000 + 60_000 + 3_600_000),
            Past::default()
        );
        assert!(
            place(&shelf.keep(event(1, 2), KEEP, 70_000)).epoch > first.epoch,
            "a new epoch, whatever the clock says"
        );
    }

    #[test]
    fn an_event_that_is_posted_again_has_the_place_that_it_had() {
        let mut shelf = Shelf::new(Bounds::default());
        let posted = Event {
            idempotency_key: Some(9),
            ..event(1, 0)
        };
        let first = shelf.keep(posted.clone(), KEEP, 0);
        shelf.keep(event(1, 1), KEEP, 0);
        assert_eq!(shelf.keep(posted, KEEP, 0), first);
        assert_eq!(shelf.past(&first.channel, 0).events.len(), 2);
    }

    proptest! {
        /// Whatever is kept where and when: bounds hold, and every past is joined to its newest place.
        #[test]
        fn it_stays_within_its_bounds_and_pasts_have_no_holes(
            steps in prop::collection::vec((0u8..12, 0u64..30_000, 1u32..6, 1u64..90, 0usize..200), 1..300),
        ) {
            let bounds = Bounds { events: 20, bytes: 5_000, channels: 6 };
            let (mut shelf, mut now_ms) = (Shelf::new(bounds), 0);
            let mut newest: HashMap<Channel, Place> = HashMap::new();
            for (number, (channel, pause, events, seconds, size)) in steps.into_iter().enumerate() {
                now_ms += pause;
                let keep = Keep { events, lifetime: Duration::from_secs(seconds) };
                let posted = Event { data: "x".repeat(size).into(), ..event(channel, number) };
                let kept = shelf.keep(posted.clone(), keep, now_ms);
                let at = place(&kept);
                if let Some(before) = newest.insert(kept.channel.clone(), at) {
                    prop_assert!(at > before, "{before:?} then {at:?}");
                    prop_assert!(at.epoch > before.epoch || at.number == before.number + 1);
                }
                let (held, bytes) = shelf.held();
                prop_assert!(held <= bounds.events && bytes <= bounds.bytes.max(kept.cost()));
                // The sweep comes with the next one that is kept.
                prop_assert!(shelf.rows.len() <= bounds.channels + 1 && shelf.order.len() <= 2 * held + 1_025);
                let mut total = (0, 0);
                for channel in newest.keys() {
                    let past = shelf.past(channel, now_ms);
                    let numbers: Vec<u64> = past.events.iter().map(|event| place(event).number).collect();
                    let last = past.newest.map_or(0, |place| place.number);
                    let first = last + 1 - numbers.len() as u64;
                    prop_assert_eq!(numbers, (first..=last).collect::<Vec<_>>());
                    total = (total.0 + past.events.len(), total.1 + past.events.iter().map(Event::cost).sum::<usize>());
                }
                prop_assert_eq!(total, shelf.held());
            }
        }
    }
}
