//! By what an event is told from others of its channel, whether it has a place or not.
//!
//! Invariants: bounded, what was noted longest ago is forgotten first.

use std::collections::VecDeque;

use ahash::RandomState;

use crate::event::Event;

/// Events that are remembered.
const EVENTS: usize = 4_096;

/// Some events, each as often as it was noted, and what was noted of it.
pub struct Marks<T> {
    all: VecDeque<(u64, T)>,
    hasher: RandomState,
}

impl<T> Default for Marks<T> {
    fn default() -> Self {
        Self {
            all: VecDeque::new(),
            hasher: RandomState::default(),
        }
    }
}

impl<T> Marks<T> {
    /// Notes this of an event.
    pub fn add(&mut self, event: &Event, noted: T) {
        if self.all.len() == EVENTS {
            self.all.pop_front();
        }
        self.all.push_back((self.mark(event), noted));
    }

    /// What was noted of an event. It is not any more.
    pub fn take(&mut self, event: &Event) -> Option<T> {
        self.take_if(event, |_| true)
    }

    /// The same, where that is so.
    pub fn take_if(&mut self, event: &Event, is_so: impl Fn(&T) -> bool) -> Option<T> {
        if self.all.is_empty() {
            return None;
        }
        let mark = self.mark(event);
        let mut all = self.all.iter();
        let at = all.position(|(of, noted)| *of == mark && is_so(noted))?;
        self.all.remove(at).map(|(_, noted)| noted)
    }

    fn mark(&self, event: &Event) -> u64 {
        let Event {
            channel,
            name,
            data,
            meta,
            accepted_ms,
            ..
        } = event;
        self.hasher
            .hash_one((channel.as_str(), name, data, meta, accepted_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Channel;

    #[test]
    fn an_event_is_taken_as_often_as_it_was_noted() {
        let mut marks = Marks::default();
        let event = |channel: &str, data: String| Event {
            accepted_ms: 5,
            ..Event::new(Channel::new("c", channel), "n", data)
        };
        let one = event("x", "1".to_owned());
        assert_eq!(marks.take(&one), None);
        (0..2).for_each(|noted| marks.add(&one, noted));
        assert_eq!(marks.take(&event("y", "1".to_owned())), None);
        assert_eq!([(); 3].map(|()| marks.take(&one)), [Some(0), Some(1), None]);
        (0..2 * EVENTS).for_each(|noted| marks.add(&event("x", noted.to_string()), noted));
        assert_eq!(marks.all.len(), EVENTS);
        assert_eq!(marks.take(&one), None);
    }
}
