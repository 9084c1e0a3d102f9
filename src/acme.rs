//! Certificates that are ordered from an authority by ACME (RFC 8555), one for each host, and again before they end.
//!
//! * [`shown`]: what a handshake is shown, and what shows the authority that a host leads here.
//! * `keep`: when what is ordered. `order`: one order. `account`: as whom. `transport`: by which HTTP.
//! * `cache`: what outlives the process. `held`: a certificate with its key, and its time.
//!
//! Invariants: no handshake waits for an order, and a certificate stays in use until there is a newer one, whatever fails.
//! Keys are in memory and in the cache, which nobody else may read, and in no log.

mod account;
mod cache;
mod error;
mod held;
mod keep;
mod order;
pub mod shown;
mod transport;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use url::Url;

use self::cache::Cache;
pub use self::error::AcmeError;
use self::held::Held;
use self::shown::Shown;
use crate::drain::{self, Tasks};
use crate::files;

/// The directory of Let's Encrypt.
pub const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// What is ordered, and from whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Host names in small letters. Each gets a certificate of its own, so that one that cannot be had holds up no other.
    pub hosts: Vec<String>,
    /// Whose certificate a client gets that names no host; `None`: none.
    pub unnamed: Option<String>,
    /// The authority's directory.
    pub directory: Url,
    /// Those who vouch for the authority's own server, PEM; `None`: the authorities of this machine.
    pub trusted: Option<PathBuf>,
    /// The e-mail address that the authority may write to.
    pub email: Option<String>,
    /// Where account and certificates are kept; `None`: nowhere, so that each start orders all of them.
    pub cache: Option<PathBuf>,
    /// Host and port where the authority is shown by HTTP that a host leads here (`http-01`); `None`: it is shown at the port of
    /// the certificate itself (`tls-alpn-01`).
    pub http: Option<(String, u16)>,
}

impl Wanted {
    /// The folder of the cache that is this authority's: certificates of one that is only tried out are not taken for another's.
    fn folder(&self) -> Option<PathBuf> {
        let cache = self.cache.as_ref()?;
        if self.directory.as_str() == LETS_ENCRYPT {
            return Some(cache.clone());
        }
        let url = self.directory.as_str().trim_start_matches("https://");
        let plain = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
        Some(cache.join(url.replace(|c| !plain(c), "_")))
    }

    /// What would fail at the start: the folder of the cache, and the file of those who are trusted. Nothing is changed.
    ///
    /// # Errors
    /// [`AcmeError::Cache`], [`AcmeError::Trusted`].
    pub fn examine(&self) -> Result<(), AcmeError> {
        self.authorities()?;
        self.folder()
            .map_or(Ok(()), |folder| cache::examine(&folder))
    }

    fn authorities(&self) -> Result<Option<Vec<CertificateDer<'static>>>, AcmeError> {
        self.trusted.as_deref().map(authorities).transpose()
    }
}

fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, AcmeError> {
    let unusable = |why: String| AcmeError::Trusted {
        path: path.to_owned(),
        why,
    };
    let pem = files::read(path).map_err(|error| unusable(error.to_string()))?;
    let found = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(unusable("there is no certificate in it".into())),
        Err(error) => Err(unusable(error.to_string())),
    }
}

/// The certificates of one [`Wanted`], for all ports that show them.
pub struct Acme {
    wanted: Wanted,
    authorities: Option<Vec<CertificateDer<'static>>>,
    cache: Cache,
    shown: Arc<Shown>,
    /// What is wrong now, by host.
    failing: Mutex<BTreeMap<String, String>>,
    /// Somebody wants what failed to be tried now.
    now: Notify,
}

impl Acme {
    /// Takes from the cache what there is. Nothing is ordered yet.
    ///
    /// # Errors
    /// As [`Wanted::examine`]. A file of the cache that cannot be used is logged, and its certificate will be ordered.
    pub fn open(wanted: &Wanted) -> Result<Arc<Self>, AcmeError> {
        let acme = Self {
            authorities: wanted.authorities()?,
            cache: Cache::open(wanted.folder())?,
            shown: Arc::new(Shown::new(&wanted.hosts, wanted.unnamed.clone())),
            failing: Mutex::default(),
            now: Notify::new(),
            wanted: wanted.clone(),
        };
        for host in &wanted.hosts {
            if let Some(held) = acme.cached(host) {
                tracing::info!(%host, "certificate taken from the cache");
                acme.shown.show(host, held);
            }
        }
        Ok(Arc::new(acme))
    }

