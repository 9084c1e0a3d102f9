//! Whom a node trusts where it speaks TLS with Redis, and what it shows of itself.
//!
//! Invariant: the files are read for each new connection, so that certificates may be renewed while a node runs; an
//! authority of one's own takes the place of the public ones.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, crypto};

/// PEM files; none: the public authorities, and nothing is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificates {
    /// Authorities to trust.
    pub ca: Option<PathBuf>,
    /// This node's certificate chain and its key.
    pub own: Option<(PathBuf, PathBuf)>,
}

/// The files cannot be used.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum CertificateError {
    /// A file cannot be read as PEM.
    #[error("cannot read {} as PEM: {source}", path.display())]
    Read {
        /// The setting that names it.
        setting: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// There is no certificate in it.
    #[error("{} has no certificate in it: it should have lines from BEGIN CERTIFICATE to END CERTIFICATE", path.display())]
    Empty {
        /// The setting that names it.
        setting: &'static str,
        /// Which.
        path: PathBuf,
    },
    /// Key and certificate do not belong together, or are of a kind that is not supported.
    #[error("certificate and key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
    /// Neither a file nor the system has authorities.
    #[error(
        "this system has no public authorities: name a file with FOGHORN_REDIS_CA, or install ca-certificates"
    )]
    NoAuthorities,
}

impl CertificateError {
    /// The error's short name.
    pub fn label(&self) -> &'static str {
        self.into()
    }

    /// The setting to change.
    pub fn setting(&self) -> &'static str {
        match self {
            Self::Read { setting, .. } | Self::Empty { setting, .. } => setting,
            Self::Unusable(_) => "FOGHORN_REDIS_CERT",
            Self::NoAuthorities => "FOGHORN_REDIS_CA",
        }
    }
}

impl Certificates {
    /// Looks whether the files that are named can be used.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn check(&self) -> Result<(), CertificateError> {
        if self.ca.is_some() || self.own.is_some() {
            self.client_config().map(drop)
        } else {
            Ok(())
        }
    }

    /// What a connection is made with.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub(super) fn client_config(&self) -> Result<ClientConfig, CertificateError> {
        let provider = Arc::new(crypto::ring::default_provider());
        let builder =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let builder = builder.with_root_certificates(self.authorities()?);
        let Some((cert, key)) = &self.own else {
            return Ok(builder.with_no_client_auth());
        };
        let chain = chain("FOGHORN_REDIS_CERT", cert)?;
        let failed = |source| CertificateError::Read {
            setting: "FOGHORN_REDIS_KEY",
            path: key.clone(),
            source,
        };
        let key = PrivateKeyDer::from_pem_file(key).map_err(failed)?;
        Ok(builder.with_client_auth_cert(chain, key)?)
    }

    fn authorities(&self) -> Result<RootCertStore, CertificateError> {
        let mut roots = RootCertStore::empty();
        let Some(ca) = &self.ca else {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            return if roots.is_empty() && self.own.is_none() {
                Err(CertificateError::NoAuthorities)
            } else {
                Ok(roots)
            };
        };
        for authority in chain("FOGHORN_REDIS_CA", ca)? {
            roots.add(authority)?;
        }
        Ok(roots)
    }
}

/// The certificates in a file, one at least.
fn chain(
    setting: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|source| CertificateError::Read {
        setting,
        path: path.to_owned(),
        source,
    })?;
    if found.is_empty() {
        return Err(CertificateError::Empty {
            setting,
            path: path.to_owned(),
        });
    }
    Ok(found)
}
