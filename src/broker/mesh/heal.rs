//! Holes: who is asked for what is missing, what is answered, and when it is given up.
//!
//! Invariants: one question a hole is out at a time and a bounded number over all; answers come in pieces, in smaller ones
//! where larger ones do not come; a hole is filled, or given up and declared, in bounded time while a shard is up.

use bytes::Bytes;

use super::Mesh;
use super::inbound::{Asked, Hole};
use crate::broker::carrier::Topic;
use crate::broker::control::{Ask, Control, Fill};
use crate::broker::packet::{self, CONTROL};
use crate::metrics;

/// What is missing may still be on its way for this long, in milliseconds.
const GRACE_MS: u64 = 200;
/// Questions that may be out at a time.
const ASKS: usize = 16;
/// Bytes of one answer, unless a single packet is larger.
const PIECE: u32 = 64 << 10;
/// By how many powers of two the next one is smaller when none came, and by how many at most: the way to this node may not
/// take so much at once (Redis ends a subscription for whose output it has no room).
const SMALLER: u32 = 2;
const SMALLEST: u32 = 6;
/// How long the first answer may take, in milliseconds; twice as long after each that did not come or came too late.
const ANSWER_MS: u64 = 1_000;
/// How many that came too late count.
const LATE: u32 = 3;
/// How often the origin is asked without an answer, and how often another node.
const ORIGIN_ATTEMPTS: u32 = 5;
const OTHER_ATTEMPTS: u32 = 2;
/// A hole is given up no sooner, in milliseconds: after an outage nodes come back one by one.
const PATIENCE_MS: u64 = 3_000;

impl Mesh {
    /// Asks for what is missing, and gives up what nobody has.
    pub(super) fn heal(&mut self) {
        if self.is_dazed()
            || !self.join.is_joined()
            || !self.shards.iter().any(|shard| shard.up_since.is_some())
        {
            return;
        }
        let holes: Vec<(u32, u64)> = self.holes.iter().copied().collect();
        let mut out = holes
            .iter()
            .filter(|(partition, origin)| self.is_out(*partition, *origin))
            .count();
        for (partition, origin) in holes {
            if self.mend(partition, origin, out < ASKS) {
                out += 1;
            }
        }
    }

    fn is_out(&self, partition: u32, origin: u64) -> bool {
        let hole = self.partitions[partition as usize]
            .inbounds
            .get(&origin)
            .and_then(|inbound| inbound.hole.as_ref());
        hole.and_then(|hole| hole.asked.as_ref())
            .is_some_and(|asked| self.time.ms < asked.until_ms)
    }

    /// Looks at one hole. Returns whether it asked.
    fn mend(&mut self, number: u32, origin: u64, may_ask: bool) -> bool {
        let partition = &mut self.partitions[number as usize];
        let full = partition.is_full();
        let Some(inbound) = partition.inbounds.get_mut(&origin) else {
            self.holes.remove(&(number, origin));
            return false;
        };
        let Some((from, to)) = inbound.missing() else {
            if inbound.hole.take().is_some() {
                ::metrics::counter!(metrics::GAPS_FILLED).increment(1);
            }
            self.holes.remove(&(number, origin));
            return false;
        };
        let hole = inbound.hole.get_or_insert_default();
        if full || self.time.ms.saturating_sub(hole.since_ms) < GRACE_MS {
            return false;
        }
        if hole.is_out(origin, from, self.time.ms) {
            return false;
        }
        let (tried, since_ms) = (hole.tried.clone(), hole.since_ms);
        match self.whom(origin, &tried) {
            Some(whom) if may_ask => {
                self.ask_for(number, origin, whom, (from, to));
                true
            }
            Some(_) => false,
            None => {
                if self.time.ms.saturating_sub(since_ms) >= PATIENCE_MS {
                    self.give_up(number, origin, from, to);
                }
                false
            }
        }
    }

