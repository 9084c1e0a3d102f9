//! A node's ops address, for the commands that ask it something.
//!
//! Invariant: password and token come from the environment, as the node's own do, and are sent nowhere else.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use http::Request;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use crate::cli::terminal::runtime;
use crate::client::dial::Server;
use crate::client::exchange::{self, Answer};
use crate::config::{Sources, ops_access};

/// What has not been answered within this time will not be.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of an answer that are read.
const MOST: usize = 16 << 20;

/// Which node to ask.
#[derive(Debug, Args)]
pub(in crate::cli) struct NodeChoice {
    /// Ops address of another node, as https://10.0.0.11:8084; without it, the node of this machine (FOGHORN_OPS_ADDR)
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

impl NodeChoice {
    /// The node at this ops address, or that of this machine.
    pub fn at(url: Option<String>) -> Self {
        Self { url }
    }
}

/// The ops address of one node, and what opens it.
pub(in crate::cli) struct OpsAddress {
    server: Server,
    authorization: Option<String>,
}

impl OpsAddress {
    /// The address that was asked for. A password or token is taken from FOGHORN_OPS_PASSWORD, FOGHORN_OPS_TOKEN.
    ///
    /// # Errors
    /// What is wrong with the configuration or the URL, in a sentence.
    pub fn find(which: &NodeChoice, sources: &Sources) -> Result<Self, String> {
        let (address, ops) = ops_access(sources).map_err(|error| error.to_string())?;
        let server = match &which.url {
            Some(url) => Server::parse(url).map_err(|error| error.to_string())?,
            None => {
                let scheme = if ops.tls.is_some() { "https" } else { "http" };
                let server = Server::parse(&format!("{scheme}://{}", reachable(address)));
                let server = server.map_err(|error| error.to_string())?;
                match &ops.tls {
                    Some((file, _)) => server.pinned(
                        CertificateDer::from_pem_file(file)
                            .map_err(|error| format!("cannot read {}: {error}", file.display()))?,
                    ),
                    None => server,
                }
            }
        };
        let token = ops.token.map(|token| format!("Bearer {}", token.0));
        let password = ops.password.map(|password| {
            format!(
                "Basic {}",
                STANDARD.encode(format!("foghorn:{}", password.0))
            )
        });
        Ok(Self {
            server,
            authorization: token.or(password),
        })
    }

    /// Asks, and gives whatever is answered.
    ///
    /// # Errors
    /// There is no answer, in a sentence.
    pub fn ask(&self, path: &str, body: Option<&Value>) -> Result<Answer, String> {
        let runtime = runtime().map_err(|error| error.to_string())?;
        runtime.block_on(self.fetch(path, body))
    }

    async fn fetch(&self, path: &str, body: Option<&Value>) -> Result<Answer, String> {
        let mut request = match body {
            Some(body) => Request::post(path)
                .header(CONTENT_TYPE, "application/json")
                .body(body.to_string()),
            None => Request::get(path).body(String::new()),
        }
        .map_err(|error| error.to_string())?;
        if let Some(value) = self
            .authorization
            .as_ref()
            .and_then(|value| value.parse().ok())
        {
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        let answer = exchange::send_for(&self.server, request, PATIENCE, MOST).await;
        answer
            .map(|(answer, _)| answer)
            .map_err(|error| error.to_string())
    }

    /// Asks the JSON API.
    ///
    /// # Errors
    /// There is no answer, or a failure; in a sentence.
    pub fn json<T: DeserializeOwned>(&self, path: &str, body: Option<&Value>) -> Result<T, String> {
        let runtime = runtime().map_err(|error| error.to_string())?;
        runtime.block_on(self.fetch_json(path, body))
    }

    /// The same, for those who wait for other things too.
    ///
    /// # Errors
    /// As [`OpsAddress::json`].
    pub(in crate::cli) async fn fetch_json<T: DeserializeOwned>(
        &self,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, String> {
        let answer = self.fetch(path, body).await?;
        let said: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let authority = self.server.authority();
        if answer.status != 200 {
            let text = said["text"]
                .as_str()
                .unwrap_or("is that a node's ops address?");
            return Err(format!("{authority} answered {}: {text}", answer.status));
        }
        serde_json::from_value(said)
            .map_err(|_| format!("{authority} answered what is not understood here"))
    }

    /// Host and port.
    pub fn authority(&self) -> String {
        self.server.authority()
    }
}

/// Where a node that listens on `address` is reached from its own machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_means_all_is_asked_on_loopback() {
        for (listens, asked) in [
            ("0.0.0.0:8084", "127.0.0.1:8084"),
            ("[::]:1", "127.0.0.1:1"),
            ("10.0.0.11:8084", "10.0.0.11:8084"),
        ] {
            assert_eq!(reachable(listens.parse().unwrap()), asked.parse().unwrap());
        }
    }
}
