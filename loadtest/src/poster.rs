//! Posting events: one at a time, or at a steady rate whatever the server does.
//!
//! Invariant: a poster's events of a library go over one connection in their order, the next not before the last was answered,
//! and an event's stamp is the moment it was due to be sent, so a server that is slow to answer cannot hide its slowness.

use crate::clock;
use crate::dialect::Dialect;
use crate::line::Line;
use crate::stamp::{self, Stamp};
use crate::stats::Times;
use crate::target::Target;
use crate::token::Signer;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// What to post to whom.
#[derive(Clone)]
pub struct Source {
    /// Wire protocol.
    pub dialect: Dialect,
    /// Servers; a connection prefers the one of its own number, counted round.
    pub targets: Vec<Target>,
    /// The shared key.
    pub key: String,
    /// Marks the events.
    pub run: u32,
    /// Libraries.
    pub channels: u32,
    /// Posters of each library, over connections that follow each other; they post at one moment, and number as [`stamp::poster`] says.
    pub posters: u32,
    /// Bytes of filling in each event.
    pub pad: usize,
    /// Kept-alive connections, over which libraries and their posters are spread.
    pub connections: u32,
    /// Longest wait for an answer.
    pub timeout: Duration,
    /// Events are numbered from the one after this.
    pub after_seq: u32,
}

impl Source {
    /// All posters of all libraries, those of one library behind each other.
    fn lanes(&self) -> u32 {
        self.channels * self.posters
    }

    /// Posts one event over a connection and waits for the answer's status.
    fn post(&self, line: &mut Line, token: &str, s: Stamp, body: &str) -> Result<u16, String> {
        let answer = line.ask(&self.targets, self.timeout, |target, out| {
            self.dialect.post(target, token, s, body, out);
        })?;
        Ok(answer.status)
    }
}

/// What became of all events.
#[derive(Default)]
pub struct Posted {
    /// For each library, for each number from 1: when it was sent (nanoseconds), 0 if it was not accepted.
    pub accepted: Vec<Vec<u64>>,
    /// How many were accepted.
    pub good: u64,
    /// From due to answered.
    pub answer: Times,
    /// Those not accepted, by reason.
    pub refused: BTreeMap<String, u64>,
}

/// Counts others may look at while posting goes on.
#[derive(Default)]
pub struct Watch {
    /// Accepted.
    pub good: AtomicU64,
    /// Not accepted.
    pub bad: AtomicU64,
    /// Set to end before time.
    pub stop: AtomicBool,
}

/// Posts single events, one after another.
pub struct Single {
    src: Source,
    signer: Signer,
    line: Line,
    seq: Vec<u32>,
}

impl Single {
    /// Nothing is connected yet.
    pub fn new(src: Source) -> Self {
        let (signer, seq) = (Signer::new(&src.key), vec![0; src.channels as usize]);
        Self {
            src,
            signer,
            line: Line::new(0),
            seq,
        }
    }

    /// Posts one event to a library; when it was sent, and how long the answer took.
    ///
    /// # Errors
    /// When it is not answered with 200 (nchan: 201, 202).
    pub fn post(&mut self, channel: u32) -> Result<(u64, Duration), String> {
        let seq = &mut self.seq[channel as usize];
        *seq += 1;
        // How long connecting takes is no part of what is measured.
        self.line.connect(&self.src.targets, self.src.timeout)?;
        let exp = clock::unix_s() + 300;
        let token = self.src.dialect.token(&self.signer, exp);
        let s = Stamp {
            run: self.src.run,
            channel,
            seq: *seq,
            at_ns: clock::now_ns(),
        };
        let mut body = String::new();
        stamp::body(&mut body, s, self.src.pad);
        match self.src.post(&mut self.line, &token, s, &body)? {
            200..=202 => Ok((s.at_ns, Duration::from_nanos(clock::now_ns() - s.at_ns))),
            n => Err(format!("answered {n}")),
        }
    }
}

