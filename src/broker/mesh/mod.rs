//! One node among the others: it numbers what it publishes, puts in order what it hears, remembers both, and heals holes.
//! Pure: no clock, no connection; it knows shards by their numbers and Redis not at all.
//!
//! ```text
//! publish -> Outgoing -> batch(shard) -> carrier -> ... -> hear(shard) -> Inbound -> acts(partition) -> sink
//!                  every packet -> Memory -> answers to other nodes' asks
//! ```
//!
//! Invariants: every event comes out once at every node, in the order of its origin's numbers, or is declared lost; what is
//! held, remembered and waits is bounded; what is said to heal is bounded by what is missing.

mod begin;
mod flush;
mod heal;
mod inbound;
mod join;
mod listen;
mod meet;
mod members;
mod memory;
mod outgoing;
mod publish;
mod say;
mod shard;
#[cfg(test)]
mod sim;
mod tell;
mod types;
mod upkeep;

use std::collections::{BTreeSet, HashMap, VecDeque};

use ahash::RandomState;
use bytes::Bytes;

use self::inbound::{Hole, Inbound, Taken};
use self::join::Join;
use self::meet::Stranger;
use self::members::Members;
pub use self::members::Misfit;
use self::memory::Memory;
use self::outgoing::Outgoing;
pub use self::shard::Batch;
use self::shard::Shard;
pub use self::types::{Act, Effect, Identity, Incoming, Settings, State, Time, read, skipped};
use super::idempotency::Repeats;
use super::packet::{Content, Packet};
use super::{Lost, partition};
use crate::event::{Channel, Kept};
use crate::metrics;

/// Acts of one partition that may wait to be done; what others say beyond that is asked for again later.
const ACTS: usize = 4_096;
/// Their bytes.
const ACTS_BYTES: usize = 8 << 20;
/// How often a node announces itself, in milliseconds.
const ANNOUNCE_MS: u64 = 1_000;
/// For how long after standing still nothing is concluded from what did not happen in time, in milliseconds.
const BEARINGS_MS: u64 = 1_000;
/// An origin that was not heard for this long is forgotten, in milliseconds.
const FORGET_MS: u64 = 900_000;

struct Partition {
    outgoing: Outgoing,
    inbounds: HashMap<u64, Inbound, RandomState>,
    repeats: Repeats,
    acts: VecDeque<Act>,
    acts_bytes: usize,
    /// What of those that are being done is kept, or is not though it should be.
    doing: Vec<(Channel, Kept)>,
}

impl Partition {
    fn is_full(&self) -> bool {
        self.acts.len() >= ACTS || self.acts_bytes >= ACTS_BYTES
    }
}

/// See the module.
pub struct Mesh {
    settings: Settings,
    time: Time,
    identity: Identity,
    partitions: Vec<Partition>,
    /// When each origin whose numbers are known was last heard, by this node or, before it started, by others.
    known: HashMap<u64, i64, RandomState>,
    memory: Memory,
    members: Members,
    shards: Vec<Shard>,
    join: Join,
    /// Elders that were met after this node had joined, and that do not know it yet either.
    strangers: HashMap<u64, Stranger>,
    /// Where something may be missing: partition and origin.
    holes: BTreeSet<(u32, u64)>,
    /// What waits: events and bytes.
    waiting: (usize, usize),
    misfit: Option<Misfit>,
    bearings_ms: u64,
    pruned_ms: u64,
    last_id: u64,
    effects: VecDeque<Effect>,
    /// Partitions with acts that were not there before.
    ready: Vec<u32>,
    /// Events dropped since a shard was last up.
    dropped: usize,
    scratch: Vec<Packet>,
}

