//! Which events each client got, and at the end the balance against those that were accepted.
//!
//! Invariant: an event is owed to a client that was there when it was posted, where "there" reaches over gaps shorter
//! than the server's promised replay, or, where clients recover, from its first coming to its last leaving; what is owed is
//! counted as made, missing or told, exactly once.

use super::control::{Ledger, Plan, Settle};
use crate::stamp::{self, Stamp};

/// What the sharer of a channel is told about one receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// New, in order.
    Good,
    /// New on this connection, but an earlier one of this client has had it.
    Again,
    /// This connection has had it.
    Duplicate,
    /// This connection has had a newer one of the same library and poster.
    Late,
    /// Not a library of this client.
    Foreign,
}

#[derive(Default)]
struct Bits(Vec<u64>);

impl Bits {
    fn has(&self, n: u32) -> bool {
        self.0
            .get(n as usize / 64)
            .is_some_and(|w| w >> (n % 64) & 1 == 1)
    }

    fn put(&mut self, n: u32) {
        let at = n as usize / 64;
        if at >= self.0.len() {
            self.0.resize(at + 1, 0);
        }
        self.0[at] |= 1 << (n % 64);
    }
}

/// One client's view of one library, with a ledger.
#[derive(Default)]
struct Track {
    connection: Bits,
    ever: Bits,
    /// Those that came after a newer one on the same connection, and when the client had last been told of a hole before that.
    late: Vec<(u32, u64)>,
    /// The same of those that came twice on one connection.
    doubled: Vec<(u32, u64)>,
    holes: Vec<Hole>,
    /// Those that came first of all behind a hole, though the client had had newer ones before that: it had missed them.
    missed: Vec<u32>,
}

impl Track {
    /// When the client was told of a hole last; 0: it was not.
    fn hole_us(&self) -> u64 {
        self.holes.last().map_or(0, |h| h.at_us)
    }

    /// Whether the client was told that the `n`th event, sent at `at_us`, may be missing.
    fn has_hole(&self, n: u32, at_us: u64) -> bool {
        self.holes
            .iter()
            .any(|h| n > h.after[stamp::poster(n, h.after.len() as u32)] && at_us <= h.at_us)
    }
}

/// A client came back and was told that not all that it missed is there.
struct Hole {
    /// The newest that it had had of each poster.
    after: Vec<u32>,
    /// When it was told.
    at_us: u64,
}

struct Session {
    from_us: u64,
    to_us: u64,
    resync: bool,
}

/// The tracks of all clients of a worker.
pub struct Book {
    first: u32,
    per_client: u32,
    channels: u32,
    posters: u32,
    recovers: bool,
    /// For each library of each client, for each of its posters: the newest that this connection has had.
    tops: Vec<u32>,
    tracks: Vec<Track>,
    sessions: Vec<Vec<Session>>,
}

/// An event posted this shortly before a client went away for long may or may not have reached it.
const TAIL_US: u64 = 60_000_000;
/// A resync this much later was not for that event.
const RESYNC_US: u64 = 120_000_000;
/// Coming back this much sooner than the replay's length counts as in time.
const MARGIN_US: u64 = 1_000_000;

impl Book {
    /// An empty book for this worker's clients.
    pub fn new(p: &Plan) -> Self {
        let cells = super::cells(p);
        let (tracks, rows) = if p.ledger {
            (cells, p.clients as usize)
        } else {
            (0, 0)
        };
        Self {
            first: p.first,
            per_client: p.per_client,
            channels: p.channels,
            posters: p.posters,
            recovers: p.recover,
            tops: vec![0; cells * p.posters as usize],
            tracks: std::iter::repeat_with(Track::default)
                .take(tracks)
                .collect(),
            sessions: std::iter::repeat_with(Vec::new).take(rows).collect(),
        }
    }

    /// The `j`th library of client `i` (of this worker).
    pub fn channel(&self, i: u32, j: u32) -> u32 {
        ((u64::from(self.first + i) * u64::from(self.per_client) + u64::from(j))
            % u64::from(self.channels)) as u32
    }

    /// Where this library of client `i` is among all of this worker's, if it is one of its own.
    pub fn cell(&self, i: u32, channel: u32) -> Option<usize> {
        if channel >= self.channels {
            return None;
        }
        let j = (channel + self.channels - self.channel(i, 0)) % self.channels;
        (j < self.per_client).then_some(i as usize * self.per_client as usize + j as usize)
    }

    /// Client `i` got this.
    pub fn receive(&mut self, i: u32, s: Stamp) -> Receipt {
        let Some(cell) = self.cell(i, s.channel) else {
            return Receipt::Foreign;
        };
        let poster = stamp::poster(s.seq, self.posters);
        let top = &mut self.tops_of(cell)[poster];
        let last = std::mem::replace(top, s.seq.max(*top));
        let Some(t) = self.tracks.get_mut(cell) else {
            return match s.seq.cmp(&last) {
                std::cmp::Ordering::Greater => Receipt::Good,
                std::cmp::Ordering::Equal => Receipt::Duplicate,
                std::cmp::Ordering::Less => Receipt::Late,
            };
        };
        if t.connection.has(s.seq) {
            t.doubled.push((s.seq, t.hole_us()));
            return Receipt::Duplicate;
        }
        let again = t.ever.has(s.seq);
        let newest = t.holes.last().map_or(0, |hole| hole.after[poster]);
        if !again && s.seq < newest {
            t.missed.push(s.seq);
        }
        t.connection.put(s.seq);
        t.ever.put(s.seq);
        let late = s.seq < last;
        if late {
            t.late.push((s.seq, t.hole_us()));
        }
        match (late, again) {
            (true, _) => Receipt::Late,
            (false, true) => Receipt::Again,
            (false, false) => Receipt::Good,
        }
    }

