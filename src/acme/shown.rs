//! What handshakes are shown: the certificate of the host that the client names; and, for as long as an order looks for it,
//! what shows the authority that the host leads here: by TLS (`tls-alpn-01`, RFC 8737) or by HTTP (`http-01`, RFC 8555, 8.3).
//!
//! Invariant: a handshake looks into memory, and waits for nothing.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CONTENT_TYPE, HOST, LOCATION};
use http::{HeaderMap, Method, StatusCode, Uri};
use instant_acme::{ChallengeType, KeyAuthorization};
use parking_lot::RwLock;
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

use super::AcmeError;
use super::held::Held;
use crate::event::now_ms;
use crate::throttle::{Throttle, and_more};

/// What the authority calls TLS that it only looks through. Nothing is said on such a connection.
pub const PROOF: &[u8] = b"acme-tls/1";

/// See the module.
pub struct Shown {
    hosts: Vec<String>,
    unnamed: Option<String>,
    held: RwLock<HashMap<String, Held>>,
    /// By host.
    by_tls: RwLock<HashMap<String, Arc<CertifiedKey>>>,
    /// By token.
    by_http: RwLock<HashMap<String, String>>,
    warnings: Throttle,
}

impl Shown {
    /// No certificates yet.
    pub(super) fn new(hosts: &[String], unnamed: Option<String>) -> Self {
        Self {
            hosts: hosts.to_vec(),
            unnamed,
            held: RwLock::default(),
            by_tls: RwLock::default(),
            by_http: RwLock::default(),
            warnings: Throttle::minutely(),
        }
    }

    /// From now on this is the certificate of `host`.
    pub(super) fn show(&self, host: &str, held: Held) {
        self.held.write().insert(host.to_owned(), held);
    }

    /// Until when the certificate of `host` is good, Unix milliseconds; 0: there is none.
    pub(super) fn until_ms(&self, host: &str) -> u64 {
        self.held.read().get(host).map_or(0, |held| held.until_ms)
    }

    /// When the certificate of `host` is ordered again, likewise.
    pub(super) fn renewed_ms(&self, host: &str) -> u64 {
        self.held.read().get(host).map_or(0, Held::renewed_ms)
    }

    /// Shows the authority that `host` leads here, until what is returned is dropped.
    ///
    /// # Errors
    /// [`AcmeError::Protocol`].
    pub(super) fn prove(
        &self,
        kind: &ChallengeType,
        host: &str,
        token: &str,
        wanted: &KeyAuthorization,
    ) -> Result<Proof<'_>, AcmeError> {
        if *kind == ChallengeType::Http01 {
            let text = wanted.as_str().to_owned();
            self.by_http.write().insert(token.to_owned(), text);
        } else {
            let certificate = certificate(host, wanted.digest().as_ref());
            let certificate =
                certificate.map_err(|error| AcmeError::Protocol(error.to_string()))?;
            self.by_tls.write().insert(host.to_owned(), certificate);
        }
        Ok(Proof {
            shown: self,
            host: host.to_owned(),
            token: token.to_owned(),
        })
    }

    fn certificate_of(&self, host: &str) -> Option<Arc<CertifiedKey>> {
        let held = self.held.read().get(host).map(|held| Arc::clone(&held.key));
        // Who asks for another host is a stranger.
        if held.is_none()
            && self.hosts.iter().any(|known| known == host)
            && let Some(unsaid) = self.warnings.say("none", now_ms())
        {
            let more = and_more(unsaid);
            tracing::warn!(
                %host,
                "a client could not be let in: there is no certificate yet, and `/readyz` says why where its order failed{more}"
            );
        }
        held
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let host = hello.server_name();
        // An authority offers that and nothing else (RFC 8737, 3).
        if hello.alpn().is_some_and(|offered| offered.eq([PROOF])) {
            return self.by_tls.read().get(host?).cloned();
        }
        self.certificate_of(host.or(self.unnamed.as_deref())?)
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shown({:?})", self.hosts)
    }
}

/// The certificate that shows `wanted` (RFC 8737, 3): good for this, and refused by every client.
fn certificate(host: &str, wanted: &[u8]) -> Result<Arc<CertifiedKey>, Box<dyn std::error::Error>> {
    let mut params = CertificateParams::new(vec![host.to_owned()])?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(wanted)];
    let key = KeyPair::generate()?;
    let chain = vec![params.self_signed(&key)?.der().clone()];
    let key = ring::default_provider()
        .key_provider
        .load_private_key(key.into())?;
    Ok(Arc::new(CertifiedKey::new(chain, key)))
}

/// Shows the authority that a host leads here, for as long as this is there.
pub(super) struct Proof<'a> {
    shown: &'a Shown,
    host: String,
    token: String,
}

impl Drop for Proof<'_> {
    fn drop(&mut self) {
        self.shown.by_tls.write().remove(&self.host);
        self.shown.by_http.write().remove(&self.token);
    }
}

/// What is served by plain HTTP: what the authority looks for, and the way to TLS for everybody else.
pub fn router(shown: &Arc<Shown>) -> Router {
    Router::new()
        .route("/.well-known/acme-challenge/{token}", get(proof))
        .fallback(elsewhere)
        .with_state(Arc::clone(shown))
}

async fn proof(State(shown): State<Arc<Shown>>, Path(token): Path<String>) -> Response {
    match shown.by_http.read().get(&token) {
        Some(text) => {
            let kind = [(CONTENT_TYPE, "application/octet-stream")];
            (kind, text.clone()).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn elsewhere(
    State(shown): State<Arc<Shown>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let named = headers.get(HOST).and_then(|host| host.to_str().ok());
    let name = named
        .and_then(|host| host.split(':').next())
        .unwrap_or_default();
    let host = shown
        .hosts
        .iter()
        .find(|host| host.eq_ignore_ascii_case(name));
    match host {
        Some(host) if matches!(method, Method::GET | Method::HEAD) => {
            let path = uri.path_and_query().map_or("/", |path| path.as_str());
            let location = format!("https://{host}{path}");
            (StatusCode::FOUND, [(LOCATION, location)]).into_response()
        }
        Some(_) => (StatusCode::BAD_REQUEST, "Use HTTPS\n").into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
