//! Pages: what each has had, how one comes back, and what it must have in the end.

use proptest::prelude::*;

use super::super::super::channel;
use super::{NODES, Site};
use crate::broker::keep::heard::Mark;
use crate::broker::keep::order::HOLD_MS;
use crate::event::{Event, Kept, Past, Place};

pub const PAGES: usize = 3;

fn number(event: &Event) -> usize {
    std::str::from_utf8(&event.data).unwrap().parse().unwrap()
}

#[derive(Default)]
pub struct Page {
    /// Where it is; none while it is away.
    pub at: Option<usize>,
    /// All before this it had, or was told that it may not have.
    from: usize,
    had: Vec<Event>,
    read: Past,
    /// What comes while the past is read.
    held: Option<Vec<Event>>,
}

impl Page {
    pub fn at(node: usize) -> Self {
        Self {
            at: Some(node),
            ..Self::default()
        }
    }

    pub fn give(&mut self, event: &Event) {
        match &mut self.held {
            Some(held) => held.push(event.clone()),
            None if self.read.has(event) => {}
            None => self.had.push(event.clone()),
        }
    }

    /// All that followed what it had, or, where it came before there was anything, all.
    fn followed<'a>(&self, past: &'a Past) -> Option<&'a [Event]> {
        if self.from == 0 && self.had.is_empty() {
            let Some(newest) = past.newest else {
                return (!past.is_unsure).then_some(&[]);
            };
            let all = past.after(Place {
                number: 0,
                ..newest
            })?;
            let of_one = |first: &Event| matches!(first.kept, Kept::At(first) if first.epoch == newest.epoch);
            return all.first().is_some_and(of_one).then_some(all);
        }
        let last = self.had.last().map(number)?;
        let mut events = past.events.iter();
        past.behind(events.rposition(|event| number(event) == last)?)
    }

    fn numbers(&self) -> Vec<usize> {
        let numbers = self.had.iter().map(number);
        numbers.filter(|number| *number >= self.from).collect()
    }
}

impl Site {
    /// A page leaves where it is, if it is anywhere, and comes back. Returns whether it is told that it has all.
    pub(super) fn come(&mut self, page: usize, at: usize) -> bool {
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
        let followed = page.followed(&past);
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

    pub(super) fn come_back(&mut self) {
        for page in 0..PAGES {
            if self.pages[page].at.is_none() {
                self.come(page, page % NODES);
            }
        }
    }

    /// Once all is well again, whoever comes back is told that it has all.
    pub fn check_afterwards(&mut self) -> Result<(), TestCaseError> {
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

    pub fn check(&self) -> Result<(), TestCaseError> {
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
}
