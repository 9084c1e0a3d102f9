//! What the book says in the end: owed, made, lost, and in which order.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::time::{Duration, Instant};

use super::{Book, Kind, Seat};

/// How it all came out.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Events answered 200.
    pub accepted: usize,
    /// Events answered otherwise, or not at all (status 0).
    pub refused: BTreeMap<u16, usize>,
    /// Deliveries owed.
    pub owed: usize,
    /// Of those, made.
    pub made: usize,
    /// Of those, neither made nor declared.
    pub lost: usize,
    /// Of those, not made to clients that were told so.
    pub declared: usize,
    /// Deliveries that came again on one connection.
    pub duplicated: usize,
    /// Deliveries that came after a later one on one connection.
    pub disordered: usize,
    /// Desktop clients that were closed so that they check everything anew (1012).
    pub disturbed: usize,
    /// The same of web pages.
    pub disturbed_pages: usize,
    /// From posting to receiving, the slowest.
    pub worst: Duration,
    /// The 99th percentile of the posts' answers.
    pub p99: Duration,
    /// Some of what is lost, for messages.
    pub examples: Vec<String>,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            accepted,
            owed,
            made,
            lost,
            declared,
            duplicated,
            disordered,
            disturbed,
            disturbed_pages,
            ..
        } = self;
        let refused: usize = self.refused.values().sum();
        let (worst, p99) = (self.worst.as_secs_f64(), self.p99.as_secs_f64() * 1e3);
        write!(
            f,
            "accepted {accepted} | not accepted {refused} | owed {owed} | made {made} | lost {lost} | declared {declared} \
             | duplicated {duplicated} | out of order {disordered} | clients disturbed {disturbed} desktop, \
             {disturbed_pages} web | worst delay {worst:.2} s | answers p99 {p99:.0} ms"
        )
    }
}

impl Counts {
    /// Panics unless every event was accepted and every delivery owed was made, once and in order.
    pub fn perfect(&self) -> &Self {
        assert!(self.refused.is_empty(), "{self}: {:?}", self.refused);
        self.nothing_lost();
        assert_eq!(self.declared, 0, "{self}");
        self
    }

    /// Panics unless it was perfect and nobody noticed: no client was told to check anything anew.
    pub fn undisturbed(&self) -> &Self {
        self.perfect();
        assert_eq!((self.disturbed, self.disturbed_pages), (0, 0), "{self}");
        self
    }

    /// Panics if anything was lost, came twice or in the wrong order.
    pub fn nothing_lost(&self) -> &Self {
        assert!(
            self.accepted > 0 && self.owed > 0,
            "nothing was tried: {self}"
        );
        assert_eq!(
            (self.lost, self.duplicated, self.disordered),
            (0, 0, 0),
            "{self}: {:?}",
            self.examples
        );
        self
    }
}

impl Book {
    /// How it stands now.
    pub(super) fn counts(&self) -> Counts {
        let accepted = self.statuses.get(&200).copied().unwrap_or_default();
        let refused = self
            .statuses
            .iter()
            .filter(|(status, _)| **status != 200)
            .map(|(s, n)| (*s, *n))
            .collect();
        let mut counts = Counts {
            accepted,
            refused,
            ..Counts::default()
        };
        for (id, seat) in self.seats.iter().enumerate() {
            let disturbed = seat.ends.iter().filter(|code| **code == 1012).count();
            match seat.kind {
                Kind::Desktop => counts.disturbed += disturbed,
                Kind::Web => counts.disturbed_pages += disturbed,
            }
            self.judge(id, seat, &mut counts);
        }
        let mut answers = self.answers.clone();
        answers.sort_unstable();
        counts.p99 = answers
            .get(answers.len() * 99 / 100)
            .or(answers.last())
            .copied()
            .unwrap_or_default();
        counts
    }

    fn judge(&self, id: usize, seat: &Seat, counts: &mut Counts) {
        let mut first: HashMap<usize, Instant> = HashMap::new();
        let (mut seen, mut highest) = (HashSet::new(), HashMap::new());
        let empty = Vec::new();
        let posts = self.posts.get(&seat.library).unwrap_or(&empty);
        for got in &seat.got {
            first.entry(got.number).or_insert(got.at);
            let Some(post) = posts.get(got.number).filter(|post| post.accepted) else {
                continue;
            };
            if !seen.insert((got.connection, got.number)) {
                counts.duplicated += 1;
                counts
                    .examples
                    .push(format!("client {id} got {} twice", got.number));
                continue;
            }
            let highest = highest
                .entry((got.connection, post.by.as_str()))
                .or_insert(got.number);
            if got.number < *highest {
                counts.disordered += 1;
                counts
                    .examples
                    .push(format!("client {id} got {} after {highest}", got.number));
            }
            *highest = (*highest).max(got.number);
        }
        for number in seat.owed(&self.posts) {
            counts.owed += 1;
            match first.get(&number) {
                Some(at) => {
                    counts.made += 1;
                    counts.worst = counts
                        .worst
                        .max(at.saturating_duration_since(posts[number].begun));
                }
                None if number < seat.told => counts.declared += 1,
                None => {
                    counts.lost += 1;
                    if counts.examples.len() < 20 {
                        counts.examples.push(format!(
                            "client {id} at port {} never got {number}",
                            seat.port
                        ));
                    }
                }
            }
        }
    }
}
