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
use tokio::time::Instant;

use super::heard::{HeardChannels, Mark};
use super::order::{HOLD_MS, Order};
use super::told::Told;
use crate::broker::{Lost, Sink, partition};
use crate::drain::Tasks;
use crate::event::{Channel, Event, Kept, Place};

/// How often it is looked at what has waited for long enough.
const TICK: Duration = Duration::from_millis(50);
/// Without a look for so much longer the process did not run; then what is waited for has as long again as it has as a rule.
const STOOD: Duration = Duration::from_millis(250);
/// Locks that the channels are spread over.
const SHARES: u32 = 16;

/// See the module.
pub struct Listener {
    sink: Arc<dyn Sink>,
    heard: Arc<Mutex<HeardChannels>>,
    told: Arc<Mutex<Told>>,
    /// Up to where this node's clients were given each channel: what is in its past may still be on its way to them.
    given: Mutex<HeardChannels>,
    orders: Vec<tokio::sync::Mutex<Order>>,
    started: Instant,
}

impl Listener {
    /// In front of `sink`.
    pub fn start(
        sink: Arc<dyn Sink>,
        heard: Arc<Mutex<HeardChannels>>,
        told: Arc<Mutex<Told>>,
        tasks: &Tasks,
    ) -> Arc<Self> {
        let orders = (0..SHARES).map(|_| tokio::sync::Mutex::default()).collect();
        let listener = Arc::new(Self {
            sink,
            heard,
            told,
            given: Mutex::default(),
            orders,
            started: Instant::now(),
        });
        let (ticking, stop) = (Arc::clone(&listener), tasks.clone());
        tasks.spawn("keeper-order", async move {
            let mut excused = Instant::now();
            loop {
                let slept = Instant::now();
                tokio::select! {
                    () = tokio::time::sleep(TICK) => {}
                    () = stop.stopped() => return,
                }
                if slept.elapsed() > TICK + STOOD {
                    excused = Instant::now() + Duration::from_millis(HOLD_MS);
                }
                if Instant::now() >= excused {
                    ticking.tick().await;
                }
            }
        });
        listener
    }

    fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    async fn tick(&self) {
        for order in &self.orders {
            let (mut order, mut out) = (order.lock().await, Vec::new());
            order.tick(self.now_ms(), &mut out);
            self.give(out).await;
        }
    }

    /// Up to where this node's clients had a channel, as far as that is known.
    fn given_upto(&self, channel: &Channel) -> Option<Place> {
        if self.heard.lock().get(channel) == Some(Mark::Hole) {
            return None;
        }
        match self.given.lock().get(channel)? {
            Mark::At(place) => Some(place),
            Mark::Hole => None,
        }
    }

    async fn give(&self, events: Vec<Event>) {
        for event in events {
            // Noted first: whoever subscribes after the delivery and reads the past is compared with it.
            self.heard.lock().note(&event);
            if event.kept == Kept::Later {
                let after = self.given_upto(&event.channel);
                self.sink.deliver(event.clone()).await;
                self.told.lock().given(&event, after);
                continue;
            }
            if matches!(event.kept, Kept::At(_)) {
                self.given.lock().note(&event);
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
            let share = partition::of(&event.channel, SHARES) as usize;
            let (mut order, mut out) = (self.orders[share].lock().await, Vec::new());
            order.take(event, self.now_ms(), &mut out);
            self.give(out).await;
        })
    }

    fn remember(&self, event: Event, age: Duration) {
        self.heard.lock().note(&event);
        self.sink.remember(event, age);
    }

    fn lost(&self, lost: Lost) {
        self.sink.lost(lost);
    }
}
