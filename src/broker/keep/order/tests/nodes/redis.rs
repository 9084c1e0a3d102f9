//! What Redis has of one channel, and does in one step, as the scripts do.

use std::sync::{Arc, OnceLock};

use crate::broker::keep::heard::Mark;
use crate::broker::keep::order::gap::NOTHING;
use crate::event::{Early, Event, Past, Place};

/// What is to be kept.
pub struct Job {
    pub event: Event,
    pub count: u64,
    pub heard: Option<Mark>,
    pub again: bool,
    /// Up to where the clients had the channel when they were given it; none where they were not.
    pub after: Option<Arc<OnceLock<Place>>>,
}

/// What Redis has of the channel, and does in one step.
#[derive(Default)]
pub struct Redis {
    /// The time, as far as it names epochs.
    time: u64,
    /// Whether it has lost anything.
    pub has_lost: bool,
    run: u64,
    /// The number behind which the epoch began.
    began: u64,
    /// So many events stay.
    keeps: usize,
    /// Epoch, number, run.
    mark: Option<(u64, u64, u64)>,
    past: Vec<(Place, Event, Option<Early>)>,
}

impl Redis {
    /// Of whose past so many events stay.
    pub fn new(keeps: usize) -> Self {
        Self {
            keeps,
            ..Self::default()
        }
    }

    /// What each call begins with: the place that is reached, in an epoch in which the caller has missed nothing.
    fn reach(&mut self, heard: Option<Mark>) -> Place {
        let (upto, hole) = match heard {
            None => (NOTHING, false),
            Some(Mark::At(place)) => (place, false),
            Some(Mark::Hole(_)) => (NOTHING, true),
        };
        let (epoch, number, run) = self.mark.unwrap_or_default();
        let fits = epoch > upto.epoch || epoch == upto.epoch && number >= upto.number;
        let fine = self.mark.is_some() && run == self.run && fits && !hole;
        self.time += 1;
        let epoch = if fine { epoch } else { self.time };
        let is_missing = self.mark.is_none() && heard.is_some();
        let number = number + if is_missing { Place::MISSING } else { 0 };
        if !fine {
            self.began = number;
        }
        self.mark = Some((epoch, number, self.run));
        Place { epoch, number }
    }

    pub fn append(&mut self, job: &Job, node: usize) -> Place {
        let early = |place| {
            let after = job.after.as_ref()?.get().copied();
            let (node, count) = (node as u64, job.count);
            Some(Early {
                place,
                node,
                count,
                after,
            })
        };
        if job.again
            && let Some((place, _, told)) =
                (self.past.iter_mut()).find(|(_, event, _)| event.data == job.event.data)
        {
            *told = early(*place).or(*told);
            return *place;
        }
        if self.mark.is_none() {
            self.past.clear();
        }
        let reached = self.reach(job.heard);
        let place = Place {
            number: reached.number + 1,
            ..reached
        };
        self.mark = Some((place.epoch, place.number, self.run));
        self.past.push((place, job.event.clone(), early(place)));
        self.past
            .drain(..self.past.len().saturating_sub(self.keeps));
        place
    }

    pub fn read(&mut self, heard: Option<Mark>) -> Past {
        if self.mark.is_none() && !heard.is_some_and(Mark::is_hole) {
            return Past::default();
        }
        let newest = self.reach(heard);
        let placed = self
            .past
            .iter()
            .map(|(place, event, _)| (*place, event.clone()));
        let early = self.past.iter().filter_map(|(_, _, early)| *early);
        let past = Past::new(newest, placed.collect()).with_early(early.collect());
        let began = Some(self.began);
        Past { began, ..past }
    }

    /// Whether it has all that it has not lost.
    pub fn keeps_all(&self) -> bool {
        self.past.len() < self.keeps
    }

    /// It starts again, without the last so many.
    pub fn restart(&mut self, lost: usize) {
        self.run += 1;
        if let Some((_, number, _)) = &mut self.mark {
            let lost = lost.min(self.past.len());
            self.has_lost |= lost > 0;
            *number -= lost as u64;
            self.past.truncate(self.past.len() - lost);
        }
    }

    pub fn empty(&mut self) {
        (self.mark, self.past, self.has_lost) = (None, Vec::new(), true);
    }
}