impl Mesh {
    /// A node that has heard nothing yet.
    pub fn new(settings: Settings) -> Self {
        let (own, waiting) = (settings.origin, settings.waiting);
        // What heals must hold at least what may wait.
        let age_ms = (waiting.age.as_millis() as u64 + 60_000).max(settings.replay_ms);
        let bounds = memory::Bounds {
            count: waiting.count.max(16_384),
            bytes: waiting.bytes.max(16 << 20),
            age_ms,
        };
        let partition = |number| Partition {
            outgoing: Outgoing::new(own, number),
            inbounds: HashMap::default(),
            repeats: Repeats::default(),
            acts: VecDeque::new(),
            acts_bytes: 0,
            doing: Vec::new(),
        };
        let shard = |apart: &bool| Shard::new(if *apart { settings.partitions } else { 0 });
        Self {
            time: Time::default(),
            identity: Identity::default(),
            partitions: (0..settings.partitions).map(partition).collect(),
            known: std::iter::once((own, 0)).collect(),
            memory: Memory::new(bounds),
            members: Members::default(),
            shards: settings.shards.iter().map(shard).collect(),
            join: Join::default(),
            strangers: HashMap::new(),
            holes: BTreeSet::new(),
            waiting: (0, 0),
            misfit: None,
            bearings_ms: 0,
            pruned_ms: 0,
            last_id: 0,
            effects: VecDeque::new(),
            ready: Vec::new(),
            dropped: 0,
            scratch: Vec::new(),
            settings,
        }
    }

    /// Sets the time. To be called before anything else is, each time.
    pub fn at(&mut self, time: Time) -> &mut Self {
        self.time = time;
        self
    }

    /// The process did not run for a while: nothing is concluded from what did not come in time, and a peer is asked what
    /// happened.
    pub fn stood_still(&mut self) {
        self.bearings_ms = self.time.ms + BEARINGS_MS;
        self.members.excuse(self.time.ms);
        self.look_again();
    }

    fn is_dazed(&self) -> bool {
        self.time.ms < self.bearings_ms
    }

    /// Something was heard on a shard.
    pub fn hear(&mut self, on: usize, incoming: Incoming) {
        self.shards[on].heard_ms = self.time.ms;
        match incoming {
            Incoming::Packet(packet) if packet.stamp.partition < self.settings.partitions => {
                if let Some((heard, _)) = self.shards[on]
                    .channels
                    .get_mut(packet.stamp.partition as usize)
                {
                    *heard = self.time.ms.max(1);
                }
                // What another node tells of it does not say that it is there.
                if let Some(heard_ms) = self.known.get_mut(&packet.stamp.origin) {
                    *heard_ms = self.time.ms as i64;
                }
                if packet.stamp.origin == self.settings.origin {
                    self.shards[on].heard_own(packet.bytes.len());
                }
                self.take(packet);
            }
            // Its sender divides channels otherwise, and was told to stay out.
            Incoming::Packet(_) => {}
            Incoming::Control(head, control) => self.control(on, head, control),
        }
    }

    /// Takes a packet from wherever it came.
    fn take(&mut self, packet: Packet) {
        let (origin, number) = (packet.stamp.origin, packet.stamp.partition);
        let own = origin == self.settings.origin;
        let known = self.known.contains_key(&origin);
        if !known {
            self.join.is_heard(origin, self.time.ms);
        }
        let partition = &mut self.partitions[number as usize];
        let inbound = partition
            .inbounds
            .entry(origin)
            .or_insert_with(|| Inbound::at(u64::from(known)));
        let fits = own || !(partition.acts.len() >= ACTS || partition.acts_bytes >= ACTS_BYTES);
        let mut out = std::mem::take(&mut self.scratch);
        let taken = if fits || packet.end() <= inbound.next() {
            inbound.take(packet, &mut out)
        } else {
            inbound.announced(packet.end());
            Taken::Refused
        };
        match taken {
            Taken::Next => {}
            Taken::Had => ::metrics::counter!(metrics::DUPLICATES).increment(1),
            Taken::Held if own => self.hand_over(number, u64::MAX),
            Taken::Held | Taken::Refused => self.hole(number, origin),
        }
        self.accept(number, out);
    }

    /// For how long an origin was not heard, in milliseconds, if its numbers are known.
    fn silent_ms(&self, origin: u64) -> Option<u64> {
        let heard_ms = self.known.get(&origin)?;
        Some((self.time.ms as i64).saturating_sub(*heard_ms).max(0) as u64)
    }

    /// Notes that something may be missing.
    fn hole(&mut self, partition: u32, origin: u64) {
        let Some(inbound) = self.partitions[partition as usize]
            .inbounds
            .get_mut(&origin)
        else {
            return;
        };
        if inbound.missing().is_some() && inbound.hole.is_none() {
            ::metrics::counter!(metrics::GAPS_SEEN).increment(1);
            inbound.hole = Some(Hole {
                since_ms: self.time.ms,
                ..Hole::default()
            });
            self.holes.insert((partition, origin));
        }
    }

