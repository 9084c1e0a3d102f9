//! Why a certificate is not there, and what to do about it.
//!
//! Invariant: what the authority says is passed on in its own words; no key is in any of them.

use std::io;
use std::path::PathBuf;

use instant_acme::{Error, Problem};

use crate::client::ClientError;

/// An order, or what it takes, failed.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum AcmeError {
    /// The file of those who vouch for the authority.
    #[error("cannot use {}: {why}", path.display())]
    Trusted {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The cache.
    #[error("cannot use {}: {source}", path.display())]
    Cache {
        /// A file, or the folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What should be a certificate with its key is none.
    #[error("it is no certificate with its key: {0}")]
    Unusable(String),
    /// The authority does not answer.
    #[error(transparent)]
    Unreachable(ClientError),
    /// The authority says no.
    #[error("the authority says: {}", said(.0))]
    Refused(Problem),
    /// The authority was not shown what it looked for.
    #[error("the authority looked for this node, and says: {}", said(.0))]
    Unproven(Problem),
    /// The authority does not look in the way that is wanted.
    #[error("the authority does not offer {0}")]
    NotOffered(&'static str),
    /// It took too long.
    #[error("the authority was not done in time")]
    Late,
    /// The authority does not speak ACME as it should.
    #[error("the authority does not answer as one that speaks ACME: {0}")]
    Protocol(String),
}

fn said(problem: &Problem) -> String {
    let detail = problem.detail.as_deref().unwrap_or("no");
    match kind(problem) {
        "" => detail.to_owned(),
        kind => format!("{detail} ({kind})"),
    }
}

/// The last part of the problem's type (RFC 8555, 6.7), as `rateLimited`.
fn kind(problem: &Problem) -> &str {
    let whole = problem.r#type.as_deref().unwrap_or_default();
    whole.rsplit(':').next().unwrap_or_default()
}

impl AcmeError {
    /// A word for it.
    pub fn label(&self) -> &'static str {
        self.into()
    }

    /// Whether the authority has no such account (any more).
    pub(super) fn is_unknown_account(&self) -> bool {
        matches!(self, Self::Refused(problem) if kind(problem) == "accountDoesNotExist")
    }

    /// What helps.
    pub(super) fn advice(&self) -> &'static str {
        const PROOF: &str = "the host's name has to lead to this node: port 443 to the port with the certificate, with nothing on the way that ends TLS; or, where it is shown by HTTP, port 80 to the port for that";
        match self {
            Self::Trusted { .. } => "name a PEM file of authorities' certificates",
            Self::Cache { .. } => "the folder has to be this user's own, on a disk with room",
            Self::Unreachable(_) => {
                "this node has to reach the authority's directory, and to trust who vouches for it"
            }
            Self::Unproven(_) => PROOF,
            Self::Refused(problem) => match kind(problem) {
                "connection" | "dns" | "incorrectResponse" | "tls" | "unauthorized" => PROOF,
                "rateLimited" => {
                    "nothing helps but to wait as it says; a cache that outlives restarts keeps orders few"
                }
                "rejectedIdentifier" | "unsupportedIdentifier" => {
                    "take the host out of those that certificates are ordered for"
                }
                "invalidContact" | "unsupportedContact" => "give another e-mail address, or none",
                "caa" => "the domain's CAA record in DNS has to name this authority",
                "externalAccountRequired" => {
                    "accounts that are made beforehand cannot be given here: take another authority"
                }
                "accountDoesNotExist" => "nothing is to be done: another account is made",
                _ => "its own words say what to change",
            },
            Self::NotOffered(_) => "switch to the other way, or take another authority",
            Self::Unusable(_) | Self::Late | Self::Protocol(_) => {
                "look whether the directory is the right one; nothing else is to be done here"
            }
        }
    }
}

impl From<Error> for AcmeError {
    fn from(error: Error) -> Self {
        match error {
            Error::Api(problem) => Self::Refused(problem),
            Error::Timeout(_) => Self::Late,
            Error::Other(other) => match other.downcast() {
                Ok(client) => Self::Unreachable(*client),
                Err(other) => Self::Protocol(other.to_string()),
            },
            other => Self::Protocol(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(kind: &str) -> AcmeError {
        let problem = serde_json::json!({"type": format!("urn:ietf:params:acme:error:{kind}"), "detail": "too many"});
        AcmeError::from(Error::Api(serde_json::from_value(problem).expect("one")))
    }

    #[test]
    fn the_authoritys_words_are_passed_on_with_what_helps() {
        let limited = refused("rateLimited");
        assert_eq!(
            limited.to_string(),
            "the authority says: too many (rateLimited)"
        );
        assert_eq!(limited.label(), "refused");
        assert!(limited.advice().contains("to wait"));
        assert!(refused("connection").advice().contains("port 443"));
        assert!(refused("accountDoesNotExist").is_unknown_account());
        let client = ClientError::Timeout("ca.example:443".into(), 20);
        let away = AcmeError::from(Error::Other(Box::new(client)));
        assert_eq!(away.label(), "unreachable");
        assert!(away.to_string().contains("ca.example:443"));
    }
}
