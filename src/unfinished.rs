//! What peers have begun to send and not ended: heads of requests, bodies, messages. All connections share one bound.
//!
//! Invariants: over the bound those end who have held most for longest, until there is room again; nobody waits here.
//! What is dropped holds nothing.
//!
//! * [`metered`]: a connection whose bytes are counted for it; [`lent`]: one that is taken back from who serves HTTP on it.

pub mod lent;
pub mod metered;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::metrics::{counter, gauge};
use parking_lot::Mutex;

use crate::drain::Tasks;
use crate::metrics;

/// How often those are looked for whose time is over.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Why somebody has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Reason {
    /// All together hold more than they may.
    Bound,
    /// It took too long.
    Time,
}

impl Reason {
    /// The counter's label.
    pub fn label(self) -> &'static str {
        self.into()
    }
}

/// Ends a connection. Called once at most; must not wait.
pub type End = Box<dyn FnOnce(Reason) + Send>;

struct Holder {
    bytes: usize,
    since: Instant,
    within: Duration,
    end: End,
}

impl Holder {
    /// The more and the longer, the greater. Who began just now counts too.
    fn weight(&self, now: Instant) -> u128 {
        let age = now.duration_since(self.since).as_millis() + 100;
        (self.bytes as u128 + 1) * age
    }
}

#[derive(Default)]
struct State {
    holders: HashMap<u64, Holder, ahash::RandomState>,
    bytes: usize,
    last: u64,
}

/// One a node. See the module's description.
pub struct Unfinished {
    most: usize,
    state: Mutex<State>,
}

impl Unfinished {
    /// Nobody has begun anything. All may hold `most` bytes together.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            state: Mutex::default(),
        })
    }

    /// Somebody has begun something and sent `bytes` of it; all of it is to come `within` this time. `end` is called if it
    /// does not, or if there is no room for it.
    pub fn begin(self: &Arc<Self>, bytes: usize, within: Duration, end: End) -> Share {
        let mut state = self.state.lock();
        state.last += 1;
        let id = state.last;
        state.holders.insert(
            id,
            Holder {
                bytes,
                since: Instant::now(),
                within,
                end,
            },
        );
        state.bytes += bytes;
        let over = self.over(&mut state);
        drop(state);
        finish(over, Reason::Bound);
        Share {
            unfinished: Arc::clone(self),
            id,
        }
    }

    /// Takes out who has to end so that a good part of the room is free again: else each byte more would look for one.
    fn over(&self, state: &mut State) -> Vec<End> {
        if state.bytes <= self.most {
            return Vec::new();
        }
        let now = Instant::now();
        let mut by_weight: Vec<_> = state
            .holders
            .iter()
            .map(|(id, holder)| (holder.weight(now), *id))
            .collect();
        by_weight.sort_unstable();
        let (mut ends, room) = (Vec::new(), self.most - self.most / 8);
        while state.bytes > room
            && let Some((_, id)) = by_weight.pop()
        {
            ends.extend(state.take(id));
        }
        ends
    }

    /// Ends those whose time is over.
    fn expire(&self, now: Instant) {
        let mut state = self.state.lock();
        let late =
            |(_, holder): &(&u64, &Holder)| now.duration_since(holder.since) >= holder.within;
        let late: Vec<u64> = state
            .holders
            .iter()
            .filter(late)
            .map(|(id, _)| *id)
            .collect();
        let ends: Vec<End> = late.into_iter().filter_map(|id| state.take(id)).collect();
        gauge!(metrics::UNFINISHED_BYTES).set(state.bytes as f64);
        drop(state);
        finish(ends, Reason::Time);
    }

    /// Looks for those whose time is over until the tasks are stopped.
    pub fn watch(self: &Arc<Self>, tasks: &Tasks) {
        let (unfinished, stop) = (Arc::clone(self), tasks.clone());
        tasks.spawn("unfinished", async move {
            let mut look = tokio::time::interval(LOOK_EVERY);
            loop {
                tokio::select! {
                    _ = look.tick() => unfinished.expire(Instant::now()),
                    () = stop.stopped() => return,
                }
            }
        });
    }
}

