//! Several nodes, a Redis that loses, and pages that move between them: each message comes once, or a page is told that it may not.

use std::sync::{Arc, OnceLock};

use proptest::prelude::*;

use super::super::super::heard::{HeardChannels, Mark};
use super::super::super::told::Told;
use super::*;
use crate::event::{Early, now_ms};

const NODES: usize = 3;
const PAGES: usize = 3;

fn number(event: &Event) -> usize {
    std::str::from_utf8(&event.data).unwrap().parse().unwrap()
}

/// What Redis has of the channel, and does in one step.
#[derive(Default)]
struct Redis {
    /// The time, as far as it names epochs.
    time: u64,
    has_lost: bool,
    run: u64,
    /// The number behind which the epoch began.
    began: u64,
    /// So many events stay.
    keeps: usize,
    /// Epoch, number, run.
    mark: Option<(u64, u64, u64)>,
    past: Vec<(Place, Event, Option<Early>)>,
}

impl Redis {
    /// What each call begins with: the place that is reached, in an epoch in which the caller has missed nothing.
    fn reach(&mut self, heard: Option<Mark>) -> Place {
        let (upto, hole) = match heard {
            None => (NOTHING, false),
            Some(Mark::At(place)) => (place, false),
            Some(Mark::Hole(_)) => (NOTHING, true),
        };
        let (epoch, number, run) = self.mark.unwrap_or_default();
        let fits = epoch > upto.epoch || epoch == upto.epoch && number >= upto.number;
        let fine = self.mark.is_some() && run == self.run && fits && !hole;
        self.time += 1;
        let epoch = if fine { epoch } else { self.time };
        let is_missing = self.mark.is_none() && hole;
        let number = number + if is_missing { Place::MISSING } else { 0 };
        if !fine {
            self.began = number;
        }
        self.mark = Some((epoch, number, self.run));
        place(epoch, number)
    }

    fn append(&mut self, job: &Job, node: usize) -> Place {
        let early = |place| {
            let after = job.after.as_ref()?.get().copied();
            let (node, count) = (node as u64, job.count);
            Some(Early {
                place,
                node,
                count,
                after,
            })
        };
        if job.again
            && let Some((place, _, told)) =
                (self.past.iter_mut()).find(|(_, event, _)| event.data == job.event.data)
        {
            *told = early(*place).or(*told);
            return *place;
        }
        if self.mark.is_none() {
            self.past.clear();
        }
        let reached = self.reach(job.heard);
        let place = place(reached.epoch, reached.number + 1);
        self.mark = Some((place.epoch, place.number, self.run));
        self.past.push((place, job.event.clone(), early(place)));
        self.past
            .drain(..self.past.len().saturating_sub(self.keeps));
        place
    }

    fn read(&mut self, heard: Option<Mark>) -> Past {
        if self.mark.is_none() && !heard.is_some_and(Mark::is_hole) {
            return Past::default();
        }
        let newest = self.reach(heard);
        let placed = self
            .past
            .iter()
            .map(|(place, event, _)| (*place, event.clone()));
        let early = self.past.iter().filter_map(|(_, _, early)| *early);
        let past = Past::new(newest, placed.collect()).with_early(early.collect());
        let began = Some(self.began);
        Past { began, ..past }
    }

    /// It starts again, without the last so many.
    fn restart(&mut self, lost: usize) {
        self.run += 1;
        if let Some((_, number, _)) = &mut self.mark {
            let lost = lost.min(self.past.len());
            self.has_lost |= lost > 0;
            *number -= lost as u64;
            self.past.truncate(self.past.len() - lost);
        }
    }

    fn empty(&mut self) {
        (self.mark, self.past, self.has_lost) = (None, Vec::new(), true);
    }
}

/// What is to be kept.
struct Job {
    event: Event,
    count: u64,
    heard: Option<Mark>,
    again: bool,
    /// Up to where the clients had the channel when they were given it; none where they were not.
    after: Option<Arc<OnceLock<Place>>>,
}

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

