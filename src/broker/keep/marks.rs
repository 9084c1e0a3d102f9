//! By what an event is told from others of its channel, whether it has a place or not.
//!
//! Invariants: bounded, what was noted longest ago is forgotten first.

use std::collections::VecDeque;

use ahash::RandomState;

use crate::event::Event;

/// Events that are remembered.
const EVENTS: usize = 4_096;

/// Some events, each as often as it was noted.
#[derive(Default)]
pub struct Marks {
    all: VecDeque<u64>,
    hasher: RandomState,
}

impl Marks {
    /// Notes an event.
    pub fn add(&mut self, event: &Event) {
        if self.all.len() == EVENTS {
            self.all.pop_front();
        }
        self.all.push_back(self.mark(event));
    }

    /// Whether an event was noted. It is not any more.
    pub fn take(&mut self, event: &Event) -> bool {
        if self.all.is_empty() {
            return false;
        }
        let mark = self.mark(event);
        let at = self.all.iter().position(|of| *of == mark);
        at.and_then(|at| self.all.remove(at)).is_some()
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
        assert!(!marks.take(&one));
        (0..2).for_each(|_| marks.add(&one));
        assert!(!marks.take(&event("y", "1".to_owned())));
        assert!(marks.take(&one) && marks.take(&one) && !marks.take(&one));
        (0..2 * EVENTS).for_each(|number| marks.add(&event("x", number.to_string())));
        assert_eq!(marks.all.len(), EVENTS);
        assert!(!marks.take(&one));
    }
}
