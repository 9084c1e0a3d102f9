//! A certificate with its key, and its time.

use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::AcmeError;
use crate::backoff::around;

/// See the module.
pub(super) struct Held {
    /// What handshakes are shown.
    pub(super) key: Arc<CertifiedKey>,
    /// From when on it is good, Unix milliseconds.
    from_ms: u64,
    /// Until when, likewise.
    pub(super) until_ms: u64,
}

impl Held {
    /// Reads the key and the chain behind it, PEM.
    ///
    /// # Errors
    /// [`AcmeError::Unusable`].
    pub(super) fn read(pem: &[u8]) -> Result<Self, AcmeError> {
        let unusable = |error: &dyn std::fmt::Display| AcmeError::Unusable(error.to_string());
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|error| unusable(&error))?;
        let chain = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| unusable(&error))?;
        let first = chain.first().ok_or_else(|| unusable(&"nothing in it"))?;
        let validity = Certificate::from_der(first)
            .map_err(|error| unusable(&error))?
            .tbs_certificate
            .validity;
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let [from_ms, until_ms] =
            [validity.not_before, validity.not_after].map(|time| ms(time.to_unix_duration()));
        let key = CertifiedKey::from_der(chain, key, &ring::default_provider())
            .map_err(|error| unusable(&error))?;
        Ok(Self {
            key: Arc::new(key),
            from_ms,
            until_ms,
        })
    }

    /// When the next one is ordered, Unix milliseconds: with about a third of its time left, and no two nodes at once.
    pub(super) fn renewed_ms(&self) -> u64 {
        let third = self.whole() / 3;
        self.until_ms
            .saturating_sub(u64::try_from(around(third).as_millis()).unwrap_or_default())
    }

    /// For how long it is good in all.
    pub(super) fn whole(&self) -> Duration {
        Duration::from_millis(self.until_ms.saturating_sub(self.from_ms))
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn a_certificate_is_renewed_when_about_a_third_of_its_time_is_left() {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec!["a.example".into()]).expect("a name");
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2026, 4, 1);
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        let held = Held::read((key.serialize_pem() + &certificate).as_bytes()).expect("held");
        let day = 24 * 60 * 60 * 1_000;
        assert_eq!(held.whole(), Duration::from_millis(90 * day));
        let left = (held.until_ms - held.renewed_ms()) / day;
        assert!((22..38).contains(&left), "{left} days");
        let stranger = KeyPair::generate().expect("a key").serialize_pem() + &certificate;
        for bad in [certificate.as_str(), &key.serialize_pem(), &stranger, ""] {
            let told = Held::read(bad.as_bytes()).err().expect("unusable");
            assert_eq!(told.label(), "unusable");
        }
    }
}
