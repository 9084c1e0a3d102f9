//! Follows one partition: takes what is heard, what is read from the log and what this node accepted itself, and says
//! what to deliver, what to read and what is lost. No clock, no connection: a test can play Redis.
//!
//! Invariant: every event comes out once, in order, or a loss is declared. While the log is being read nothing that was
//! heard overtakes it; only this node's own events may.

mod fill;

use std::collections::VecDeque;
use std::time::Duration;

use self::fill::Fill;
use super::log::{Cursor, Entry, Heard, Known, Look, Position, Step};
use super::repeats::Repeats;
use super::window::{Seen, Windows};
use super::wire::{self, Body, Stamp};
use crate::event::{Channel, Event};
use crate::metrics;

/// What is to be done, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Give it to the node's subscribers.
    Deliver(Event),
    /// Keep it for subscribers to come; it was published this long ago, before this node listened.
    Remember(Event, Duration),
    /// These channels, or any of the partition, may have lost events.
    Lost(Option<Vec<Channel>>),
    /// Read the log from here and bring the page.
    Read(Cursor),
    /// Redis lost data: what this node published lately must be published again.
    Republish,
}

/// What the follower cannot know by itself.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// A clock that never goes back, in milliseconds.
    pub ms: u64,
    /// For how long this node has been listening, in milliseconds.
    pub listening_ms: u64,
}

/// See the module.
pub struct Follower {
    known: Known,
    fill: Option<Fill>,
    /// What was heard while the log is read.
    held: VecDeque<Heard>,
    /// How many of those were heard before the last read was sent.
    settled: usize,
    /// Logs that are gone; stragglers from them are no news.
    former: VecDeque<u64>,
    windows: Windows,
    repeats: Repeats,
    /// The origin of this node's own declarations of loss: its own clients got those events.
    own_losses: u64,
    /// Whether this node's own events were delivered before following began.
    own_delivered: bool,
    replay_ms: u64,
    acts: VecDeque<Act>,
}

impl Follower {
    /// Knows nothing yet. Events of the last `replay` are remembered when following begins.
    pub fn new(replay: Duration, own_losses: u64) -> Self {
        Self {
            known: Known::Nothing,
            fill: None,
            held: VecDeque::new(),
            settled: 0,
            former: VecDeque::new(),
            windows: Windows::default(),
            repeats: Repeats::default(),
            own_losses,
            own_delivered: false,
            replay_ms: replay.as_millis() as u64,
            acts: VecDeque::new(),
        }
    }

    /// What is known of the log.
    pub fn known(&self) -> Known {
        self.known
    }

    /// Whether a page is awaited.
    pub fn is_reading(&self) -> bool {
        self.fill.is_some()
    }

    /// The next thing to do.
    pub fn next_act(&mut self) -> Option<Act> {
        self.acts.pop_front()
    }

    /// An event this node accepted and Redis does not have yet.
    pub fn local(&mut self, stamp: Stamp, event: Event, now: Now) {
        self.own_delivered = true;
        if self.fresh(stamp, now) && self.repeats.is_first(&event, now.ms) {
            self.acts.push_back(Act::Deliver(event));
        }
    }

    /// An entry, live.
    pub fn heard(&mut self, heard: Heard, now: Now) {
        if self.fill.is_some() {
            self.held.push_back(heard);
        } else if self.former.contains(&heard.epoch) {
            self.take(&heard.entry, now);
        } else {
            match self.known.step(&heard) {
                Step::Next => self.advance(&heard, now),
                Step::Past => self.take(&heard.entry, now),
                Step::Unclear => {
                    self.held.push_back(heard);
                    self.begin(self.known != Known::Nothing);
                }
            }
        }
    }

    /// The log's end, as it was when asked; `before` is what was known then. Says what is missing but may still be on
    /// its way: if [`Follower::overdue`] is called with it later, it is read.
    pub fn head(&mut self, head: Option<Position>, before: Known) -> Option<Position> {
        if self.fill.is_some() {
            return None;
        }
        match self.known.look(head, before) {
            Look::Level => None,
            Look::Ahead(head) => Some(head),
            Look::Suspect => {
                self.begin(false);
                None
            }
        }
    }

    /// Something should have come by now. Returns whether it has not.
    pub fn overdue(&mut self, head: Position) -> bool {
        let missing = !self.known.reached(head);
        if missing && self.fill.is_none() {
            self.begin(true);
        }
        missing
    }

    /// Messages were dropped on the way here: only the log can tell which.
    pub fn lagged(&mut self) {
        if self.fill.is_none() {
            self.begin(true);
        }
    }

    fn advance(&mut self, heard: &Heard, now: Now) {
        let entry = &heard.entry;
        self.known = Known::Upto(Position { epoch: heard.epoch, seq: entry.seq, id: entry.id });
        self.take(entry, now);
    }

    fn take(&mut self, entry: &Entry, now: Now) {
        match decode(entry) {
            Some(Body::Event(stamp, event)) if self.fresh(stamp, now) && self.repeats.is_first(&event, now.ms) => {
                self.acts.push_back(Act::Deliver(event));
            }
            Some(Body::Lost(stamp, channels)) if self.fresh(stamp, now) && stamp.origin != self.own_losses => {
                self.acts.push_back(Act::Lost(channels));
            }
            _ => {}
        }
    }

    fn fresh(&mut self, stamp: Stamp, now: Now) -> bool {
        let seen = self.windows.see(stamp.origin, stamp.counter, now.ms);
        if seen != Seen::Fresh {
            ::metrics::counter!(metrics::DUPLICATES).increment(1);
        }
        seen == Seen::Fresh
    }
}

fn decode(entry: &Entry) -> Option<Body> {
    match wire::decode_body(&entry.body) {
        Ok(body) => Some(body),
        Err(unreadable) => {
            ::metrics::counter!(metrics::MESSAGES_SKIPPED, "reason" => unreadable.label()).increment(1);
            tracing::debug!(number = entry.seq, "broker message skipped: {unreadable}");
            None
        }
    }
}

#[cfg(test)]
mod tests;
