//! What the ops address is told about the node it belongs to.
//!
//! Invariant: nothing secret is in a node's identity, which every node of the cluster sees.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::timeout;

use super::{Ground, dialects};
use crate::acme::Acme;
use crate::cluster::{self, Cluster, Identity};
use crate::config::Config;
use crate::connection::Shared;
use crate::dialect::Dialect;
use crate::drain::Tasks;
use crate::event::now_ms;
use crate::hub::Hub;
use crate::ops::Ops;
use crate::ops::guard::Guard;
use crate::otlp::{self, Traces};

/// How long the start waits for Redis' address: without it the node is known by a name of its own.
const RESOLVE: Duration = Duration::from_secs(2);

/// Who this node is, on these addresses.
pub(super) async fn identity(config: &Config, client: SocketAddr, ops: SocketAddr) -> Identity {
    let own = own_address(config).await;
    let scheme = if config.ops.tls.is_some() {
        "https"
    } else {
        "http"
    };
    Identity {
        name: name(config, client),
        id: cluster::new_id(),
        address: reachable(client, own).to_string(),
        ops_url: format!("{scheme}://{}", reachable(ops, own)),
        started_ms: now_ms(),
        configuration: config.fingerprint(),
        settings: config.changed.clone(),
    }
}

/// What this node is called.
pub(super) fn name(config: &Config, client: SocketAddr) -> String {
    config
        .node_name
        .clone()
        .unwrap_or_else(|| format!("{}:{}", host_name(), client.port()))
}

/// Who may use the ops address.
pub(super) fn guard(config: &Config, ops: SocketAddr) -> Arc<Guard> {
    Arc::new(Guard::new(
        config.ops.credentials(),
        ops.ip().to_canonical().is_loopback(),
    ))
}

/// What is answered there.
pub(super) fn ops(
    config: &Config,
    ground: &Ground,
    connections: &Shared,
    cluster: &Arc<Cluster>,
    dialects: &[Arc<dyn Dialect>],
    ordered: Vec<Arc<Acme>>,
) -> Arc<Ops> {
    Arc::new(Ops {
        life: ground.life.clone(),
        node: connections.node.clone(),
        cluster: Arc::clone(cluster),
        register: Arc::clone(&connections.register),
        headroom: Arc::clone(&ground.headroom),
        notes: dialects::notes(dialects, ordered),
        recorder: ground.recorder.clone(),
        operated: dialects::operated(dialects),
        payloads: config.ops.payloads,
        tasks: ground.back.clone(),
    })
}

/// Sends traces, where a collector is configured.
pub(super) fn trace(config: &Config, client: SocketAddr, hub: &Hub, tasks: &Tasks) {
    if let Some(otlp) = &config.otlp {
        let otlp = otlp.clone();
        let config = otlp::Config {
            endpoint: otlp.endpoint,
            percent: otlp.percent,
            node: name(config, client),
            headers: otlp.headers,
            service: otlp.service,
        };
        hub.trace(Traces::start(config, tasks));
    }
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() {
        "localhost".to_owned()
    } else {
        name.trim().to_owned()
    }
}

/// An address bound to all interfaces is known to others by one of them.
fn reachable(bound: SocketAddr, own: Option<IpAddr>) -> SocketAddr {
    match own {
        Some(own) if bound.ip().is_unspecified() => SocketAddr::new(own, bound.port()),
        _ => bound,
    }
}

/// The address under which this machine goes to its first Redis, which is where other nodes are as well.
async fn own_address(config: &Config) -> Option<IpAddr> {
    let (host, port) = config
        .redis
        .as_ref()?
        .shards
        .first()?
        .hosts
        .first()?
        .clone();
    let redis = timeout(RESOLVE, lookup_host((host, port)))
        .await
        .ok()?
        .ok()?
        .next()?;
    let any = if redis.is_ipv6() {
        "[::]:0"
    } else {
        "0.0.0.0:0"
    };
    let socket = UdpSocket::bind(any).ok()?;
    // Sends nothing: it only looks up the route.
    socket.connect(redis).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}
