//! Where the broker's events end up on this node: in the hub, and, when some are lost, in a resync.
//!
//! Invariant: a client that may have missed an event either gets it or is closed, so that it checks everything anew; web
//! pages are left, since they survive only five closes in their life and check nothing on connecting.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ::metrics::counter;

use crate::broker::{Lost, Sink};
use crate::connection::{Client, Close, pace};
use crate::drain::Tasks;
use crate::event::Event;
use crate::hub::Hub;
use crate::metrics;

/// What the broker delivers to: this node's hub.
pub struct NodeSink {
    hub: Arc<Hub>,
    tasks: Tasks,
    resync_window: Duration,
}

impl NodeSink {
    /// A sink that gives events to `hub` and, when some are lost, closes the clients that must check everything anew,
    /// spread over `resync_window`.
    pub fn new(hub: Arc<Hub>, tasks: Tasks, resync_window: Duration) -> Arc<Self> {
        Arc::new(Self { hub, tasks, resync_window })
    }
}

impl Sink for NodeSink {
    fn deliver(&self, event: Event) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.hub.deliver(event))
    }

    fn remember(&self, event: Event, age: Duration) {
        self.hub.remember(&event, age);
    }

    fn lost(&self, lost: Lost) {
        let mut outboxes = self.hub.outboxes(|channel| lost.touches(channel));
        outboxes.retain(|outbox| outbox.client() != Client::Web);
        if outboxes.is_empty() {
            return;
        }
        tracing::warn!(clients = outboxes.len(), ?lost, "events may be lost: closing clients so that they check anew");
        counter!(metrics::RESYNCS).increment(outboxes.len() as u64);
        let (window, stop) = (self.resync_window, self.tasks.clone());
        self.tasks.spawn("resync", async move {
            let close = Close::new(1012, "events may have been lost: connect again", "resync");
            tokio::select! {
                () = pace::close_all(outboxes, close, window) => {}
                () = stop.stopped() => {}
            }
        });
    }
}