    fn ask_for(&mut self, partition: u32, origin: u64, whom: u64, (from, to): (u64, u64)) {
        let (id, now_ms) = (self.next_id(), self.time.ms);
        let Some(hole) = self.hole_of(partition, origin) else {
            return;
        };
        let (patience, most) = (hole.attempts.max(hole.late), PIECE >> hole.smaller);
        hole.asked = Some(Asked {
            id,
            whom,
            until_ms: now_ms + (ANSWER_MS << patience),
            from,
        });
        ::metrics::counter!(metrics::HEAL_ASKS).increment(1);
        let ask = Ask {
            id,
            origin,
            partition,
            from,
            to,
            most,
        };
        self.tell(whom, partition, &Control::Ask(ask));
    }

    fn hole_of(&mut self, partition: u32, origin: u64) -> Option<&mut Hole> {
        self.partitions[partition as usize]
            .inbounds
            .get_mut(&origin)?
            .hole
            .as_mut()
    }

    /// Who may have what is missing: the origin, then the others, the longest there first.
    fn whom(&self, origin: u64, tried: &[u64]) -> Option<u64> {
        let untried = |other: u64| !tried.contains(&other);
        let heard = |silent_ms| silent_ms <= super::members::SILENT_MS;
        let there = self.members.get(origin).is_some() || self.silent_ms(origin).is_some_and(heard);
        if there && untried(origin) {
            return Some(origin);
        }
        let others = self
            .members
            .all()
            .filter(|(other, member)| untried(*other) && *other != origin && member.about.joined);
        others
            .max_by_key(|(other, member)| (member.about.uptime_ms, *other))
            .map(|(other, _)| other)
    }

    fn give_up(&mut self, number: u32, origin: u64, from: u64, to: u64) {
        tracing::warn!(
            partition = number,
            events = to - from,
            "events were lost that no node has any more: clients of what they touch are told to check anew"
        );
        ::metrics::counter!(metrics::GAPS_LOST).increment(1);
        let now_ms = self.time.ms;
        let since_ms = self
            .hole_of(number, origin)
            .map_or(now_ms, |hole| hole.since_ms);
        // Declared before what follows, which came later.
        self.declare(number);
        let mut out = std::mem::take(&mut self.scratch);
        if let Some(inbound) = self.partitions[number as usize].inbounds.get_mut(&origin) {
            inbound.hole = None;
            inbound.give_up(&mut out);
        }
        self.holes.remove(&(number, origin));
        self.accept(number, out);
        self.hole(number, origin);
        // What is missing behind it was missing as long: it is asked for at once, and not waited for anew.
        if let Some(next) = self.hole_of(number, origin) {
            next.since_ms = since_ms;
        }
    }

    /// Another node misses something.
    pub(super) fn asked(&mut self, on: usize, from: u64, ask: Ask) {
        let (mut packets, most) = (Vec::new(), ask.most.min(PIECE) as usize);
        if ask.origin == self.settings.origin && ask.partition < self.settings.partitions {
            let outgoing = &self.partitions[ask.partition as usize].outgoing;
            let remembered = self
                .memory
                .range((ask.origin, ask.partition), ask.from, ask.to, most);
            let first = outgoing
                .from(ask.from)
                .next()
                .map_or(u64::MAX, |packet| packet.stamp.number);
            let said = outgoing.said(ask.from, ask.to);
            packets.extend(remembered);
            packets.extend(said.map(|packet| packet.bytes.clone()));
            packets.sort_by_key(|bytes| number(bytes));
            packets.retain(|bytes| number(bytes) < first);
            let mut bytes: usize = packets.iter().map(Bytes::len).sum();
            for packet in outgoing
                .from(ask.from)
                .take_while(|packet| packet.stamp.number < ask.to)
            {
                if bytes > 0 && bytes + packet.bytes.len() > most {
                    break;
                }
                bytes += packet.bytes.len();
                packets.push(packet.bytes.clone());
            }
        } else {
            packets = self
                .memory
                .range((ask.origin, ask.partition), ask.from, ask.to, most);
        }
        let fill = Control::Fill(Fill {
            id: ask.id,
            packets,
        })
        .write(self.settings.origin);
        ::metrics::counter!(metrics::HEAL_BYTES).increment(fill.len() as u64);
        // Asked again, the same is not said twice.
        let key = (from, ask.origin ^ u64::from(ask.partition).rotate_left(32));
        // Whoever asks is heard there, and hears there.
        self.shards[on].fill(key, Topic::Node(from), fill);
    }

