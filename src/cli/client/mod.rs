//! The little client that `publish`, `tail`, `demo` and `doctor` talk to servers with.
//!
//! Invariant: a server's certificate is always checked, against the authorities of this machine or against the one
//! certificate that the node of this machine is known to have.

pub mod dial;
pub mod exchange;
pub mod ops;
mod pinned;
pub mod post;

use std::time::Duration;

/// What has not happened within this time does not happen.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Talking to a server failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address given is none.
    #[error(
        "{url:?} should be the address of a server, such as http://127.0.0.1:8083 or https://seafile.example.com/notification"
    )]
    Url {
        /// What was given.
        url: String,
    },
    /// It cannot be connected to.
    #[error("cannot connect to {authority}: {source}")]
    Connect {
        /// Host and port.
        authority: String,
        /// Why.
        source: std::io::Error,
    },
    /// TLS cannot be set up at all.
    #[error("TLS cannot be used: {0}")]
    Tls(String),
    /// HTTP went wrong.
    #[error("{authority} does not answer as an HTTP server does: {source}")]
    Http {
        /// Host and port.
        authority: String,
        /// Why.
        source: hyper::Error,
    },
    /// WebSocket went wrong.
    #[error("no WebSocket: {0}")]
    WebSocket(String),
    /// Nothing came in time.
    #[error("no answer from {0} within {1} s")]
    Timeout(String, u64),
}
