//! The world that the meshes of a test live in: their carrier, its faults, their clocks, and what each should have had.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::super::*;
use crate::broker::carrier::Said;
use crate::broker::packet::Draft;
use crate::event::{Channel, Event};

const PARTITIONS: u32 = 4;
pub const CHANNELS: usize = 12;
/// Virtual milliseconds between two looks at everything.
const STEP_MS: u64 = 10;

/// What happens next.
#[derive(Clone, Debug)]
pub enum Step {
    Publish {
        node: usize,
        channel: usize,
        events: usize,
    },
    Pass {
        ms: u64,
    },
    /// What is said on a shard is lost with this probability, in percent, for each that listens.
    Loss {
        shard: usize,
        percent: u64,
    },
    /// Nothing can be said on a shard and every connection ends.
    Cut {
        shard: usize,
    },
    Mend {
        shard: usize,
    },
    /// A node hears nothing more on its connection to a shard, and does not notice.
    Deafen {
        node: usize,
        shard: usize,
    },
    /// A node loses its subscription.
    Drop {
        node: usize,
        shard: usize,
    },
    Start,
    Kill {
        node: usize,
    },
    Stop {
        node: usize,
    },
    Continue {
        node: usize,
    },
}

#[derive(Clone, Copy, PartialEq)]
pub enum Line {
    None,
    Good,
    Deaf,
}

pub(super) struct Sim {
    pub(super) mesh: Mesh,
    /// When its clock stood at 0, and for how long it has stood still.
    start: u64,
    stood: u64,
    stopped_at: Option<u64>,
    pub(super) lines: Vec<Line>,
    resubscribe_at: Vec<u64>,
    pub(super) saying: Vec<Option<(u64, Vec<Said>)>>,
    pub(super) letters: BTreeMap<(u64, u64), (usize, Bytes)>,
    pub(super) delivered: Vec<(u64, Event)>,
    pub(super) remembered: HashSet<Bytes>,
    pub(super) lost: Vec<(u64, Lost)>,
    pub(super) joined_at: Option<u64>,
    ticked: u64,
}

#[derive(Clone)]
pub struct Published {
    pub(super) at: u64,
    pub(super) node: u64,
    pub(super) event: Event,
}

pub(super) struct World {
    pub(super) now: u64,
    random: u64,
    pub(super) shards: usize,
    pub(super) up: Vec<bool>,
    pub(super) loss: Vec<u64>,
    pub(super) nodes: Vec<(u64, Option<Sim>)>,
    pub(super) published: Vec<Published>,
    receipts: HashMap<Bytes, oneshot::Receiver<()>>,
    pub(super) confirmed: HashSet<Bytes>,
    pub(super) sequence: u64,
    pub(super) dropped: usize,
    pub(super) asks: usize,
    pub(super) lossy: bool,
    /// What is longer does not arrive.
    pub(super) longest: usize,
    pub(super) waiting: crate::broker::Bounds,
}

impl World {
    pub fn new(seed: u64, nodes: usize, shards: usize) -> Self {
        let mut world = Self {
            now: 1_000,
            random: seed | 1,
            shards,
            up: vec![true; shards],
            loss: vec![0; shards],
            nodes: Vec::new(),
            published: Vec::new(),
            receipts: HashMap::new(),
            confirmed: HashSet::new(),
            sequence: 0,
            dropped: 0,
            asks: 0,
            lossy: false,
            longest: usize::MAX,
            waiting: crate::broker::Bounds::default(),
        };
        (0..nodes).for_each(|_| world.start());
        world.pass(5_000);
        world
    }

