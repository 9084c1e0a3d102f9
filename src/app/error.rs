//! Why a node does not start, in words for whoever has to change a setting.
//!
//! Invariant: the setting to change is named.

use std::io;

use crate::acme::AcmeError;
use crate::broker::redis;
use crate::dialect::{PathConflict, StartError};
use crate::listen::tls::TlsError;

/// The setting that names the ops address.
pub(super) const OPS_ADDR: &str = "FOGHORN_OPS_ADDR";

/// Why a node does not start, or stops.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum AppError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address} ({setting}): {source}{}", hint(.source, .setting))]
    Bind {
        /// Host and port, as configured.
        address: String,
        /// The setting that names it.
        setting: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// A certificate cannot be used.
    #[error("{setting}: {source}")]
    Tls {
        /// The settings that name it, or the one that names its address.
        setting: &'static str,
        /// Why not.
        source: TlsError,
    },
    /// Nothing can be ordered.
    #[error("{setting}: certificates cannot be ordered: {source}")]
    Acme {
        /// The setting that names what is ordered.
        setting: &'static str,
        /// Why not.
        source: AcmeError,
    },
    /// A dialect does not start.
    #[error("{dialect}: {source}")]
    Dialect {
        /// Which.
        dialect: &'static str,
        /// Why not.
        source: StartError,
    },
    /// Two dialects get in each other's way.
    #[error(transparent)]
    Paths(#[from] PathConflict),
    /// The broker's settings do not fit together.
    #[error(transparent)]
    Broker(#[from] redis::ConfigFault),
}

impl AppError {
    /// A word for it.
    pub fn label(&self) -> &'static str {
        self.into()
    }
}

fn hint(error: &io::Error, setting: &str) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse if setting == OPS_ADDR => {
            ": another program has this port, as the metadata and thumbnail servers beside it have 8084: give FOGHORN_OPS_ADDR another one, such as 127.0.0.1:9084, and tell the proxy and Prometheus, which ask there"
        }
        io::ErrorKind::AddrInUse => {
            ": another program has this port; is the upstream notification server still running?"
        }
        io::ErrorKind::TimedOut => {
            ": write an IP address, or look at the name server of this machine"
        }
        io::ErrorKind::PermissionDenied => {
            ": ports below 1024 need the capability CAP_NET_BIND_SERVICE"
        }
        io::ErrorKind::AddrNotAvailable => ": no interface of this machine has this address",
        _ => "",
    }
}
