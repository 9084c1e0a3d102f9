//! What may be done by whom, and what is done in which channel. SIGHUP makes it anew, for the connections that there are too.
//!
//! Invariant: no secret is in `Debug` output or in a log.

use std::collections::HashMap;
use std::time::Duration;

use super::admin::Admin;
use super::names::Separators;
use super::signing_key::SigningKey;
use crate::event::Keep;

/// What is done in the channels of a namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether who names no user may subscribe.
    pub(super) anonymous: bool,
    /// Whether clients may publish.
    pub(super) publish: bool,
    /// Whether it is known who is there.
    pub(super) presence: bool,
    /// Whether those who are there are told who comes and goes.
    pub(super) join_leave: bool,
    /// Whether who comes back is told what it missed.
    pub(super) recover: bool,
    /// Whether operators who watch see what is published.
    pub(super) watch: bool,
    /// Whether nothing is kept where nobody is, and nothing was of late.
    pub(super) drop_inactive: bool,
    /// What is kept; `None`: nothing.
    pub(super) keep: Option<Keep>,
}

/// See the module.
pub struct Rules {
    /// What tokens and signs are made with.
    pub(super) secret: Option<SigningKey>,
    /// Whether clients need no token, and may do anything.
    pub(super) insecure: bool,
    /// Whether backends need no sign.
    pub(super) insecure_api: bool,
    /// Who may do what operators do.
    pub(super) admin: Admin,
    /// What the node is called in `stats`.
    pub(super) name: Option<String>,
    /// How long a connection lives from its token's timestamp, seconds; 0: for ever.
    pub(super) lifetime_s: u64,
    /// How much longer, so that it can be refreshed, seconds.
    pub(super) expired_delay_s: u64,
    /// How long a client may be without a good `connect`, seconds; 0: for ever.
    pub(super) stale_delay_s: u64,
    /// The longest name of a channel, bytes.
    pub(super) max_channel: usize,
    /// Channels of one connection.
    pub(super) channels: usize,
    /// Connections of one user on this node; 0: any number.
    pub(super) connections: usize,
    /// For how long presence outlives its node.
    pub(super) presence: Duration,
    /// What names are made of.
    pub(super) separators: Separators,
    /// What holds outside of namespaces.
    pub(super) default: Options,
    /// What holds in namespaces.
    pub(super) namespaces: HashMap<String, Options>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            secret: None,
            insecure: false,
            insecure_api: false,
            admin: Admin::default(),
            name: None,
            lifetime_s: 0,
            expired_delay_s: 25,
            stale_delay_s: 25,
            max_channel: 255,
            channels: 128,
            connections: 0,
            presence: Duration::from_secs(60),
            separators: Separators::default(),
            default: Options::default(),
            namespaces: HashMap::new(),
        }
    }
}

impl Rules {
    /// What holds in a channel; `None`: there is no such namespace.
    pub fn options(&self, channel: &str) -> Option<Options> {
        match self.separators.namespace(channel) {
            "" => Some(self.default),
            namespace => self.namespaces.get(namespace).copied(),
        }
    }

    /// Whether `sign` is that of `parts`, under the secret.
    pub fn signed(&self, parts: &[&str], sign: &str) -> bool {
        self.secret
            .as_ref()
            .is_some_and(|secret| secret.signed(parts, sign))
    }

    /// The lifetime that clients are told, seconds; 0: for ever.
    pub fn ttl(&self) -> u64 {
        // In insecure mode nothing expires, and who asks for credentials then would be closed for having none.
        if self.insecure { 0 } else { self.lifetime_s }
    }
}
