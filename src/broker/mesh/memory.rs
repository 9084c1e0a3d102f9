//! What was published and heard lately, for nodes that missed some of it and for those that start.
//!
//! Invariant: age, count and bytes stay within their bounds; of each origin and partition the packets lie in the order of
//! their numbers; the bytes are shared with what was delivered.

use std::collections::{HashMap, VecDeque};

use ahash::RandomState;
use bytes::Bytes;

use crate::broker::packet::Packet;

/// What an entry costs beside its bytes.
const ENTRY: usize = 96;

/// How much is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Packets.
    pub(super) count: usize,
    /// Bytes of all packets together.
    pub(super) bytes: usize,
    /// How long, in milliseconds.
    pub(super) age_ms: u64,
}

#[derive(Debug)]
struct Entry {
    origin: u64,
    partition: u32,
    at_ms: u64,
    bytes: Bytes,
}

/// Where a packet lies: its first number, the number after its last, and its place.
type Place = (u64, u64, u64);

/// See the module.
#[derive(Debug)]
pub struct Memory {
    bounds: Bounds,
    entries: VecDeque<Entry>,
    /// The place of the first entry; places are counted from 1 and never used again.
    first: u64,
    index: HashMap<(u64, u32), VecDeque<Place>, RandomState>,
    bytes: usize,
}

