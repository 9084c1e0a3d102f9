//! The register of open connections, and the one sweep that visits each of them every other second.
//!
//! Invariants: no connection has a timer of its own while it is open; pings are spread evenly over the interval, also
//! when thousands connect in one second; leaving the register is a guard's drop.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use ::metrics::counter;
use parking_lot::Mutex;

use super::Close;
use super::inquiry::Inquiries;
use super::outbox::{Outbox, PING};
use crate::drain::Tasks;
use crate::event::now_ms;
use crate::metrics;

/// How often a connection is visited, if pings are not more frequent. Each visit waits for memory that nobody has touched
/// for long: with many idle connections, visits are a good part of all that a node does.
const ROUND: Duration = Duration::from_secs(2);
/// The sweep's steps in a round; each step visits the connections of one slot.
const SLOTS: usize = 20;
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

static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Milliseconds by a clock that never goes back. Times of connections are kept in it.
fn clock() -> u64 {
    STARTED.elapsed().as_millis() as u64
}

/// What the sweep knows of a connection, and the connection's task tells it.
pub struct Peer {
    /// The connection's outbox.
    pub outbox: Arc<Outbox>,
    /// The client's address, as far as proxies told the truth.
    pub address: IpAddr,
    born: u64,
    /// When the client was last heard.
    heard: AtomicU64,
    /// Unix milliseconds at which the session wants a tick; 0: never.
    tick_at: AtomicU64,
    tick: AtomicBool,
    pinger: AtomicBool,
    subscribed: AtomicBool,
    asked: AtomicBool,
}

impl Peer {
    /// A client that is heard right now.
    pub fn new(outbox: Arc<Outbox>, address: IpAddr) -> Arc<Self> {
        let now = clock();
        Arc::new(Self {
            outbox,
            address,
            born: now,
            heard: AtomicU64::new(now),
            tick_at: AtomicU64::new(0),
            tick: AtomicBool::new(false),
            pinger: AtomicBool::new(false),
            subscribed: AtomicBool::new(false),
            asked: AtomicBool::new(false),
        })
    }

    /// The client sent something. Returns the time, in milliseconds by a clock that never goes back.
    pub fn heard(&self) -> u64 {
        let now = clock();
        self.heard.store(now, Ordering::Relaxed);
        now
    }

    /// The client has shown that it pings every second.
    pub fn is_pinger(&self) {
        self.pinger.store(true, Ordering::Relaxed);
    }

    /// The client has subscribed to something. Returns whether that is the first time.
    pub fn is_subscribed(&self) -> bool {
        !self.subscribed.load(Ordering::Relaxed) && !self.subscribed.swap(true, Ordering::Relaxed)
    }

    /// Asks for a tick at `at` (Unix milliseconds).
    pub fn tick_at(&self, at: Option<u64>) {
        self.tick_at.store(at.unwrap_or(0), Ordering::Relaxed);
    }

    /// How long it has been connected.
    pub fn age(&self) -> Duration {
        Duration::from_millis(clock().saturating_sub(self.born))
    }

    /// Makes the connection's task look for what it is asked ([`Inquiries`]).
    pub fn ask(&self) {
        self.asked.store(true, Ordering::Release);
        self.outbox.wake();
    }

    /// Whether the task was asked something; says so once.
    pub fn take_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed) && self.asked.swap(false, Ordering::Acquire)
    }

    /// Whether the tick asked for is due; says so once.
    pub fn take_tick(&self) -> bool {
        self.tick.load(Ordering::Relaxed) && self.tick.swap(false, Ordering::Acquire)
    }
}

struct Entry {
    peer: Arc<Peer>,
    /// When the next ping is due.
    next_ping: u64,
    /// When the first ping was sent that is not answered yet.
    asked: Option<u64>,
    unanswered: u8,
}

/// Every open connection of this node.
pub struct Register {
    slots: Vec<Mutex<Vec<Entry>>>,
    liveness: Liveness,
    joined: AtomicUsize,
    open: AtomicUsize,
    inquiries: Inquiries,
}

