//! Who may come in: how fast, how many, from where.
//!
//! Invariant: turning somebody away costs less than serving them, is counted by the limit they hit, and never touches
//! those who are in.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use ::metrics::counter;
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;
use parking_lot::{Mutex, RwLock};

use crate::headroom::Headroom;
use crate::metrics;

/// What is limited. A number of 0 means no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// WebSocket connections of this node.
    pub connections: usize,
    /// WebSocket connections from one client address.
    pub connections_per_address: usize,
    /// WebSocket handshakes a second; twice as many may come at once after a quiet second.
    pub handshake_rate: u32,
    /// TCP connections whose first request has not come yet.
    pub handshakes: usize,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Origins that web pages may connect from, as `https://cloud.example.com`; empty: any.
    pub origins: Vec<String>,
    /// Addresses that may post events; empty: any.
    pub events_from: Vec<IpNet>,
}

impl Limits {
    fn lists(&self, origin: Option<&HeaderValue>) -> Option<bool> {
        // Compared as bytes: what is no text is on no list.
        let same = |page: &HeaderValue, listed: &String| {
            listed.as_bytes().eq_ignore_ascii_case(page.as_bytes())
        };
        let listed = |page| self.origins.iter().any(|listed| same(page, listed));
        (!self.origins.is_empty()).then(|| origin.is_none_or(listed))
    }
}

/// The limit somebody hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// More handshakes than the rate allows.
    Rate,
    /// More connections at once that have not asked for anything yet.
    Handshakes,
    /// The container's memory limit is near.
    Memory,
    /// The node is full.
    Connections,
    /// Too many connections from one address.
    Address,
    /// A page of an origin that is not on the list.
    Origin,
    /// An address that may not post events.
    Poster,
}

impl Rejection {
    /// The counter's label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Rate => "handshake-rate",
            Self::Handshakes => "handshakes",
            Self::Memory => "memory",
            Self::Connections => "connections",
            Self::Address => "connections-per-address",
            Self::Origin => "origin",
            Self::Poster => "events-from",
        }
    }

    /// What the peer is told.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Rate | Self::Handshakes => {
                "Too many clients connect at this moment; try again soon.\n"
            }
            Self::Memory => {
                "This node has nearly used up its memory (FOGHORN_MEMORY_PERCENT); another one will take you.\n"
            }
            Self::Connections => {
                "This node has as many connections as it may have (FOGHORN_MAX_CONNECTIONS).\n"
            }
            Self::Address => {
                "Too many connections from this address (FOGHORN_MAX_CONNECTIONS_PER_ADDRESS).\n"
            }
            Self::Origin => "Pages of this origin may not connect (FOGHORN_ALLOWED_ORIGINS).\n",
            Self::Poster => "This address may not post events (FOGHORN_EVENTS_FROM).\n",
        }
    }

    /// Whether trying again later may help.
    pub fn is_temporary(self) -> bool {
        !matches!(self, Self::Origin | Self::Poster)
    }

    fn counted(self) -> Self {
        counter!(metrics::CONNECTIONS_REFUSED, "reason" => self.label()).increment(1);
        self
    }
}

/// Whom a request came from: the TCP peer. In every request's extensions.
#[derive(Clone, Copy, Debug)]
pub struct Remote(pub SocketAddr);

struct Bucket {
    tokens: f64,
    filled: Instant,
}

/// See the module's description.
pub struct Admission {
    limits: RwLock<Arc<Limits>>,
    headroom: Arc<Headroom>,
    handshakes: AtomicUsize,
    connections: AtomicUsize,
    bucket: Mutex<Bucket>,
    addresses: Mutex<HashMap<IpAddr, usize, ahash::RandomState>>,
}

impl Admission {
    /// Nobody is in yet. Nobody is let in while `headroom` lacks memory.
    pub fn new(limits: Limits, headroom: Arc<Headroom>) -> Arc<Self> {
        let bucket = Bucket {
            tokens: 2.0 * f64::from(limits.handshake_rate),
            filled: Instant::now(),
        };
        Arc::new(Self {
            limits: RwLock::new(Arc::new(limits)),
            headroom,
            handshakes: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            bucket: Mutex::new(bucket),
            addresses: Mutex::default(),
        })
    }

    /// From now on these limits hold. Nobody who is in is put out; connections let in while there was no limit by address
    /// do not count against a new one.
    pub fn replace(&self, limits: Limits) {
        *self.limits.write() = Arc::new(limits);
    }

    fn limits(&self) -> Arc<Limits> {
        Arc::clone(&self.limits.read())
    }

