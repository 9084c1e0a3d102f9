//! What somebody who comes back is given of their user's past, and whether something may be missing.
//!
//! Invariant: what followed a position is told whole, or `resync` says that it may not be; nothing is given twice.

use std::time::Duration;

use super::id::{self, Mark, Position};
use crate::broker::keep::Past;
use crate::event::{Event, Kept, Place};

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Something may be missing.
    pub(super) resync: bool,
    /// What comes first, in order.
    pub(super) events: Vec<Event>,
}

impl Recovery {
    /// What follows `position` in `past`, which reaches back for `window`.
    pub fn new(position: Position, past: &Past, window: Duration, now_ms: u64) -> Self {
        let window_ms = window.as_millis() as u64;
        let is_old = |ms: u64| ms.saturating_add(window_ms) < now_ms;
        match followed(position.mark, past) {
            Some(events) if !is_old(position.ms) => Self {
                resync: false,
                events: events.to_vec(),
            },
            known => {
                let events = known.unwrap_or(&past.events).iter();
                Self {
                    resync: true,
                    events: events
                        .filter(|event| !is_old(event.accepted_ms))
                        .cloned()
                        .collect(),
                }
            }
        }
    }

    /// Where a client is that has read nothing of it yet.
    pub fn start(&self, past: &Past) -> Mark {
        match self.events.first().map(|event| event.kept) {
            Some(Kept::At(first)) => Mark::At(Place {
                number: first.number.saturating_sub(1),
                ..first
            }),
            _ => past.newest.map_or(Mark::Nothing, Mark::At),
        }
    }
}

