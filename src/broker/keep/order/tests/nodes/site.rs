//! Nodes with a channel's order each, what they say and hear, and pages that are somewhere or away.

mod page;
mod steps;

use std::sync::{Arc, OnceLock};

pub use self::page::PAGES;
use self::page::Page;
use super::super::{channel, empty};
use super::redis::{Job, Redis};
use crate::broker::keep::heard::{HeardChannels, Mark};
use crate::broker::keep::order::{FORGOTTEN_MS, Order, Out, PASS_OVER_MS};
use crate::broker::keep::told::Told;
use crate::event::{Event, Kept, Past, Place, now_ms};

pub const NODES: usize = 3;

struct Node {
    order: Order,
    heard: HeardChannels,
    told: Told,
    lane_is_up: bool,
    jobs: Vec<Job>,
    count: u64,
    /// What it has to say, and whether its own clients have it.
    unsaid: Vec<(Event, bool)>,
    /// Whether it hears, whether it can say something, whether it has to ask for what it missed.
    hears: bool,
    speaks: bool,
    heals: bool,
    /// How much of what each node said it has heard.
    upto: [usize; NODES],
}

impl Node {
    fn new(order: Order) -> Self {
        Self {
            order,
            heard: HeardChannels::default(),
            told: Told::new(300_000),
            lane_is_up: true,
            jobs: Vec::new(),
            count: 0,
            unsaid: Vec::new(),
            hears: true,
            speaks: true,
            heals: false,
            upto: [0; NODES],
        }
    }
}

pub struct Site {
    now_ms: u64,
    redis: Redis,
    nodes: Vec<Node>,
    pages: Vec<Page>,
    /// By which node each was taken.
    all: Vec<usize>,
    /// What was said, in order, by whom, the how manieth of that node's.
    said: Vec<(usize, Event)>,
}

impl Site {
    pub fn new(keeps: usize) -> Self {
        let node = |_| {
            let mut order = empty();
            assert!(order.expect(&channel(), &Past::default(), true, 0));
            Node::new(order)
        };
        Self {
            now_ms: 0,
            redis: Redis::new(keeps),
            nodes: (0..NODES).map(node).collect(),
            pages: (0..PAGES).map(|at| Page::at(at % NODES)).collect(),
            all: Vec::new(),
            said: Vec::new(),
        }
    }

    /// What comes out of a node's order goes to its pages.
    fn act(&mut self, at: usize, act: impl FnOnce(&mut Order, bool, u64, &mut Out)) {
        let (node, mut out) = (&mut self.nodes[at], Out::default());
        act(
            &mut node.order,
            node.told.waits(&channel()),
            self.now_ms,
            &mut out,
        );
        if !out.holes.is_empty() {
            let here = self.pages.iter_mut().filter(|page| page.at == Some(at));
            here.for_each(|page| page.at = None);
        }
        if !out.broken.is_empty() {
            node.heard.broken(channel());
        }
        if !out.late.is_empty() {
            node.heard.broken_here(channel());
        }
        for event in out.events {
            node.heard.note(&event);
            let after = (!node.heard.get(&channel()).is_some_and(Mark::is_hole))
                .then(|| node.order.given_upto(&channel(), self.now_ms))
                .flatten();
            if event.kept != Kept::Later && node.told.take(&event) {
                continue;
            }
            let here = self.pages.iter_mut().filter(|page| page.at == Some(at));
            here.for_each(|page| page.give(&event));
            if event.kept == Kept::Later {
                node.told.given(&event, after);
            }
        }
    }

    fn deliver(&mut self, at: usize, event: Event) {
        self.act(at, |order, held_back, now_ms, out| {
            order.take(event, held_back, now_ms, out);
        });
    }

    fn keep(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        node.count += 1;
        let event = Event {
            kept: Kept::No,
            data: self.all.len().to_string().into(),
            accepted_ms: now_ms(),
            ..Event::new(channel(), "n", "")
        };
        node.jobs.push(Job {
            event,
            count: node.count,
            heard: node.heard.get(&channel()),
            again: false,
            after: None,
        });
        self.all.push(at);
        if node.lane_is_up {
            self.work(at);
        } else {
            self.tell(at);
        }
    }

