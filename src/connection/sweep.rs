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
use tokio::time::Instant;

use super::mail::Mailroom;
use super::tracked::{Tracked, clock};
use crate::drain::Tasks;
use crate::event::now_ms;
use crate::metrics;
use crate::outbox::Outbox;
use crate::session::Why;

/// How often each slot is gone through, if pings are not more frequent.
const ROUND: Duration = Duration::from_secs(2);
/// How many locks the connections are spread over.
const SLOTS: usize = 20;
/// So many of them each time the sweep wakes up. Waking costs more than a slot; other tasks get their turn in between.
const SLOTS_A_STEP: usize = 5;
/// How long a silent client lives at least, however short the ping interval.
const PATIENCE: Duration = Duration::from_secs(5);

/// When clients are pinged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Liveness {
    /// Time between two pings to one client.
    pub ping: Duration,
    /// How long a client may stay without a single subscription; `None`: for ever.
    pub unauthenticated: Option<Duration>,
    /// How long a client may take to answer a ping; `None`: until the second one after it.
    pub pong: Option<Duration>,
}

/// Some of the connections.
struct Slot {
    entries: Mutex<Vec<Entry>>,
    /// Unix milliseconds: no tick is due before.
    next_tick: AtomicU64,
}

struct Entry {
    peer: Arc<Tracked>,
    liveness: Arc<Liveness>,
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
pub struct Registry {
    slots: Vec<Slot>,
    /// How often each slot is gone through.
    round: Duration,
    joined: AtomicUsize,
    open: AtomicUsize,
    mail: Mailroom,
}

impl Registry {
    /// An empty register, whose clients are pinged every `ping` as a rule.
    pub fn new(ping: Duration) -> Arc<Self> {
        let slot = |_| Slot {
            entries: Mutex::default(),
            next_tick: AtomicU64::new(u64::MAX),
        };
        let slots = (0..SLOTS).map(slot).collect();
        let (joined, open) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self {
            slots,
            round: ROUND.min(ping),
            joined,
            open,
            mail: Mailroom::default(),
        })
    }

    /// Enters `peer`. It stays until the guard is dropped.
    pub fn join(self: &Arc<Self>, peer: Arc<Tracked>, liveness: &Arc<Liveness>) -> Registration {
        let n = self.joined.fetch_add(1, Ordering::Relaxed);
        let slot = n % SLOTS;
        // Multiples of the golden ratio, taken modulo 1, fill the interval evenly in any order of arrival.
        let phase = (n as f64 * 0.618_033_988_749_895).fract();
        let next_ping = peer.born + (liveness.ping.as_millis() as f64 * phase) as u64;
        let (liveness, listed) = (Arc::clone(liveness), Arc::clone(&peer));
        let mut entry = Entry {
            peer: listed,
            liveness,
            look_at: 0,
            next_ping,
            asked: None,
            unanswered: 0,
        };
        entry.look_again(peer.born);
        self.slots[slot].entries.lock().push(entry);
        self.open.fetch_add(1, Ordering::Relaxed);
        Registration {
            register: Arc::clone(self),
            slot,
            peer,
        }
    }

    /// How many connections are open.
    pub fn len(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is sent to the connections' sessions.
    pub fn mail(&self) -> &Mailroom {
        &self.mail
    }

    /// The open connections for which `wanted` holds.
    pub fn peers(&self, wanted: impl Fn(&Tracked) -> bool) -> Vec<Arc<Tracked>> {
        let mut found = Vec::new();
        for slot in &self.slots {
            let entries = slot.entries.lock();
            found.extend(
                entries
                    .iter()
                    .map(|entry| &entry.peer)
                    .filter(|peer| wanted(peer))
                    .cloned(),
            );
        }
        found
    }

    /// The outboxes of all open connections.
    pub fn outboxes(&self) -> Vec<Arc<Outbox>> {
        let mut all = Vec::with_capacity(self.len());
        for slot in &self.slots {
            all.extend(
                slot.entries
                    .lock()
                    .iter()
                    .map(|entry| Arc::clone(&entry.peer.outbox)),
            );
        }
        all
    }

    /// Runs the sweep until the tasks are stopped.
    pub fn sweep(self: &Arc<Self>, tasks: &Tasks) {
        let (register, stop) = (Arc::clone(self), tasks.clone());
        tasks.spawn("sweep", async move {
            let pause = register.round / (SLOTS / SLOTS_A_STEP) as u32;
            let mut step = tokio::time::interval(pause);
            step.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            let mut last = Instant::now();
            for slots in register.slots.chunks(SLOTS_A_STEP).cycle() {
                tokio::select! {
                    _ = step.tick() => {}
                    () = stop.stopped() => return,
                }
                if last.elapsed() > register.round {
                    // This process stood still: what clients sent meanwhile is read before one of them is called silent.
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = stop.stopped() => return,
                    }
                }
                last = Instant::now();
                for slot in slots {
                    slot.visit();
                    tokio::task::yield_now().await;
                }
            }
        });
    }
}

