//! Where the broker's events end up on this node: in the hub, and, when some are lost, in a resync.
//!
//! Invariant: a client that may have missed an event either gets it, or is closed or told, so that it checks everything anew; only
//! kinds of clients that neither helps are left ([`crate::outbox::Kind`]).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ::metrics::counter;

use crate::broker::{Lost, Sink};
use crate::connection::pace;
use crate::drain::Tasks;
use crate::event::Event;
use crate::hub::Hub;
use crate::metrics;
use crate::session::Why;

/// What the broker delivers to: this node's hub.
pub struct Receiver {
    hub: Arc<Hub>,
    tasks: Tasks,
    resync_window: Duration,
}

impl Receiver {
    /// A sink that gives events to `hub` and, when some are lost, closes the clients that must check everything anew, spread
    /// over `resync_window`, but for those that are closed at once ([`closed_at_once`](crate::outbox::Kind::closed_at_once)).
    pub fn new(hub: Arc<Hub>, tasks: Tasks, resync_window: Duration) -> Arc<Self> {
        Arc::new(Self {
            hub,
            tasks,
            resync_window,
        })
    }
}

impl Sink for Receiver {
    fn deliver(&self, event: Event) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            if event.is_loss() {
                self.lost(Lost::Channels(vec![event.channel]));
            } else {
                self.hub.deliver(event).await;
            }
        })
    }

    fn remember(&self, event: Event, age: Duration) {
        // Who is still to subscribe has missed nothing by it.
        if !event.is_loss() {
            self.hub.remember(&event, age);
        }
    }

    fn lost(&self, lost: Lost) {
        let mut outboxes = match &lost {
            Lost::Channels(channels) => self.hub.outboxes_of(channels),
            Lost::Partition { .. } => self.hub.outboxes(|channel| lost.touches(channel)),
        };
        outboxes.retain(|outbox| outbox.hears_of(&Why::Missed));
        if outboxes.is_empty() {
            return;
        }
        tracing::warn!(
            clients = outboxes.len(),
            "events of {lost} may be lost: closing clients so that they check anew"
        );
        counter!(metrics::RESYNCS).increment(outboxes.len() as u64);
        for outbox in outboxes.extract_if(.., |outbox| outbox.kind().closed_at_once) {
            outbox.end(&Why::Missed);
        }
        let (window, stop) = (self.resync_window, self.tasks.clone());
        self.tasks.spawn("resync", async move {
            tokio::select! {
                () = pace::end_all(outboxes, &Why::Missed, window) => {}
                () = stop.stopped() => {}
            }
        });
    }
}