    /// While Redis is away a node's own clients are given what waits.
    fn tell(&mut self, at: usize) {
        self.hand_over(at);
        for job in 0..self.nodes[at].jobs.len() {
            let node = &mut self.nodes[at];
            if node.jobs[job].after.is_some() {
                continue;
            }
            let after = Arc::new(OnceLock::new());
            node.jobs[job].after = Some(Arc::clone(&after));
            let event = Event {
                kept: Kept::Later,
                ..node.jobs[job].event.clone()
            };
            let telling = move |place: Option<Place>| {
                if let Some(place) = place {
                    after.set(place).unwrap();
                }
            };
            assert!(node.told.add(&event, telling, self.now_ms));
            self.deliver(at, event);
        }
    }

    /// Keeps the first that waits. Its answer may be lost.
    fn work(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        if node.lane_is_up && !node.jobs.is_empty() {
            let job = node.jobs.remove(0);
            let place = self.redis.append(&job, at);
            node.heard.mended(&channel(), job.heard, place);
            node.told.kept(&job.event);
            node.order.kept(&channel(), place);
            let kept = Kept::At(place);
            self.hand(at, Event { kept, ..job.event });
        }
    }

    fn work_unheard(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        if node.lane_is_up && !node.jobs.is_empty() {
            self.redis.append(&node.jobs[0], at);
            node.jobs[0].again = true;
            node.lane_is_up = false;
            self.tell(at);
        }
    }

    /// Nothing keeps what waits, and the others could have it.
    fn give_up(&mut self, at: usize) {
        while self.is_up(at) && !self.nodes[at].jobs.is_empty() {
            let node = &mut self.nodes[at];
            let event = Event {
                kept: Kept::Missed,
                ..node.jobs.remove(0).event
            };
            node.heard.broken_here(channel());
            self.hand(at, event);
        }
        while self.is_up(at) && !self.nodes[at].unsaid.is_empty() {
            self.say(at);
        }
    }

    fn hand(&mut self, at: usize, event: Event) {
        self.nodes[at].unsaid.push((event, false));
        if !self.is_up(at) {
            self.hand_over(at);
        }
    }

    fn is_up(&self, at: usize) -> bool {
        self.nodes[at].hears && self.nodes[at].speaks
    }

    /// Its own clients have what it has to say, and what it said and did not hear.
    fn hand_over(&mut self, at: usize) {
        while self.nodes[at].upto[at] < self.said_by(at).len() {
            self.hear_of(at, at);
        }
        for index in 0..self.nodes[at].unsaid.len() {
            let (event, had) = &mut self.nodes[at].unsaid[index];
            if !std::mem::replace(had, true) {
                let event = event.clone();
                self.deliver(at, event);
            }
        }
    }

    fn said_by(&self, at: usize) -> Vec<Event> {
        let said = self.said.iter().filter(|(by, _)| *by == at);
        said.map(|(_, event)| event.clone()).collect()
    }

    fn say(&mut self, at: usize) {
        let is_up = self.is_up(at);
        let node = &mut self.nodes[at];
        if is_up && !node.unsaid.is_empty() {
            let (event, had) = node.unsaid.remove(0);
            self.said.push((at, event));
            if had {
                // It is not given again when it is heard.
                self.nodes[at].upto[at] += 1;
            }
        }
    }

    /// Hears the next that a node said.
    fn hear_of(&mut self, at: usize, by: usize) {
        if let Some(event) = self.said_by(by).get(self.nodes[at].upto[by]) {
            self.nodes[at].upto[by] += 1;
            self.deliver(at, event.clone());
        }
    }

    fn is_whole(&self, at: usize) -> bool {
        (0..NODES).all(|by| self.nodes[at].upto[by] == self.said_by(by).len())
    }

