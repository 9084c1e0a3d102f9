//! Where a node listens: all of it is bound before anything else is begun.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

use super::AppError;
use super::bind::{bind, local};
use super::error::OPS_ADDR;
use super::ports::Own;
use crate::config::Config;
use crate::listen::tls::{Speaks, Tls};

/// The settings that name the clients' port.
const CLIENTS: &str = "NOTIFICATION_SERVER_HOST, NOTIFICATION_SERVER_PORT";
/// The settings that name the operators' certificate.
const OPS_TLS: &str = "FOGHORN_OPS_TLS_CERT, FOGHORN_OPS_TLS_KEY";

/// Bound, and nobody let in yet.
pub(super) struct Doors {
    pub(super) clients: TcpListener,
    pub(super) operators: TcpListener,
    /// What operators' connections are encrypted with.
    pub(super) tls: Option<Arc<Tls>>,
    /// Dialects' own ports.
    pub(super) own: Own,
}

impl Doors {
    /// Binds what `config` names.
    pub async fn open(config: &Config) -> Result<Self, AppError> {
        let (http, ops) = (&config.http, config.ops_addr);
        let clients = bind(&http.host, http.port, CLIENTS).await?;
        let operators = bind(&ops.ip().to_string(), ops.port(), OPS_ADDR).await?;
        let tls = config.ops.tls.as_ref();
        let tls = tls.map(|(cert, key)| Tls::load(cert, key, Speaks::Http1));
        let failed = |source| AppError::Tls {
            setting: OPS_TLS,
            source,
        };
        Ok(Self {
            clients,
            operators,
            tls: tls.transpose().map_err(failed)?,
            own: Own::bind(config).await?,
        })
    }

    /// Where clients come in, and where operators do.
    pub fn addresses(&self) -> (SocketAddr, SocketAddr) {
        (local(&self.clients), local(&self.operators))
    }

    /// All certificates that are used.
    pub fn certificates(&self) -> Vec<Arc<Tls>> {
        self.own.certificates().chain(self.tls.clone()).collect()
    }
}
