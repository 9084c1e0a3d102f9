//! The ports that dialects have to themselves.
//!
//! Invariant: all of them are bound, and their certificates read, before anything of the node runs, so that a node that
//! cannot have one of them does not start at all. What is ordered comes when it comes.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;

use super::AppError;
use super::bind::{bind, local};
use crate::acme::{Acme, Wanted, shown};
use crate::admission::Admission;
use crate::config::Config;
use crate::dialect::{Certificate, Dialect, Port};
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

/// Certificates that are ordered, for all ports that want the same.
pub(super) struct Ordered {
    acme: Arc<Acme>,
    /// Where the authority is shown something by HTTP.
    http: Option<TcpListener>,
}

/// All that is bound for dialects.
#[derive(Default)]
pub(super) struct Own {
    ports: Vec<Bound>,
    ordered: Vec<Ordered>,
}

impl Own {
    /// Binds what the dialects of `config` want.
    pub(super) async fn bind(config: &Config) -> Result<Self, AppError> {
        let mut own = Self::default();
        for (dialect, port) in &config.ports {
            let tls = own.tls(port).await?;
            let listener = bind(&port.host, port.port, port.setting).await?;
            let open = OpenPort {
                dialect,
                name: port.name,
                address: local(&listener),
            };
            own.ports.push(Bound {
                open,
                listener,
                tls,
            });
        }
        Ok(own)
    }

    async fn tls(&mut self, port: &Port) -> Result<Option<Arc<Tls>>, AppError> {
        let tls = match &port.tls {
            None => return Ok(None),
            Some(Certificate::Files(chain, key)) => Tls::load(chain, key, Speaks::Http2),
            Some(Certificate::Ordered(wanted)) => {
                let acme = self.order(wanted, port.setting).await?;
                Tls::ordered(&acme, Speaks::Http2)
            }
        };
        tls.map(Some).map_err(|source| AppError::Tls {
            setting: port.setting,
            source,
        })
    }

    async fn order(
        &mut self,
        wanted: &Wanted,
        setting: &'static str,
    ) -> Result<Arc<Acme>, AppError> {
        let known = self.ordered.iter().map(|ordered| &ordered.acme);
        if let Some(acme) = known.into_iter().find(|acme| acme.wanted() == wanted) {
            return Ok(Arc::clone(acme));
        }
        let acme = Acme::open(wanted).map_err(|source| AppError::Acme { setting, source })?;
        let http = match &wanted.http {
            Some((host, port)) => Some(bind(host, *port, setting).await?),
            None => None,
        };
        self.ordered.push(Ordered {
            acme: Arc::clone(&acme),
            http,
        });
        Ok(acme)
    }

    /// Where they are.
    pub(super) fn open(&self) -> Vec<OpenPort> {
        self.ports.iter().map(|bound| bound.open).collect()
    }

    /// Their certificates.
    pub(super) fn certificates(&self) -> impl Iterator<Item = Arc<Tls>> {
        self.ports.iter().filter_map(|bound| bound.tls.clone())
    }

    /// What of them is ordered.
    pub(super) fn ordered(&self) -> Vec<Arc<Acme>> {
        let ordered = self.ordered.iter();
        ordered.map(|ordered| Arc::clone(&ordered.acme)).collect()
    }
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
    /// Serves what is bound, each port by its dialect, and orders what is wanted.
    pub(super) fn serve(&self, own: Own, dialects: &[Arc<dyn Dialect>]) {
        for Bound {
            open,
            listener,
            tls,
        } in own.ports
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
            self.server(router)
                .with_http2()
                .run_with(listener, tls, self.tasks);
        }
        for Ordered { acme, http } in own.ordered {
            if let Some(listener) = http {
                let address = local(&listener);
                tracing::info!(%address, "serving what the authority of certificates looks for");
                self.server(shown::router(acme.shown()))
                    .run(listener, self.tasks);
            }
            acme.start(self.tasks);
        }
    }

    fn server(&self, router: Router) -> Server {
        Server::new(router, Arc::clone(self.admission), self.share, self.common)
            .telling(self.headroom)
    }
}
