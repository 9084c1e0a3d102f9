//! The composition root: builds a node from its configuration, binds it, serves, drains.
//!
//! Invariant: the whole life of a node is on this page, and nothing else knows all of its parts.

mod bind;
mod operations;
mod translate;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use metrics_exporter_prometheus::PrometheusHandle;

use crate::auth::{self, Keys};
use crate::broker::Broker;
use crate::broker::memory::MemoryBroker;
use crate::broker::redis::{self, RedisBroker};
use crate::config::Config;
use crate::connection::door::{self, Door};
use crate::connection::outbox::Bounds;
use crate::connection::sweep::{Liveness, Register};
use crate::connection::upgrade::Shared;
use crate::connection::{Close, pace};
use crate::dialect::seafile::groups::Groups;
use crate::dialect::seafile::message::CHANNEL_KIND;
use crate::dialect::seafile::order::{self, Directory, Order};
use crate::dialect::seafile::{self, Seafile};
use crate::drain::{Life, Phase, Tasks};
use crate::hub::Hub;
use crate::listen::Server;
use crate::listen::tls::{self, TlsError};
use crate::node::Node;
use crate::ops::guard::Guard;
use crate::ops::{self, Ops};
use crate::sink::NodeSink;

use bind::{bind, local};
pub(crate) use translate::groups_config;
use translate::{limits, redis_config, seafile_config};

/// Memory that recent events may take for clients still to subscribe, in bytes.
const REPLAY_BYTES: usize = 64 * 1024 * 1024;
/// Of the drain time, what is kept for clients to answer their close frames and for the broker to hand over.
const FAREWELL: Duration = Duration::from_secs(5);

/// Why a node does not start, or stops.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address} ({setting}): {source}{}", hint(.source))]
    Bind {
        /// Host and port, as configured.
        address: String,
        /// The setting that names it.
        setting: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The certificate of the ops address cannot be used.
    #[error("FOGHORN_OPS_TLS_CERT, FOGHORN_OPS_TLS_KEY: {0}")]
    Tls(#[from] TlsError),
    /// The token machinery does not work in this build.
    #[error("tokens cannot be checked: {0}")]
    Tokens(#[from] auth::Refusal),
    /// The broker's settings do not fit together.
    #[error(transparent)]
    Broker(#[from] redis::ConfigFault),
    /// This node cannot work with its Redis at all.
    #[error(transparent)]
    Fatal(#[from] redis::Fatal),
}

impl AppError {
    /// A word for it.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Bind { .. } => "bind",
            Self::Tls(_) => "tls",
            Self::Tokens(_) => "tokens",
            Self::Broker(_) => "broker",
            Self::Fatal(_) => "fatal",
        }
    }
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            ": another program has this port; is the upstream notification server still running?"
        }
        io::ErrorKind::PermissionDenied => ": ports below 1024 need the capability CAP_NET_BIND_SERVICE",
        io::ErrorKind::AddrNotAvailable => ": no interface of this machine has this address",
        _ => "",
    }
}

/// A node that serves.
pub struct Running {
    /// Where clients and backends connect.
    pub client_addr: SocketAddr,
    /// Where operators ask.
    pub ops_addr: SocketAddr,
    /// The keys, which may change while it runs.
    pub keys: Keys,
    node: Node,
    door: Arc<Door>,
    order: Order,
    register: Arc<Register>,
    guard: Arc<Guard>,
    life: Life,
    /// What talks to clients and backends: ends first.
    front: Tasks,
    /// What carries events: ends last.
    back: Tasks,
    settle: Duration,
    drain: Duration,
}

/// Builds and starts a node. `shared` is a broker that several nodes of one process use together.
///
/// # Errors
/// [`AppError`]; nothing is left running then.
pub async fn start(
    config: &Config,
    shared: Option<MemoryBroker>,
    recorder: PrometheusHandle,
) -> Result<Running, AppError> {
    let keys = Keys::new(&config.keys.current.0, config.keys.previous.as_ref().map(|key| key.0.as_str()));
    keys.self_test()?;
    let client_listener =
        bind(&config.http.host, config.http.port, "NOTIFICATION_SERVER_HOST, NOTIFICATION_SERVER_PORT").await?;
    let ops_listener = bind(&config.ops_addr.ip().to_string(), config.ops_addr.port(), "FOGHORN_OPS_ADDR").await?;

    let ops_tls = config.ops.tls.as_ref().map(|(cert, key)| tls::Tls::load(cert, key)).transpose()?;

    let (life, front, back) = (Life::default(), Tasks::new(), Tasks::new());
    let hub = Hub::new(config.replay, REPLAY_BYTES);
    let sink = NodeSink::new(Arc::clone(&hub), back.clone(), config.resync_window);
    let broker = match shared {
        Some(memory) => attach(memory, sink),
        None => match &config.redis {
            Some(settings) => Broker::Redis(RedisBroker::start(redis_config(config, settings), sink, &back)?),
            None => attach(MemoryBroker::start(config.partitions, &back), sink),
        },
    };
    operations::trace(config, local(&client_listener), &hub, &back);
    let node = Node::new(Arc::clone(&hub), broker, config.replay);
    upkeep(&back, hub, recorder.clone());

    let register = Register::new(Liveness { ping: config.ping, unauthenticated: config.limits.unauthenticated });
    register.sweep(&back);
    let door = Door::new(limits(config));
    let connections = Arc::new(Shared {
        node: node.clone(),
        register: Arc::clone(&register),
        door: Arc::clone(&door),
        tasks: front.clone(),
        life: life.clone(),
        outbox: Bounds { messages: config.limits.outbox_messages, bytes: config.limits.outbox_bytes },
        max_message: config.limits.message_bytes,
        name: operations::name(config, local(&client_listener)),
        ids: AtomicU64::new(0),
    });
    let order = order(config, node.clone(), &back);
    let dialect = Seafile::new(connections, keys.clone(), order.clone(), seafile_config(config));
    let (client_addr, ops_addr) = (local(&client_listener), local(&ops_listener));
    let handshake = config.limits.handshake;
    let router = seafile::router(Arc::clone(&dialect));
    Server { router, door: Arc::clone(&door), handshake }.run(client_listener, &front);
    let ops = Ops::new(ops::Parts {
        identity: operations::identity(config, client_addr, ops_addr),
        life: life.clone(),
        node: node.clone(),
        register: Arc::clone(&register),
        keys: keys.clone(),
        recorder,
        post: operations::poster(dialect),
        library_kind: CHANNEL_KIND,
        payloads: config.ops.payloads,
        tasks: back.clone(),
    });
    ops.start();
    let guard = operations::guard(config, ops_addr);
    let router = ops::router(ops, Arc::clone(&guard));
    let ops_door = Door::new(door::Limits::default());
    Server { router, door: ops_door, handshake }.run_with(ops_listener, ops_tls, &back);
    become_ready(&back, life.clone(), node.clone());
    tracing::info!(%client_addr, %ops_addr, version = env!("CARGO_PKG_VERSION"), "serving");
    let (settle, drain) = (config.settle, config.drain);
    Ok(Running { client_addr, ops_addr, keys, node, door, order, register, guard, life, front, back, settle, drain })
}

