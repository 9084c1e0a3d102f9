//! Where an origin's numbers begin for this node, and what a node that joins takes over from before that.
//!
//! Invariant: where they begin is decided once; everything from there on comes out or is declared lost.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;

use super::inbound::Inbound;
use super::{Act, Incoming, Mesh};
use crate::broker::control::Known;
use crate::broker::packet::Content;

/// An origin that is heard and does not announce itself is taken for one that just started, in milliseconds.
const UNKNOWN_MS: u64 = 3_000;

impl Mesh {
    /// This node knows what it must know: what was held comes out.
    pub(super) fn joined(
        &mut self,
        next: Vec<Known>,
        silent: &HashMap<u64, u64>,
        recent: Vec<(u64, Bytes)>,
    ) {
        self.join.has_joined(self.time.unix_ms);
        let mut begins: HashMap<(u64, u32), u64> = HashMap::new();
        let mut heads = Vec::new();
        for Known {
            origin,
            partition: number,
            next,
            head,
        } in next
        {
            if origin != self.settings.origin && number < self.settings.partitions {
                heads.push((origin, number, head));
                self.heard_before(origin, silent.get(&origin).copied().unwrap_or(0));
                self.join.is_known(origin);
                // What was heard here is delivered here, whoever else had it.
                let held = self.partitions[number as usize]
                    .inbounds
                    .get(&origin)
                    .and_then(Inbound::first_held);
                begins.insert((origin, number), held.map_or(next, |held| held.min(next)));
            }
        }
        for (age_ms, bytes) in recent {
            self.remember(age_ms, bytes, &begins);
        }
        for ((origin, number), next) in begins {
            self.begin(origin, number, next);
        }
        let known: Vec<u64> = self.known.keys().copied().collect();
        known.into_iter().for_each(|origin| self.begin_rest(origin));
        heads
            .into_iter()
            .for_each(|(origin, number, head)| self.exists(origin, number, head));
        (0..self.shards.len()).for_each(|on| self.look_up(on));
    }

    /// An event of before: the hub is told of it, and it is not delivered.
    fn remember(&mut self, age_ms: u64, bytes: Bytes, begins: &HashMap<(u64, u32), u64>) {
        let Ok(Incoming::Packet(packet)) = super::read(bytes) else {
            return;
        };
        let key = (packet.stamp.origin, packet.stamp.partition);
        if begins
            .get(&key)
            .is_none_or(|next| packet.stamp.number >= *next)
        {
            return;
        }
        // Others may ask this node for it, and a proxy may bring it again.
        self.memory
            .insert(&packet, self.time.ms.saturating_sub(age_ms));
        if let Content::Event(event) = packet.content {
            self.partitions[key.1 as usize]
                .repeats
                .is_first(&event, self.time.ms);
            self.act(key.1, Act::Remember(event, Duration::from_millis(age_ms)));
        }
    }

    fn begin(&mut self, origin: u64, number: u32, next: u64) {
        let mut out = std::mem::take(&mut self.scratch);
        let inbounds = &mut self.partitions[number as usize].inbounds;
        inbounds
            .entry(origin)
            .or_insert_with(Inbound::unknown)
            .begin(next, &mut out);
        self.accept(number, out);
        self.hole(number, origin);
    }

    /// Where a known origin's numbers are not known to begin elsewhere, they begin with 1.
    fn begin_rest(&mut self, origin: u64) {
        for number in 0..self.settings.partitions {
            let inbound = self.partitions[number as usize].inbounds.get(&origin);
            if inbound.is_some_and(|inbound| inbound.next() == 0) {
                self.begin(origin, number, 1);
            }
        }
    }

    /// Decides where the numbers of an origin begin for this node, if that is open: behind the last ones that are named, and
    /// with 1 in other partitions, unless an earlier one was heard.
    ///
    /// It was not heard for `silent_ms`.
    pub(super) fn resolve(&mut self, origin: u64, lasts: &[(u32, u64)], silent_ms: u64) {
        if self.known.contains_key(&origin) {
            return;
        }
        self.heard_before(origin, silent_ms);
        self.join.is_known(origin);
        let partitions = self.settings.partitions;
        for (number, last) in lasts.iter().filter(|(number, _)| *number < partitions) {
            let held = self.partitions[*number as usize]
                .inbounds
                .get(&origin)
                .and_then(Inbound::first_held);
            self.begin(
                origin,
                *number,
                held.map_or(last + 1, |held| held.min(last + 1)),
            );
        }
        self.begin_rest(origin);
    }

    /// Origins of which nothing is known after [`UNKNOWN_MS`] but that they are heard: their numbers begin with 1.
    pub(super) fn take_in_unknown(&mut self) {
        let now_ms = self.time.ms;
        let due = |(origin, at): &(&u64, &u64)| {
            now_ms - **at > UNKNOWN_MS && !self.strangers.contains_key(origin)
        };
        let due: Vec<u64> = self
            .join
            .unknown
            .iter()
            .filter(due)
            .map(|(origin, _)| *origin)
            .collect();
        due.into_iter()
            .for_each(|origin| self.resolve(origin, &[], 0));
    }

    /// A peer told this node, which had joined before, up to where everything is known.
    pub(super) fn missed(&mut self, next: Vec<Known>, silent: &HashMap<u64, u64>) {
        for Known {
            origin,
            partition: number,
            head,
            ..
        } in next
        {
            if origin == self.settings.origin || number >= self.settings.partitions {
                continue;
            }
            let silent_ms = silent.get(&origin).copied().unwrap_or(0);
            if !self.known.contains_key(&origin) && silent_ms >= self.join.age_ms(self.time) {
                // It was gone before this node listened, and for too long to be told of then.
                continue;
            }
            // It came and went while this node heard nothing.
            self.resolve(origin, &[], silent_ms);
            self.exists(origin, number, head);
        }
    }

    /// An origin's numbers are known; it was last heard this long ago, at the latest.
    fn heard_before(&mut self, origin: u64, silent_ms: u64) {
        let heard_ms = (self.time.ms as i64).saturating_sub_unsigned(silent_ms);
        let known = self.known.entry(origin).or_insert(heard_ms);
        *known = heard_ms.max(*known);
    }

    /// A known origin has published everything before `head`.
    pub(super) fn exists(&mut self, origin: u64, number: u32, head: u64) {
        let inbounds = &mut self.partitions[number as usize].inbounds;
        inbounds
            .entry(origin)
            .or_insert_with(|| Inbound::at(1))
            .announced(head);
        self.hole(number, origin);
    }
}
