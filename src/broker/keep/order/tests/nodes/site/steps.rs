//! What is done at each step.

use super::super::Step;
use super::{NODES, Site};

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
