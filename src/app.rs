//! The composition root: builds a node from its configuration, binds it, serves, drains.
//!
//! Invariant: the whole life of a node is on this page, and nothing else knows all of its parts.

mod between;
mod bind;
mod dialects;
mod doors;
mod error;
mod operations;
mod ports;
mod running;
mod translate;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;

use crate::admission::{self, Admission};
use crate::broker::keep::Keeper;
use crate::cluster::{self, Cluster};
use crate::config::Config;
use crate::connection::Shared;
use crate::connection::sweep::{Liveness, Registry};
use crate::dialect::{self, Context, Dialect, Grants};
use crate::drain::{Life, Phase, Tasks};
use crate::headroom::Headroom;
use crate::headroom::descriptors::Descriptors;
use crate::headroom::memory::{self, Cgroup};
use crate::hub::Hub;
use crate::listen::Server;
use crate::node::Node;
use crate::ops;
use crate::ops::recorder::Recorder;
use crate::outbox::Bounds;
use crate::receive::Receiver;
use crate::throttle::Throttle;
use crate::unfinished::Unfinished;

pub use between::Between;
use doors::Doors;
pub use error::AppError;
use ports::Front;
pub use ports::OpenPort;
pub use running::Running;
use running::wait_until;
use translate::common;

/// Memory that recent events may take for clients still to subscribe, in bytes.
const REPLAY_BYTES: usize = 64 * 1024 * 1024;

/// What all of a node rests on.
struct Ground {
    life: Life,
    /// Tasks of connections.
    front: Tasks,
    /// Tasks that carry events, which end last.
    back: Tasks,
    headroom: Arc<Headroom>,
    unfinished: Arc<Unfinished>,
    /// Who may come in.
    admission: Arc<Admission>,
    recorder: Recorder,
}

impl Ground {
    fn new(config: &Config, recorder: Recorder) -> Self {
        let back = Tasks::new();
        let unfinished = Unfinished::new(config.limits.unfinished_bytes);
        unfinished.watch(&back);
        let headroom = headroom(config, &back);
        Self {
            life: Life::default(),
            front: Tasks::new(),
            admission: Admission::new(translate::limits(config), Arc::clone(&headroom)),
            headroom,
            unfinished,
            back,
            recorder,
        }
    }
}

/// Builds and starts a node. `shared`: what it has in common with other nodes of this process.
///
/// # Errors
/// [`AppError`]; nothing is left running then.
pub async fn start(
    config: &Config,
    shared: Option<Between>,
    recorder: Recorder,
) -> Result<Running, AppError> {
    let doors = Doors::open(config).await?;
    let (client_addr, ops_addr) = doors.addresses();
    let ground = Ground::new(config, recorder);
    let back = &ground.back;
    let (node, keeper) = node(config, shared, &ground, client_addr).inspect_err(|_| back.stop())?;
    let connections = connections(config, &ground, &node, client_addr);
    let cluster = cluster(config, &ground, &connections, (client_addr, ops_addr)).await;
    let context = Context {
        connections: Arc::clone(&connections),
        cluster: Arc::clone(&cluster),
        keeper,
        tasks: back.clone(),
        grants: Grants::default(),
    };
    let dialects = dialects::start(config, &context).inspect_err(|_| back.stop())?;
    dialects::answer_sessions(&dialects, &connections);
    context.grants.judged_by(&dialects);
    let router = dialect::router(&dialects).inspect_err(|_| back.stop())?;
    let ordered = doors.own.ordered();
    let ops = operations::ops(
        config,
        &ground,
        &connections,
        &cluster,
        &dialects,
        ordered.clone(),
    );
    cluster.start(dialects::voice(&dialects, &ops));
    let guard = operations::guard(config, ops_addr);
    let ports = doors.own.open();
    let certificates = doors.certificates();
    let operators = ops::router(ops, Arc::clone(&guard));
    serve(doors, (router, operators), &dialects, config, &ground);
    become_ready(back, ground.life.clone(), node.clone());
    tracing::info!(%client_addr, %ops_addr, version = env!("CARGO_PKG_VERSION"), "serving");
    let shards = config.redis.as_ref().map(|redis| redis.shards.clone());
    Ok(Running {
        client_addr,
        ops_addr,
        ports,
        node,
        admission: ground.admission,
        dialects,
        register: Arc::clone(&connections.register),
        guard,
        certificates,
        ordered,
        shards: shards.unwrap_or_default(),
        life: ground.life,
        front: ground.front,
        back: ground.back,
        settle: config.settle,
        drain: config.drain,
    })
}

