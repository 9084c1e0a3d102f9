//! The carrier of a world: what a node says comes to those who listen, or not.

use bytes::Bytes;

use super::world::{Line, Sim, World};
use crate::broker::carrier::{CarrierError, Topic};
use crate::broker::packet::CONTROL;

impl World {
    pub fn say(&mut self, at: usize, sim: &mut Sim, on: usize) {
        if sim.saying[on]
            .as_ref()
            .is_some_and(|(done, _)| *done <= self.now)
        {
            let (_, said) = sim.saying[on].take().expect("just looked at");
            sim.mesh.said(on, &said);
        }
        if sim.saying[on].is_some() {
            return;
        }
        let batch = sim.mesh.batch(on).or_else(|| {
            if sim.mesh.answers(on) {
                None
            } else {
                sim.mesh.probe(on)
            }
        });
        let Some(batch) = batch else { return };
        let error = CarrierError {
            text: "cut".into(),
            label: "connection",
        };
        if !self.up[on] {
            sim.saying[on] = Some((self.now + 200, vec![Err(error)]));
            return;
        }
        let mut said = Vec::new();
        for (topic, bytes) in batch.messages {
            if bytes[3] == CONTROL + 2 {
                self.asks += 1;
            }
            self.carry(at, sim, on, topic, &bytes);
            said.push(Ok(2));
        }
        // Now and then what was said is not answered, and said again.
        let answered = self.loss[on] == 0 || self.random(10) > 0;
        let delay = 10 + self.random(20);
        sim.saying[on] = Some((
            self.now + delay,
            if answered { said } else { vec![Err(error)] },
        ));
    }

    /// To everybody who listens: in order on one topic, in any order between topics.
    fn carry(&mut self, at: usize, sender: &mut Sim, on: usize, topic: Topic, bytes: &Bytes) {
        let lag = match topic {
            Topic::Partition(partition) => 10 + u64::from(partition) * 7,
            Topic::All => 10,
            Topic::Node(_) => 40,
        };
        for other in 0..self.nodes.len() {
            let lost = bytes.len() > self.longest
                || (self.loss[on] > 0 && self.random(100) < self.loss[on]);
            self.sequence += 1;
            let (now, sequence) = (self.now, self.sequence);
            let origin = self.nodes[other].0;
            let to = if other == at {
                Some(&mut *sender)
            } else {
                self.nodes[other].1.as_mut()
            };
            let Some(to) = to else { continue };
            let wanted = !matches!(topic, Topic::Node(node) if node != origin);
            if !wanted || to.lines[on] == Line::None {
                continue;
            }
            if lost || to.lines[on] == Line::Deaf {
                self.dropped += 1;
                continue;
            }
            to.letters
                .insert((now + lag, sequence), (on, bytes.clone()));
        }
    }
}