    /// What came out of an inbound is remembered and done.
    fn accept(&mut self, number: u32, mut packets: Vec<Packet>) {
        for packet in packets.drain(..) {
            let own = packet.stamp.origin == self.settings.origin;
            if !own {
                self.memory.insert(&packet, self.time.ms);
            }
            match packet.content {
                Content::Event(event) => {
                    if self.partitions[number as usize]
                        .repeats
                        .is_first(&event, self.time.ms)
                    {
                        self.act(number, Act::Deliver(event));
                    }
                }
                // This node's own clients had what it had to drop.
                Content::Lost(_) if own => {}
                Content::Lost(channels) if channels.is_empty() => self.declare(number),
                Content::Lost(channels) => self.act(number, Act::Lost(Lost::Channels(channels))),
                Content::Skipped(why) => skipped(why),
            }
        }
        self.scratch = packets;
    }

    /// Anything may be missing in a partition.
    fn declare(&mut self, number: u32) {
        let partitions = self.settings.partitions;
        self.act(
            number,
            Act::Lost(Lost::Partition {
                partition: number,
                partitions,
            }),
        );
    }

    fn act(&mut self, number: u32, act: Act) {
        let partition = &mut self.partitions[number as usize];
        if partition.acts.is_empty() {
            self.ready.push(number);
        }
        if let Act::Deliver(event) | Act::Remember(event, _) = &act {
            partition.acts_bytes += event.cost();
        }
        partition.acts.push_back(act);
    }

    /// What is to be done in a partition. What was to be done before is done.
    pub fn acts(&mut self, partition: u32) -> VecDeque<Act> {
        let partition = &mut self.partitions[partition as usize];
        partition.acts_bytes = 0;
        let of_a_past = |act: &Act| match act {
            Act::Deliver(event) if event.kept != Kept::No => {
                Some((event.channel.clone(), event.kept))
            }
            _ => None,
        };
        partition.doing = partition.acts.iter().filter_map(of_a_past).collect();
        std::mem::take(&mut partition.acts)
    }

    /// Partitions that have acts since this was last asked.
    pub fn ready(&mut self) -> std::vec::Drain<'_, u32> {
        self.ready.drain(..)
    }

    /// What the driver is to do.
    pub fn effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// How it is.
    pub fn state(&self) -> State {
        let oldest = self
            .partitions
            .iter()
            .filter_map(|partition| partition.outgoing.oldest_ms())
            .min();
        State {
            joined: self.join.is_joined(),
            misfit: self.misfit.clone(),
            waiting: self.waiting,
            oldest_ms: oldest.map(|at| self.time.ms.saturating_sub(at)),
            up: self
                .shards
                .iter()
                .map(|shard| shard.up_since.is_some())
                .collect(),
            remembered: (self.memory.len(), self.memory.bytes()),
            held: self
                .holes
                .iter()
                .filter_map(|(p, o)| self.partitions[*p as usize].inbounds.get(o))
                .map(Inbound::held)
                .sum(),
        }
    }

    /// The other nodes: what operators know each by, what it shows, how long ago it was heard, how far its clock is ahead.
    pub fn others(&self) -> Vec<(u64, String, Bytes, u64, i64)> {
        let row = |(origin, member): (u64, &members::Member)| {
            let silent_ms = self.time.ms.saturating_sub(member.heard_ms);
            (
                origin,
                member.about.id.clone(),
                member.view.clone(),
                silent_ms,
                member.ahead_ms,
            )
        };
        self.members.all().map(row).collect()
    }

    /// The partition's shard where `shards` are listed.
    fn place(partition: u32, shards: usize) -> usize {
        partition::shard(partition, shards)
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}

#[cfg(test)]
impl Mesh {
    /// One that has joined, of one partition on one shard.
    fn of_one_partition() -> Self {
        let mut mesh = Self::new(Settings {
            origin: 1,
            partitions: 1,
            shards: vec![false],
            replay_ms: 0,
            waiting: super::Bounds::default(),
        });
        mesh.join.has_joined(0);
        mesh
    }
}