/// The node by itself: what it remembers, and what it shares with others.
fn node(
    config: &Config,
    shared: Option<Between>,
    ground: &Ground,
    client_addr: SocketAddr,
) -> Result<(Node, Keeper), AppError> {
    let back = &ground.back;
    let hub = Hub::new(config.replay, REPLAY_BYTES);
    let sink = Receiver::new(Arc::clone(&hub), back.clone(), config.resync_window);
    let (broker, keeper) = between::join(shared, config, sink, back)?;
    operations::trace(config, client_addr, &hub, back);
    let node = Node::new(Arc::clone(&hub), broker, keeper.clone(), config.replay);
    upkeep(back, hub, ground.recorder.clone());
    Ok((node, keeper))
}

/// What all connections share.
fn connections(
    config: &Config,
    ground: &Ground,
    node: &Node,
    client_addr: SocketAddr,
) -> Arc<Shared> {
    let limits = &config.limits;
    let liveness = Liveness {
        ping: config.ping,
        unauthenticated: limits.unauthenticated,
        pong: None,
    };
    let register = Registry::new(liveness.ping);
    register.sweep(&ground.back);
    Arc::new(Shared {
        node: node.clone(),
        register,
        liveness: Arc::new(liveness),
        admission: Arc::clone(&ground.admission),
        tasks: ground.front.clone(),
        life: ground.life.clone(),
        outbox: Bounds {
            messages: limits.outbox_messages,
            bytes: limits.outbox_bytes,
        },
        max_message: limits.message_bytes,
        message_time: limits.request,
        unfinished: Arc::clone(&ground.unfinished),
        warnings: Arc::new(Throttle::minutely()),
        name: operations::name(config, client_addr),
        ids: Arc::default(),
        askers: Arc::default(),
    })
}

/// The node among the others.
async fn cluster(
    config: &Config,
    ground: &Ground,
    connections: &Shared,
    (client_addr, ops_addr): (SocketAddr, SocketAddr),
) -> Arc<Cluster> {
    Cluster::new(cluster::Parts {
        identity: operations::identity(config, client_addr, ops_addr).await,
        life: ground.life.clone(),
        node: connections.node.clone(),
        register: Arc::clone(&connections.register),
        patience: config.waiting.age,
        tally: ground.recorder.tally().clone(),
        tasks: ground.back.clone(),
    })
}

/// Lets people in: clients, whoever comes to a dialect's own port, and operators.
fn serve(
    doors: Doors,
    (clients, operators): (Router, Router),
    dialects: &[Arc<dyn Dialect>],
    config: &Config,
    ground: &Ground,
) {
    let (descriptors, common) = (Descriptors::now(), common(config, &ground.unfinished));
    let (admission, headroom) = (&ground.admission, &ground.headroom);
    let share = descriptors.for_clients();
    Server::new(clients, Arc::clone(admission), share, &common)
        .telling(headroom)
        .run(doors.clients, &ground.front);
    Front {
        admission,
        share: descriptors.for_clients(),
        headroom,
        common: &common,
        tasks: &ground.front,
    }
    .serve(doors.own, dialects);
    let (unlimited, share) = (
        Admission::new(admission::Limits::default(), Arc::default()),
        descriptors.for_operators(),
    );
    Server::new(operators, unlimited, share, &common).run_with(
        doors.operators,
        doors.tls,
        &ground.back,
    );
}

/// What the process still has to give, looked at from now on.
fn headroom(config: &Config, tasks: &Tasks) -> Arc<Headroom> {
    let headroom = Arc::new(Headroom::default());
    headroom.set_descriptors(false);
    if config.limits.memory_percent > 0 {
        let cgroup = Cgroup::find(&config.limits.cgroup);
        memory::watch(
            cgroup,
            f64::from(config.limits.memory_percent),
            &headroom,
            tasks,
        );
    }
    headroom
}

/// The node is ready once it has heard from all its shards; until then it serves, but proxies should prefer others.
fn become_ready(tasks: &Tasks, life: Life, node: Node) {
    let inner = tasks.clone();
    tasks.spawn("readiness", async move {
        let all_up = wait_until(
            || node.health().shards.iter().all(|shard| shard.up),
            Duration::MAX,
        );
        tokio::select! {
            _ = all_up => life.advance(Phase::Running),
            () = inner.stopped() => {}
        }
    });
}

/// What has to be done every now and then.
fn upkeep(tasks: &Tasks, hub: Arc<Hub>, recorder: Recorder) {
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
