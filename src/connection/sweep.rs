//! The register of open connections, and the one sweep that looks after them.
//!
//! Invariants: no connection has a timer of its own while it is open; a connection's own memory is touched only when
//! something may be due there; pings are spread evenly over the interval, also when thousands connect in one second;
//! leaving the register is a guard's drop.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use ::metrics::counter;
use parking_lot::Mutex;

use super::Close;
use super::inquiry::Inquiries;
use super::outbox::{Outbox, PING};
use super::peer::{Peer, clock};
use crate::drain::Tasks;
use crate::event::now_ms;
use crate::metrics;

/// How often each slot is gone through, if pings are not more frequent.
const ROUND: Duration = Duration::from_secs(2);
/// How many locks the connections are spread over.
const SLOTS: usize = 20;
/// So many of them each time the sweep wakes up. Waking costs more than a slot; other tasks get their turn in between.
const SLOTS_A_STEP: usize = 5;
/// How long a silent client lives at least, however short the ping interval.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a client may be silent that has shown itself to ping every second.
const PINGER_PATIENCE: Duration = Duration::from_secs(10);

/// When clients are pinged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Liveness {
    /// Time between two pings to one client.
    pub ping: Duration,
    /// How long a client may stay without a single subscription; `None`: for ever.
    pub unauthenticated: Option<Duration>,
}

/// Some of the connections.
struct Slot {
    entries: Mutex<Vec<Entry>>,
    /// Unix milliseconds: no tick is due before.
    next_tick: AtomicU64,
}

struct Entry {
    peer: Arc<Peer>,
    /// When to look at the connection again. Its own memory is cold: with many idle connections, looking at all of them all
    /// the time would be a good part of what a node does.
    look_at: u64,
    /// When the next ping is due.
    next_ping: u64,
    /// When the first ping was sent that is not answered yet.
    asked: Option<u64>,
    unanswered: u8,
}

/// Every open connection of this node.
pub struct Register {
    slots: Vec<Slot>,
    liveness: Liveness,
    joined: AtomicUsize,
    open: AtomicUsize,
    inquiries: Inquiries,
}

impl Register {
    /// An empty register.
    pub fn new(liveness: Liveness) -> Arc<Self> {
        let slot = |_| Slot { entries: Mutex::default(), next_tick: AtomicU64::new(u64::MAX) };
        let slots = (0..SLOTS).map(slot).collect();
        let (joined, open) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self { slots, liveness, joined, open, inquiries: Inquiries::default() })
    }

    /// Enters `peer`. It stays until the guard is dropped.
    pub fn join(self: &Arc<Self>, peer: Arc<Peer>) -> Registered {
        let n = self.joined.fetch_add(1, Ordering::Relaxed);
        let slot = n % SLOTS;
        // Multiples of the golden ratio, taken modulo 1, fill the interval evenly in any order of arrival.
        let phase = (n as f64 * 0.618_033_988_749_895).fract();
        let next_ping = peer.born + (self.liveness.ping.as_millis() as f64 * phase) as u64;
        let mut entry = Entry { peer: Arc::clone(&peer), look_at: 0, next_ping, asked: None, unanswered: 0 };
        entry.look_again(self.liveness, peer.born);
        self.slots[slot].entries.lock().push(entry);
        self.open.fetch_add(1, Ordering::Relaxed);
        Registered { register: Arc::clone(self), slot, peer }
    }

    /// How many connections are open.
    pub fn len(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is asked of the connections' sessions.
    pub fn inquiries(&self) -> &Inquiries {
        &self.inquiries
    }

    /// The open connections for which `wanted` holds.
    pub fn peers(&self, wanted: impl Fn(&Outbox) -> bool) -> Vec<Arc<Peer>> {
        let mut found = Vec::new();
        for slot in &self.slots {
            let entries = slot.entries.lock();
            found.extend(entries.iter().map(|entry| &entry.peer).filter(|peer| wanted(&peer.outbox)).cloned());
        }
        found
    }

    /// The outboxes of all open connections.
    pub fn outboxes(&self) -> Vec<Arc<Outbox>> {
        let mut all = Vec::with_capacity(self.len());
        for slot in &self.slots {
            all.extend(slot.entries.lock().iter().map(|entry| Arc::clone(&entry.peer.outbox)));
        }
        all
    }

    /// Runs the sweep until the tasks are stopped.
    pub fn sweep(self: &Arc<Self>, tasks: &Tasks) {
        let (register, stop) = (Arc::clone(self), tasks.clone());
        tasks.spawn("sweep", async move {
            let steps = (SLOTS / SLOTS_A_STEP) as u32;
            let mut step = tokio::time::interval(ROUND.min(register.liveness.ping) / steps);
            step.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            for slots in register.slots.chunks(SLOTS_A_STEP).cycle() {
                tokio::select! {
                    _ = step.tick() => {}
                    () = stop.stopped() => return,
                }
                for slot in slots {
                    slot.visit(register.liveness);
                    tokio::task::yield_now().await;
                }
            }
        });
    }
}