#[derive(Default)]
struct Page {
    /// Where it is; none while it is away.
    at: Option<usize>,
    /// All before this it had, or was told that it may not have.
    from: usize,
    had: Vec<Event>,
    read: Past,
    /// What comes while the past is read.
    held: Option<Vec<Event>>,
}

impl Page {
    fn give(&mut self, event: &Event) {
        match &mut self.held {
            Some(held) => held.push(event.clone()),
            None if self.read.has(event) => {}
            None => self.had.push(event.clone()),
        }
    }

    fn numbers(&self) -> Vec<usize> {
        let numbers = self.had.iter().map(number);
        numbers.filter(|number| *number >= self.from).collect()
    }
}

struct Site {
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
    fn new(keeps: usize) -> Self {
        let node = |_| {
            let mut order = empty();
            assert!(order.expect(&channel(), &Past::default(), true, 0));
            Node {
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
        };
        let page = |at| Page {
            at: Some(at % NODES),
            ..Page::default()
        };
        Self {
            now_ms: 0,
            redis: Redis {
                keeps,
                ..Redis::default()
            },
            nodes: (0..NODES).map(node).collect(),
            pages: (0..PAGES).map(page).collect(),
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
            ..event(1, 0)
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
            node.heard.note(&event);
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

    /// A page leaves where it is, if it is anywhere, and comes back. Returns whether it is told that it has all.
    fn come(&mut self, page: usize, at: usize) -> bool {
        self.pages[page].at = Some(at);
        self.pages[page].held = Some(Vec::new());
        let Some(past) = self.read(at) else {
            // It is refused, and tries again.
            (self.pages[page].at, self.pages[page].held) = (None, None);
            return false;
        };
        let mut is_flushed = false;
        for _ in 0..20 {
            is_flushed = self.is_flushed(at, &past);
            let now_ms = self.now_ms;
            let reached = (self.nodes[at].order).expect(&channel(), &past, is_flushed, now_ms);
            if reached && is_flushed {
                break;
            }
            self.wait(at, 50);
        }
        let unheard = (self.nodes[at].order).unheard(&channel(), &past, self.now_ms);
        let is_unsure = !is_flushed
            || match self.nodes[at].heard.get(&channel()) {
                None => false,
                Some(Mark::At(heard)) => {
                    past.newest.is_none_or(|newest| heard.epoch > newest.epoch)
                }
                Some(Mark::Hole(_)) => true,
            };
        let past = past.with_unheard(unheard, is_unsure);
        let page = &mut self.pages[page];
        let held = page.held.take().unwrap_or_default();
        if page.at.is_none() {
            return false;
        }
        let last = page.had.last().map(number);
        let at = past
            .events
            .iter()
            .rposition(|event| Some(number(event)) == last);
        let followed = at.and_then(|at| past.behind(at));
        match followed {
            Some(followed) => page.had.extend(followed.iter().cloned()),
            None => {
                page.from = self.all.len();
                page.had.clone_from(&past.events);
            }
        }
        let is_told = followed.is_some();
        page.read = past.had();
        held.iter().for_each(|event| page.give(event));
        is_told
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
            }
        }
    }

    fn settle(&mut self) {
        (0..NODES).for_each(|at| self.back(at));
        (0..NODES + 1).for_each(|_| self.flow());
        for _ in 0..4 {
            (0..NODES).for_each(|at| self.wait(at, PASS_OVER_MS));
        }
        self.come_back();
    }

    fn come_back(&mut self) {
        for page in 0..PAGES {
            if self.pages[page].at.is_none() {
                self.come(page, page % NODES);
            }
        }
    }

    /// Once all is well again, whoever comes back is told that it has all.
    fn check_afterwards(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..6 {
            (0..NODES).for_each(|at| drop(self.read(at)));
            self.keep(0);
            (0..NODES).for_each(|_| self.flow());
            (0..NODES).for_each(|at| self.wait(at, HOLD_MS + 1));
            self.come_back();
        }
        for page in 0..PAGES {
            for at in 0..NODES {
                prop_assert!(self.come(page, at));
            }
        }
        self.check()
    }

    fn check(&self) -> Result<(), TestCaseError> {
        for node in &self.nodes {
            prop_assert_eq!(node.order.size, 0);
        }
        for page in &self.pages {
            let mut numbers = page.numbers();
            // What Redis has lost before its node said it comes late.
            for by in (0..NODES).filter(|_| !self.redis.has_lost) {
                let its = numbers.iter().filter(|number| self.all[**number] == by);
                prop_assert!(its.is_sorted(), "in the order of each node: {:?}", numbers);
            }
            numbers.sort_unstable();
            prop_assert_eq!(numbers, (page.from..self.all.len()).collect::<Vec<_>>());
        }
        Ok(())
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Keep(at) => self.keep(at),
            Step::Say(at) => self.say(at),
            Step::Hear(at, by) => self.hear(at, by),
            Step::Work(at) => self.work(at),
            Step::LoseAnAnswer(at) => self.work_unheard(at),
            Step::GiveUp(at) => self.give_up(at),
            Step::Wait(at, ms) => self.wait(at, ms),
            Step::HandOver(at) => self.hand_over(at),
            Step::Leave(page) => self.pages[page].at = None,
            Step::Come(page, at) => {
                self.come(page, at);
            }
            Step::LaneDown(at) => {
                self.nodes[at].lane_is_up = false;
                self.tell(at);
            }
            Step::LaneUp(at) => self.nodes[at].lane_is_up = true,
            Step::Deafen(at) => self.deafen(at),
            Step::Back(at) => self.back(at),
            Step::Flow => self.flow(),
            Step::HearAgain(at) => self.nodes[at].hears = true,
            Step::Mute(at) => {
                self.nodes[at].speaks = false;
                self.hand_over(at);
            }
            Step::RedisIsEmptied => {
                self.redis.empty();
                self.redis_ends();
            }
            Step::RedisRestarts { without } => {
                self.redis.restart(without);
                self.redis_ends();
            }
        }
    }

