//! The ports that dialects have to themselves.
//!
//! Invariant: all of them are bound, and their certificates read, before anything of the node runs, so that a node that
//! cannot have one of them does not start at all.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

use super::AppError;
use super::bind::{bind, local};
use crate::admission::Admission;
use crate::config::Config;
use crate::dialect::{Dialect, Port};
use crate::drain::Tasks;
use crate::headroom::Headroom;
use crate::headroom::descriptors::DescriptorShare;
use crate::listen::tls::{Speaks, Tls};
use crate::listen::{Common, Server};

/// A port that is listened on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenPort {
    /// Whose it is.
    pub dialect: &'static str,
    /// What its dialect calls it.
    pub name: &'static str,
    /// Where it is.
    pub address: SocketAddr,
}

/// A port that is bound, and not served yet.
pub(super) struct Bound {
    open: OpenPort,
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
}

/// Binds what the dialects of `config` want.
pub(super) async fn bind_all(config: &Config) -> Result<Vec<Bound>, AppError> {
    let mut bound = Vec::new();
    for (dialect, port) in &config.ports {
        bound.push(bind_one(dialect, port).await?);
    }
    Ok(bound)
}

async fn bind_one(dialect: &'static str, port: &Port) -> Result<Bound, AppError> {
    let failed = |source| AppError::Tls {
        setting: port.setting,
        source,
    };
    let tls = port
        .tls
        .as_ref()
        .map(|(certificate, key)| Tls::load(certificate, key, Speaks::Http2));
    let tls = tls.transpose().map_err(failed)?;
    let listener = bind(&port.host, port.port, port.setting).await?;
    Ok(Bound {
        open: OpenPort {
            dialect,
            name: port.name,
            address: local(&listener),
        },
        listener,
        tls,
    })
}

/// What all of these ports have in common with the clients' port.
pub(super) struct Front<'a> {
    pub(super) admission: &'a Arc<Admission>,
    pub(super) share: DescriptorShare,
    pub(super) headroom: &'a Arc<Headroom>,
    pub(super) common: &'a Common,
    pub(super) tasks: &'a Tasks,
}

impl Front<'_> {
    /// Serves `bound`, each by its dialect.
    pub(super) fn serve(&self, bound: Vec<Bound>, dialects: &[Arc<dyn Dialect>]) {
        for Bound {
            open,
            listener,
            tls,
        } in bound
        {
            let Some(dialect) = dialects
                .iter()
                .find(|dialect| dialect.name() == open.dialect)
            else {
                continue;
            };
            let router = Arc::clone(dialect).router(open.name);
            let (dialect, port, address, encrypted) =
                (open.dialect, open.name, open.address, tls.is_some());
            tracing::info!(dialect, port, %address, encrypted, "serving a port of its own");
            Server::new(router, Arc::clone(self.admission), self.share, self.common)
                .telling(self.headroom)
                .with_http2()
                .run_with(listener, tls, self.tasks);
        }
    }
}

/// Where they are.
pub(super) fn open(bound: &[Bound]) -> Vec<OpenPort> {
    bound.iter().map(|bound| bound.open).collect()
}

/// Their certificates.
pub(super) fn certificates(bound: &[Bound]) -> impl Iterator<Item = Arc<Tls>> {
    bound.iter().filter_map(|bound| bound.tls.clone())
}
