//! A page that comes back at any time is told all that followed, once, or that something may be missing.

use proptest::prelude::*;

use super::*;

/// What a node hears of one channel, and a page that is there until something is passed over, and then comes back.
struct Site {
    order: Order,
    now_ms: u64,
    epoch: u64,
    number: u64,
    /// All that was ever kept, and how much of that is lost.
    all: Vec<Event>,
    lost: usize,
    on_its_way: Vec<Event>,
    came_out: Vec<Event>,
    page: Page,
}

#[derive(Default)]
struct Page {
    /// All before this it had, or was told that it did not.
    from: usize,
    had: Vec<Event>,
    read: Past,
}

impl Page {
    fn numbers(&self) -> Vec<usize> {
        self.had
            .iter()
            .map(number)
            .filter(|number| *number >= self.from)
            .collect()
    }
}

fn number(event: &Event) -> usize {
    std::str::from_utf8(&event.data).unwrap().parse().unwrap()
}

impl Site {
    fn new() -> Self {
        let mut site = Self {
            order: empty(),
            now_ms: 0,
            epoch: 1,
            number: 0,
            all: Vec::new(),
            lost: 0,
            on_its_way: Vec::new(),
            came_out: Vec::new(),
            page: Page::default(),
        };
        assert!(site.order.expect(&channel(), &Past::default(), true, 0));
        site
    }

    fn keep(&mut self) {
        self.number += 1;
        let event = Event {
            data: self.all.len().to_string().into(),
            ..event(self.epoch, self.number)
        };
        self.all.push(event.clone());
        self.on_its_way.push(event);
    }

    fn past(&self) -> Past {
        let kept = &self.all[self.lost..];
        let kept = &kept[kept.len().saturating_sub(12)..];
        if self.number == 0 {
            return Past::default();
        }
        let placed = kept
            .iter()
            .map(|event| (place_of(event).unwrap(), event.clone()));
        Past::new(place(self.epoch, self.number), placed.collect())
    }

    fn act(&mut self, act: impl FnOnce(&mut Order, u64, &mut Out)) {
        let mut out = Out::default();
        act(&mut self.order, self.now_ms, &mut out);
        if !out.holes.is_empty() {
            self.come_back();
        }
        let new = out.events.iter().filter(|event| !self.page.read.has(event));
        self.page.had.extend(new.cloned());
        self.came_out.extend(out.events);
    }

    fn hear(&mut self, at: usize) {
        if self.on_its_way.is_empty() {
            return;
        }
        let event = self.on_its_way.remove(at % self.on_its_way.len());
        self.act(|order, now_ms, out| order.take(event, false, now_ms, out));
    }

    fn wait(&mut self, ms: u64, answers: bool) {
        self.now_ms += ms;
        let mut wanted = Vec::new();
        self.act(|order, now_ms, out| wanted = order.tick(|_| false, now_ms, out));
        for channel in wanted {
            let past = answers.then(|| self.past());
            self.act(|order, now_ms, out| {
                order.fill(&channel, past.as_ref(), (false, true), now_ms, out)
            });
        }
    }

    /// What the page would be told if it came back now, and the past that it would be given.
    fn told(&self) -> (Option<Vec<Event>>, Past) {
        let past = self.past();
        let unheard = self.order.unheard(&channel(), &past, self.now_ms);
        let past = past.with_unheard(unheard, false);
        let last = self.page.had.last();
        let at = last.and_then(|last| past.events.iter().position(|event| event == last));
        let followed = at.and_then(|at| past.behind(at)).map(<[Event]>::to_vec);
        (followed, past)
    }

    fn come_back(&mut self) {
        let (followed, past) = self.told();
        match followed {
            Some(followed) => self.page.had.extend(followed),
            None => {
                self.page.from = self.all.len();
                self.page.had.clone_from(&past.events);
            }
        }
        let now_ms = self.now_ms;
        self.order.expect(&channel(), &past, true, now_ms);
        self.page.read = past;
    }

    /// Whoever comes back is told all that it does not have, or that something may be missing.
    fn check(&self) -> Result<(), TestCaseError> {
        let (Some(followed), _) = self.told() else {
            return Ok(());
        };
        let mut numbers = self.page.numbers();
        numbers.extend(
            followed
                .iter()
                .map(number)
                .filter(|number| *number >= self.page.from),
        );
        prop_assert_eq!(
            numbers,
            (self.page.from..self.all.len()).collect::<Vec<_>>()
        );
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// However publications are held up or come the other way round, and whatever becomes of the past meanwhile: what is heard
    /// of comes out once, and a page is told all in order, or that something may be missing.
    #[test]
    fn who_has_a_later_one_has_the_earlier_ones(steps in prop::collection::vec((0u8..16, 0usize..6), 1..120)) {
        let mut site = Site::new();
        for (step, at) in steps {
            match step {
                0..5 => site.keep(),
                5..10 => site.hear(at),
                10 => site.wait(HOLD_MS + 1, true),
                11 => site.wait(60, at > 0),
                12 => site.wait(3_000, at > 2),
                13 => site.come_back(),
                14 if at == 0 => site.epoch += 1,
                15 if at == 0 && site.on_its_way.is_empty() => {
                    // All is lost.
                    site.lost = site.all.len();
                    site.epoch += 1;
                    site.number = 0;
                }
                _ => {}
            }
            site.check()?;
        }
        while !site.on_its_way.is_empty() {
            site.hear(0);
            site.check()?;
        }
        (0..4).for_each(|_| site.wait(PASS_OVER_MS, true));
        site.check()?;
        prop_assert_eq!(site.order.size, 0);
        let mut numbers: Vec<_> = site.came_out.iter().map(number).collect();
        numbers.sort_unstable();
        prop_assert_eq!(numbers, (0..site.all.len()).collect::<Vec<_>>());
        prop_assert_eq!(site.page.numbers(), (site.page.from..site.all.len()).collect::<Vec<_>>());
    }
}