impl Running {
    /// Waits until it turns out that this node cannot work with its Redis at all.
    pub async fn fatal(&self) -> AppError {
        self.node.fatal().await.into()
    }

    /// Puts into force what of a new configuration can change while the node runs ([`crate::config::settings::LIVE`]).
    pub fn reload(&self, config: &Config) {
        self.keys.replace(&config.keys.current.0, config.keys.previous.as_ref().map(|key| key.0.as_str()));
        self.door.replace(limits(config));
        self.guard.replace(operations::credentials(config));
    }

    /// Ends the node: not ready, a time for proxies to see it, every connection closed at an even pace, the broker's
    /// queue handed over. Returns whether all of it was done by the deadline.
    pub async fn drain(self) -> bool {
        tracing::info!(connections = self.register.len(), "ending: no longer ready, still taking connections");
        self.life.advance(Phase::Settling);
        tokio::time::sleep(self.settle).await;
        self.life.advance(Phase::Closing);
        let deadline = Instant::now() + self.drain;
        let left = || deadline.saturating_duration_since(Instant::now());
        let window = self.drain.saturating_sub(FAREWELL).max(self.drain / 2);
        tracing::info!(connections = self.register.len(), seconds = window.as_secs(), "closing connections");
        let goodbye = Close::new(1001, "this node is about to end: connect again", "drain");
        pace::close_all(self.register.outboxes(), goodbye, window).await;
        self.front.stop();
        // A client that does not answer its close frame is cut off by the end of the process; nothing is lost by it.
        let silent = !self.front.finish(left().min(FAREWELL).mul_f64(0.75)).await;
        if silent {
            tracing::debug!(connections = self.register.len(), "some clients did not answer their close frame");
        }
        let handed_over = || self.order.waiting() == 0 && self.node.health().waiting == 0;
        let mut clean = wait_until(handed_over, left()).await;
        if !clean {
            let events = self.node.health().waiting + self.order.waiting();
            tracing::error!(
                events,
                "these accepted events did not get out in time: other nodes' clients will miss them"
            );
        }
        self.node.broker().leave().await;
        self.back.stop();
        clean &= self.back.finish(left().max(Duration::from_secs(1))).await;
        tracing::info!(clean, "ended");
        clean
    }

    /// Ends the node at once: for tests and demonstrations.
    pub async fn stop(mut self) -> bool {
        (self.settle, self.drain) = (Duration::ZERO, Duration::from_secs(1));
        self.drain().await
    }
}

fn attach(memory: MemoryBroker, sink: Arc<NodeSink>) -> Broker {
    memory.attach(sink);
    Broker::Memory(memory)
}

async fn wait_until(condition: impl Fn() -> bool, within: Duration) -> bool {
    let poll = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(within, poll).await.is_ok()
}

fn order(config: &Config, node: Node, tasks: &Tasks) -> Order {
    let directory = config
        .groups
        .as_ref()
        .map(|database| Arc::new(Groups::new(&groups_config(database), tasks.clone())) as Arc<dyn Directory>);
    if directory.is_none() {
        tracing::warn!("no database is configured (SEAFILE_MYSQL_DB_HOST): events for groups will go to nobody");
    }
    Order::new(move |event| node.publish(event), directory, order::Limits::default(), tasks.clone())
}

/// The node is ready once it has heard from all its shards; until then it serves, but proxies should prefer others.
fn become_ready(tasks: &Tasks, life: Life, node: Node) {
    let inner = tasks.clone();
    tasks.spawn("readiness", async move {
        let all_up = wait_until(|| node.health().shards.iter().all(|shard| shard.up), Duration::MAX);
        tokio::select! {
            _ = all_up => life.advance(Phase::Running),
            () = inner.stopped() => {}
        }
    });
}

/// What has to be done every now and then.
fn upkeep(tasks: &Tasks, hub: Arc<Hub>, recorder: PrometheusHandle) {
    let inner = tasks.clone();
    tasks.spawn("upkeep", async move {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                _ = second.tick() => {}
                () = inner.stopped() => return,
            }
            hub.prune();
            recorder.run_upkeep();
        }
    });
}
