//! The HTTP/1.1 client with which this program talks to other servers: nodes, collectors of traces, whatever a command is pointed
//! at.
//!
//! Invariant: a server's certificate is always checked, against the authorities of this machine or against the one
//! certificate that the node of this machine is known to have.

pub mod dial;
pub mod exchange;
mod pinned;

use std::io;

use tokio_rustls::rustls;

use crate::fault::words;

/// Talking to a server failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address given is none.
    #[error(
        "{url:?} should be the address of a server, such as http://127.0.0.1:8083 or https://push.example.com/notification"
    )]
    Url {
        /// What was given.
        url: String,
    },
    /// It cannot be connected to.
    #[error("cannot connect to {authority}: {}", words(.source))]
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
    #[error("{authority} does not answer as an HTTP server does: {}", http(.source))]
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

impl ClientError {
    /// A connection broke. TLS faults may show only then: a server looks at a client's certificate after the client has
    /// begun to talk.
    pub fn broken(authority: String, source: hyper::Error) -> Self {
        let tls = io_error(&source).and_then(|error| {
            Some((
                error.kind(),
                error.get_ref()?.downcast_ref::<rustls::Error>()?,
            ))
        });
        match tls {
            Some((kind, fault)) => Self::Connect {
                authority,
                source: io::Error::new(kind, fault.clone()),
            },
            None => Self::Http { authority, source },
        }
    }
}

/// What the system said, where it did: an error may be wrapped in one that says that the request was given up.
fn io_error(error: &hyper::Error) -> Option<&io::Error> {
    let mut inner = std::error::Error::source(error);
    while let Some(cause) = inner {
        if let Some(found) = cause.downcast_ref() {
            return Some(found);
        }
        inner = cause.source();
    }
    None
}

fn http(error: &hyper::Error) -> String {
    io_error(error).map_or_else(|| error.to_string(), words)
}