    pub fn random(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    pub fn start(&mut self) {
        let origin = 1_000 + self.nodes.len() as u64;
        let shards = vec![false; self.shards];
        let settings = Settings {
            origin,
            partitions: PARTITIONS,
            shards,
            replay_ms: 10_000,
            waiting: self.waiting,
        };
        let sim = Sim {
            mesh: Mesh::new(settings),
            start: self.now,
            stood: 0,
            stopped_at: None,
            lines: vec![Line::None; self.shards],
            resubscribe_at: vec![self.now; self.shards],
            saying: vec![None; self.shards],
            letters: BTreeMap::new(),
            delivered: Vec::new(),
            remembered: HashSet::new(),
            lost: Vec::new(),
            joined_at: None,
            ticked: 0,
        };
        self.nodes.push((origin, Some(sim)));
    }

    fn time(now: u64, sim: &Sim) -> Time {
        Time {
            ms: now - sim.start - sim.stood + 1,
            uptime_ms: now - sim.start + 1,
            unix_ms: now,
        }
    }

    pub fn publish(&mut self, node: usize, channel: usize) {
        let (now, text) = (self.now, format!("{}", self.published.len()));
        let Some((origin, Some(sim))) = self.nodes.get_mut(node) else {
            return;
        };
        if sim.stopped_at.is_some() {
            return;
        }
        let event = Event::new(Channel::new("c", &channel.to_string()), "news", text);
        let event = Event {
            accepted_ms: now,
            ..event
        };
        let (sender, receipt) = oneshot::channel();
        self.receipts.insert(event.data.clone(), receipt);
        let time = Self::time(now, sim);
        sim.mesh.at(time).publish(Draft::new(event.clone()), sender);
        self.published.push(Published {
            at: now,
            node: *origin,
            event,
        });
    }

    pub fn pass(&mut self, ms: u64) {
        let until = self.now + ms;
        while self.now < until {
            self.now += STEP_MS;
            (0..self.nodes.len()).for_each(|at| self.turn(at));
            let confirmed = &mut self.confirmed;
            self.receipts
                .retain(|text, receipt| match receipt.try_recv() {
                    Ok(()) => !confirmed.insert(text.clone()),
                    Err(oneshot::error::TryRecvError::Empty) => true,
                    Err(oneshot::error::TryRecvError::Closed) => false,
                });
        }
    }

    fn turn(&mut self, at: usize) {
        let now = self.now;
        let Some(mut sim) = self.nodes[at].1.take() else {
            return;
        };
        if sim.stopped_at.is_none() {
            let time = Self::time(now, &sim);
            sim.mesh.at(time);
            (0..self.shards).for_each(|on| self.connections(&mut sim, on));
            while let Some(entry) = sim
                .letters
                .first_entry()
                .filter(|entry| entry.key().0 <= now)
            {
                let (on, bytes) = entry.remove();
                if sim.lines[on] == Line::Good {
                    sim.mesh.hear(on, read(bytes).expect("what was written"));
                }
            }
            if now - sim.ticked >= 50 {
                sim.ticked = now;
                sim.mesh.tick();
            }
            (0..self.shards).for_each(|on| self.say(at, &mut sim, on));
            Self::act(&mut sim, now);
        }
        self.nodes[at].1 = Some(sim);
    }

    fn connections(&mut self, sim: &mut Sim, on: usize) {
        if !self.up[on] && sim.lines[on] != Line::None {
            sim.lines[on] = Line::None;
            sim.mesh.unsubscribed(on);
            sim.resubscribe_at[on] = self.now + 100;
        }
        if self.up[on] && sim.lines[on] == Line::None && self.now >= sim.resubscribe_at[on] {
            sim.lines[on] = Line::Good;
            sim.mesh.subscribed(on);
        }
    }

    fn act(sim: &mut Sim, now: u64) {
        while let Some(effect) = sim.mesh.effect() {
            if let Effect::Resubscribe(on) = effect {
                sim.lines[on] = Line::None;
                sim.resubscribe_at[on] = now + 50;
            }
        }
        let ready: Vec<u32> = sim.mesh.ready().collect();
        for partition in ready {
            for act in sim.mesh.acts(partition) {
                match act {
                    Act::Deliver(event) => sim.delivered.push((now, event)),
                    Act::Remember(event, _) => drop(sim.remembered.insert(event.data)),
                    Act::Lost(lost) => sim.lost.push((now, lost)),
                }
            }
        }
        if sim.joined_at.is_none() && sim.mesh.state().joined {
            sim.joined_at = Some(now);
        }
    }

    pub fn step(&mut self, step: &Step) {
        let now = self.now;
        match *step {
            Step::Publish {
                node,
                channel,
                events,
            } => {
                let node = node % self.nodes.len();
                (0..events).for_each(|n| self.publish(node, (channel + n) % CHANNELS));
            }
            Step::Pass { ms } => self.pass(ms),
            Step::Loss { shard, percent } => {
                let shard = shard % self.shards;
                self.loss[shard] = percent;
                self.lossy |= percent > 0;
            }
            Step::Cut { shard } => self.up[shard % self.shards] = false,
            Step::Mend { shard } => self.up[shard % self.shards] = true,
            Step::Deafen { node, shard } => self.line(node, shard, Line::Deaf),
            Step::Drop { node, shard } => self.line(node, shard, Line::None),
            Step::Start if self.alive() < 5 => self.start(),
            Step::Start => {}
            Step::Kill { node } if self.alive() > 2 => {
                let node = node % self.nodes.len();
                self.nodes[node].1 = None;
            }
            Step::Kill { .. } => {}
            Step::Stop { node } => {
                let node = node % self.nodes.len();
                if let Some(sim) = &mut self.nodes[node].1 {
                    sim.stopped_at.get_or_insert(now);
                }
            }
            Step::Continue { node } => self.wake(node % self.nodes.len()),
        }
    }

    fn line(&mut self, node: usize, shard: usize, line: Line) {
        let (node, shard, now) = (node % self.nodes.len(), shard % self.shards, self.now);
        if let Some(sim) = self.nodes[node]
            .1
            .as_mut()
            .filter(|sim| sim.lines[shard] != Line::None)
        {
            sim.lines[shard] = line;
            if line == Line::None {
                sim.resubscribe_at[shard] = now + 300;
                let time = Self::time(now, sim);
                sim.mesh.at(time).unsubscribed(shard);
            }
        }
    }

    pub fn wake(&mut self, node: usize) {
        let now = self.now;
        let Some(sim) = &mut self.nodes[node].1 else {
            return;
        };
        let Some(at) = sim.stopped_at.take() else {
            return;
        };
        let stood = now - at;
        if stood > 1_000 {
            sim.stood += stood;
            // Its server has hung up, and what lay in its buffers is gone.
            sim.letters.clear();
            for on in 0..sim.lines.len() {
                sim.lines[on] = Line::None;
                sim.resubscribe_at[on] = now + 50;
            }
            let time = Self::time(now, sim);
            sim.mesh.at(time).stood_still();
            (0..sim.lines.len()).for_each(|on| sim.mesh.unsubscribed(on));
        }
    }

    fn alive(&self) -> usize {
        self.nodes.iter().filter(|(_, sim)| sim.is_some()).count()
    }
}
