//! The follower against a played Redis: whatever is lost, doubled, reordered, trimmed or failed over, every event comes
//! out once, in order, or a loss is declared after it was published.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::broker::log::{EntryId, Page};
use crate::event::Recipients;

const NOW: Now = Now { ms: 0, listening_ms: 50 };

#[derive(Clone, Debug)]
enum Op {
    Publish(u64),
    /// What was published last is posted again to another node.
    Repeat(u64),
    Hear,
    HearTwice,
    Miss,
    Reorder,
    Look,
    Answer,
    Local(u64),
    Trim(usize),
    Failover(usize),
    Flush,
}

fn gentle() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0u64..3).prop_map(Op::Publish),
        1 => (10u64..13).prop_map(Op::Repeat),
        6 => Just(Op::Hear),
        1 => Just(Op::HearTwice),
        2 => Just(Op::Miss),
        1 => Just(Op::Reorder),
        1 => Just(Op::Look),
        3 => Just(Op::Answer),
    ]
}

fn rough() -> impl Strategy<Value = Op> {
    prop_oneof![
        20 => gentle(),
        2 => (0u64..3).prop_map(Op::Local),
        1 => (0usize..6).prop_map(Op::Trim),
        1 => (0usize..6).prop_map(Op::Failover),
        1 => Just(Op::Flush),
    ]
}

