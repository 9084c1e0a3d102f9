//! What the ops address is told about the node it belongs to.
//!
//! Invariant: nothing secret is in a node's identity, which every node of the cluster sees.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;

use crate::config::Config;
use crate::dialect::seafile::Seafile;
use crate::drain::Tasks;
use crate::event::now_ms;
use crate::hub::Hub;
use crate::ops::guard::{Credentials, Guard};
use crate::ops::{self, Identity, Poster};
use crate::otlp::{self, Traces};

/// Who this node is, on these addresses.
pub(super) fn identity(config: &Config, client: SocketAddr, ops: SocketAddr) -> Identity {
    let own = own_address(config);
    let scheme = if config.ops.tls.is_some() { "https" } else { "http" };
    Identity {
        name: name(config, client),
        id: ops::new_id(),
        address: reachable(client, own).to_string(),
        ops_url: format!("{scheme}://{}", reachable(ops, own)),
        started_ms: now_ms(),
        configuration: config.fingerprint(),
    }
}

/// What this node is called.
pub(super) fn name(config: &Config, client: SocketAddr) -> String {
    config.node_name.clone().unwrap_or_else(|| format!("{}:{}", host_name(), client.port()))
}

/// What opens the ops address.
pub(super) fn credentials(config: &Config) -> Credentials {
    let text = |secret: &Option<crate::config::Secret>| secret.as_ref().map(|secret| secret.0.clone());
    Credentials { password: text(&config.ops.password), token: text(&config.ops.token) }
}

/// Who may use the ops address.
pub(super) fn guard(config: &Config, ops: SocketAddr) -> Arc<Guard> {
    Arc::new(Guard::new(credentials(config), ops.ip().to_canonical().is_loopback()))
}

/// How an operator's event gets in.
pub(super) fn poster(seafile: Arc<Seafile>) -> Poster {
    Box::new(move |body| {
        let seafile = Arc::clone(&seafile);
        Box::pin(async move { seafile.post(&body).await })
    })
}

/// Sends traces, where a collector is configured.
pub(super) fn trace(config: &Config, client: SocketAddr, hub: &Hub, tasks: &Tasks) {
    if let Some(otlp) = &config.otlp {
        let (endpoint, percent) = (otlp.endpoint.clone(), otlp.percent);
        let config = otlp::Config { endpoint, percent, node: name(config, client) };
        hub.trace(Traces::start(config, tasks));
    }
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "localhost".to_owned() } else { name.trim().to_owned() }
}

/// An address bound to all interfaces is known to others by one of them.
fn reachable(bound: SocketAddr, own: Option<IpAddr>) -> SocketAddr {
    match own {
        Some(own) if bound.ip().is_unspecified() => SocketAddr::new(own, bound.port()),
        _ => bound,
    }
}

/// The address under which this machine goes to its first Redis, which is where other nodes are as well.
fn own_address(config: &Config) -> Option<IpAddr> {
    let (host, port) = config.redis.as_ref()?.shards.first()?.hosts.first()?.clone();
    let any = if host.contains(':') { "[::]:0" } else { "0.0.0.0:0" };
    let socket = UdpSocket::bind(any).ok()?;
    // Sends nothing: it only looks up the route.
    socket.connect((host, port)).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}
