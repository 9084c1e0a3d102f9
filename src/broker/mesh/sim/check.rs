//! What each node of a world should have had, and had.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use super::world::{Sim, World};
use crate::event::Channel;

impl World {
    /// All faults end, and enough time passes.
    pub fn settle(&mut self) {
        for shard in 0..self.shards {
            (self.up[shard], self.loss[shard]) = (true, 0);
        }
        (0..self.nodes.len()).for_each(|node| self.wake(node));
        self.pass(90_000);
        let asks = self.asks;
        self.pass(10_000);
        assert_eq!(self.asks, asks, "it goes on asking");
    }

    pub fn check(&self) {
        let alive: Vec<(u64, &Sim)> = self
            .nodes
            .iter()
            .filter_map(|(origin, sim)| Some((*origin, sim.as_ref()?)))
            .collect();
        let had = |sim: &Sim, text: &Bytes| {
            sim.remembered.contains(text)
                || sim.delivered.iter().any(|(_, event)| event.data == *text)
        };
        for (origin, sim) in &alive {
            let state = sim.mesh.state();
            assert_eq!(
                (state.waiting.0, state.held, state.joined),
                (0, 0, true),
                "node {origin}"
            );
            assert!(sim.mesh.holes.is_empty() && state.remembered.1 <= 64 << 20);
            self.in_order(sim);
        }
        for published in &self.published {
            let text = &published.event.data;
            let safe = alive.iter().any(|(origin, _)| *origin == published.node)
                // A carrier that loses without a break can lose the last words of a dead node without a trace.
                || (self.confirmed.contains(text) && (!self.lossy || alive.iter().any(|(_, sim)| had(sim, text))));
            for (origin, sim) in alive.iter().filter(|_| safe) {
                let there = sim.joined_at.is_some_and(|joined| joined < published.at);
                let declared = sim.lost.iter().any(|(at, lost)| {
                    *at >= published.at && lost.touches(&published.event.channel)
                });
                assert!(
                    !there || had(sim, text) || declared,
                    "event {text:?} of node {} at {} is missing at node {origin}",
                    published.node,
                    published.at
                );
            }
        }
        assert!(
            self.asks <= 60 * self.dropped + 40 * self.published.len() + 400,
            "{} asks",
            self.asks
        );
    }

    fn in_order(&self, sim: &Sim) {
        let mut last: HashMap<(u64, Channel), usize> = HashMap::new();
        let mut seen = HashSet::new();
        for (_, event) in &sim.delivered {
            assert!(seen.insert(event.data.clone()), "twice: {:?}", event.data);
            let number: usize = std::str::from_utf8(&event.data)
                .expect("a number")
                .parse()
                .expect("a number");
            let by = self.published[number].node;
            if let Some(before) = last.insert((by, event.channel.clone()), number) {
                assert!(before < number, "{before} came before {number}");
            }
        }
    }

    /// How many events a node delivered, and how many losses were declared to it.
    pub fn counts(&self, node: usize) -> (usize, usize) {
        self.nodes[node]
            .1
            .as_ref()
            .map_or((0, 0), |sim| (sim.delivered.len(), sim.lost.len()))
    }

    /// What a node delivered of a channel, in order.
    pub fn order(&self, node: usize, channel: &Channel) -> Vec<Bytes> {
        let delivered = self.nodes[node].1.iter().flat_map(|sim| &sim.delivered);
        delivered
            .filter(|(_, event)| event.channel == *channel)
            .map(|(_, event)| event.data.clone())
            .collect()
    }
}
