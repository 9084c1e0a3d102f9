//! A channel's past as it was read, and what follows from it for somebody who comes back.
//!
//! Invariant: pure. What follows a place is told whole, or not at all.

use std::time::Duration;

use super::{Event, Kept, Place};

/// How much of a channel's past is kept: both bounds hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// So many events, the newest; at least 1.
    pub events: u32,
    /// All of it, for so long after the newest event.
    pub lifetime: Duration,
}

/// A channel's past.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// The place that it has reached; none where nothing was kept, or all of it was forgotten.
    pub newest: Option<Place>,
    /// What is left of it, the oldest first, numbered without a hole up to the newest place. Between two epochs something may
    /// be missing all the same.
    pub events: Vec<Event>,
}

impl Past {
    /// The past that has reached `newest`, of events by the places that they were given: what is not joined to the newest
    /// without a hole is left out.
    pub fn new(newest: Place, placed: Vec<(Place, Event)>) -> Self {
        let mut wanted = newest.number;
        let mut events = Vec::with_capacity(placed.len());
        for (place, event) in placed.into_iter().rev() {
            if place.number != wanted || wanted == 0 {
                break;
            }
            events.push(Event {
                kept: Kept::At(place),
                ..event
            });
            wanted -= 1;
        }
        events.reverse();
        Self {
            newest: Some(newest),
            events,
        }
    }

    /// All that followed `place`; `None`: something that followed it may be missing.
    pub fn after(&self, place: Place) -> Option<&[Event]> {
        let newest = self.newest.filter(|newest| newest.epoch == place.epoch)?;
        let missing = usize::try_from(newest.number.checked_sub(place.number)?).ok()?;
        Some(&self.events[self.events.len().checked_sub(missing)?..])
    }

    /// All that followed the event at this index of [`Past::events`]; `None`: something that followed it may be missing.
    pub fn behind(&self, at: usize) -> Option<&[Event]> {
        let Kept::At(place) = self.events.get(at)?.kept else {
            return None;
        };
        self.after(place)
    }

    /// What is needed of it to tell what whoever was given it has had: of the newest epoch that is its end, of older ones the
    /// events, of which there are hardly ever any.
    pub fn had(&self) -> Self {
        let epoch = self.newest.map(|newest| newest.epoch);
        let older =
            |event: &&Event| matches!(event.kept, Kept::At(place) if Some(place.epoch) != epoch);
        Self {
            newest: self.newest,
            events: self.events.iter().filter(older).cloned().collect(),
        }
    }

    /// Whether whoever was given this past has had `event`, which is being delivered. A subscription that is held while the
    /// past is read is then given what it does not have.
    pub fn has(&self, event: &Event) -> bool {
        matches!(event.kept, Kept::At(place) if self.has_at(place))
    }

    /// The same of the event that was given this place.
    pub fn has_at(&self, place: Place) -> bool {
        match self.newest {
            Some(newest) if newest.epoch == place.epoch => place.number <= newest.number,
            // Numbers of an older epoch tell nothing: it may have been lost in part.
            _ => self.events.iter().any(|had| had.kept == Kept::At(place)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Channel;

    fn placed(newest: Place, places: impl Iterator<Item = Place>) -> Past {
        let event = |place: Place| {
            (
                place,
                Event::new(Channel::new("c", "x"), "n", place.number.to_string()),
            )
        };
        Past::new(newest, places.map(event).collect())
    }

    fn past(epoch: u64, newest: u64, numbers: &[u64]) -> Past {
        placed(
            Place {
                epoch,
                number: newest,
            },
            numbers.iter().map(|number| Place {
                epoch,
                number: *number,
            }),
        )
    }

    fn numbers(events: &[Event]) -> Vec<String> {
        events
            .iter()
            .map(|event| String::from_utf8_lossy(&event.data).into_owned())
            .collect()
    }

    #[test]
    fn what_followed_a_place_is_told_whole_or_not_at_all() {
        let past = past(7, 5, &[3, 4, 5]);
        let after = |epoch, number| past.after(Place { epoch, number }).map(numbers);
        assert_eq!(after(7, 5), Some(vec![]));
        assert_eq!(after(7, 3), Some(vec!["4".into(), "5".into()]));
        assert_eq!(after(7, 2), Some(vec!["3".into(), "4".into(), "5".into()]));
        assert_eq!(after(7, 1), None, "number 2 has run out");
        assert_eq!(after(7, 6), None, "the past lost its end");
        assert_eq!(after(6, 5), None, "another epoch");
        assert_eq!(
            Past::default().after(Place {
                epoch: 7,
                number: 1
            }),
            None
        );
    }

    #[test]
    fn what_follows_an_event_of_another_epoch_is_not_told() {
        let places =
            [(7, 3), (7, 4), (8, 5), (8, 6)].map(|(epoch, number)| Place { epoch, number });
        let past = placed(places[3], places.into_iter());
        let behind = |at| past.behind(at).map(numbers);
        assert_eq!(
            (behind(1), behind(2), behind(3)),
            (None, Some(vec!["6".into()]), Some(vec![]))
        );
        let renewed = placed(
            Place {
                epoch: 9,
                number: 6,
            },
            places.into_iter(),
        );
        assert_eq!(
            (renewed.events.len(), renewed.behind(3), renewed.behind(4)),
            (4, None, None)
        );
    }

    #[test]
    fn a_past_with_a_hole_begins_behind_it() {
        assert_eq!(numbers(&past(7, 5, &[1, 2, 4, 5]).events), ["4", "5"]);
        assert!(past(7, 5, &[1, 2]).events.is_empty());
    }

    #[test]
    fn a_held_subscription_is_given_what_the_past_does_not_have() {
        let past = past(7, 5, &[4, 5]);
        let has = |kept| {
            past.has(&Event {
                kept,
                ..Event::new(Channel::new("c", "x"), "n", "")
            })
        };
        let at = |epoch, number| Kept::At(Place { epoch, number });
        assert!(has(at(7, 5)) && has(at(7, 1)));
        assert!(!has(at(7, 6)) && !has(at(8, 1)) && !has(Kept::No) && !has(Kept::Missed));
    }

    #[test]
    fn what_the_past_has_of_an_older_epoch_is_not_given_again() {
        let places = [(7, 4), (7, 5), (8, 6)].map(|(epoch, number)| Place { epoch, number });
        let past = placed(places[2], places.into_iter());
        let had = past.had();
        assert_eq!((had.newest, had.events.len()), (past.newest, 2));
        for past in [past, had] {
            let has = |epoch, number| {
                let kept = Kept::At(Place { epoch, number });
                past.has(&Event {
                    kept,
                    ..Event::new(Channel::new("c", "x"), "n", "")
                })
            };
            assert!(has(7, 4) && has(7, 5) && has(8, 6) && has(8, 1));
            assert!(!has(7, 3) && !has(7, 6) && !has(8, 7) && !has(6, 5));
        }
    }
}
