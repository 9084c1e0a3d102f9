//! What was taken from a channel's past because nobody had heard of it: it may still be heard of, and is not given again then.
//!
//! Invariants: pure; bounded, what was taken longest ago is forgotten first.

use std::collections::{HashMap, VecDeque};

use ahash::RandomState;

use crate::event::{Channel, Place};

/// Spans that are remembered.
const SPANS: usize = 4_096;

/// Places of one epoch, one after the other.
struct Span {
    first: Place,
    last: u64,
    /// Whether a new epoch began behind it, whose past had it.
    is_settled: bool,
}

impl Span {
    fn last(&self) -> Place {
        Place {
            number: self.last,
            ..self.first
        }
    }

    fn has(&self, place: Place) -> bool {
        self.first <= place && place.epoch == self.first.epoch && place.number <= self.last
    }
}

/// What was taken of one channel.
#[derive(Default)]
struct Spans {
    all: Vec<Span>,
    /// When the last of it was taken.
    taken_ms: u64,
}

/// See the module.
pub struct Filled {
    channels: HashMap<Channel, Spans, RandomState>,
    /// Which channel had something taken when.
    taken: VecDeque<(u64, Channel)>,
    spans: usize,
    /// For how long something may still be heard of, in milliseconds.
    lasts_ms: u64,
}

impl Filled {
    /// Nothing yet. What was taken may be heard of within this time, or not at all.
    pub fn new(lasts_ms: u64) -> Self {
        Self {
            channels: HashMap::default(),
            taken: VecDeque::new(),
            spans: 0,
            lasts_ms,
        }
    }

    /// Notes what was taken.
    pub fn add(&mut self, channel: &Channel, place: Place, now_ms: u64) {
        let known = self.channels.entry(channel.clone()).or_default();
        known.taken_ms = now_ms;
        let spans = &mut known.all;
        let next = |span: &&mut Span| {
            span.first.epoch == place.epoch && span.last + 1 == place.number && !span.is_settled
        };
        match spans.last_mut().filter(next) {
            Some(span) => span.last = place.number,
            None => {
                spans.push(Span {
                    first: place,
                    last: place.number,
                    is_settled: false,
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
        let known = self.channels.get(channel);
        known.is_some_and(|known| known.all.iter().any(|span| span.has(place)))
    }

    /// Whether anything was taken before this place that is not heard of since.
    pub fn has_before(&self, channel: &Channel, place: Place) -> bool {
        let known = self.channels.get(channel);
        known.is_some_and(|known| known.all.iter().any(|span| span.first < place))
    }

    /// What was taken last, of each span of epochs before this one that is not heard of since and not settled.
    pub fn lasts_before(&self, channel: &Channel, epoch: u64) -> impl Iterator<Item = Place> {
        let spans = self
            .channels
            .get(channel)
            .map_or(&[][..], |known| &known.all);
        let is_open = move |span: &&Span| span.first.epoch < epoch && !span.is_settled;
        spans.iter().filter(is_open).map(Span::last)
    }

    /// An epoch began whose past has what was taken of those before, or had it.
    pub fn settle_before(&mut self, channel: &Channel, epoch: u64) {
        if let Some(known) = self.channels.get_mut(channel) {
            let before = known.all.iter_mut().filter(|span| span.first.epoch < epoch);
            before.for_each(|span| span.is_settled = true);
        }
    }

    /// What was taken of epochs before this one is not heard of any more, or counts as new, unless it is settled.
    pub fn forget_before(&mut self, channel: &Channel, epoch: u64) {
        if let Some(known) = self.channels.get_mut(channel) {
            let before = known.all.len();
            known
                .all
                .retain(|span| span.first.epoch >= epoch || span.is_settled);
            self.spans -= before - known.all.len();
        }
    }

    /// Something is heard of: whether it was taken. It is not heard of again.
    pub fn take(&mut self, channel: &Channel, place: Place) -> bool {
        let Some(Spans { all: spans, .. }) = self.channels.get_mut(channel) else {
            return false;
        };
        let Some(at) = spans.iter().position(|span| span.has(place)) else {
            return false;
        };
        let Span {
            first,
            last,
            is_settled,
        } = spans.swap_remove(at);
        self.spans -= 1;
        let before = (first.number < place.number).then(|| Span {
            first,
            last: place.number - 1,
            is_settled,
        });
        let after = (place.number < last).then(|| Span {
            first: Place {
                number: place.number + 1,
                ..place
            },
            last,
            is_settled,
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
            && now_ms.saturating_sub(*ms) > self.lasts_ms
        {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((ms, channel)) = self.taken.pop_front() else {
            return;
        };
        // What was taken of it since goes on being known.
        let known = self.channels.get(&channel);
        if known.is_some_and(|known| known.taken_ms <= ms) {
            let gone = self.channels.remove(&channel);
            self.spans -= gone.map_or(0, |known| known.all.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(number: u64) -> Place {
        Place { epoch: 7, number }
    }

    fn channel(name: &str) -> Channel {
        Channel::new("c", name)
    }

    #[test]
    fn each_is_heard_of_once_in_whatever_order() {
        let (mut filled, x) = (Filled::new(1_000), channel("x"));
        (1..=5).for_each(|number| filled.add(&x, place(number), 0));
        assert_eq!(filled.spans, 1);
        let lasts = |filled: &Filled, epoch| filled.lasts_before(&x, epoch).collect::<Vec<_>>();
        assert_eq!(
            (lasts(&filled, 8), lasts(&filled, 7)),
            (vec![place(5)], vec![])
        );
        filled.settle_before(&x, 8);
        assert_eq!(lasts(&filled, 8), []);
        filled.forget_before(&x, 7);
        assert!(!filled.take(&x, place(6)) && !filled.take(&channel("y"), place(3)));
        for number in [3, 1, 5, 2, 4] {
            assert!(filled.has(&x, place(number)) && filled.take(&x, place(number)));
            assert!(!filled.has(&x, place(number)) && !filled.take(&x, place(number)));
        }
        assert_eq!((filled.spans, filled.channels.len()), (0, 0));
        filled.add(&x, place(6), 0);
        filled.forget_before(&x, 8);
        assert!(filled.spans == 0 && !filled.take(&x, place(6)));
    }

    #[test]
    fn it_is_bounded_and_what_was_taken_long_ago_is_forgotten() {
        let (mut filled, x) = (Filled::new(1_000), channel("x"));
        filled.add(&x, place(1), 0);
        filled.add(&channel("y"), place(1), 0);
        filled.add(&x, place(3), 900);
        filled.forget(1_001);
        assert!(filled.has(&x, place(1)) && !filled.has(&channel("y"), place(1)));
        filled.forget(1_901);
        assert_eq!((filled.spans, filled.channels.len()), (0, 0));
        for number in 0..2 * SPANS as u64 {
            filled.add(&channel(&number.to_string()), place(1), 2_000 + number / 9);
            assert!(filled.spans <= SPANS && filled.taken.len() <= SPANS);
        }
        (0..2 * SPANS as u64).for_each(|number| filled.add(&x, place(2 * number), 9_000));
        assert!(filled.spans <= SPANS && filled.taken.len() <= SPANS);
    }
}
