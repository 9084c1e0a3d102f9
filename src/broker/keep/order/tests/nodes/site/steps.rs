//! What is done at each step.

use super::super::super::empty;
use super::super::Step;
use super::{NODES, Node, Site};

impl Site {
    pub fn step(&mut self, step: Step) {
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
            Step::Restart(at) => self.restart(at),
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

    /// Its clients leave. What it has yet to keep or to say would be lost with it, so it does not end before; meanwhile the
    /// others have heard all, and they tell it what was said.
    fn restart(&mut self, at: usize) {
        let others = (0..NODES).filter(|other| *other != at);
        let has_something = !self.nodes[at].jobs.is_empty() || !self.nodes[at].unsaid.is_empty();
        if has_something || others.clone().any(|other| !self.is_up(other)) {
            return;
        }
        for other in others {
            while !self.is_whole(other) {
                (0..NODES).for_each(|by| self.hear(other, by));
            }
            self.tell_hole(other);
        }
        let here = self.pages.iter_mut().filter(|page| page.at == Some(at));
        here.for_each(|page| page.at = None);
        let upto = std::array::from_fn(|by| self.said_by(by).len());
        let before = std::mem::replace(&mut self.nodes[at], Node::new(empty()));
        self.nodes[at].upto = upto;
        self.nodes[at].count = before.count;
        self.nodes[at].lane_is_up = before.lane_is_up;
        for (_, event) in &self.said {
            self.nodes[at].heard.note(event);
            self.nodes[at].order.remember(event, self.now_ms);
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