    fn deafen(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        (node.hears, node.heals) = (false, true);
        self.hand_over(at);
    }

    fn redis_ends(&mut self) {
        for at in 0..NODES {
            self.nodes[at].lane_is_up = false;
            self.deafen(at);
            self.tell(at);
        }
    }
}

/// What happens at a node, or to a page, or to Redis.
#[derive(Clone, Debug)]
enum Step {
    Keep(usize),
    Say(usize),
    Hear(usize, usize),
    Work(usize),
    LoseAnAnswer(usize),
    GiveUp(usize),
    Wait(usize, u64),
    HandOver(usize),
    Leave(usize),
    Come(usize, usize),
    LaneDown(usize),
    LaneUp(usize),
    Deafen(usize),
    /// It has Redis again.
    Back(usize),
    /// What can be done, said and heard is.
    Flow,
    HearAgain(usize),
    Mute(usize),
    RedisIsEmptied,
    RedisRestarts {
        without: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let at = || 0..NODES;
    let long = prop_oneof![4 => Just(HOLD_MS + 1), 1 => Just(3_000)];
    prop_oneof![
        6 => at().prop_map(Step::Keep),
        6 => at().prop_map(Step::Say),
        10 => (at(), at()).prop_map(|(at, by)| Step::Hear(at, by)),
        2 => at().prop_map(Step::Work),
        1 => at().prop_map(Step::LoseAnAnswer),
        1 => at().prop_map(Step::GiveUp),
        6 => (at(), long).prop_map(|(at, ms)| Step::Wait(at, ms)),
        1 => at().prop_map(Step::HandOver),
        2 => (0..PAGES).prop_map(Step::Leave),
        6 => (0..PAGES, at()).prop_map(|(page, at)| Step::Come(page, at)),
        1 => at().prop_map(Step::LaneDown),
        2 => at().prop_map(Step::LaneUp),
        1 => at().prop_map(Step::Deafen),
        2 => at().prop_map(Step::HearAgain),
        1 => at().prop_map(Step::Mute),
        5 => at().prop_map(Step::Back),
        2 => Just(Step::Flow),
        1 => Just(Step::RedisIsEmptied),
        2 => (0usize..3).prop_map(|without| Step::RedisRestarts { without }),
    ]
}

/// Ways in which a page was told that it had all, and had not, or had more.
fn stories() -> Vec<Vec<Step>> {
    use Step::*;
    let wait = |at| Wait(at, HOLD_MS + 1);
    let mut stories = Vec::new();
    // Redis has lost what 1 has yet to say, and 1 hears before that what 0 has kept since.
    for ends in [RedisIsEmptied, RedisRestarts { without: 1 }] {
        let begin = [
            Keep(1),
            ends,
            Back(0),
            Keep(0),
            Say(0),
            Hear(0, 0),
            wait(0),
            Leave(0),
        ];
        let goes_on = [Back(1), Hear(1, 0), wait(1), Say(1)];
        for last in [vec![Come(0, 1)], vec![wait(1), Come(0, 1)]] {
            stories.push([&begin[..], &goes_on, &last].concat());
        }
    }
    // The same, behind what 2 has yet to say, for long.
    stories.push(vec![
        Keep(2),
        Keep(1),
        RedisIsEmptied,
        Wait(0, 3_000),
        Back(0),
        Keep(0),
        Say(0),
        Hear(0, 0),
        wait(0),
        Leave(0),
        Back(1),
        Hear(1, 0),
        wait(1),
        Say(1),
        wait(1),
        Come(0, 1),
    ]);
    // A page at 0 had read it.
    stories.push(vec![
        Keep(1),
        Keep(2),
        Come(0, 0),
        LaneDown(0),
        RedisRestarts { without: 1 },
        LaneUp(1),
        Back(0),
        Keep(0),
        Say(0),
        Hear(0, 0),
        wait(0),
        Keep(1),
        Leave(0),
        Back(1),
        Hear(1, 0),
        wait(1),
        Say(1),
        wait(1),
        Come(0, 1),
    ]);
    // 0 has heard what is not kept, and 1 has not, but what came after it.
    stories.push(vec![
        Deafen(1),
        LaneDown(2),
        Keep(2),
        GiveUp(2),
        Hear(0, 0),
        HearAgain(1),
        Keep(1),
        Say(1),
        Hear(0, 0),
        Hear(1, 1),
        Leave(0),
        Come(0, 1),
    ]);
    // Clients of 0 have early what is kept without an answer, in front of what they have not.
    stories.push(vec![
        Keep(1),
        LoseAnAnswer(0),
        Keep(0),
        LoseAnAnswer(0),
        Say(1),
        Leave(0),
        Come(0, 1),
        Back(0),
        Come(1, 2),
        Leave(1),
        Come(1, 0),
    ]);
    stories
}

#[test]
fn no_story_is_told_again() {
    for story in stories() {
        tell(12, story).unwrap();
    }
}

fn tell(keeps: usize, steps: impl IntoIterator<Item = Step>) -> Result<(), TestCaseError> {
    let mut site = Site::new(keeps);
    let begin = [Step::Keep(0), Step::Flow];
    begin
        .into_iter()
        .chain(steps)
        .for_each(|step| site.step(step));
    site.settle();
    site.check()?;
    site.check_afterwards()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is lost, held up, or comes another way round.
    #[test]
    fn a_page_that_moves_has_each_once_or_is_told(keeps in 1usize..12, steps in prop::collection::vec(step(), 1..40)) {
        tell(keeps, steps)?;
    }

    /// The stories, with steps left out and others between.
    #[test]
    fn nor_anything_like_a_story(
        keeps in 1usize..12, story in 0..stories().len(),
        others in prop::collection::vec((0usize..24, prop::option::of(step())), 0..8),
    ) {
        let mut steps = stories()[story].clone();
        for (at, other) in others {
            let at = at % steps.len();
            match other {
                Some(other) => steps.insert(at, other),
                None if steps.len() > 1 => drop(steps.remove(at)),
                None => {}
            }
        }
        tell(keeps, steps)?;
    }
}