    /// Hears the next, in the order in which they were said, unless it was deaf.
    fn hear(&mut self, at: usize, by: usize) {
        if !self.nodes[at].hears {
            return;
        }
        if self.nodes[at].heals {
            self.hear_of(at, by);
            self.nodes[at].heals = !self.is_whole(at);
            return;
        }
        let mut heard = [0; NODES];
        let next = self.said.iter().find(|(by, _)| {
            heard[*by] += 1;
            heard[*by] > self.nodes[at].upto[*by]
        });
        if let Some((by, _)) = next {
            self.hear_of(at, *by);
        }
    }

    fn is_flushed(&mut self, at: usize, past: &Past) -> bool {
        let is_said = self.is_said(at, past);
        (self.nodes[at].order).is_flushed(&channel(), past, is_said, self.now_ms)
    }

    fn is_said(&self, at: usize, past: &Past) -> bool {
        let Some(newest) = past.newest else {
            return true;
        };
        let is_before = |event: &Event| match event.kept {
            Kept::At(place) => place.epoch < newest.epoch,
            _ => true,
        };
        let unsaid = &self.nodes[at].unsaid;
        self.is_up(at) && self.is_whole(at) && !unsaid.iter().any(|(event, _)| is_before(event))
    }

    fn read(&mut self, at: usize) -> Option<Past> {
        let heard = self.nodes[at].heard.get(&channel());
        self.read_as(at, heard)
    }

    /// Reads for somebody who has heard so much.
    fn read_as(&mut self, at: usize, heard: Option<Mark>) -> Option<Past> {
        if !self.nodes[at].lane_is_up {
            return None;
        }
        // Each in its turn.
        while !self.nodes[at].jobs.is_empty() {
            self.work(at);
        }
        let node = &mut self.nodes[at];
        let past = self.redis.read(heard);
        if let Some(newest) = past.newest {
            node.heard.mended(&channel(), heard, newest);
        }
        Some(past)
    }

    fn wait(&mut self, at: usize, ms: u64) {
        self.now_ms += ms;
        let mut wanted = Vec::new();
        self.act(at, |order, held_back, now_ms, out| {
            wanted = order.tick(|_| held_back, now_ms, out);
        });
        for channel in wanted {
            let heard = self.nodes[at].heard.get(&channel);
            let past = self.read_as(at, heard.filter(|heard| !heard.is_hole()));
            let flushed = past.as_ref().is_some_and(|past| self.is_flushed(at, past));
            self.act(at, |order, held_back, now_ms, out| {
                order.fill(&channel, past.as_ref(), (held_back, flushed), now_ms, out);
            });
        }
    }

    /// Redis is told of a hole, as each node does within a second.
    fn tell_hole(&mut self, at: usize) {
        if !self.nodes[at].heard.untold(1).is_empty() {
            self.read(at);
        }
    }

    fn back(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        (node.lane_is_up, node.hears, node.speaks) = (true, true, true);
    }

    fn flow(&mut self) {
        for _ in 0..self.all.len() {
            for at in 0..NODES {
                self.work(at);
                self.say(at);
                (0..NODES).for_each(|by| self.hear(at, by));
                self.tell_hole(at);
            }
        }
    }

    pub fn settle(&mut self) {
        (0..NODES).for_each(|at| self.back(at));
        (0..NODES + 1).for_each(|_| self.flow());
        if self.redis.keeps_all() {
            assert!(self.waits_for_nothing());
        }
        for _ in 0..2 {
            for _ in 0..4 {
                (0..NODES).for_each(|at| self.wait(at, PASS_OVER_MS));
            }
            self.come_back();
        }
    }

    /// Where nothing was forgotten, nothing waits for longer than for what may still come.
    fn waits_for_nothing(&mut self) -> bool {
        for _ in 0..6 {
            (0..NODES).for_each(|at| self.wait(at, FORGOTTEN_MS));
            (0..NODES).for_each(|at| self.tell_hole(at));
        }
        self.nodes.iter().all(|node| node.order.is_still())
    }
}
