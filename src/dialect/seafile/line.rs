//! Events that wait for a group's members, and the events of the same library behind them.
//!
//! Invariant: pure; a library's events leave in the order in which they were put in; the first of each library's line is
//! always an unresolved one, else it would have left; the whole is bounded in events and bytes.

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

/// How much may wait.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Number of events.
    pub events: usize,
    /// Bytes of events, by [`Event::cost`].
    pub bytes: usize,
}

/// All libraries' lines.
pub struct Line {
    bounds: Bounds,
    libraries: HashMap<Channel, VecDeque<Place>>,
    /// By ticket, so oldest first: the library and the group.
    unresolved: BTreeMap<u64, (Channel, i64)>,
    next_ticket: u64,
    events: usize,
    bytes: usize,
}

impl Line {
    /// Nothing waits.
    pub fn new(bounds: Bounds) -> Self {
        let (libraries, unresolved) = (HashMap::new(), BTreeMap::new());
        Self { bounds, libraries, unresolved, next_ticket: 0, events: 0, bytes: 0 }
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

    /// Puts an event for a group whose members are to be found out into its place. [`Line::settle`] takes the ticket.
    pub fn push_unresolved(&mut self, event: Event, group: i64) -> u64 {
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
        self.libraries.entry(event.channel.clone()).or_default().push_back(Place { ticket, event, to });
        ticket
    }

    /// The oldest unresolved event's ticket and group, if more events wait than may.
    pub fn over(&self) -> Option<(u64, i64)> {
        let over = self.events > self.bounds.events || self.bytes > self.bounds.bytes;
        self.unresolved.first_key_value().map(|(ticket, (_, group))| (*ticket, *group)).filter(|_| over)
    }

    /// The recipients of `ticket`'s event are known, or it goes to nobody. Hands out, in order, what need not wait any
    /// more. A ticket that was settled before changes nothing.
    pub fn settle(&mut self, ticket: u64, recipients: Option<Recipients>, mut out: impl FnMut(Event)) {
        let Some((channel, _)) = self.unresolved.remove(&ticket) else { return };
        let Some(line) = self.libraries.get_mut(&channel) else { return };
        if let Ok(at) = line.binary_search_by_key(&ticket, |place| place.ticket) {
            let place = &mut line[at];
            // What was counted stays counted until it leaves.
            let before = place.event.cost();
            place.to = if recipients.is_some() { To::Known } else { To::Nobody };
            place.event.recipients = recipients.unwrap_or(Recipients::All);
            self.bytes = self.bytes - before + place.event.cost();
        }
        while line.front().is_some_and(|place| !matches!(place.to, To::Unresolved)) {
            let Some(place) = line.pop_front() else { break };
            self.events -= 1;
            self.bytes -= place.event.cost();
            if matches!(place.to, To::Known) {
                out(place.event);
            }
        }
        if line.is_empty() {
            self.libraries.remove(&channel);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(library: u8, n: usize) -> Event {
        Event {
            channel: Channel::new("repo", &library.to_string()),
            payload: n.to_string().into(),
            recipients: Recipients::All,
            accepted_ms: 0,
            idempotency_key: None,
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Plain(u8),
        Group(u8),
        /// Settles one of the unresolved, for somebody or for nobody.
        Settle(prop::sample::Index, bool),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..4_u8).prop_map(Step::Plain),
            (0..4_u8).prop_map(Step::Group),
            (any::<prop::sample::Index>(), any::<bool>()).prop_map(|(at, some)| Step::Settle(at, some)),
        ]
    }

    proptest! {
        #[test]
        fn each_library_keeps_its_order_and_loses_nothing(
            steps in prop::collection::vec(step(), 0..300),
            max in prop_oneof![Just(usize::MAX), 1..20_usize],
        ) {
            let mut line = Line::new(Bounds { events: max, bytes: usize::MAX });
            let (mut open, mut nobody, mut out) = (Vec::new(), std::collections::HashSet::new(), Vec::new());
            let mut accepted: HashMap<Channel, Vec<usize>> = HashMap::new();
            for (n, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Plain(library) => {
                        let event = event(library, n);
                        accepted.entry(event.channel.clone()).or_default().push(n);
                        if line.holds(&event.channel) { line.push(event) } else { out.push(event) }
                    }
                    Step::Group(library) => {
                        let event = event(library, n);
                        accepted.entry(event.channel.clone()).or_default().push(n);
                        open.push((line.push_unresolved(event, 7), n));
                    }
                    Step::Settle(at, some) if !open.is_empty() => {
                        let (ticket, n) = open.swap_remove(at.index(open.len()));
                        if !some && line.unresolved.contains_key(&ticket) {
                            nobody.insert(n);
                        }
                        line.settle(ticket, some.then(|| Recipients::users(["u"])), |event| out.push(event));
                    }
                    Step::Settle(..) => {}
                }
                while let Some((ticket, _)) = line.over() {
                    nobody.extend(open.iter().filter(|(open, _)| *open == ticket).map(|(_, n)| *n));
                    line.settle(ticket, None, |event| out.push(event));
                }
                prop_assert!(line.waiting() <= max);
            }
            for (ticket, _) in open {
                line.settle(ticket, Some(Recipients::All), |event| out.push(event));
            }
            prop_assert_eq!((line.events, line.bytes, line.libraries.len(), line.unresolved.len()), (0, 0, 0, 0));
            let mut left: HashMap<Channel, Vec<usize>> = HashMap::new();
            for event in out {
                let n = std::str::from_utf8(&event.payload).expect("a number").parse().expect("a number");
                left.entry(event.channel).or_default().push(n);
            }
            for order in accepted.values_mut() {
                order.retain(|n| !nobody.contains(n));
            }
            accepted.retain(|_, order| !order.is_empty());
            prop_assert_eq!(left, accepted);
        }
    }

    #[test]
    fn bytes_are_bounded_too() {
        let mut line = Line::new(Bounds { events: 100, bytes: 1_000 });
        let first = line.push_unresolved(event(0, 1), 7);
        while line.over().is_none() {
            line.push(event(0, 2));
        }
        assert!(line.bytes > 1_000 && line.waiting() < 20);
        assert_eq!(line.over(), Some((first, 7)));
        let mut left = 0;
        line.settle(first, None, |_| left += 1);
        assert!(left > 5 && line.waiting() == 0);
    }
}
