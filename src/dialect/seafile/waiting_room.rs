//! Events that wait for a group's members, and the events of the same library behind them.
//!
//! Invariant: pure; a library's events leave in the order in which they were put in, but for those that stepped aside; the
//! first of each library's line is always an unresolved one, else it would have left; the whole is bounded in events and
//! bytes. What is given up leaves a loss in its place.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::event::{Channel, Event, Recipients};

/// One event in its place. Tickets grow from one event to the next.
struct Place {
    ticket: u64,
    event: Event,
    /// Whom it is for, as far as that is known.
    to: To,
}

enum To {
    /// Its recipients are known.
    Known,
    /// They are being looked up.
    Unresolved,
    /// It goes to nobody.
    Nobody,
}

/// What was found out about a group's event.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It is for these.
    For(Recipients),
    /// The group is empty.
    Nobody,
    /// Whom it is for will not be known.
    Lost,
}

/// How much may wait.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Number of events.
    pub(super) events: usize,
    /// Bytes of events, by [`Event::cost`].
    pub(super) bytes: usize,
}

/// All libraries' lines.
pub(super) struct WaitingRoom {
    bounds: Bounds,
    libraries: HashMap<Channel, VecDeque<Place>>,
    /// By ticket, so oldest first: the library and the group.
    unresolved: BTreeMap<u64, (Channel, i64)>,
    /// Unresolved events that no longer hold up those behind them.
    aside: HashMap<u64, Event>,
    next_ticket: u64,
    events: usize,
    bytes: usize,
}

impl WaitingRoom {
    /// Nothing waits.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            libraries: HashMap::new(),
            unresolved: BTreeMap::new(),
            aside: HashMap::new(),
            next_ticket: 0,
            events: 0,
            bytes: 0,
        }
    }

    /// How many events wait.
    pub fn waiting(&self) -> usize {
        self.events
    }

    /// Whether events of `channel` wait, so that later ones must too.
    pub fn holds(&self, channel: &Channel) -> bool {
        self.libraries.contains_key(channel)
    }

    /// Puts an event whose recipients are known behind the others of its library, of which there must be some.
    pub fn push(&mut self, event: Event) {
        debug_assert!(self.holds(&event.channel));
        self.add(event, To::Known);
    }

    /// Puts an event for a group whose members are to be found out into its place. [`WaitingRoom::settle`] takes the ticket.
    pub(super) fn push_unresolved(&mut self, event: Event, group: i64) -> u64 {
        let channel = event.channel.clone();
        let ticket = self.add(event, To::Unresolved);
        self.unresolved.insert(ticket, (channel, group));
        ticket
    }

    fn add(&mut self, event: Event, to: To) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.events += 1;
        self.bytes += event.cost();
        self.libraries
            .entry(event.channel.clone())
            .or_default()
            .push_back(Place { ticket, event, to });
        ticket
    }

    /// The oldest unresolved event's ticket and group, if more events wait than may.
    pub fn over(&self) -> Option<(u64, i64)> {
        let over = self.events > self.bounds.events || self.bytes > self.bounds.bytes;
        self.unresolved
            .first_key_value()
            .map(|(ticket, (_, group))| (*ticket, *group))
            .filter(|_| over)
    }

    /// The event of `ticket` waits on, and those behind it no longer do. Hands out, in order, what need not wait any more.
    pub(super) fn step_aside(&mut self, ticket: u64, out: impl FnMut(Event)) {
        let Some((channel, _)) = self.unresolved.get(&ticket) else {
            return;
        };
        let (channel, line) = (channel.clone(), self.libraries.get_mut(channel));
        let Some(line) = line else { return };
        if let Ok(at) = line.binary_search_by_key(&ticket, |place| place.ticket)
            && let Some(place) = line.remove(at)
        {
            self.aside.insert(ticket, place.event);
        }
        self.release(&channel, out);
    }

    /// It is known whom `ticket`'s event is for, or that it will not be known. Hands out, in order, what need not wait any
    /// more. A ticket that was settled before changes nothing.
    pub fn settle(&mut self, ticket: u64, outcome: Outcome, mut out: impl FnMut(Event)) {
        let Some((channel, _)) = self.unresolved.remove(&ticket) else {
            return;
        };
        if let Some(mut event) = self.aside.remove(&ticket) {
            self.events -= 1;
            self.bytes -= event.cost();
            if matches!(apply(outcome, &mut event), To::Known) {
                out(event);
            }
            return;
        }
        let Some(line) = self.libraries.get_mut(&channel) else {
            return;
        };
        if let Ok(at) = line.binary_search_by_key(&ticket, |place| place.ticket) {
            let place = &mut line[at];
            // What was counted stays counted until it leaves.
            let before = place.event.cost();
            place.to = apply(outcome, &mut place.event);
            self.bytes = self.bytes - before + place.event.cost();
        }
        self.release(&channel, out);
    }

    fn release(&mut self, channel: &Channel, mut out: impl FnMut(Event)) {
        let Some(line) = self.libraries.get_mut(channel) else {
            return;
        };
        while line
            .front()
            .is_some_and(|place| !matches!(place.to, To::Unresolved))
        {
            let Some(place) = line.pop_front() else { break };
            self.events -= 1;
            self.bytes -= place.event.cost();
            if matches!(place.to, To::Known) {
                out(place.event);
            }
        }
        if line.is_empty() {
            self.libraries.remove(channel);
        }
    }
}

fn apply(outcome: Outcome, event: &mut Event) -> To {
    match outcome {
        Outcome::For(recipients) => event.recipients = recipients,
        Outcome::Nobody => return To::Nobody,
        Outcome::Lost => *event = Event::loss(event.channel.clone()),
    }
    To::Known
}

#[cfg(test)]
mod tests;