    /// Orders what is missing, and what ends, from now on.
    pub fn start(self: &Arc<Self>, tasks: &Tasks) {
        let (acme, inner) = (Arc::clone(self), tasks.clone());
        tasks.spawn("certificates", async move {
            tokio::select! {
                () = keep::keep(&acme) => {}
                () = inner.stopped() => {}
            }
        });
    }

    /// What is ordered.
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// What handshakes are shown.
    pub fn shown(&self) -> &Arc<Shown> {
        &self.shown
    }

    /// Tries now what failed.
    pub fn try_again(&self) {
        self.now.notify_one();
    }

    /// Hosts whose certificate could not be ordered, each with why, for a person.
    pub fn failing(&self) -> Vec<String> {
        let failing = self.failing.lock();
        let told = failing.iter().map(|(host, why)| format!("{host}: {why}"));
        told.collect()
    }

    /// The certificate of `host` that the cache has. This blocks as a file does.
    fn cached(&self, host: &str) -> Option<Held> {
        let pem = self.kept(host)?;
        let held = Held::read(&pem);
        held.inspect_err(|error| not_taken(host, error)).ok()
    }

    /// What the cache has by this name. This blocks as a file does.
    fn kept(&self, name: &str) -> Option<Vec<u8>> {
        let found = self.cache.load(name);
        found.inspect_err(|error| not_taken(name, error)).ok()?
    }

    /// Has the cache keep this by this name. Nobody waits for it.
    fn keep(self: &Arc<Self>, name: &str, bytes: Vec<u8>) {
        let (acme, name) = (Arc::clone(self), name.to_owned());
        let store = move || {
            if let Err(error) = acme.cache.store(&name, &bytes) {
                tell(&name, &error, "not kept");
            }
        };
        if let Err(error) = drain::aside("certificate", store) {
            tracing::error!(%error, "certificate not kept: it is ordered anew at the next start; see how many threads this user may have");
        }
    }

    /// Does what may block, where no task is held up by it; `None`: the system has no thread to give.
    async fn aside<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Option<T> {
        let (done, answer) = oneshot::channel();
        let acme = Arc::clone(self);
        let work = move || drop(done.send(work(&acme)));
        drain::aside("certificate", work).ok()?;
        answer.await.ok()
    }
}

fn not_taken(name: &str, error: &AcmeError) {
    tell(name, error, "not taken from the cache, and ordered anew");
}

fn tell(name: &str, error: &AcmeError, what: &str) {
    let advice = error.advice();
    tracing::error!(%name, %error, "certificate {what}: {advice}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(directory: &str) -> Wanted {
        Wanted {
            hosts: vec!["push.example.com".into()],
            unnamed: None,
            directory: directory.parse().expect("a URL"),
            trusted: None,
            email: None,
            cache: Some("/cache".into()),
            http: None,
        }
    }

    #[test]
    fn each_authority_has_a_cache_of_its_own_and_the_default_one_that_of_the_predecessor() {
        let folder = |directory| wanted(directory).folder().expect("a folder");
        assert_eq!(folder(LETS_ENCRYPT), Path::new("/cache"));
        assert_eq!(
            folder("https://127.0.0.1:14000/../dir"),
            Path::new("/cache/127.0.0.1_14000_dir")
        );
    }

    #[test]
    fn a_file_without_a_certificate_vouches_for_nobody() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let mut wanted = wanted(LETS_ENCRYPT);
        wanted.cache = None;
        wanted.trusted = Some(file.path().to_owned());
        let told = wanted.examine().expect_err("it is empty");
        assert_eq!(told.label(), "trusted");
        assert!(told.to_string().contains("no certificate in it"), "{told}");
    }
}