    /// Whether a page of `origin` is on the list of those that may connect, as what is no page needs not be; `None`: there is no
    /// such list.
    pub fn lists(&self, origin: Option<&HeaderValue>) -> Option<bool> {
        self.limits.read().lists(origin)
    }

    /// The address of who sent `request`; see [`Admission::client`].
    pub fn sender(&self, request: &Parts) -> IpAddr {
        let peer = request
            .extensions
            .get::<Remote>()
            .map_or(IpAddr::from([0, 0, 0, 0]), |remote| remote.0.ip());
        self.client(peer, &request.headers)
    }

    /// The client's address: the peer's, or what trusted proxies say it is.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let limits = self.limits();
        let trusted = |ip: IpAddr| limits.trusted_proxies.iter().any(|net| net.contains(&ip));
        let peer = peer.to_canonical();
        if !trusted(peer) {
            return peer;
        }
        let mut client = peer;
        // A line that is no text names nobody, and what stands before it is not believed.
        let hops: Vec<&str> = headers
            .get_all("x-forwarded-for")
            .iter()
            .map(|line| line.to_str().unwrap_or_default())
            .collect();
        for hop in hops.iter().rev().flat_map(|line| line.rsplit(',')) {
            let Some(ip) = address(hop.trim()) else { break };
            client = ip;
            if !trusted(ip) {
                break;
            }
        }
        client
    }

    /// A TCP connection begins; the guard is dropped when its first request has come.
    ///
    /// # Errors
    /// [`Rejection::Handshakes`].
    pub fn pending(self: &Arc<Self>) -> Result<Pending, Rejection> {
        let now = self.handshakes.fetch_add(1, Ordering::Relaxed) + 1;
        let guard = Pending(Arc::clone(self));
        let most = self.limits.read().handshakes;
        if most > 0 && now > most {
            Err(Rejection::Handshakes.counted())
        } else {
            Ok(guard)
        }
    }

    /// A WebSocket connection from `client` begins; it is over when the guard is dropped.
    ///
    /// # Errors
    /// The limit it hit.
    pub fn admit(
        self: &Arc<Self>,
        client: IpAddr,
        origin: Option<&HeaderValue>,
    ) -> Result<Admitted, Rejection> {
        let limits = self.limits();
        if limits.lists(origin) == Some(false) {
            return Err(Rejection::Origin.counted());
        }
        if self.headroom.lacks_memory() {
            return Err(Rejection::Memory.counted());
        }
        if limits.handshake_rate > 0 && !self.bucket.lock().take(f64::from(limits.handshake_rate)) {
            return Err(Rejection::Rate.counted());
        }
        let admitted = Admitted {
            admission: Arc::clone(self),
            client: (limits.connections_per_address > 0).then_some(client),
        };
        let open = self.connections.fetch_add(1, Ordering::Relaxed) + 1;
        let from_there = admitted.client.map_or(0, |client| {
            let mut addresses = self.addresses.lock();
            let count = addresses.entry(client).or_default();
            *count += 1;
            *count
        });
        if limits.connections > 0 && open > limits.connections {
            return Err(Rejection::Connections.counted());
        }
        if limits.connections_per_address > 0 && from_there > limits.connections_per_address {
            return Err(Rejection::Address.counted());
        }
        Ok(admitted)
    }

    /// Whether `client` may post events.
    ///
    /// # Errors
    /// [`Rejection::Poster`].
    pub fn may_post(&self, client: IpAddr) -> Result<(), Rejection> {
        let limits = self.limits();
        let nets = &limits.events_from;
        if nets.is_empty() || nets.iter().any(|net| net.contains(&client)) {
            Ok(())
        } else {
            Err(Rejection::Poster.counted())
        }
    }
}

impl Bucket {
    fn take(&mut self, rate: f64) -> bool {
        let now = Instant::now();
        self.tokens =
            (self.tokens + now.duration_since(self.filled).as_secs_f64() * rate).min(2.0 * rate);
        self.filled = now;
        let full = self.tokens >= 1.0;
        if full {
            self.tokens -= 1.0;
        }
        full
    }
}

/// An address as proxies write it: bare, with a port, or in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let ip = bare
        .parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|a| a.ip()))?;
    Some(ip.to_canonical())
}

/// A connection whose first request has not come yet.
pub struct Pending(Arc<Admission>);

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.handshakes.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An open WebSocket connection.
pub struct Admitted {
    admission: Arc<Admission>,
    client: Option<IpAddr>,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.admission.connections.fetch_sub(1, Ordering::Relaxed);
        let Some(client) = self.client else { return };
        let mut addresses = self.admission.addresses.lock();
        if let Some(count) = addresses.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                addresses.remove(&client);
            }
        }
    }
}

#[cfg(test)]
mod tests;
