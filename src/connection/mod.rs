//! One client's connection: a session decides, an outbox holds what the client has not taken yet, a task moves bytes.
//!
//! Invariant: nothing here ever waits for a client. An outbox that is full closes its connection.

mod asked;
pub mod detached;
mod entry;
pub mod handshake;
mod link;
pub mod mail;
pub mod pace;
pub mod stream;
pub mod sweep;
pub mod tracked;
pub mod upgrade;
pub mod websocket;

use std::net::IpAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tracing::Span;

pub use self::asked::Asker;
pub use self::entry::Refused;
use self::sweep::{Liveness, Registry};
use crate::admission::Admission;
use crate::drain::{Life, Tasks};
use crate::node::Node;
use crate::outbox::{Bounds, Kind};
use crate::throttle::Throttle;
use crate::unfinished::Unfinished;

/// What all connections of a node share. A dialect whose clients are promised other bounds gives its own a copy in which those
/// are changed; the rest stays common to all.
#[derive(Clone)]
pub struct Shared {
    /// Where they subscribe.
    pub node: Node,
    /// Where they are swept.
    pub register: Arc<Registry>,
    /// When clients are pinged, and given up.
    pub liveness: Arc<Liveness>,
    /// Who may come in.
    pub admission: Arc<Admission>,
    /// Who runs their tasks.
    pub tasks: Tasks,
    /// Whether new ones are still taken.
    pub life: Life,
    /// How much may wait for each.
    pub outbox: Bounds,
    /// The longest message a client may send, in bytes.
    pub max_message: usize,
    /// How long a client may take for one message, from its first byte to its last.
    pub message_time: Duration,
    /// What clients have begun to send.
    pub unfinished: Arc<Unfinished>,
    /// Which refusals were logged of late.
    pub warnings: Arc<Throttle>,
    /// What logs call this node.
    pub name: String,
    /// The last connection's number.
    pub ids: Arc<AtomicU64>,
    /// Who answers what sessions ask, by dialect.
    pub askers: Arc<OnceLock<Vec<(&'static str, Asker)>>>,
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug)]
pub struct ClientInfo {
    /// The connection's number, unique in this process.
    pub id: u64,
    /// The client's address, as far as proxies told the truth.
    address: IpAddr,
    /// What kind of client it is.
    kind: &'static Kind,
}

impl ClientInfo {
    /// What every line about this connection carries. `user` may be recorded later.
    pub fn span(&self, node: &str, user: Option<&str>) -> Span {
        tracing::info_span!("connection", id = self.id, client = %self.address, kind = self.kind.label, node, user)
    }
}
