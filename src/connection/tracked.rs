//! What the sweep knows of a connection and the connection's task tells it, and the other way round.
//!
//! Invariant: both sides only leave notes here; neither ever waits for the other.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::{Duration, Instant};

use crate::outbox::Outbox;

static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Milliseconds by a clock that never goes back. Times of connections are kept in it.
pub(super) fn clock() -> u64 {
    STARTED.elapsed().as_millis() as u64
}

/// See the module's description.
pub struct Tracked {
    /// The connection's outbox.
    pub outbox: Arc<Outbox>,
    /// The client's address, as far as proxies told the truth.
    pub address: IpAddr,
    /// Whose connection it is, once that is known.
    user: OnceLock<Arc<str>>,
    /// When it connected.
    pub(super) born: u64,
    /// When the client was last heard.
    heard: AtomicU64,
    /// Unix milliseconds at which the session wants a tick; 0: never.
    tick_at: AtomicU64,
    tick: AtomicBool,
    pinger: AtomicBool,
    subscribed: AtomicBool,
    mail: AtomicBool,
    over: AtomicBool,
}

impl Tracked {
    /// A client that is heard right now.
    pub fn new(outbox: Arc<Outbox>, address: IpAddr) -> Arc<Self> {
        let now = clock();
        Arc::new(Self {
            outbox,
            address,
            user: OnceLock::new(),
            born: now,
            heard: AtomicU64::new(now),
            tick_at: AtomicU64::new(0),
            tick: AtomicBool::new(false),
            pinger: AtomicBool::new(false),
            subscribed: AtomicBool::new(false),
            mail: AtomicBool::new(false),
            over: AtomicBool::new(false),
        })
    }

    /// Whose connection it is, once that is known.
    pub fn user(&self) -> Option<&str> {
        self.user.get().map(|user| &**user)
    }

    /// It is this user's connection. Returns whether that is news: the first one named stays.
    pub(super) fn identify(&self, user: Arc<str>) -> bool {
        self.user.set(user).is_ok()
    }

    /// The client sent something, or took something that it was sent where that is all it ever does. Returns the time, in milliseconds by a clock that never goes back.
    pub fn heard(&self) -> u64 {
        let now = clock();
        self.heard.store(now, Ordering::Relaxed);
        now
    }

    /// The client has shown that it pings every second.
    pub(super) fn mark_pinger(&self) {
        self.pinger.store(true, Ordering::Relaxed);
    }

    /// The client has subscribed to something. Returns whether that is the first time.
    pub(super) fn mark_subscribed(&self) -> bool {
        !self.subscribed.load(Ordering::Relaxed) && !self.subscribed.swap(true, Ordering::Relaxed)
    }

    /// When the client was last heard.
    pub(super) fn last_heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    /// Whether the client has shown that it pings every second.
    pub(super) fn is_pinger(&self) -> bool {
        self.pinger.load(Ordering::Relaxed)
    }

    /// Whether the client has ever subscribed to something.
    pub(super) fn has_subscribed(&self) -> bool {
        self.subscribed.load(Ordering::Relaxed)
    }

    /// Asks for a tick at `at` (Unix milliseconds; 0: never). [`Registration::tick_at`](super::sweep::Registration::tick_at)
    /// makes it known to the sweep.
    pub(super) fn tick_at(&self, at: u64) {
        self.tick_at.store(at, Ordering::SeqCst);
    }

    /// Gives the tick asked for if it is due by `unix`. Returns when it is due if it is not; `u64::MAX`: never.
    pub(super) fn tick(&self, unix: u64) -> u64 {
        match self.tick_at.load(Ordering::SeqCst) {
            0 => u64::MAX,
            at if at > unix => at,
            at => {
                // Only if it is still the same: a later one may have been asked for just now.
                if self
                    .tick_at
                    .compare_exchange(at, 0, Ordering::SeqCst, Ordering::SeqCst)
                    .is_ok()
                {
                    self.tick.store(true, Ordering::Release);
                    self.outbox.wake();
                }
                u64::MAX
            }
        }
    }

    /// How long it has been connected.
    pub fn age(&self) -> Duration {
        Duration::from_millis(clock().saturating_sub(self.born))
    }

    /// Makes the connection's task look for its mail ([`Mailroom`](super::mail::Mailroom)).
    pub(super) fn has_mail(&self) {
        self.mail.store(true, Ordering::Release);
        self.outbox.wake();
    }

    /// Whether there is mail; says so once.
    pub(super) fn take_mail(&self) -> bool {
        self.mail.load(Ordering::Relaxed) && self.mail.swap(false, Ordering::Acquire)
    }

    /// The connection is over.
    pub(super) fn mark_over(&self) {
        self.over.store(true, Ordering::Release);
    }

    /// Whether the connection is over.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Whether the tick asked for is due; says so once.
    pub(super) fn take_tick(&self) -> bool {
        self.tick.load(Ordering::Relaxed) && self.tick.swap(false, Ordering::Acquire)
    }
}
