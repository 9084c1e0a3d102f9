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

/// An event that the clients of the node that took it had before it had a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Early {
    /// The place that it has.
    pub place: Place,
    /// Which node.
    pub node: u64,
    /// The how manieth of that node's it is: it gave them in this order, and hardly ever they have places in another one.
    pub count: u64,
    /// Up to where that node's clients had the channel then; none where that is not known.
    pub after: Option<Place>,
}

impl Early {
    /// Whether the node that gave this one gave `other` after it; none where another node gave that.
    fn is_followed_by(&self, other: &Self) -> Option<bool> {
        (self.node == other.node).then_some(self.count < other.count)
    }
}

/// A channel's past.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// The place that it has reached; none where nothing was kept, or all of it was forgotten.
    pub newest: Option<Place>,
    /// The number behind which the epoch of that place began, where that is known.
    pub began: Option<u64>,
    /// What is left of it, the oldest first, numbered without a hole up to the newest place. Between two epochs something may
    /// be missing all the same.
    pub events: Vec<Event>,
    /// Which of them some clients had early, in the order of their places. With other nodes' events between them nobody knows
    /// what those clients have had.
    pub early: Vec<Early>,
    /// Which of them whoever read it has not heard of yet: it is not known whether some clients had them early.
    pub unheard: Vec<Place>,
    /// Whether other nodes may have given something that it does not have, and that was not heard of where it was read.
    pub is_unsure: bool,
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
            ..Self::default()
        }
    }

    /// The same past, with what is known of those that some clients had early.
    pub fn with_early(self, early: Vec<Early>) -> Self {
        Self { early, ..self }
    }

    /// The same past, of which so much was not heard of; whether there may be more that was not.
    pub fn with_unheard(self, unheard: Vec<Place>, is_unsure: bool) -> Self {
        Self {
            unheard,
            is_unsure,
            ..self
        }
    }

    /// All that followed `place` for whoever had all up to there; `None`: something that followed it may be missing, or was had.
    pub fn after(&self, place: Place) -> Option<&[Event]> {
        self.followed(place, self.early_at(place))
    }

    /// All that followed the event at this index of [`Past::events`] for whoever had that last; `None`: something that followed
    /// it may be missing, or was had.
    pub fn behind(&self, at: usize) -> Option<&[Event]> {
        let Kept::At(place) = self.events.get(at)?.kept else {
            return None;
        };
        if self.unheard.contains(&place) {
            return None;
        }
        let Some(early) = self.early_at(place) else {
            return self.after(place);
        };
        // Whoever had it early had what its node had by then, and what that node gave early too, and nothing else.
        let after = early.after.filter(|after| after.epoch == place.epoch)?;
        let between = |other: &&Early| after < other.place && other.place < place;
        let given = self
            .early
            .iter()
            .filter(|other| early.is_followed_by(other) == Some(false))
            .filter(between);
        let between = place.number.checked_sub(after.number + 1)?;
        (given.count() as u64 == between)
            .then(|| self.after(place))
            .flatten()
    }

    /// Whether some clients had the event at this index of [`Past::events`] early.
    pub fn is_early(&self, at: usize) -> bool {
        let kept = self.events.get(at).map(|event| event.kept);
        matches!(kept, Some(Kept::At(place)) if self.early_at(place).is_some())
    }

    fn early_at(&self, place: Place) -> Option<&Early> {
        self.early.iter().find(|early| early.place == place)
    }

    /// What followed `place`, which a node gave early, if one did.
    fn followed(&self, place: Place, given: Option<&Early>) -> Option<&[Event]> {
        let is_sure = |newest: &Place| newest.epoch == place.epoch && !self.is_unsure;
        let newest = self.newest.filter(is_sure)?;
        let missing = usize::try_from(newest.number.checked_sub(place.number)?).ok()?;
        let followed = &self.events[self.events.len().checked_sub(missing)?..];
        // One that was given before its clients had this place, by the node that had it early or by any other.
        let was_had = |early: &Early| {
            early.place > place
                && early.after < Some(place)
                && given.and_then(|given| given.is_followed_by(early)) != Some(true)
        };
        (!self.early.iter().any(was_had)).then_some(followed)
    }

    /// What is needed of it to tell what whoever was given it has had: of the newest epoch that is its end, of older ones the
    /// events, of which there are hardly ever any.
    pub fn had(&self) -> Self {
        let epoch = self.newest.map(|newest| newest.epoch);
        let older =
            |event: &&Event| matches!(event.kept, Kept::At(place) if Some(place.epoch) != epoch);
        Self {
            newest: self.newest,
            began: self.began,
            events: self.events.iter().filter(older).cloned().collect(),
            ..Self::default()
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
mod tests;
