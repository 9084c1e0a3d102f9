//! What a node's own clients had before it was kept: it comes again with its place, and is not given to them again.
//!
//! Invariants: pure; an entry for each event that is still to come; what does not come in the end is forgotten.

use std::collections::HashMap;

use ahash::RandomState;

use crate::event::{Channel, Event, Place};

/// How often entries are looked for whose events do not come any more, in milliseconds.
const SWEEP_MS: u64 = 10_000;

struct Entry {
    /// What tells the event from others of its channel.
    mark: u64,
    told_ms: u64,
    /// Until it was given to the clients.
    telling: Option<Telling>,
    /// Whether it is kept, or never will be.
    is_kept: bool,
}

/// What is told that an event was given to the clients, and up to where they had its channel then.
type Telling = Box<dyn FnOnce(Option<Place>) + Send>;

/// See the module.
pub struct Told {
    rows: HashMap<Channel, Vec<Entry>, RandomState>,
    marks: RandomState,
    /// For how long an event may still come, in milliseconds.
    lasts_ms: u64,
    swept_ms: u64,
}

impl Told {
    /// Nothing yet. Events come within this time, or not at all.
    pub fn new(lasts_ms: u64) -> Self {
        Self {
            rows: HashMap::default(),
            marks: RandomState::new(),
            lasts_ms,
            swept_ms: 0,
        }
    }

    /// Notes an event that is given to the clients now; `telling` is told once it is, and up to where they had the channel
    /// then. Returns whether it is to be: one that was posted again is not.
    pub fn add(
        &mut self,
        event: &Event,
        telling: impl FnOnce(Option<Place>) + Send + 'static,
        now_ms: u64,
    ) -> bool {
        if now_ms.saturating_sub(self.swept_ms) >= SWEEP_MS {
            self.sweep(now_ms);
        }
        let mark = self.mark(event);
        let row = self.rows.entry(event.channel.clone()).or_default();
        if event.idempotency_key.is_some() && row.iter().any(|entry| entry.mark == mark) {
            return false;
        }
        row.push(Entry {
            mark,
            told_ms: now_ms,
            telling: Some(Box::new(telling)),
            is_kept: false,
        });
        true
    }

    /// An event was given to the clients without a place, when they had its channel up to `after`.
    pub fn given(&mut self, event: &Event, after: Option<Place>) {
        let mark = self.mark(event);
        let mut row = self.rows.get_mut(&event.channel).into_iter().flatten();
        let telling =
            row.find_map(|entry| (entry.mark == mark).then(|| entry.telling.take()).flatten());
        if let Some(telling) = telling {
            telling(after);
        }
    }

    /// An event is kept, or never will be.
    pub fn kept(&mut self, event: &Event) {
        if self.rows.is_empty() {
            return;
        }
        let mark = self.mark(event);
        let mut row = self.rows.get_mut(&event.channel).into_iter().flatten();
        if let Some(entry) = row.find(|entry| entry.mark == mark && !entry.is_kept) {
            entry.is_kept = true;
        }
    }

    /// Whether something of a channel was given to the clients and is not kept yet: nobody elsewhere can know that whoever had
    /// it had it before what has a place.
    pub fn waits(&self, channel: &Channel) -> bool {
        let mut row = self.rows.get(channel).into_iter().flatten();
        row.any(|entry| entry.telling.is_none() && !entry.is_kept)
    }

    /// An event has come: whether the clients had it. It does not come again.
    pub fn take(&mut self, event: &Event) -> bool {
        if self.rows.is_empty() {
            return false;
        }
        let mark = self.mark(event);
        let Some(row) = self.rows.get_mut(&event.channel) else {
            return false;
        };
        let Some(at) = row.iter().position(|entry| entry.mark == mark) else {
            return false;
        };
        row.remove(at);
        if row.is_empty() {
            self.rows.remove(&event.channel);
            self.rows.shrink_to(2 * self.rows.len());
        }
        true
    }

    fn mark(&self, event: &Event) -> u64 {
        match event.idempotency_key {
            Some(key) => key,
            None => self
                .marks
                .hash_one((event.accepted_ms, &event.name, &event.data, &event.meta)),
        }
    }

    fn sweep(&mut self, now_ms: u64) {
        self.swept_ms = now_ms;
        let lasts_ms = self.lasts_ms;
        self.rows.retain(|_, row| {
            row.retain(|entry| now_ms.saturating_sub(entry.told_ms) < lasts_ms);
            !row.is_empty()
        });
        self.rows.shrink_to(2 * self.rows.len());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, OnceLock};

    use super::*;

    fn event(channel: &str, data: &'static str) -> Event {
        Event {
            accepted_ms: 5,
            ..Event::new(Channel::new("c", channel), "n", data)
        }
    }

    fn keyed(data: &'static str) -> Event {
        Event {
            idempotency_key: Some(7),
            ..event("x", data)
        }
    }

    #[test]
    fn what_was_told_is_taken_as_often_as_it_was() {
        let mut told = Told::new(1_000);
        assert!(!told.take(&event("x", "1")));
        assert!(told.add(&event("x", "1"), drop, 0) && told.add(&event("x", "1"), drop, 0));
        assert!(!told.take(&event("x", "2")) && !told.take(&event("y", "1")));
        assert!(told.take(&event("x", "1")) && told.take(&event("x", "1")));
        assert!(!told.take(&event("x", "1")));
        assert!(told.rows.is_empty());
    }

    #[test]
    fn what_was_posted_again_is_told_and_taken_once() {
        let mut told = Told::new(1_000);
        assert!(told.add(&keyed("1"), drop, 0) && !told.add(&keyed("1"), drop, 0));
        assert!(told.take(&keyed("1")) && !told.take(&keyed("1")));
    }

    #[test]
    fn a_channel_waits_until_all_that_was_given_of_it_is_kept() {
        let (mut told, one, two) = (Told::new(1_000), event("x", "1"), event("x", "2"));
        let waits = |told: &Told| told.waits(&one.channel);
        told.add(&one, drop, 0);
        told.add(&two, drop, 0);
        assert!(!waits(&told), "neither was given");
        told.given(&one, None);
        assert!(waits(&told) && !told.waits(&event("y", "1").channel));
        told.kept(&one);
        assert!(!waits(&told));
        told.given(&two, None);
        assert!(told.take(&one) && waits(&told));
        told.kept(&two);
        assert!(!waits(&told) && told.take(&two));
    }

    #[test]
    fn a_telling_ends_when_its_event_was_given_or_is_forgotten() {
        let (mut told, telling) = (Told::new(SWEEP_MS), Arc::new(OnceLock::new()));
        let place = Place {
            epoch: 7,
            number: 9,
        };
        let of = |telling: &Arc<OnceLock<Option<Place>>>| {
            let telling = Arc::clone(telling);
            move |after| assert!(telling.set(after).is_ok() || after.is_none())
        };
        told.add(&event("x", "1"), of(&telling), 0);
        told.add(&event("x", "1"), of(&telling), 0);
        told.given(&event("x", "1"), Some(place));
        assert_eq!(telling.get(), Some(&Some(place)));
        assert_eq!(Arc::strong_count(&telling), 2);
        told.given(&event("x", "1"), None);
        assert_eq!(Arc::strong_count(&telling), 1);
        told.add(&event("x", "2"), of(&telling), 0);
        told.add(&event("x", "3"), drop, SWEEP_MS);
        assert_eq!(Arc::strong_count(&telling), 1);
        assert!(told.take(&event("x", "3")) && !told.take(&event("x", "1")));
    }
}
