//! Where to aim: URLs resolved once, and refused unless they are this machine's own.
//!
//! Invariant: nothing is ever connected to that did not pass [`Target::parse`].

use serde::{Deserialize, Serialize};
use std::net::{SocketAddr, ToSocketAddrs};

/// One server to talk to.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Target {
    /// Its address.
    pub addr: SocketAddr,
    /// What goes into `Host`.
    pub host: String,
    /// Where clients connect, without a slash at the end; events go to this and `/events`.
    pub path: String,
}

/// Why a URL cannot be a target.
#[derive(Debug, thiserror::Error)]
pub enum Bad {
    /// Not a URL with a host.
    #[error("{0:?} is not a URL like http://127.0.0.1:8083: {1}")]
    Url(String, String),
    /// TLS would measure TLS.
    #[error("{0:?}: only http:// (or ws://) is spoken; TLS ends at the proxy")]
    Scheme(String),
    /// The name has no address.
    #[error("{0:?} does not resolve: {1}")]
    Resolve(String, std::io::Error),
    /// An address that is not loopback.
    #[error(
        "{0:?} is {1}, not this machine's loopback. A load generator aimed at somebody else's server is an attack. \
         If that host is yours, say --i-own-this-host"
    )]
    NotLoopback(String, SocketAddr),
}

impl Target {
    /// Resolves `text`; refuses an address that is not loopback unless `owned`.
    ///
    /// # Errors
    /// When it is no plain HTTP URL, has no address, or points away from this machine.
    pub fn parse(text: &str, owned: bool) -> Result<Self, Bad> {
        let bad = |e: &str| Bad::Url(text.into(), e.into());
        let url = url::Url::parse(text).map_err(|e| bad(&e.to_string()))?;
        if !matches!(url.scheme(), "http" | "ws") {
            return Err(Bad::Scheme(text.into()));
        }
        let host = url.host_str().ok_or_else(|| bad("no host"))?;
        let port = url.port().unwrap_or(80);
        // Brackets are a URL's way to write IPv6; the resolver wants none.
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let found: Vec<SocketAddr> = (bare, port)
            .to_socket_addrs()
            .map_err(|e| Bad::Resolve(text.into(), e))?
            .collect();
        if let Some(away) = found.iter().find(|a| !owned && !a.ip().is_loopback()) {
            return Err(Bad::NotLoopback(text.into(), *away));
        }
        let addr = found
            .iter()
            .find(|a| a.is_ipv4())
            .or(found.first())
            .copied();
        let addr = addr.ok_or_else(|| bad("it has no address"))?;
        Ok(Self {
            addr,
            host: format!("{host}:{port}"),
            path: url.path().trim_end_matches('/').to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_taken_in_all_its_spellings() {
        for (url, path) in [
            ("http://127.0.0.1:8083", ""),
            ("ws://127.0.0.9:8083/", ""),
            ("http://localhost:8083/notification", "/notification"),
            ("http://[::1]:8083/notification/", "/notification"),
        ] {
            let t = Target::parse(url, false).expect(url);
            assert!(t.addr.ip().is_loopback() && t.addr.port() == 8083, "{t:?}");
            assert_eq!(t.path, path);
        }
    }

    #[test]
    fn other_hosts_are_refused_unless_owned() {
        assert!(matches!(
            Target::parse("http://192.0.2.1:80", false),
            Err(Bad::NotLoopback(..))
        ));
        assert!(Target::parse("http://192.0.2.1:80", true).is_ok());
        assert!(matches!(
            Target::parse("https://127.0.0.1", false),
            Err(Bad::Scheme(_))
        ));
        assert!(matches!(
            Target::parse("127.0.0.1:8083", false),
            Err(Bad::Url(..) | Bad::Scheme(_))
        ));
    }
}
