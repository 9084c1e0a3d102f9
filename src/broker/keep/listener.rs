//! What stands in front of a node's sink where channels keep their pasts: it notes what is delivered, lets out what is kept in
//! the order of its places, and holds back what the node's clients had before it had one.
//!
//! Invariants: events that are not kept pass as they come; one lock for a share of all channels is held from an event's turn to
//! the end of its delivery, so that nothing overtakes it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::PATIENCE;
use super::heard::{HeardChannels, Mark};
use super::order::{HOLD_MS, Order, Out};
use super::told::Told;
use crate::broker::{Lost, Sink, partition};
use crate::event::{Channel, Event, Kept, Past, Place};
use crate::metrics;

/// How often it is looked whether what is waited for is there.
const LOOK: Duration = Duration::from_millis(50);
/// Locks that the channels are spread over.
const SHARES: u32 = 16;

struct Share {
    /// Whose turn it is to deliver.
    turn: tokio::sync::Mutex<()>,
    order: Mutex<Order>,
    /// Something came out.
    moved: Notify,
}

impl Share {
    fn new(lasts_ms: u64) -> Self {
        Self {
            turn: tokio::sync::Mutex::default(),
            order: Mutex::new(Order::new(lasts_ms)),
            moved: Notify::new(),
        }
    }
}

/// See the module.
pub struct Listener {
    sink: Arc<dyn Sink>,
    heard: Mutex<HeardChannels>,
    told: Mutex<Told>,
    shares: Vec<Share>,
    started: Instant,
    /// Before this nothing has waited for too long.
    excused: Mutex<Instant>,
}

impl Listener {
    /// In front of `sink`. What was told early, or read before it was heard of, comes within so many milliseconds, or not at all.
    pub fn new(sink: Arc<dyn Sink>, lasts_ms: u64) -> Self {
        let started = Instant::now();
        Self {
            sink,
            heard: Mutex::default(),
            told: Mutex::new(Told::new(lasts_ms)),
            shares: (0..SHARES).map(|_| Share::new(lasts_ms)).collect(),
            started,
            excused: Mutex::new(started),
        }
    }