impl Memory {
    /// Empty.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            entries: VecDeque::new(),
            first: 1,
            index: HashMap::default(),
            bytes: 0,
        }
    }

    /// How many packets are remembered.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// What they take, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Remembers a packet, the next of its origin and partition.
    pub fn insert(&mut self, packet: &Packet, now_ms: u64) {
        let key = (packet.stamp.origin, packet.stamp.partition);
        let place = self.first + self.entries.len() as u64;
        let places = self.index.entry(key).or_default();
        debug_assert!(
            places
                .back()
                .is_none_or(|(_, end, _)| *end <= packet.stamp.number)
        );
        places.push_back((packet.stamp.number, packet.end(), place));
        self.bytes += packet.bytes.len() + ENTRY;
        self.entries.push_back(Entry {
            origin: key.0,
            partition: key.1,
            at_ms: now_ms,
            bytes: packet.bytes.clone(),
        });
        self.prune(now_ms);
    }

    /// Forgets what is beyond the bounds.
    pub fn prune(&mut self, now_ms: u64) {
        while let Some(entry) = self.entries.front() {
            let kept = self.entries.len() <= self.bounds.count
                && self.bytes <= self.bounds.bytes
                && now_ms.saturating_sub(entry.at_ms) <= self.bounds.age_ms;
            if kept {
                break;
            }
            self.bytes -= entry.bytes.len() + ENTRY;
            let key = (entry.origin, entry.partition);
            if let Some(places) = self.index.get_mut(&key) {
                places.pop_front();
                if places.is_empty() {
                    self.index.remove(&key);
                }
            }
            self.entries.pop_front();
            self.first += 1;
        }
        if self.entries.capacity() > 8 * self.entries.len().max(64) {
            self.entries.shrink_to(2 * self.entries.len());
            self.index.shrink_to_fit();
        }
    }

    /// The packets of an origin in a partition that stand for numbers from `from` to the one before `to`: in order, at
    /// least one where there is any, and no more than `most` bytes beyond that.
    pub fn range(
        &self,
        (origin, partition): (u64, u32),
        from: u64,
        to: u64,
        most: usize,
    ) -> Vec<Bytes> {
        let Some(places) = self.index.get(&(origin, partition)) else {
            return Vec::new();
        };
        let mut bytes = 0;
        let start = places.partition_point(|(_, end, _)| *end <= from);
        places
            .range(start..)
            .take_while(|(number, ..)| *number < to)
            .map(|(_, _, place)| self.entries[(place - self.first) as usize].bytes.clone())
            .take_while(|packet| {
                let first = bytes == 0;
                bytes += packet.len();
                first || bytes <= most
            })
            .collect()
    }

    /// When the packet of an origin in a partition that stands for a number was remembered.
    pub fn at_ms(&self, (origin, partition): (u64, u32), number: u64) -> Option<u64> {
        let places = self.index.get(&(origin, partition))?;
        let (first, _, place) = places.get(places.partition_point(|(_, end, _)| *end <= number))?;
        (*first <= number).then(|| self.entries[(place - self.first) as usize].at_ms)
    }

    /// Packets not older than `age_ms` with their ages, from the place `cursor` on (0: from the first), at least one where
    /// there is any and no more than `most` bytes beyond that; and where to go on, if there is more.
    pub fn recent(
        &self,
        cursor: u64,
        age_ms: u64,
        now_ms: u64,
        most: usize,
    ) -> (Vec<(u64, Bytes)>, Option<u64>) {
        let young = self
            .entries
            .partition_point(|entry| now_ms.saturating_sub(entry.at_ms) > age_ms);
        let start = young
            .max(cursor.saturating_sub(self.first) as usize)
            .min(self.entries.len());
        let mut bytes = 0;
        let found: Vec<_> = self
            .entries
            .range(start..)
            .take_while(|entry| {
                let first = bytes == 0;
                bytes += entry.bytes.len();
                first || bytes <= most
            })
            .map(|entry| (now_ms.saturating_sub(entry.at_ms), entry.bytes.clone()))
            .collect();
        let end = start + found.len();
        (
            found,
            (end < self.entries.len()).then_some(self.first + end as u64),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::packet::{self, Stamp};
    use crate::event::Channel;

    fn memory(count: usize, bytes: usize, age_ms: u64) -> Memory {
        Memory::new(Bounds {
            count,
            bytes,
            age_ms,
        })
    }

    fn insert(memory: &mut Memory, origin: u64, number: u64, now_ms: u64) {
        let stamp = Stamp {
            origin,
            partition: 3,
            number,
        };
        memory.insert(
            &packet::lost(stamp, 1, vec![Channel::from_text("c/x")]),
            now_ms,
        );
    }

    fn numbers(packets: &[Bytes]) -> Vec<u64> {
        packets
            .iter()
            .map(|bytes| packet::head(bytes).unwrap().stamp.number)
            .collect()
    }

    #[test]
    fn ranges_come_in_order_and_in_pieces() {
        let mut memory = memory(1_000, 1 << 20, 1_000);
        for number in 5..50 {
            insert(&mut memory, 1, number, 0);
            insert(&mut memory, 2, number * 10, 0);
        }
        assert_eq!(numbers(&memory.range((1, 3), 7, 10, usize::MAX)), [7, 8, 9]);
        assert_eq!(numbers(&memory.range((1, 3), 1, 7, usize::MAX)), [5, 6]);
        assert_eq!(numbers(&memory.range((2, 3), 55, 75, usize::MAX)), [60, 70]);
        assert_eq!(memory.range((1, 3), 7, 50, 1).len(), 1);
        assert_eq!(
            [4, 5, 49, 50].map(|number| memory.at_ms((1, 3), number)),
            [None, Some(0), Some(0), None]
        );
        assert!(
            memory.range((3, 3), 0, 50, 1).is_empty() && memory.range((1, 3), 90, 99, 1).is_empty()
        );
    }

    #[test]
    fn each_bound_holds() {
        for mut memory in [
            memory(10, 1 << 20, 1_000),
            memory(1_000, 1_500, 1_000),
            memory(1_000, 1 << 20, 9),
        ] {
            (1..=500).for_each(|number| insert(&mut memory, 1, number, number));
            assert!(
                memory.len() <= 10 && memory.bytes() <= 1_500,
                "{} {}",
                memory.len(),
                memory.bytes()
            );
            assert!(numbers(&memory.range((1, 3), 0, 501, usize::MAX)).ends_with(&[499, 500]));
            memory.prune(10_000);
            assert_eq!(
                (memory.len(), memory.bytes(), memory.index.len()),
                (0, 0, 0)
            );
            assert!(memory.entries.capacity() < 1_024);
        }
    }

    #[test]
    fn the_recent_past_is_read_part_by_part() {
        let mut memory = memory(1_000, 1 << 20, 1_000);
        (1..=20).for_each(|number| insert(&mut memory, 1, number, number * 10));
        let (mut cursor, mut all) = (Some(0), Vec::new());
        while let Some(at) = cursor {
            let (found, next) = memory.recent(at, 100, 200, 100);
            assert!(!found.is_empty());
            all.extend(found);
            cursor = next;
        }
        assert_eq!(
            all.iter().map(|(age, _)| *age).collect::<Vec<_>>(),
            [100, 90, 80, 70, 60, 50, 40, 30, 20, 10, 0]
        );
        assert_eq!(memory.recent(0, 100, 9_999, 100), (vec![], None));
    }
}
