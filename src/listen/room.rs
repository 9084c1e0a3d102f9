//! Accepting when the descriptors that these connections may have are all taken.
//!
//! Invariant: what is kept back stays free: a connection is served only under a number of its own kind's. Until there is
//! one nobody else is accepted, and that is said once, counted, and shown.

use std::io;
use std::time::{Duration, Instant};

use ::metrics::counter;
use tokio::net::TcpStream;

use super::Server;
use crate::backoff::Backoff;
use crate::drain::Tasks;
use crate::event::now_ms;
use crate::metrics;
use crate::throttle::and_more;

/// How long a connection may take for its first request where others wait for its descriptor.
const FRESH: Duration = Duration::from_secs(1);
/// Room that is made so soon is no pause.
const SOON: Duration = Duration::from_millis(100);
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(50);

/// Waits until `stream` can have a number that it may have, and gives it that one. `None`: the node ends.
pub(super) async fn find(
    server: &Server,
    stream: TcpStream,
    tasks: &Tasks,
) -> io::Result<Option<TcpStream>> {
    let (held, began) = (stream.into_std()?, Instant::now());
    let (mut backoff, mut paused) = (Backoff::new(SHORTEST, LONGEST), false);
    let found = loop {
        // A copy gets the lowest number that is free.
        if let Ok(copy) = held.try_clone()
            && server.share.includes(&copy)
        {
            break Some(copy);
        }
        let made = server.idle.make_room(Duration::ZERO) || server.fresh.make_room(FRESH);
        if !paused && (!made || began.elapsed() > SOON) {
            paused = true;
            server.pauses();
        }
        tokio::select! {
            () = tokio::time::sleep(backoff.pause()) => {}
            () = tasks.stopped() => break None,
        }
    };
    if paused && let Some(headroom) = &server.headroom {
        headroom.set_descriptors(false);
    }
    found.map(TcpStream::from_std).transpose()
}

impl Server {
    fn pauses(&self) {
        counter!(metrics::ACCEPT_PAUSES).increment(1);
        if let Some(headroom) = &self.headroom {
            headroom.set_descriptors(true);
        }
        if let Some(unsaid) = self.warnings.say("full", now_ms()) {
            let more = and_more(unsaid);
            tracing::warn!(
                "no file descriptor is left for another connection: accepting waits until one ends; raise the limit of \
                 open files (LimitNOFILE, ulimit -n){more}"
            );
        }
    }

    /// The system has no descriptor or no memory: others may go on, and a moment later so may this.
    pub(super) async fn accept_failed(&self, error: &io::Error) {
        if error.kind() == io::ErrorKind::ConnectionAborted {
            return;
        }
        self.idle.make_room(Duration::ZERO);
        if let Some(unsaid) = self.warnings.say("accept", now_ms()) {
            let more = and_more(unsaid);
            tracing::error!(
                "a connection could not be accepted: {error}; is the limit of open files (LimitNOFILE, ulimit -n) high \
                 enough?{more}"
            );
        }
        tokio::time::sleep(LONGEST).await;
    }
}