/// Redis, its publishers, and one follower with its subscription.
struct World {
    epoch: u64,
    seq: u64,
    id: EntryId,
    log: Vec<Entry>,
    /// All there ever was in this log, trimmed or not.
    history: Vec<Entry>,
    exists: bool,
    clock: u64,
    flying: VecDeque<Heard>,
    counters: HashMap<u64, u64>,
    /// Gone from Redis; publishers bring them again before anything newer.
    again: Vec<(Stamp, Bytes)>,
    bodies: HashMap<EntryId, (Stamp, Bytes)>,
    follower: Follower,
    cursor: Option<Cursor>,
    published: Vec<Stamp>,
    last: Option<Event>,
    delivered: Vec<Stamp>,
    /// How many had been published when a loss was last declared.
    lost_upto: usize,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            epoch: 1,
            seq: 0,
            id: EntryId::ZERO,
            log: Vec::new(),
            history: Vec::new(),
            exists: false,
            clock: 1_000,
            flying: VecDeque::new(),
            counters: HashMap::new(),
            again: Vec::new(),
            bodies: HashMap::new(),
            follower: Follower::new(Duration::from_secs(10), 999),
            cursor: None,
            published: Vec::new(),
            last: None,
            delivered: Vec::new(),
            lost_upto: 0,
        };
        world.follower.head(None, Known::Nothing);
        world.act();
        world.answer();
        world
    }

    fn stamp(&mut self, origin: u64) -> Stamp {
        let counter = self.counters.entry(origin).or_default();
        *counter += 1;
        Stamp { origin, counter: *counter }
    }

    fn new_event(&mut self, origin: u64) -> (Stamp, Event, Bytes) {
        let stamp = self.stamp(origin);
        let counter = stamp.counter;
        let event = Event {
            channel: Channel::new("repo", "x"),
            payload: format!("{origin} {counter}").into(),
            recipients: Recipients::All,
            accepted_ms: 0,
            idempotency_key: Some(self.published.len() as u64),
        };
        let (body, event) = wire::encode_event(stamp, event);
        self.published.push(stamp);
        self.last = Some(event.clone());
        (stamp, event, body)
    }

    fn append(&mut self, stamp: Stamp, body: Bytes) {
        self.exists = true;
        self.clock += 1;
        self.seq += 1;
        let prev = std::mem::replace(&mut self.id, EntryId { ms: self.clock, n: 0 });
        let entry = Entry { seq: self.seq, id: self.id, prev, body: body.clone() };
        self.bodies.insert(self.id, (stamp, body));
        self.log.push(entry.clone());
        self.history.push(entry.clone());
        self.flying.push_back(Heard { epoch: self.epoch, entry });
    }

    fn bring_again(&mut self) {
        for (stamp, body) in std::mem::take(&mut self.again) {
            self.append(stamp, body);
        }
    }

    fn head(&self) -> Option<Position> {
        self.exists.then_some(Position { epoch: self.epoch, seq: self.seq, id: self.id })
    }

    fn hear(&mut self, heard: Heard) {
        self.follower.heard(heard, NOW);
        self.act();
    }

    fn answer(&mut self) {
        let Some(cursor) = self.cursor.take() else { return };
        let (from, strictly) = match cursor {
            Cursor::From(id) => (id, false),
            Cursor::After(id) => (id, true),
        };
        let mut rest = self.log.iter().filter(|e| e.id > from || (e.id == from && !strictly)).cloned();
        let entries: Vec<Entry> = if self.exists { rest.by_ref().take(3).collect() } else { Vec::new() };
        let more = entries.len() == 3;
        self.follower.page(Page { head: self.head(), now_ms: self.clock, entries, more }, NOW);
        self.act();
    }

    fn act(&mut self) {
        while let Some(act) = self.follower.next_act() {
            match act {
                Act::Deliver(event) | Act::Remember(event, _) => {
                    let text = std::str::from_utf8(&event.payload).unwrap();
                    let (origin, counter) = text.split_once(' ').unwrap();
                    let stamp = Stamp { origin: origin.parse().unwrap(), counter: counter.parse().unwrap() };
                    self.delivered.push(stamp);
                }
                Act::Lost(_) => self.lost_upto = self.published.len(),
                Act::Read(cursor) => assert!(self.cursor.replace(cursor).is_none(), "two reads at once"),
                Act::Republish => {}
            }
        }
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Publish(origin) => {
                self.bring_again();
                let (stamp, _, body) = self.new_event(origin);
                self.append(stamp, body);
            }
            Op::Repeat(origin) => {
                self.bring_again();
                if let Some(event) = self.last.clone() {
                    let stamp = self.stamp(origin);
                    self.append(stamp, wire::encode_event(stamp, event).0);
                }
            }
            Op::Local(origin) => {
                let (stamp, event, body) = self.new_event(origin + 100);
                self.follower.local(stamp, event, NOW);
                self.act();
                self.again.push((stamp, body));
            }
            Op::Hear => {
                if let Some(heard) = self.flying.pop_front() {
                    self.hear(heard);
                }
            }
            Op::HearTwice => {
                if let Some(heard) = self.flying.front().cloned() {
                    self.hear(heard);
                }
            }
            Op::Miss => {
                self.flying.pop_front();
            }
            Op::Reorder => {
                if let Some(heard) = self.flying.pop_front() {
                    self.flying.push_back(heard);
                }
            }
            Op::Look => self.look(),
            Op::Answer => self.answer(),
            Op::Trim(count) => {
                self.log.drain(..count.min(self.log.len()));
            }
            Op::Failover(behind) => self.lose(self.history.len().saturating_sub(behind)),
            Op::Flush => self.lose(0),
        }
    }

    /// Redis comes back with the first `keep` entries only; publishers will bring the others again.
    fn lose(&mut self, keep: usize) {
        self.clock += 1;
        let gone: Vec<_> = self.history.split_off(keep).iter().map(|e| self.bodies[&e.id].clone()).collect();
        self.again.splice(..0, gone);
        match self.history.last() {
            Some(last) => {
                (self.seq, self.id) = (last.seq, last.id);
                self.log.retain(|entry| entry.id <= last.id);
            }
            None => self.begin_anew(),
        }
    }

    fn begin_anew(&mut self) {
        self.epoch += 1;
        (self.seq, self.id, self.exists) = (0, EntryId::ZERO, false);
        self.log.clear();
    }

    fn look(&mut self) {
        let before = self.follower.known();
        if let Some(ahead) = self.follower.head(self.head(), before) {
            self.follower.overdue(ahead);
        }
        self.act();
    }

    /// Lets everything settle.
    fn settle(&mut self) {
        self.bring_again();
        for _ in 0..10_000 {
            if let Some(heard) = self.flying.pop_front() {
                self.hear(heard);
            } else if self.cursor.is_some() {
                self.answer();
            } else {
                self.look();
                if self.cursor.is_none() {
                    return;
                }
            }
        }
        panic!("never settles");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn while_redis_keeps_its_data_everything_comes_once_and_in_order(ops in prop::collection::vec(gentle(), 0..80)) {
        let mut world = World::new();
        ops.into_iter().for_each(|op| world.run(op));
        world.settle();
        prop_assert_eq!(&world.delivered, &world.published);
        prop_assert_eq!(world.lost_upto, 0);
    }

    #[test]
    fn whatever_happens_everything_comes_once_or_is_declared_lost(ops in prop::collection::vec(rough(), 0..80)) {
        let mut world = World::new();
        ops.into_iter().for_each(|op| world.run(op));
        world.settle();
        let mut times: HashMap<Stamp, usize> = HashMap::new();
        world.delivered.iter().for_each(|stamp| *times.entry(*stamp).or_default() += 1);
        prop_assert!(times.values().all(|n| *n == 1), "twice: {:?}", times);
        for (index, stamp) in world.published.iter().enumerate() {
            prop_assert!(times.contains_key(stamp) || index < world.lost_upto, "{:?} passed over in silence", stamp);
        }
        prop_assert_eq!(world.follower.known().reached(Position { epoch: world.epoch, seq: world.seq, id: world.id }) || !world.exists, true);
    }
}

#[test]
fn a_new_follower_remembers_what_is_recent_and_delivers_what_came_since_it_listens() {
    let mut world = World::new();
    for _ in 0..3 {
        world.run(Op::Publish(1));
        world.clock += 20;
    }
    let mut follower = Follower::new(Duration::from_millis(45), 999);
    follower.head(world.head(), Known::Nothing);
    assert_eq!(follower.next_act(), Some(Act::Read(Cursor::From(EntryId::ZERO))));
    let page = Page { head: world.head(), now_ms: world.clock, entries: world.log.clone(), more: false };
    follower.page(page, Now { ms: 0, listening_ms: 30 });
    let (second, third) = (follower.next_act(), follower.next_act());
    assert!(matches!(second, Some(Act::Remember(_, age)) if age == Duration::from_millis(41)), "{second:?}");
    assert!(matches!(third, Some(Act::Deliver(_))), "{third:?}");
    assert_eq!(follower.next_act(), None);
}
