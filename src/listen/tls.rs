//! TLS of a listener, with its certificate read again when the files change, or with certificates that are [ordered](crate::acme).
//!
//! Invariant: a change that cannot be used is logged and leaves what was in force; no handshake waits for another, and none
//! for a file.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use ::metrics::counter;
use parking_lot::RwLock;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WantsServerCert;
use tokio_rustls::rustls::{self, ConfigBuilder, ServerConfig, crypto};
use tokio_rustls::server::TlsStream;

use crate::acme::Acme;
use crate::acme::shown::PROOF;
use crate::unfinished::metered::Below;
use crate::{drain, files, metrics};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The files cannot be used.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum TlsError {
    /// One of them cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// One of them is not what it should be.
    #[error("cannot read {}: {source}", path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// Nothing can watch them.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    /// Key and certificate do not belong together, or are of a kind that is not supported.
    #[error("certificate and key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

impl TlsError {
    /// A word for it.
    pub fn label(&self) -> &'static str {
        self.into()
    }
}

/// Where the certificate chain and the key are, in PEM.
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    speaks: Speaks,
}

/// What tells one version of the files from another.
type Stamp = [Option<(SystemTime, u64, u64)>; 2];

/// What is spoken behind the encryption, as ALPN calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 and HTTP/1.1.
    Http2,
}

/// What both sides agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Agreed {
    /// HTTP/1.1, or nothing, which is the same.
    Http1,
    /// HTTP/2.
    Http2,
    /// Nothing is said: an authority has seen what it looked for.
    Proof,
}

/// What is spoken on this connection.
pub(super) fn agreed(stream: &TlsStream<Below<TcpStream>>) -> Agreed {
    match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Agreed::Http2,
        Some(PROOF) => Agreed::Proof,
        _ => Agreed::Http1,
    }
}

/// Where certificates come from.
enum Source {
    Files(Files),
    Ordered,
}

/// See the module's description.
pub struct Tls {
    source: Source,
    config: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads the files, and from now on looks at them every second, for as long as somebody has this.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn load(certificate: &Path, key: &Path, speaks: Speaks) -> Result<Arc<Self>, TlsError> {
        let files = Files {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            speaks,
        };
        let stamp = files.stamp();
        let config = RwLock::new(files.read()?);
        let source = Source::Files(files);
        let tls = Arc::new(Self { source, config });
        let watched = Arc::downgrade(&tls);
        // Looking at a file may hang: no task does it.
        drain::aside("certificate", move || watch(&watched, stamp)).map_err(TlsError::Thread)?;
        Ok(tls)
    }

    /// Shows what is ordered, as soon as it is there.
    ///
    /// # Errors
    /// [`TlsError::Unusable`].
    pub fn ordered(acme: &Arc<Acme>, speaks: Speaks) -> Result<Arc<Self>, TlsError> {
        let mut config = builder()?.with_cert_resolver(Arc::clone(acme.shown()) as _);
        config.alpn_protocols = speaks.names();
        config.alpn_protocols.push(PROOF.to_vec());
        Ok(Arc::new(Self {
            source: Source::Ordered,
            config: RwLock::new(Arc::new(config)),
        }))
    }

    /// Does a server's part of the handshake.
    ///
    /// # Errors
    /// The peer's, or the socket's.
    pub async fn accept(
        &self,
        stream: Below<TcpStream>,
    ) -> io::Result<TlsStream<Below<TcpStream>>> {
        TlsAcceptor::from(self.config()).accept(stream).await
    }

    fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config.read())
    }

    /// Reads the files now, on a thread of its own, whether they have changed or not; what is ordered has none. Connections
    /// that there are keep the certificate that they were made with.
    pub fn reload(self: &Arc<Self>) {
        if matches!(self.source, Source::Ordered) {
            return;
        }
        let tls = Arc::clone(self);
        let look = move || {
            tls.look(None);
        };
        if let Err(error) = drain::aside("certificate", look) {
            refused(&TlsError::Thread(error));
        }
    }

    /// Reads the files again, but where they are as they were `seen`. Returns how they are.
    fn look(&self, seen: Option<Stamp>) -> Option<Stamp> {
        let Source::Files(files) = &self.source else {
            return None;
        };
        let stamp = files.stamp();
        if seen == Some(stamp) {
            return seen;
        }
        match files.read() {
            Ok(config) => {
                *self.config.write() = config;
                counter!(metrics::CERTIFICATE_READS, "result" => "ok").increment(1);
                tracing::info!(file = %files.certificate.display(), "certificate read again");
            }
            Err(error) => refused(&error),
        }
        Some(stamp)
    }
}

fn refused(error: &TlsError) {
    counter!(metrics::CERTIFICATE_READS, "result" => error.label()).increment(1);
    tracing::error!(%error, "certificate not read again: the former one stays in use");
}

fn watch(tls: &Weak<Tls>, stamp: Stamp) {
    let mut seen = Some(stamp);
    while seen.is_some() {
        std::thread::sleep(LOOK_EVERY);
        let Some(tls) = tls.upgrade() else { return };
        seen = tls.look(seen);
    }
}

impl Speaks {
    /// As ALPN has them, the best first. A peer that offers none of these is refused, and curl offers the last one alone where
    /// it is told to.
    fn names(self) -> Vec<Vec<u8>> {
        let names: &[&[u8]] = match self {
            Self::Http1 => &[b"http/1.1", b"http/1.0"],
            Self::Http2 => &[b"h2", b"http/1.1", b"http/1.0"],
        };
        names.iter().map(|name| name.to_vec()).collect()
    }
}

fn builder() -> Result<ConfigBuilder<ServerConfig, WantsServerCert>, rustls::Error> {
    let provider = Arc::new(crypto::ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_no_client_auth())
}

impl Files {
    fn stamp(&self) -> Stamp {
        [&self.certificate, &self.key].map(|path| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
        })
    }

    fn read(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let read = |path: &Path| {
            files::read(path).map_err(|source| TlsError::Read {
                path: path.to_owned(),
                source,
            })
        };
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| TlsError::Pem { path, source }
        };
        let chain = CertificateDer::pem_slice_iter(&read(&self.certificate)?)
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed(&self.certificate))?;
        let key = PrivateKeyDer::from_pem_slice(&read(&self.key)?).map_err(failed(&self.key))?;
        let mut config = builder()?.with_single_cert(chain, key)?;
        config.alpn_protocols = self.speaks.names();
        Ok(Arc::new(config))
    }
}
