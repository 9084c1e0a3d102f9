//! One HTTP connection between its requests: new, busy with one or, by HTTP/2, several, or waiting for the next.
//!
//! Invariant: who is busy is not sent away to make room; who holds more than there is room for ends, busy or not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Server;
use super::idle::{Idle, Waiting};
use super::lasting::Lasting;
use crate::admission::Pending;
use crate::unfinished::metered::Meter;

/// See the module's description.
pub(super) struct Exchange {
    remote: SocketAddr,
    meter: Arc<Meter>,
    idle: Arc<Idle>,
    /// Until the first request has come.
    pending: Mutex<Option<Pending>>,
    requests: Mutex<Requests>,
    evicted: Arc<Notify>,
    cut: Cut,
    /// An answer that takes the connection over.
    lasting: Mutex<Option<Box<Lasting>>>,
    given: Notify,
}

/// What is under way.
struct Requests {
    busy: usize,
    /// While nothing is.
    waiting: Option<Waiting>,
    /// Since when nothing is.
    since: Instant,
}

/// Cuts a connection off, for who answers on it, or the one answer over HTTP/2: its peer does not read, so nothing else would
/// end it. In every request's extensions.
#[derive(Clone, Default)]
pub struct Cut(Arc<Notify>);

impl Cut {
    /// Waits until it is cut off.
    pub(super) async fn cut(&self) {
        self.0.notified().await;
    }

    /// Cuts it off now.
    pub fn now(&self) {
        self.0.notify_one();
    }
}

impl Exchange {
    /// A connection from `remote` that has sent nothing yet.
    pub(super) fn new(server: &Server, remote: SocketAddr, pending: Pending) -> Arc<Self> {
        let evicted = Arc::default();
        let waiting = server.fresh.wait(remote.ip(), &evicted);
        Arc::new(Self {
            remote,
            meter: Meter::new(&server.unfinished, server.times.request),
            idle: Arc::clone(&server.idle),
            pending: Mutex::new(Some(pending)),
            requests: Mutex::new(Requests {
                busy: 0,
                waiting: Some(waiting),
                since: Instant::now(),
            }),
            evicted,
            cut: Cut::default(),
            lasting: Mutex::default(),
            given: Notify::new(),
        })
    }

    /// The TCP peer.
    pub(super) fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// What measures its bytes.
    pub(super) fn meter(&self) -> Arc<Meter> {
        Arc::clone(&self.meter)
    }

    /// The head of a request is here, and with it all of the request where it `is_whole`; else a body is to follow.
    pub(super) fn begins(&self, is_whole: bool) {
        self.pending.lock().take();
        let mut requests = self.requests.lock();
        requests.busy += 1;
        requests.waiting = None;
        drop(requests);
        if is_whole {
            self.meter.whole();
        }
    }

    /// The answer has gone.
    pub(super) fn rests(&self) {
        self.meter.whole();
        let mut requests = self.requests.lock();
        requests.busy = requests.busy.saturating_sub(1);
        if requests.busy == 0 {
            requests.since = Instant::now();
            requests.waiting = Some(self.idle.wait(self.remote.ip(), &self.evicted));
        }
    }

    /// Gives the connection to `answer`, which is written by whoever waits for it ([`Exchange::lasting`]).
    pub(super) fn give(&self, answer: Lasting) {
        *self.lasting.lock() = Some(Box::new(answer));
        self.given.notify_one();
    }

    /// Waits for an answer that takes the connection over.
    pub(super) async fn lasting(&self) -> Box<Lasting> {
        loop {
            self.given.notified().await;
            if let Some(answer) = self.lasting.lock().take() {
                return answer;
            }
        }
    }

    /// What cuts the connection off.
    pub(super) fn cut(&self) -> Cut {
        self.cut.clone()
    }

    /// Waits until nothing has been under way for so long.
    pub(super) async fn is_idle_for(&self, long: Duration) {
        loop {
            let idle = {
                let requests = self.requests.lock();
                if requests.busy == 0 {
                    requests.since.elapsed()
                } else {
                    Duration::ZERO
                }
            };
            match long.checked_sub(idle) {
                None | Some(Duration::ZERO) => return,
                Some(left) => tokio::time::sleep(left).await,
            }
        }
    }

    /// Whether no request has come yet.
    pub(super) fn is_new(&self) -> bool {
        self.pending.lock().is_some()
    }

    /// Waits until the connection has to end for the others' sake.
    pub(super) async fn must_end(&self) {
        loop {
            tokio::select! {
                () = self.meter.over() => return,
                // A request may have come since.
                () = self.evicted.notified() => if self.requests.lock().waiting.is_some() { return },
                () = self.cut.cut() => return,
            }
        }
    }
}