impl Register {
    /// An empty register.
    pub fn new(liveness: Liveness) -> Arc<Self> {
        let slots = (0..SLOTS).map(|_| Mutex::default()).collect();
        let (joined, open) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self { slots, liveness, joined, open, inquiries: Inquiries::default() })
    }

    /// Enters `peer`. It stays until the guard is dropped.
    pub fn join(self: &Arc<Self>, peer: Arc<Peer>) -> Registered {
        let n = self.joined.fetch_add(1, Ordering::Relaxed);
        let (slot, id) = (n % SLOTS, peer.outbox.id());
        // Multiples of the golden ratio, taken modulo 1, fill the interval evenly in any order of arrival.
        let phase = (n as f64 * 0.618_033_988_749_895).fract();
        let next_ping = peer.born + (self.liveness.ping.as_millis() as f64 * phase) as u64;
        self.slots[slot].lock().push(Entry { peer, next_ping, asked: None, unanswered: 0 });
        self.open.fetch_add(1, Ordering::Relaxed);
        Registered { register: Arc::clone(self), slot, id }
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
            let slot = slot.lock();
            found.extend(slot.iter().map(|entry| &entry.peer).filter(|peer| wanted(&peer.outbox)).cloned());
        }
        found
    }

    /// The outboxes of all open connections.
    pub fn outboxes(&self) -> Vec<Arc<Outbox>> {
        let mut all = Vec::with_capacity(self.len());
        for slot in &self.slots {
            all.extend(slot.lock().iter().map(|entry| Arc::clone(&entry.peer.outbox)));
        }
        all
    }

    /// Runs the sweep until the tasks are stopped.
    pub fn sweep(self: &Arc<Self>, tasks: &Tasks) {
        let (register, stop) = (Arc::clone(self), tasks.clone());
        tasks.spawn("sweep", async move {
            let mut step = tokio::time::interval(ROUND.min(register.liveness.ping) / SLOTS as u32);
            step.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            for slot in register.slots.iter().cycle() {
                tokio::select! {
                    _ = step.tick() => register.visit(slot),
                    () = stop.stopped() => return,
                }
            }
        });
    }

    fn visit(&self, slot: &Mutex<Vec<Entry>>) {
        let (unix, now) = (now_ms(), clock());
        let mut pings = 0;
        for entry in slot.lock().iter_mut() {
            let peer = &entry.peer;
            let tick_at = peer.tick_at.load(Ordering::Relaxed);
            if tick_at != 0 && tick_at <= unix {
                peer.tick_at.store(0, Ordering::Relaxed);
                peer.tick.store(true, Ordering::Release);
                peer.outbox.wake();
            }
            pings += u64::from(entry.look(self.liveness, now));
        }
        if pings > 0 {
            counter!(metrics::FRAMES_OUT, "kind" => "ping").increment(pings);
        }
    }
}

impl Entry {
    /// Pings the client, or gives it up, if it is time to. Returns whether it was pinged.
    fn look(&mut self, liveness: Liveness, now: u64) -> bool {
        let heard = self.peer.heard.load(Ordering::Relaxed);
        let silent = Duration::from_millis(now.saturating_sub(heard));
        if self.asked.is_some_and(|asked| heard >= asked) {
            (self.asked, self.unanswered) = (None, 0);
        }
        if silent > PINGER_PATIENCE && self.peer.pinger.load(Ordering::Relaxed) {
            return self.give_up("dead: the client used to ping every second");
        }
        if let Some(limit) = liveness.unauthenticated
            && now > self.peer.born + limit.as_millis() as u64
            && !self.peer.subscribed.load(Ordering::Relaxed)
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
}

/// A place in the register, given up when dropped.
pub struct Registered {
    register: Arc<Register>,
    slot: usize,
    id: u64,
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut slot = self.register.slots[self.slot].lock();
        if let Some(at) = slot.iter().position(|entry| entry.peer.outbox.id() == self.id) {
            slot.swap_remove(at);
            if slot.capacity() > 4 * slot.len().max(16) {
                slot.shrink_to_fit();
            }
            self.register.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