impl Slot {
    fn visit(&self) {
        let (unix, now) = (now_ms(), clock());
        let mut entries = self.entries.lock();
        if self.next_tick.load(Ordering::SeqCst) <= unix {
            // Forgotten first: what a task asks for from here on counts, whether it is seen below or not.
            self.next_tick.store(u64::MAX, Ordering::SeqCst);
            let next = entries
                .iter()
                .map(|entry| entry.peer.tick(unix))
                .min()
                .unwrap_or(u64::MAX);
            self.next_tick.fetch_min(next, Ordering::SeqCst);
        }
        let mut pings = 0;
        for entry in entries.iter_mut().filter(|entry| entry.look_at <= now) {
            pings += u64::from(entry.look(now));
            entry.look_again(now);
        }
        if pings > 0 {
            counter!(metrics::FRAMES_OUT, "kind" => "ping").increment(pings);
        }
    }
}

impl Entry {
    /// Pings the client, or gives it up, if it is time to. Returns whether it was pinged.
    fn look(&mut self, now: u64) -> bool {
        let liveness = *self.liveness;
        let heard = self.peer.last_heard();
        let silent = Duration::from_millis(now.saturating_sub(heard));
        if self.asked.is_some_and(|asked| heard >= asked) {
            (self.asked, self.unanswered) = (None, 0);
        }
        // What stands before the ping has to go first, and then there is time for it.
        if let Some(due) = self.pong_due()
            && now >= due
            && self.peer.outbox.is_empty()
        {
            return self.give_up();
        }
        if self.peer.is_pinger()
            && let Some(patience) = self.peer.outbox.kind().pinger_patience
            && silent > patience
        {
            return self.give_up();
        }
        if let Some(limit) = liveness.unauthenticated
            && now > self.peer.born + limit.as_millis() as u64
            && !self.peer.has_subscribed()
        {
            self.peer.outbox.end(&Why::Idle);
            return false;
        }
        if self.unanswered < 2 && self.peer.outbox.is_asked_to_end() {
            // Whoever reads takes that up at once. Looked at again, it is as one that answers no ping.
            (self.asked, self.unanswered) = (None, 2);
            self.next_ping = now + PATIENCE.as_millis() as u64 + 1;
            return false;
        }
        if now < self.next_ping {
            return false;
        }
        let outbox = &self.peer.outbox;
        let heartbeat = outbox.kind().wire.heartbeat();
        if heartbeat.is_empty() {
            self.next_ping = now + liveness.ping.as_millis() as u64;
            return false;
        }
        if self.unanswered >= 2 {
            // With short intervals two pings are not enough to call a client dead.
            if silent > PATIENCE {
                return self.give_up();
            }
        } else {
            self.asked.get_or_insert(now);
            self.unanswered += 1;
        }
        self.next_ping = now + liveness.ping.as_millis() as u64;
        outbox.push_control(heartbeat);
        true
    }

    /// Sets when something may be due next.
    fn look_again(&mut self, now: u64) {
        let liveness = *self.liveness;
        let ms = |time: Duration| time.as_millis() as u64;
        // One that is overdue waits for what stands before it.
        let pong = self.pong_due().map_or(
            u64::MAX,
            |due| if due > now { due } else { now + ms(ROUND) },
        );
        self.look_at = self.next_ping.min(pong);
        if let Some(patience) = self.peer.outbox.kind().pinger_patience {
            // Who does not ping every second yet may have begun to by then.
            let heard = if self.peer.is_pinger() {
                self.peer.last_heard()
            } else {
                now
            };
            self.look_at = self.look_at.min(heard + ms(patience) + 1);
        }
        if let Some(limit) = liveness.unauthenticated
            && !self.peer.has_subscribed()
        {
            self.look_at = self.look_at.min(self.peer.born + ms(limit) + 1);
        }
    }

    /// By when the ping that is not answered has to be, where that is bounded.
    fn pong_due(&self) -> Option<u64> {
        let pong = self.liveness.pong?;
        Some(self.asked? + pong.as_millis() as u64)
    }

    fn give_up(&self) -> bool {
        self.peer.outbox.abandon();
        self.peer.outbox.end(&Why::Silent);
        false
    }
}

impl Registration {
    /// The register.
    pub fn register(&self) -> &Registry {
        &self.register
    }

    /// Asks for a tick at `at` (Unix milliseconds); `None`: for none.
    pub(super) fn tick_at(&self, at: Option<u64>) {
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
pub struct Registration {
    register: Arc<Registry>,
    slot: usize,
    peer: Arc<Tracked>,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.peer.mark_over();
        drop(self.register.mail.take(self.peer.outbox.id()));
        let mut entries = self.register.slots[self.slot].entries.lock();
        if let Some(at) = entries
            .iter()
            .position(|entry| Arc::ptr_eq(&entry.peer, &self.peer))
        {
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