/// All that followed a mark; `None`: something may be missing.
fn followed(mark: Mark, past: &Past) -> Option<&[Event]> {
    match mark {
        Mark::At(place) => past.after(place),
        Mark::Nothing => match past.newest {
            None => (!past.is_unsure).then_some(&[]),
            // Nothing was kept then, so all of it must be here, from the first one on.
            // Where they were in two epochs, something between them may not.
            Some(newest) => past.after(Place { number: 0, ..newest }).filter(|events| {
                matches!(events.first().map(|first| first.kept), Some(Kept::At(first)) if first.epoch == newest.epoch)
            }),
        },
        Mark::Named(named) => {
            let is = |event: &Event| id::is_named(event, named);
            let at = past.events.iter().position(is)?;
            // Of two of one name nobody knows which one it was; nor what came before one that the past does not say was early.
            let is_known = past.is_early(at) && !past.events[at + 1..].iter().any(is);
            past.behind(at).filter(|_| is_known)
        }
        Mark::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Channel, Early};

    const NOW: u64 = 1_764_000_000_000;
    const WINDOW: Duration = Duration::from_secs(60);

    /// Events 3, 4 and 5, taken 70, 20 and 10 seconds ago.
    fn past() -> Past {
        let event = |(number, age): (u64, u64)| {
            let event = Event::new(Channel::new("user", "u"), "n", number.to_string());
            (
                Place { epoch: 7, number },
                Event {
                    accepted_ms: NOW - age * 1_000,
                    ..event
                },
            )
        };
        Past::new(
            Place {
                epoch: 7,
                number: 5,
            },
            [(3, 70), (4, 20), (5, 10)].map(event).to_vec(),
        )
    }

    fn recovered(age: u64, mark: Mark, past: &Past) -> (bool, Vec<String>) {
        let position = Position {
            ms: NOW - age * 1_000,
            mark,
        };
        let Recovery { resync, events } = Recovery::new(position, past, WINDOW, NOW);
        (
            resync,
            events
                .iter()
                .map(|event| String::from_utf8_lossy(&event.data).into_owned())
                .collect(),
        )
    }

    fn at(epoch: u64, number: u64) -> Mark {
        Mark::At(Place { epoch, number })
    }

    #[test]
    fn what_followed_comes_once_and_whole() {
        let past = past();
        assert_eq!(
            recovered(30, at(7, 3), &past),
            (false, vec!["4".into(), "5".into()])
        );
        assert_eq!(recovered(1, at(7, 5), &past), (false, vec![]));
        assert_eq!(
            recovered(1, Mark::Nothing, &Past::default()),
            (false, vec![])
        );
    }

    #[test]
    fn whoever_may_miss_something_is_told_and_gets_what_the_window_has() {
        let (past, window) = (past(), (true, vec!["4".into(), "5".into()]));
        for (age, mark) in [
            (61, at(7, 3)),
            (30, at(6, 9)),
            (30, at(7, 1)),
            (30, Mark::Unknown),
            (30, Mark::Nothing),
        ] {
            assert_eq!(recovered(age, mark, &past), window, "{age} {mark:?}");
        }
        assert_eq!(
            recovered(61, at(7, 4), &past),
            (true, vec!["5".into()]),
            "what it has had is not in it"
        );
        assert_eq!(recovered(1, at(7, 1), &Past::default()), (true, vec![]));
    }

    #[test]
    fn who_had_an_event_before_it_had_a_place_goes_on_behind_it() {
        let event = |number: u64, meta: &'static str| {
            let event = Event::new(Channel::new("user", "u"), "n", number.to_string());
            let event = Event {
                meta: meta.into(),
                ..event
            };
            (Place { epoch: 7, number }, event)
        };
        let (one, other) = ("000000000000000a", "000000000000000b");
        let past = |metas: [&'static str; 3]| {
            let newest = Place {
                epoch: 7,
                number: 3,
            };
            let placed = (1..).zip(metas).map(|(number, meta)| event(number, meta));
            Past::new(newest, placed.collect())
        };
        let early = |number: u64| Early {
            place: Place { epoch: 7, number },
            node: 1,
            count: number,
            after: Some(Place {
                epoch: 7,
                number: 0,
            }),
        };
        let after = |mark, metas| {
            let past = past(metas).with_early((1..=3).map(early).collect());
            followed(mark, &past).map(<[Event]>::len)
        };
        assert_eq!(after(Mark::Named(10), [one, other, other]), Some(2));
        assert_eq!(after(Mark::Named(11), [one, one, other]), Some(0));
        assert_eq!(after(Mark::Named(11), [one, other, other]), None);
        assert_eq!(after(Mark::Named(12), [one, other, other]), None);
        let unknown = past([one, other, other]);
        assert_eq!(followed(Mark::Named(10), &unknown), None);
    }

    #[test]
    fn who_had_nothing_is_told_of_all_from_the_first_on_or_that_something_is_missing() {
        let kept = |places: &[(u64, u64)]| {
            let placed = places.iter().map(|&(epoch, number)| {
                let event = Event::new(Channel::new("user", "u"), "n", "x");
                (Place { epoch, number }, event)
            });
            let placed: Vec<_> = placed.collect();
            let newest = placed.last().expect("one").0;
            followed(Mark::Nothing, &Past::new(newest, placed)).map(<[Event]>::len)
        };
        assert_eq!(kept(&[(8, 1), (8, 2), (8, 3)]), Some(3));
        // Numbers without a hole tell nothing where the epoch changed.
        assert_eq!(kept(&[(7, 1), (7, 2), (8, 3)]), None);
        // All before the first was lost.
        assert_eq!(kept(&[(8, Place::MISSING + 1)]), None);
    }

    #[test]
    fn who_is_cut_off_before_reading_any_of_it_can_ask_again() {
        let past = past();
        let recovery = Recovery::new(
            Position {
                ms: NOW,
                mark: at(7, 3),
            },
            &past,
            WINDOW,
            NOW,
        );
        assert_eq!(recovery.start(&past), at(7, 3));
        assert_eq!(Recovery::default().start(&past), at(7, 5));
        assert_eq!(Recovery::default().start(&Past::default()), Mark::Nothing);
    }
}