impl State {
    fn take(&mut self, id: u64) -> Option<End> {
        let holder = self.holders.remove(&id)?;
        self.bytes -= holder.bytes;
        if self.holders.capacity() > 1_024 && self.holders.capacity() > 8 * self.holders.len() {
            self.holders.shrink_to_fit();
        }
        Some(holder.end)
    }
}

fn finish(ends: Vec<End>, reason: Reason) {
    if !ends.is_empty() {
        counter!(metrics::UNFINISHED_ENDED, "reason" => reason.label())
            .increment(ends.len() as u64);
        ends.into_iter().for_each(|end| end(reason));
    }
}

/// What one connection has begun. It is finished, or given up, when this is dropped.
pub struct Share {
    unfinished: Arc<Unfinished>,
    id: u64,
}

impl Share {
    /// Whether its connection has to end, for its sake.
    pub fn is_over(&self) -> bool {
        !self.unfinished.state.lock().holders.contains_key(&self.id)
    }

    /// So many bytes of it are here now.
    pub fn holds(&self, bytes: usize) {
        let over = {
            let mut guard = self.unfinished.state.lock();
            let state = &mut *guard;
            let Some(holder) = state.holders.get_mut(&self.id) else {
                return;
            };
            state.bytes = state.bytes - holder.bytes + bytes;
            holder.bytes = bytes;
            self.unfinished.over(state)
        };
        finish(over, Reason::Bound);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.unfinished.state.lock().take(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who was ended, by name, and why.
    type Ended = Arc<Mutex<Vec<(&'static str, Reason)>>>;

    fn begin(
        unfinished: &Arc<Unfinished>,
        ended: &Ended,
        name: &'static str,
        bytes: usize,
    ) -> Share {
        let ended = Arc::clone(ended);
        unfinished.begin(
            bytes,
            Duration::from_secs(30),
            Box::new(move |reason| ended.lock().push((name, reason))),
        )
    }

    #[test]
    fn over_the_bound_the_largest_ends_and_the_others_go_on() {
        let (unfinished, ended) = (Unfinished::new(1_000), Ended::default());
        let small = begin(&unfinished, &ended, "small", 10);
        let large = begin(&unfinished, &ended, "large", 900);
        assert!(ended.lock().is_empty());
        small.holds(101);
        assert_eq!(*ended.lock(), [("large", Reason::Bound)]);
        assert_eq!(unfinished.state.lock().bytes, 101);
        // Its connection may still be about to end.
        large.holds(5_000);
        drop(large);
        assert_eq!(unfinished.state.lock().bytes, 101);
        drop(small);
        let state = unfinished.state.lock();
        assert_eq!((state.bytes, state.holders.len()), (0, 0));
    }

    #[test]
    fn who_alone_is_over_the_bound_ends() {
        let (unfinished, ended) = (Unfinished::new(1_000), Ended::default());
        let _one = begin(&unfinished, &ended, "one", 1_001);
        assert_eq!(*ended.lock(), [("one", Reason::Bound)]);
    }

    #[test]
    fn of_equals_the_slowest_ends() {
        let now = Instant::now();
        let holder = |age| Holder {
            bytes: 10,
            since: now.checked_sub(Duration::from_secs(age)).expect("a time"),
            within: Duration::MAX,
            end: Box::new(|_| {}),
        };
        assert!(holder(10).weight(now) > holder(1).weight(now));
    }

    #[test]
    fn time_runs_out() {
        let (unfinished, ended) = (Unfinished::new(1_000), Ended::default());
        let _one = begin(&unfinished, &ended, "one", 1);
        unfinished.expire(Instant::now());
        assert!(ended.lock().is_empty());
        unfinished.expire(Instant::now() + Duration::from_secs(31));
        assert_eq!(*ended.lock(), [("one", Reason::Time)]);
    }
}
