//! A node that serves: what can change while it does, and how it ends.
//!
//! Invariant: it ends in an order in which nothing that was accepted is lost: clients first, then dialects, then the broker.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::dialects;
use super::ports::OpenPort;
use super::translate::limits;
use crate::acme::Acme;
use crate::admission::Admission;
use crate::broker::redis;
use crate::config::Config;
use crate::connection::pace;
use crate::connection::sweep::Registry;
use crate::dialect::Dialect;
use crate::drain::{Life, Phase, Tasks};
use crate::listen::tls::Tls;
use crate::node::Node;
use crate::ops::guard::Guard;
use crate::session::Why;

/// Of the drain time, what is kept for clients to answer their close frames and for the broker to hand over.
const FAREWELL: Duration = Duration::from_secs(5);

/// What clients are given for that even where the drain time is over, because the process stood still: all of them are told.
const GOODBYE: Duration = Duration::from_secs(1);

/// Of the drain time, what is kept for the broker to hand over.
const HANDOVER: Duration = Duration::from_secs(2);

/// How long the last tasks have at least.
const LAST: Duration = Duration::from_secs(1);

/// A node that serves.
pub struct Running {
    /// Where clients and backends connect.
    pub client_addr: SocketAddr,
    /// Where operators ask.
    pub ops_addr: SocketAddr,
    /// The ports that dialects have to themselves.
    pub ports: Vec<OpenPort>,
    pub(super) node: Node,
    pub(super) admission: Arc<Admission>,
    pub(super) dialects: Vec<Arc<dyn Dialect>>,
    pub(super) register: Arc<Registry>,
    pub(super) guard: Arc<Guard>,
    /// What is read again on demand.
    pub(super) certificates: Vec<Arc<Tls>>,
    /// What is ordered, each once however many ports show it.
    pub(super) ordered: Vec<Arc<Acme>>,
    /// The Redis servers, whose logins may change.
    pub(super) shards: Vec<redis::Server>,
    pub(super) life: Life,
    /// What talks to clients and backends: ends first.
    pub(super) front: Tasks,
    /// What carries events: ends last.
    pub(super) back: Tasks,
    pub(super) settle: Duration,
    pub(super) drain: Duration,
}

impl Running {
    /// Whether its broker is there and has taken all that this node has accepted.
    pub fn is_even(&self) -> bool {
        let health = self.node.health();
        health.waiting == 0 && health.shards.iter().all(|shard| shard.up)
    }

    /// Puts into force what of a new configuration can change while the node runs ([`Row::live`](crate::config::settings::Row)).
    pub fn reload(&self, config: &Config) {
        self.dialects
            .iter()
            .for_each(|dialect| dialect.reload(config));
        self.admission.replace(limits(config));
        self.guard.replace(config.ops.credentials());
        self.certificates.iter().for_each(Tls::reload);
        self.ordered.iter().for_each(|acme| acme.try_again());
        if self.has_the_redis_of(config) {
            let pairs = self
                .shards
                .iter()
                .zip(config.redis.iter().flat_map(|redis| &redis.shards));
            pairs.for_each(|(running, new)| running.renew(new));
        }
    }

    /// Whether a configuration names the Redis servers that this node has, whatever the logins are.
    pub fn has_the_redis_of(&self, config: &Config) -> bool {
        let new = config.redis.as_ref().map_or(&[][..], |redis| &redis.shards);
        new.len() == self.shards.len()
            && self
                .shards
                .iter()
                .zip(new)
                .all(|(running, new)| running.is_same_place(new))
    }

    /// Ends the node: not ready, a time for proxies to see it, every connection closed at an even pace, the broker's
    /// queue handed over. Returns whether all of it was done by the deadline.
    pub async fn drain(self) -> bool {
        self.end(LAST).await
    }

    /// The same; `last` is how long the last tasks have, even where nothing is left of the drain time.
    async fn end(self, last: Duration) -> bool {
        tracing::info!(
            connections = self.register.len(),
            "ending: no longer ready, still taking connections"
        );
        self.life.advance(Phase::Settling);
        tokio::time::sleep(self.settle).await;
        self.life.advance(Phase::Closing);
        let deadline = Instant::now() + self.drain;
        let left = || deadline.saturating_duration_since(Instant::now());
        let window = self.drain.saturating_sub(FAREWELL).max(self.drain / 2);
        tracing::info!(
            connections = self.register.len(),
            seconds = window.as_secs(),
            "closing connections"
        );
        pace::end_all(self.register.outboxes(), &Why::Draining, window).await;
        self.front.stop();
        // A client that does not answer its close frame is cut off by the end of the process; nothing is lost by it.
        let farewell = left().clamp(GOODBYE, FAREWELL).mul_f64(0.75);
        let silent = !self.front.finish(farewell).await;
        if silent {
            tracing::debug!(
                connections = self.register.len(),
                "some clients did not answer their close frame"
            );
        }
        wait_until(
            || dialects::waiting(&self.dialects) == 0,
            left().saturating_sub(HANDOVER),
        )
        .await;
        // What is not known by now is declared lost while that can still reach the other nodes.
        self.dialects.iter().for_each(|dialect| dialect.give_up());
        // What is to be kept goes to the broker from there, so the broker is looked at afterwards.
        let handed_over = || self.node.keeper().waiting() == 0 && self.node.health().waiting == 0;
        let mut clean = wait_until(handed_over, left()).await;
        if !clean {
            let events = self.node.health().waiting;
            tracing::error!(
                events,
                "these accepted events did not get out in time: other nodes' clients will miss them; is Redis away, or FOGHORN_DRAIN_SECONDS too short?"
            );
        }
        self.node.broker().leave().await;
        self.back.stop();
        clean &= self.back.finish(left().max(last)).await;
        tracing::info!(clean, "ended");
        clean
    }

    /// Ends the node at once: for tests and demonstrations.
    pub async fn stop(mut self) -> bool {
        (self.settle, self.drain) = (Duration::ZERO, Duration::from_secs(1));
        // Several nodes share this process, and perhaps a machine that stands still for a moment.
        self.end(10 * LAST).await
    }
}

/// Waits for `condition`, `within` this time at most. Returns whether it holds.
pub(super) async fn wait_until(condition: impl Fn() -> bool, within: Duration) -> bool {
    let poll = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(within, poll).await.is_ok()
}