    /// Client `i` is subscribed on a new connection.
    pub fn arrived(&mut self, i: u32, now_us: u64) {
        if let Some(s) = self.sessions.get_mut(i as usize) {
            s.push(Session {
                from_us: now_us,
                to_us: u64::MAX,
                resync: false,
            });
        }
    }

    /// Client `i`'s connection ended; `resync`: the server told it to look at everything afresh.
    pub fn left(&mut self, i: u32, now_us: u64, resync: bool) {
        // Who recovers goes on where it was.
        if !self.recovers {
            let first = i as usize * self.per_client as usize;
            (first..first + self.per_client as usize).for_each(|cell| self.begin_afresh(cell));
        }
        if let Some(s) = self.sessions.get_mut(i as usize).and_then(|s| s.last_mut()) {
            s.to_us = s.to_us.min(now_us);
            s.resync |= resync;
        }
    }

    /// Whoever has this [`Book::cell`] was told that it does not recover all that it missed: what is kept comes whole.
    pub fn hole(&mut self, cell: usize, now_us: u64) {
        let mut after = self.tops_of(cell).to_vec();
        if let Some(t) = self.tracks.get_mut(cell) {
            // Between two holes it may have had nothing.
            if let Some(before) = t.holes.last() {
                for (top, before) in after.iter_mut().zip(&before.after) {
                    *top = (*top).max(*before);
                }
            }
            t.holes.push(Hole {
                after,
                at_us: now_us,
            });
        }
        self.begin_afresh(cell);
    }

    fn begin_afresh(&mut self, cell: usize) {
        self.tops_of(cell).fill(0);
        if let Some(t) = self.tracks.get_mut(cell) {
            t.connection = Bits::default();
        }
    }

    fn tops_of(&mut self, cell: usize) -> &mut [u32] {
        let posters = self.posters as usize;
        &mut self.tops[cell * posters..][..posters]
    }

    /// The times a client was there, gaps shorter than the replay included.
    fn spans(&self, i: usize, replay_us: u64) -> Vec<(u64, u64)> {
        let mut spans: Vec<(u64, u64)> = Vec::new();
        for s in &self.sessions[i] {
            match spans.last_mut() {
                Some(last)
                    if self.recovers
                        || s.from_us.saturating_sub(last.1) + MARGIN_US <= replay_us =>
                {
                    last.1 = s.to_us
                }
                _ => spans.push((s.from_us, s.to_us)),
            }
        }
        spans
    }

    /// The balance.
    pub fn settle(&self, s: &Settle) -> Ledger {
        let mut l = Ledger::default();
        for i in 0..self.sessions.len() {
            let spans = self.spans(i, s.replay_us);
            for j in 0..self.per_client {
                let channel = self.channel(i as u32, j);
                let track = &self.tracks[i * self.per_client as usize + j as usize];
                let Some(times) = s.accepted.get(channel as usize) else {
                    continue;
                };
                self.weigh_receipts(&mut l, i, channel, times, track);
                for (n, &at) in (1u32..).zip(times) {
                    self.weigh(&mut l, i, &spans, at, (channel, n, track));
                }
            }
        }
        l
    }

    /// What came twice or late.
    fn weigh_receipts(&self, l: &mut Ledger, i: usize, channel: u32, times: &[u64], track: &Track) {
        let client = self.first + i as u32;
        let sent = |n: u32| times.get(n as usize - 1).copied().unwrap_or(0);
        let told = |n: u32, hole_us: u64| (1..=hole_us).contains(&sent(n));
        for &(n, hole_us) in &track.doubled {
            if told(n, hole_us) {
                l.doubled_told += 1;
            } else {
                l.duplicates += 1;
                l.example("duplicated", (client, channel, n));
            }
        }
        // Who posts gave up an event that was not accepted before it posted the next: it has no place in the order.
        for &(n, hole_us) in track.late.iter().filter(|(n, _)| sent(*n) != 0) {
            if told(n, hole_us) {
                l.late_told += 1;
            } else {
                l.reordered += 1;
                l.example("out of order", (client, channel, n));
            }
        }
    }

    fn weigh(
        &self,
        l: &mut Ledger,
        i: usize,
        spans: &[(u64, u64)],
        at: u64,
        (channel, n, track): (u32, u32, &Track),
    ) {
        let got = track.ever.has(n);
        if at == 0 {
            l.unaccepted += u64::from(got);
            return;
        }
        let there = spans
            .iter()
            .any(|&(from, to)| at >= from && (to == u64::MAX || at + TAIL_US <= to));
        if !there {
            l.excused += u64::from(!got);
            return;
        }
        l.owed += 1;
        if got && !track.missed.contains(&n) {
            l.made += 1;
        } else if track.has_hole(n, at)
            || self.sessions[i]
                .iter()
                .any(|s| s.resync && s.to_us > at && s.to_us - at <= RESYNC_US)
        {
            l.told += 1;
        } else {
            l.missing += 1;
            l.example("missing", (self.first + i as u32, channel, n));
        }
    }
}

#[cfg(test)]
mod tests;
