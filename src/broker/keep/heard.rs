//! What this node has delivered of channels that keep a past: the past that it reads must have that, or has a hole.
//!
//! Invariants: bounded, the channel heard longest ago is forgotten first, and each when its past may be; a hole stays known until
//! the past has got a new epoch.

use std::collections::BTreeSet;
use std::time::Instant;

use super::MEMORY_OF_PLACES;
use super::recent::RecentChannels;
use crate::event::{Channel, Event, Kept, Place};

/// Channels that are remembered.
const CHANNELS: usize = 65_536;
/// Channels whose hole is to be told without being asked; whoever reads one of further channels here tells it then.
const UNTOLD: usize = 10_000;

/// How far a channel was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Up to here.
    At(Place),
    /// An event was delivered that the past does not have: the how manieth of all channels' holes it is.
    Hole(u64),
}

impl Mark {
    /// Whether it is a hole.
    pub fn is_hole(self) -> bool {
        matches!(self, Self::Hole(_))
    }
}

/// See the module.
pub struct HeardChannels {
    /// How far each was heard, and when that was noted.
    channels: RecentChannels<(Mark, Instant)>,
    holes: u64,
    /// Those whose past has yet to get a new epoch, though nobody may ask for it here.
    untold: BTreeSet<Channel>,
}

impl Default for HeardChannels {
    fn default() -> Self {
        Self {
            channels: RecentChannels::new(CHANNELS),
            holes: 0,
            untold: BTreeSet::new(),
        }
    }
}

impl HeardChannels {
    /// Notes an event that is delivered.
    pub fn note(&mut self, event: &Event) {
        let place = match event.kept {
            Kept::No | Kept::Later => return,
            Kept::At(place) => place,
            Kept::Missed => return self.broken(event.channel.clone()),
        };
        match self.get(&event.channel) {
            Some(Mark::Hole(_)) => {}
            Some(Mark::At(before)) if before >= place => {}
            _ => self.set(event.channel.clone(), Mark::At(place)),
        }
    }

    /// A channel has something that the past does not have.
    pub fn broken(&mut self, channel: Channel) {
        self.holes += 1;
        self.set(channel, Mark::Hole(self.holes));
    }

    /// The same, and others may not know it: it is to be told before somebody comes to them.
    pub fn broken_here(&mut self, channel: Channel) {
        if self.untold.len() < UNTOLD {
            self.untold.insert(channel.clone());
        }
        self.broken(channel);
    }

    /// Channels with a hole that is to be told, so many at most.
    pub fn untold(&mut self, most: usize) -> Vec<(Channel, Mark)> {
        let channels = &self.channels;
        let hole = |channel: &Channel| channels.get(channel).filter(|(mark, _)| mark.is_hole());
        self.untold.retain(|channel| hole(channel).is_some());
        let some = self.untold.iter().take(most);
        some.filter_map(|channel| Some((channel.clone(), hole(channel)?.0)))
            .collect()
    }

    /// How far a channel was heard, as far as that is known. What was so long ago that the past may have forgotten it is
    /// forgotten too, but for a hole.
    pub fn get(&self, channel: &Channel) -> Option<Mark> {
        let (mark, since) = self.channels.get(channel)?;
        (mark.is_hole() || since.elapsed() < MEMORY_OF_PLACES).then_some(mark)
    }

    /// The past of a channel, which had been heard as far as `before`, has now reached `place` without a hole from there on.
    /// Where that is nothing new it is forgotten no later.
    pub fn mended(&mut self, channel: &Channel, before: Option<Mark>, place: Place) {
        let reached = Some(Mark::At(place));
        if before.is_some() && before != reached && self.get(channel) == before {
            self.set(channel.clone(), Mark::At(place));
        }
    }

    fn set(&mut self, channel: Channel, mark: Mark) {
        self.channels.set(channel, (mark, Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(channel: &str, kept: Kept) -> Event {
        Event {
            kept,
            ..Event::new(Channel::new("c", channel), "n", "")
        }
    }

    fn place(epoch: u64, number: u64) -> Place {
        Place { epoch, number }
    }

    #[test]
    fn a_hole_is_known_until_it_is_mended() {
        let (mut heard, channel) = (HeardChannels::default(), Channel::new("c", "x"));
        heard.note(&event("x", Kept::At(place(1, 5))));
        heard.note(&event("x", Kept::At(place(1, 4))));
        assert_eq!(heard.get(&channel), Some(Mark::At(place(1, 5))));
        let before = heard.get(&channel);
        heard.note(&event("x", Kept::Missed));
        heard.note(&event("x", Kept::At(place(1, 6))));
        heard.mended(&channel, before, place(2, 6));
        assert_eq!(
            heard.get(&channel),
            Some(Mark::Hole(1)),
            "it came while the past was read"
        );
        assert_eq!(heard.untold(1), [], "its node tells it");
        heard.broken_here(channel.clone());
        heard.mended(&channel, Some(Mark::Hole(1)), place(2, 6));
        assert_eq!(heard.get(&channel), Some(Mark::Hole(2)), "another one");
        assert_eq!(heard.untold(1), [(channel.clone(), Mark::Hole(2))]);
        heard.mended(&channel, Some(Mark::Hole(2)), place(3, 6));
        assert_eq!(heard.get(&channel), Some(Mark::At(place(3, 6))));
        assert_eq!(heard.untold(1), [], "it is told");
        heard.note(&event("y", Kept::No));
        assert_eq!(heard.get(&Channel::new("c", "y")), None);
    }
}