    /// What was asked for, or a part of it.
    pub(super) fn filled(&mut self, from: u64, fill: Fill) {
        let mine = |hole: &super::Hole| {
            hole.asked
                .as_ref()
                .is_some_and(|asked| asked.id == fill.id && asked.whom == from)
        };
        let Some((number, origin)) = self.holes.iter().copied().find(|(partition, origin)| {
            let inbound = self.partitions[*partition as usize].inbounds.get(origin);
            inbound
                .and_then(|inbound| inbound.hole.as_ref())
                .is_some_and(mine)
        }) else {
            return self.late(fill.packets);
        };
        fill.packets
            .into_iter()
            .for_each(|bytes| self.take_fill(bytes, Some((number, origin))));
        let full = self.partitions[number as usize].is_full();
        let Some(inbound) = self.partitions[number as usize].inbounds.get_mut(&origin) else {
            return;
        };
        let next = inbound.next();
        if let Some(hole) = inbound.hole.as_mut()
            && let Some(asked) = hole.asked.take()
        {
            hole.attempts = 0;
            if next == asked.from && !full {
                hole.tried.push(from);
            }
        }
        self.heal();
    }

    /// An answer that came too late still brings what is missing; further ones are waited for longer.
    fn late(&mut self, packets: Vec<Bytes>) {
        let stamp = packets
            .first()
            .and_then(|bytes| packet::head(bytes).ok())
            .map(|head| head.stamp);
        let stamp = stamp.filter(|stamp| stamp.partition < self.settings.partitions);
        if let Some(hole) = stamp.and_then(|stamp| self.hole_of(stamp.partition, stamp.origin)) {
            hole.late = (hole.late + 1).min(LATE);
        }
        packets
            .into_iter()
            .for_each(|bytes| self.take_fill(bytes, None));
    }

    fn take_fill(&mut self, bytes: Bytes, of: Option<(u32, u64)>) {
        let Ok(head) = packet::head(&bytes) else {
            return;
        };
        let stamp = head.stamp;
        let fits = head.kind < CONTROL && stamp.partition < self.settings.partitions;
        let wanted = of.is_none_or(|of| of == (stamp.partition, stamp.origin))
            && self.known.contains_key(&stamp.origin);
        if fits && wanted {
            self.take(packet::read(head, bytes));
        }
    }

    /// Says something to one node, over a shard that carries; the partition's own if it does.
    pub(super) fn tell(&mut self, whom: u64, partition: u32, control: &Control) {
        let bytes = control.write(self.settings.origin);
        if let Some(on) = self.way(whom, partition) {
            self.shards[on].control(Topic::Node(whom), bytes);
        }
    }

    /// The shard over which to reach a node: one that is up and where it is heard, the partition's own if that is one.
    fn way(&self, whom: u64, partition: u32) -> Option<usize> {
        let own = Self::place(partition, self.shards.len());
        let up = |on: &usize| self.shards[*on].up_since.is_some();
        let heard = |on: &usize| {
            self.members
                .get(whom)
                .is_none_or(|member| member.is_heard_on(*on, self.time.ms))
        };
        let all = || std::iter::once(own).chain(0..self.shards.len()).filter(up);
        all().find(heard).or_else(|| all().next())
    }
}

fn number(bytes: &[u8]) -> u64 {
    packet::head(bytes).map_or(0, |head| head.stamp.number)
}

impl Hole {
    /// Whether an answer may still come about what is missing from number `from` on. Where none came in time, less is asked for
    /// next, and after a few times of another.
    fn is_out(&mut self, origin: u64, from: u64, now_ms: u64) -> bool {
        let Some(asked) = &self.asked else {
            return false;
        };
        if from != asked.from {
            self.attempts = 0;
        } else if now_ms < asked.until_ms {
            return true;
        } else {
            self.attempts += 1;
            self.smaller = (self.smaller + SMALLER).min(SMALLEST);
            let most = if asked.whom == origin {
                ORIGIN_ATTEMPTS
            } else {
                OTHER_ATTEMPTS
            };
            if self.attempts >= most {
                self.tried.push(asked.whom);
                self.attempts = 0;
            }
        }
        self.asked = None;
        false
    }
}
