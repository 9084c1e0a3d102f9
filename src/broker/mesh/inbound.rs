//! What one origin says in one partition: taken in the order of its numbers, each once.
//!
//! Invariant: a number is passed once, either with its packet or by giving it up; what follows a hole is held, within
//! bounds, until the hole is filled or given up.

use std::collections::BTreeMap;

use crate::broker::packet::Packet;

/// Packets held behind one hole.
const HELD: usize = 4_096;
/// Their bytes; a single larger packet is held.
const HELD_BYTES: usize = 8 << 20;

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It came out, and maybe others behind it.
    Next,
    /// It was had before.
    Had,
    /// It waits for what is before it.
    Held,
    /// There is no room for it: it must be asked for again.
    Refused,
}

/// Who was asked for what is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The question's number.
    pub(super) id: u64,
    /// Who was asked.
    pub(super) whom: u64,
    /// Until when an answer is waited for.
    pub(super) until_ms: u64,
    /// What came next when it was asked.
    pub(super) from: u64,
}

/// A hole, and what was done about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::broker) struct Hole {
    /// Since when it is known, on the mesh's clock.
    pub(super) since_ms: u64,
    /// The question that is out.
    pub(super) asked: Option<Asked>,
    /// How often the one who is being asked did not answer.
    pub(super) attempts: u32,
    /// By how many powers of two what is asked for at a time is less than [`super::heal`] asks for at first: longer answers
    /// did not come.
    pub(super) smaller: u32,
    /// How many answers came when they were no longer waited for.
    pub(super) late: u32,
    /// Who has nothing of it, or does not answer.
    pub(super) tried: Vec<u64>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    /// What comes next; 0: not known yet, and everything is held.
    next: u64,
    /// The first number that is not known to exist.
    head: u64,
    held: BTreeMap<u64, Packet>,
    held_bytes: usize,
    /// The hole in front of what is held, if there is one.
    pub(super) hole: Option<Hole>,
}

impl Inbound {
    /// Expects `next`.
    pub fn at(next: u64) -> Self {
        Self {
            next,
            head: next,
            ..Self::default()
        }
    }

    /// Nothing is known of the origin: everything is held.
    pub fn unknown() -> Self {
        Self::default()
    }

    /// What comes next; 0: not known yet.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The first number that is not known to exist.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// The first number that is held.
    pub(super) fn first_held(&self) -> Option<u64> {
        self.held.keys().next().copied()
    }

    /// How many packets are held.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Takes a packet; what may come out now, in order, goes to `out`.
    pub fn take(&mut self, packet: Packet, out: &mut Vec<Packet>) -> Taken {
        let number = packet.stamp.number;
        self.head = self.head.max(packet.end());
        if self.next > 0 && packet.end() <= self.next {
            return Taken::Had;
        }
        if self.next > 0 && number <= self.next {
            self.next = packet.end();
            out.push(packet);
            self.drain(out);
            return Taken::Next;
        }
        if self.held.contains_key(&number) {
            return Taken::Had;
        }
        let len = packet.bytes.len();
        if self.held.len() >= HELD || (self.held_bytes > 0 && self.held_bytes + len > HELD_BYTES) {
            return Taken::Refused;
        }
        self.held_bytes += len;
        self.held.insert(number, packet);
        Taken::Held
    }

    /// From now on `next` comes next.
    pub fn begin(&mut self, next: u64, out: &mut Vec<Packet>) {
        self.next = next;
        self.head = self.head.max(next);
        self.drain(out);
    }

    /// The origin says that it has published everything before `head`.
    pub fn announced(&mut self, head: u64) {
        self.head = self.head.max(head);
    }

    /// What is missing: the first number, and the first one after it that is not.
    pub fn missing(&self) -> Option<(u64, u64)> {
        let to = self.first_held().unwrap_or(self.head);
        (self.next > 0 && to > self.next).then_some((self.next, to))
    }

    /// Passes over what is missing.
    pub fn give_up(&mut self, out: &mut Vec<Packet>) {
        if let Some((_, to)) = self.missing() {
            self.next = to;
            self.drain(out);
        }
    }

    fn drain(&mut self, out: &mut Vec<Packet>) {
        while let Some(entry) = self.held.first_entry()
            && *entry.key() <= self.next
        {
            let packet = entry.remove();
            self.held_bytes -= packet.bytes.len();
            if packet.end() > self.next {
                self.next = packet.end();
                out.push(packet);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::packet::{self, Stamp};

    fn packet(number: u64, span: u32) -> Packet {
        packet::lost(
            Stamp {
                origin: 1,
                partition: 0,
                number,
            },
            span,
            Vec::new(),
        )
    }

    fn numbers(out: &mut Vec<Packet>) -> Vec<u64> {
        out.drain(..).map(|packet| packet.stamp.number).collect()
    }

    #[test]
    fn a_hole_holds_what_follows_until_it_is_filled_or_given_up() {
        let (mut inbound, mut out) = (Inbound::at(1), Vec::new());
        assert_eq!(inbound.take(packet(1, 1), &mut out), Taken::Next);
        assert_eq!(inbound.take(packet(4, 1), &mut out), Taken::Held);
        assert_eq!(inbound.take(packet(4, 1), &mut out), Taken::Had);
        assert_eq!(
            (numbers(&mut out), inbound.missing()),
            (vec![1], Some((2, 4)))
        );
        assert_eq!(inbound.take(packet(2, 2), &mut out), Taken::Next);
        assert_eq!(
            (numbers(&mut out), inbound.missing(), inbound.next()),
            (vec![2, 4], None, 5)
        );
        inbound.announced(8);
        assert_eq!(inbound.missing(), Some((5, 8)));
        inbound.give_up(&mut out);
        assert_eq!(
            inbound.take(packet(6, 1), &mut out),
            Taken::Had,
            "what was given up stays given up"
        );
        assert!(out.is_empty() && inbound.next() == 8);
    }

    #[test]
    fn what_covers_more_than_is_missing_is_taken_and_what_covers_less_is_not() {
        let (mut inbound, mut out) = (Inbound::at(5), Vec::new());
        assert_eq!(inbound.take(packet(3, 2), &mut out), Taken::Had);
        assert_eq!(inbound.take(packet(3, 5), &mut out), Taken::Next);
        assert_eq!(inbound.next(), 8);
    }

    #[test]
    fn an_unknown_origin_is_held_until_it_is_known_where_to_begin() {
        let (mut inbound, mut out) = (Inbound::unknown(), Vec::new());
        assert_eq!(inbound.take(packet(7, 1), &mut out), Taken::Held);
        assert_eq!(inbound.take(packet(8, 1), &mut out), Taken::Held);
        assert_eq!(inbound.missing(), None);
        inbound.begin(8, &mut out);
        assert_eq!((numbers(&mut out), inbound.next()), (vec![8], 9));
    }

    #[test]
    fn what_is_held_has_bounds() {
        let (mut inbound, mut out) = (Inbound::at(1), Vec::new());
        let refused = (2..10_000)
            .filter(|n| inbound.take(packet(*n, 1), &mut out) == Taken::Refused)
            .count();
        assert_eq!((inbound.held(), refused), (HELD, 10_000 - 2 - HELD));
        inbound.take(packet(1, 1), &mut out);
        assert_eq!(
            inbound.missing(),
            Some((HELD as u64 + 2, 10_000)),
            "what had no room is missing"
        );
    }
}