impl Slot {
    fn visit(&self, liveness: Liveness) {
        let (unix, now) = (now_ms(), clock());
        let mut entries = self.entries.lock();
        if self.next_tick.load(Ordering::SeqCst) <= unix {
            // Forgotten first: what a task asks for from here on counts, whether it is seen below or not.
            self.next_tick.store(u64::MAX, Ordering::SeqCst);
            let next = entries.iter().map(|entry| entry.peer.tick(unix)).min().unwrap_or(u64::MAX);
            self.next_tick.fetch_min(next, Ordering::SeqCst);
        }
        let mut pings = 0;
        for entry in entries.iter_mut().filter(|entry| entry.look_at <= now) {
            pings += u64::from(entry.look(liveness, now));
            entry.look_again(liveness, now);
        }
        if pings > 0 {
            counter!(metrics::FRAMES_OUT, "kind" => "ping").increment(pings);
        }
    }
}

impl Entry {
    /// Pings the client, or gives it up, if it is time to. Returns whether it was pinged.
    fn look(&mut self, liveness: Liveness, now: u64) -> bool {
        let heard = self.peer.last_heard();
        let silent = Duration::from_millis(now.saturating_sub(heard));
        if self.asked.is_some_and(|asked| heard >= asked) {
            (self.asked, self.unanswered) = (None, 0);
        }
        if silent > PINGER_PATIENCE && self.peer.is_pinger() {
            return self.give_up("dead: the client used to ping every second");
        }
        if let Some(limit) = liveness.unauthenticated
            && now > self.peer.born + limit.as_millis() as u64
            && !self.peer.has_subscribed()
        {
            self.peer.outbox.close(Close::new(1008, "no subscription in time", "unauthenticated"));
            return false;
        }
        if now < self.next_ping {
            return false;
        }
        if self.unanswered >= 2 {
            // With short intervals two pings are not enough to call a client dead.
            if silent > PATIENCE {
                return self.give_up("dead: pings were not answered");
            }
        } else {
            self.asked.get_or_insert(now);
            self.unanswered += 1;
        }
        self.next_ping = now + liveness.ping.as_millis() as u64;
        self.peer.outbox.push_control(PING);
        true
    }

    /// Sets when something may be due next.
    fn look_again(&mut self, liveness: Liveness, now: u64) {
        let ms = |time: Duration| time.as_millis() as u64;
        // Who does not ping every second yet may have begun to by then.
        let heard = if self.peer.is_pinger() { self.peer.last_heard() } else { now };
        self.look_at = self.next_ping.min(heard + ms(PINGER_PATIENCE) + 1);
        if let Some(limit) = liveness.unauthenticated
            && !self.peer.has_subscribed()
        {
            self.look_at = self.look_at.min(self.peer.born + ms(limit) + 1);
        }
    }

    fn give_up(&self, reason: &'static str) -> bool {
        self.peer.outbox.abandon();
        self.peer.outbox.close(Close::new(Close::ABNORMAL, reason, "dead"));
        false
    }
}

impl Registered {
    /// The register.
    pub fn register(&self) -> &Register {
        &self.register
    }

    /// Asks for a tick at `at` (Unix milliseconds); `None`: for none.
    pub fn tick_at(&self, at: Option<u64>) {
        self.peer.tick_at(at.unwrap_or(0));
        let next = &self.register.slots[self.slot].next_tick;
        if let Some(at) = at
            && at < next.load(Ordering::SeqCst)
        {
            next.fetch_min(at, Ordering::SeqCst);
        }
    }
}

/// A place in the register, given up when dropped.
pub struct Registered {
    register: Arc<Register>,
    slot: usize,
    peer: Arc<Peer>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut entries = self.register.slots[self.slot].entries.lock();
        if let Some(at) = entries.iter().position(|entry| Arc::ptr_eq(&entry.peer, &self.peer)) {
            entries.swap_remove(at);
            if entries.capacity() > 4 * entries.len().max(16) {
                entries.shrink_to_fit();
            }
            self.register.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
