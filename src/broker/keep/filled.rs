//! What was taken from a channel's past because nobody had heard of it: it may still be heard of, and is not given again then.
//!
//! Invariants: pure; bounded, what was taken longest ago is forgotten first.

use std::collections::{HashMap, VecDeque};

use ahash::RandomState;

use crate::event::{Channel, Place};

/// Spans that are remembered.
const SPANS: usize = 4_096;
/// For how long something may still be heard of, in milliseconds: as long as the broker knows what is posted again.
const LASTS_MS: u64 = 300_000;

/// Places of one epoch, one after the other.
struct Span {
    first: Place,
    last: u64,
}

impl Span {
    fn has(&self, place: Place) -> bool {
        self.first <= place && place.epoch == self.first.epoch && place.number <= self.last
    }
}

/// See the module.
#[derive(Default)]
pub struct Filled {
    channels: HashMap<Channel, Vec<Span>, RandomState>,
    /// Which channel had something taken when.
    taken: VecDeque<(u64, Channel)>,
    spans: usize,
}

impl Filled {
    /// Notes what was taken.
    pub fn add(&mut self, channel: &Channel, place: Place, now_ms: u64) {
        let spans = self.channels.entry(channel.clone()).or_default();
        let next =
            |span: &&mut Span| span.first.epoch == place.epoch && span.last + 1 == place.number;
        match spans.last_mut().filter(next) {
            Some(span) => span.last = place.number,
            None => {
                spans.push(Span {
                    first: place,
                    last: place.number,
                });
                self.spans += 1;
            }
        }
        if self
            .taken
            .back()
            .is_none_or(|(ms, of)| *ms != now_ms || of != channel)
        {
            self.taken.push_back((now_ms, channel.clone()));
        }
        while self.spans > SPANS || self.taken.len() > SPANS {
            self.forget_oldest();
        }
    }

    /// Whether this was taken and not heard of since.
    pub fn has(&self, channel: &Channel, place: Place) -> bool {
        let mut spans = self.channels.get(channel).into_iter().flatten();
        spans.any(|span| span.has(place))
    }

    /// Something is heard of: whether it was taken. It is not heard of again.
    pub fn take(&mut self, channel: &Channel, place: Place) -> bool {
        let Some(spans) = self.channels.get_mut(channel) else {
            return false;
        };
        let Some(at) = spans.iter().position(|span| span.has(place)) else {
            return false;
        };
        let Span { first, last } = spans.swap_remove(at);
        self.spans -= 1;
        let before = (first.number < place.number).then(|| Span {
            first,
            last: place.number - 1,
        });
        let after = (place.number < last).then(|| Span {
            first: Place {
                number: place.number + 1,
                ..place
            },
            last,
        });
        let rest = before.into_iter().chain(after);
        rest.for_each(|span| {
            spans.push(span);
            self.spans += 1;
        });
        if spans.is_empty() {
            self.channels.remove(channel);
        }
        true
    }

    /// Forgets what is not heard of any more.
    pub fn forget(&mut self, now_ms: u64) {
        while let Some((ms, _)) = self.taken.front()
            && now_ms.saturating_sub(*ms) > LASTS_MS
        {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((_, channel)) = self.taken.pop_front() else {
            return;
        };
        // What was taken of it since goes on being known.
        if self.taken.iter().all(|(_, of)| *of != channel) {
            let gone = self
                .channels
                .remove(&channel)
                .map_or(0, |spans| spans.len());
            self.spans -= gone;
        }
    }
}