    /// How far channels were heard.
    pub fn heard(&self) -> parking_lot::MutexGuard<'_, HeardChannels> {
        self.heard.lock()
    }

    /// What clients had early.
    pub fn told(&self) -> parking_lot::MutexGuard<'_, Told> {
        self.told.lock()
    }

    /// This process did not run for a while: what is waited for has as long again as it has as a rule.
    pub fn stood(&self) {
        *self.excused.lock() = Instant::now() + Duration::from_millis(HOLD_MS);
    }

    /// Lets out what has waited for long enough. Returns the channels whose pasts are to be read for [`Listener::fill`].
    pub async fn tick(&self) -> Vec<Channel> {
        let mut wanted = Vec::new();
        if Instant::now() < *self.excused.lock() {
            return wanted;
        }
        for share in &self.shares {
            if share.order.lock().is_still() {
                continue;
            }
            let (_turn, mut out) = (share.turn.lock().await, Out::default());
            let held_back = |channel: &Channel| self.told.lock().waits(channel);
            wanted.extend(self.order(share, &mut out, |order, out| {
                order.tick(held_back, self.now_ms(), out)
            }));
            self.give(share, out).await;
            share.moved.notify_waiters();
        }
        wanted
    }

    /// Something of this node's was given a place, and is about to come.
    pub fn kept(&self, channel: &Channel, place: Place) {
        self.share(channel).order.lock().kept(channel, place);
    }

    /// The past of a channel was read because something is missing, or could not be; and whether all is `flushed` that the nodes
    /// said of it before its epoch.
    pub async fn fill(&self, channel: &Channel, past: Option<&Past>, flushed: bool) {
        let share = self.share(channel);
        let (_turn, mut out) = (share.turn.lock().await, Out::default());
        let held_back = self.told.lock().waits(channel);
        self.order(share, &mut out, |order, out| {
            let now_ms = self.now_ms();
            let flushed = past.is_some_and(|past| order.is_flushed(channel, past, flushed, now_ms));
            order.fill(channel, past, (held_back, flushed), now_ms, out);
        });
        self.give(share, out).await;
        share.moved.notify_waiters();
    }

    /// Somebody has read this past of a channel and is given what follows it: waits until all of it came out here, and all is
    /// `flushed` that the nodes said before its epoch, for [`PATIENCE`] at most. Returns the past with what is known of that.
    pub async fn reach(&self, channel: &Channel, past: Past, flushed: impl Fn() -> bool) -> Past {
        let share = self.share(channel);
        let all_came = || {
            let flushed = flushed();
            let mut order = share.order.lock();
            let flushed = order.is_flushed(channel, &past, flushed, self.now_ms());
            order.expect(channel, &past, flushed, self.now_ms()) && flushed
        };
        let reached = async {
            loop {
                let moved = share.moved.notified();
                tokio::pin!(moved);
                moved.as_mut().enable();
                if all_came() {
                    return;
                }
                // Nobody says when it is flushed.
                let _ = tokio::time::timeout(LOOK, moved).await;
            }
        };
        // What is late is not heard of.
        let reached = tokio::time::timeout(PATIENCE, reached).await;
        let unheard = (share.order.lock()).unheard(channel, &past, self.now_ms());
        past.with_unheard(unheard, reached.is_err())
    }

    fn share(&self, channel: &Channel) -> &Share {
        &self.shares[partition::of(channel, SHARES) as usize]
    }

    /// Does something with the order of a share. That a channel is broken is known before anybody else sees what came out.
    fn order<R>(
        &self,
        share: &Share,
        out: &mut Out,
        act: impl FnOnce(&mut Order, &mut Out) -> R,
    ) -> R {
        let mut order = share.order.lock();
        let result = act(&mut order, out);
        for channel in out.broken.drain(..) {
            self.heard.lock().broken(channel);
        }
        for channel in out.late.drain(..) {
            self.heard.lock().broken_here(channel);
        }
        result
    }

    fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// Up to where this node's clients had a channel, as far as that is known.
    fn given_upto(&self, share: &Share, channel: &Channel) -> Option<Place> {
        if self.heard.lock().get(channel).is_some_and(Mark::is_hole) {
            return None;
        }
        share.order.lock().given_upto(channel, self.now_ms())
    }

    async fn give(&self, share: &Share, out: Out) {
        if !out.holes.is_empty() {
            let passed_over = out.holes.len() as u64;
            ::metrics::counter!(metrics::PAST_GAPS, "result" => "hole").increment(passed_over);
            // First: whoever is given what follows could not come back for what is missing.
            self.sink.lost(Lost::Channels(out.holes));
        }
        for event in out.events {
            // Noted first: whoever subscribes after the delivery and reads the past is compared with it.
            self.heard.lock().note(&event);
            if event.kept == Kept::Later {
                let after = self.given_upto(share, &event.channel);
                self.sink.deliver(event.clone()).await;
                self.told.lock().given(&event, after);
                continue;
            }
            let had = self.told.lock().take(&event);
            if !had {
                self.sink.deliver(event).await;
            }
        }
    }
}

impl Sink for Listener {
    fn deliver(&self, event: Event) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        if event.kept == Kept::No {
            return self.sink.deliver(event);
        }
        Box::pin(async move {
            let share = self.share(&event.channel);
            let (_turn, mut out) = (share.turn.lock().await, Out::default());
            let held_back = self.told.lock().waits(&event.channel);
            let was_still = self.order(share, &mut out, |order, out| {
                let was_still = order.is_still();
                order.take(event, held_back, self.now_ms(), out);
                was_still
            });
            self.give(share, out).await;
            // Whoever waits for something waits for the end of a gap.
            if !was_still {
                share.moved.notify_waiters();
            }
        })
    }

    fn remember(&self, event: Event, age: Duration) {
        self.heard.lock().note(&event);
        let share = self.share(&event.channel);
        share.order.lock().remember(&event, self.now_ms());
        self.sink.remember(event, age);
    }

    fn lost(&self, lost: Lost) {
        self.sink.lost(lost);
    }
}