/// Posts `rate` events a second for `how_long`, libraries in turn, over the source's connections. Runs until all are answered.
pub fn at_rate(src: &Source, rate: f64, how_long: Duration, watch: &Watch) -> Posted {
    let lines = src.connections.clamp(1, src.lanes().max(1));
    let begin = clock::now_ns() + 20_000_000;
    let total = (rate * how_long.as_secs_f64()) as u64;
    let mut all = Posted {
        accepted: vec![Vec::new(); src.lanes() as usize],
        ..Posted::default()
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..lines)
            .map(|line| scope.spawn(move || post_line(src, line, lines, begin, rate, total, watch)))
            .collect();
        for t in threads {
            let Ok(part) = t.join() else { continue };
            for (mine, theirs) in all.accepted.iter_mut().zip(part.accepted) {
                mine.extend(theirs);
            }
            all.good += part.good;
            all.answer.add(&part.answer.pack());
            for (why, n) in part.refused {
                *all.refused.entry(why).or_default() += n;
            }
        }
    });
    all.accepted = all
        .accepted
        .chunks(src.posters as usize)
        .map(in_turn)
        .collect();
    all
}

/// Of a library's posters, each with a list of its own, one list by number.
fn in_turn(posters: &[Vec<u64>]) -> Vec<u64> {
    let rounds = posters.iter().map(Vec::len).max().unwrap_or(0);
    (0..rounds)
        .flat_map(|round| posters.iter().map(move |p| p.get(round).copied()))
        .map(Option::unwrap_or_default)
        .collect()
}

/// The part of one connection: the posters whose lane, counted round, is its own. What it accepted is listed by lane.
fn post_line(
    src: &Source,
    line: u32,
    lines: u32,
    begin: u64,
    rate: f64,
    total: u64,
    watch: &Watch,
) -> Posted {
    let signer = Signer::new(&src.key);
    let mut p = Posted {
        accepted: vec![Vec::new(); src.lanes() as usize],
        ..Posted::default()
    };
    let posters = u64::from(src.posters);
    let mut conn = Line::new(line as usize);
    let (mut body, mut token, mut minted) = (String::new(), String::new(), 0);
    for k in (0..total).filter(|k| (k % u64::from(src.lanes())) as u32 % lines == line) {
        let due = begin + ((k - k % posters) as f64 * 1e9 / rate) as u64;
        let now = clock::now_ns();
        if due > now {
            std::thread::sleep(Duration::from_nanos(due - now));
        }
        if watch.stop.load(Ordering::Relaxed) {
            break;
        }
        if clock::unix_s() != minted {
            minted = clock::unix_s();
            token = src.dialect.token(&signer, minted + 300);
        }
        let lane = (k % u64::from(src.lanes())) as u32;
        let mine = &mut p.accepted[lane as usize];
        // Late because the last answer was: the wait counts. Late because this thread slept too long: it does not.
        let at_ns = if due > now { clock::now_ns() } else { due };
        let s = Stamp {
            run: src.run,
            channel: lane / src.posters,
            seq: src.after_seq + mine.len() as u32 * src.posters + lane % src.posters + 1,
            at_ns,
        };
        stamp::body(&mut body, s, src.pad);
        let sent_ns = clock::now_ns();
        match src.post(&mut conn, &token, s, &body) {
            Ok(200..=202) => {
                mine.push(sent_ns);
                p.good += 1;
                p.answer.record(clock::us_between(at_ns, clock::now_ns()));
                watch.good.fetch_add(1, Ordering::Relaxed);
            }
            other => {
                mine.push(0);
                let why = other.map_or_else(|e| e, |n| format!("answered {n}"));
                *p.refused.entry(why).or_default() += 1;
                watch.bad.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    p
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_posters_accepted_is_listed_by_number() {
        // The second was stopped before its second turn.
        let posters = [vec![11, 14], vec![12], vec![0, 16]];
        assert_eq!(in_turn(&posters), [11, 12, 0, 14, 0, 16]);
        assert_eq!(in_turn(&posters[..1]), posters[0]);
    }
}
