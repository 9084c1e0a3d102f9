//! What the dialect can be told: the configuration that v1 reads.
//!
//! Invariant: nothing of it is shown.

use std::path::PathBuf;

use url::Url;

use super::file::{FileFault, V1};
use crate::acme::LETS_ENCRYPT;
use crate::config::Values;
use crate::config::parse::{self, Wrong};
use crate::dialect::Certificate;

/// What the file and the variables say now.
///
/// # Errors
/// [`FileFault`]
pub fn v1(values: &Values) -> Result<V1, FileFault> {
    V1::load(values.optional(&CONFIG).as_deref(), values.variables())
}

/// Where the certificate of its ports comes from.
pub fn certificate(values: &Values, v1: &V1) -> Option<Certificate> {
    let trusted = values.optional(&ACME_TRUSTED);
    v1.node.tls(values.get(&ACME_DIRECTORY), trusted)
}

/// A URL that is encrypted: orders are signed, and answers are not.
fn directory(text: &str) -> Result<Url, Wrong> {
    let url = Url::parse(text.trim()).map_err(|_| Wrong::default())?;
    let bare = url.username().is_empty() && url.password().is_none();
    (url.scheme() == "https" && url.has_host() && bare)
        .then_some(url)
        .ok_or_else(Wrong::default)
}

crate::settings! {
    "Centrifugo" {
        CONFIG: PathBuf = "FOGHORN_CENTRIFUGO_CONFIG" [on HUP]
            "", parse::file, "a file that exists",
            "Centrifugo v1's own configuration file, for the dialect `centrifugo`, in JSON, or by its ending in YAML or TOML; `CENTRIFUGO_SECRET` and the like win over what it says. What of it is honoured, and what stands in for settings of this page, says [CENTRIFUGO.md](CENTRIFUGO.md).";
        ACME_DIRECTORY: Url = "FOGHORN_CENTRIFUGO_ACME_DIRECTORY"
            const LETS_ENCRYPT, directory, "a URL that begins with https://",
            "The directory of the authority that certificates are ordered from, where Centrifugo's configuration has `ssl_autocert` ([CENTRIFUGO.md](CENTRIFUGO.md#certificates-that-are-ordered)). Let's Encrypt's own for trying things out is `https://acme-staging-v02.api.letsencrypt.org/directory`.";
        ACME_TRUSTED: PathBuf = "FOGHORN_CENTRIFUGO_ACME_CA" [per node]
            "", parse::file, "a PEM file that exists",
            "Certificates of those who vouch for that authority's own server, where it is a private one. Not set: the authorities of this machine.";
    }
}
