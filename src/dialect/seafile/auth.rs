//! The shared key: tokens in, claims out; and the key's change while running.
//!
//! Invariant: a token is good only if a key signed it (HS256, HS384 or HS512), its `exp` is later than now, to the
//! second, and every claim we know is of its right JSON type under its exact name. No key is ever printed.

pub mod explain;

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use crate::json;

/// What a token says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Claims {
    /// When it runs out: Unix time in seconds. The token is good before this second, not in it.
    pub exp: i64,
    /// The library it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repo_id: Option<String>,
    /// Whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
}

impl Claims {
    /// The library, empty where none is named.
    pub fn repo_id(&self) -> &str {
        self.repo_id.as_deref().unwrap_or_default()
    }

    /// The user, empty where none is named.
    pub fn username(&self) -> &str {
        self.username.as_deref().unwrap_or_default()
    }
}

/// Why a token is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Refusal {
    /// There is none.
    #[error("no token was given")]
    Missing,
    /// It is not three Base64 pieces with a JSON header.
    #[error("it is not a JWT")]
    Malformed,
    /// Its header names another algorithm, or `none`.
    #[error("its algorithm is none of HS256, HS384 and HS512")]
    Algorithm,
    /// No key of ours signed it.
    #[error("its signature does not fit the key")]
    Signature,
    /// Its `exp` is now or past.
    #[error("it has run out")]
    Expired,
    /// Its `nbf` lies ahead.
    #[error("it is not valid yet (nbf)")]
    NotYetValid,
    /// `exp` is missing, or a claim has the wrong JSON type.
    #[error("its claims are unusable: exp is missing, or a claim has the wrong JSON type")]
    Claims,
}

impl Refusal {
    /// For metrics.
    pub fn label(self) -> &'static str {
        self.into()
    }
}

/// The keys now in force.
struct Set {
    sign: EncodingKey,
    current: DecodingKey,
    previous: Option<DecodingKey>,
    fingerprint: String,
    previous_fingerprint: Option<String>,
}

/// The current key and, while keys change, the previous one. Clones share them.
#[derive(Clone)]
pub struct Keys(Arc<RwLock<Arc<Set>>>);

/// Signed to tell keys apart; no token can ever be this, since it has no dot.
const FINGERPRINT_LABEL: &[u8] = b"foghorn key fingerprint";

/// A token made elsewhere with the key `self-test`, good until 2100.
const KNOWN_TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjQxMDI0NDQ4MDAsInJlcG9faWQiOiJzZWxmLXRlc3QifQ\
    .0f047qVPkExpoxN1ia3KSpU8VYEAfcZzvjMadBRU-dc";

impl Keys {
    /// Keys whose bytes are those of the strings, never decoded. An empty `previous` counts as none.
    pub fn new(current: &str, previous: Option<&str>) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(Set::new(current, previous)))))
    }

    /// From now on these keys are in force, for all clones.
    pub fn replace(&self, current: &str, previous: Option<&str>) {
        let set = Arc::new(Set::new(current, previous));
        *self.0.write() = set;
    }

    /// Judges `token` at `now_s`, Unix time in seconds.
    ///
    /// # Errors
    /// The first reason found against it. Costs one HMAC for each key at most.
    pub fn verify(&self, token: &str, now_s: i64) -> Result<Claims, Refusal> {
        let set = Arc::clone(&*self.0.read());
        let payload = set.payload(token)?;
        claims(&payload, now_s)
    }

    /// A token with these claims, signed with the current key (HS256).
    pub fn sign(&self, claims: &Claims) -> String {
        let set = Arc::clone(&*self.0.read());
        jsonwebtoken::encode(&Header::default(), claims, &set.sign)
            .expect("an HMAC key of any length signs plain claims")
    }

    /// Eight hex digits that are equal where the current keys are; the key cannot be computed from them.
    pub fn fingerprint(&self) -> String {
        self.0.read().fingerprint.clone()
    }

    /// The fingerprints of all keys that are taken, the current one's first.
    pub fn fingerprints(&self) -> Vec<String> {
        let set = Arc::clone(&*self.0.read());
        std::iter::once(set.fingerprint.clone())
            .chain(set.previous_fingerprint.clone())
            .collect()
    }

    /// Proves that signing and verifying work, so that a build without its cryptography fails before it listens.
    ///
    /// # Errors
    /// What is wrong with a token that is known to be good.
    pub(super) fn self_test(&self) -> Result<(), Refusal> {
        let known = Self::new("self-test", None).verify(KNOWN_TOKEN, 0)?;
        let own = self.verify(&self.sign(&known), 0)?;
        if own == known && own.repo_id() == "self-test" {
            Ok(())
        } else {
            Err(Refusal::Claims)
        }
    }
}

fn fingerprint(key: &EncodingKey) -> String {
    let mark = jsonwebtoken::crypto::sign(FINGERPRINT_LABEL, key, Algorithm::HS256)
        .ok()
        .and_then(|text| B64.decode(text).ok())
        .unwrap_or_default();
    mark.iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(hidden)")
    }
}

impl Set {
    fn new(current: &str, previous: Option<&str>) -> Self {
        let sign = EncodingKey::from_secret(current.as_bytes());
        let previous = previous.filter(|key| !key.is_empty());
        Self {
            fingerprint: fingerprint(&sign),
            sign,
            current: DecodingKey::from_secret(current.as_bytes()),
            previous: previous.map(|key| DecodingKey::from_secret(key.as_bytes())),
            previous_fingerprint: previous
                .map(|key| fingerprint(&EncodingKey::from_secret(key.as_bytes()))),
        }
    }

    /// The claims' bytes, once the signature is known to be good.
    fn payload(&self, token: &str) -> Result<Vec<u8>, Refusal> {
        if token.is_empty() {
            return Err(Refusal::Missing);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(Refusal::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(Refusal::Malformed)?;
        let algorithm = algorithm(header)?;
        let fits =
            |key| jsonwebtoken::crypto::verify(signature, message.as_bytes(), key, algorithm);
        let good = fits(&self.current).map_err(|_| Refusal::Malformed)?
            || self
                .previous
                .as_ref()
                .is_some_and(|key| fits(key).unwrap_or(false));
        if !good {
            return Err(Refusal::Signature);
        }
        B64.decode(payload).map_err(|_| Refusal::Malformed)
    }
}

/// The algorithm of an encoded header. Its other fields do not matter, whatever they are.
fn algorithm(header: &str) -> Result<Algorithm, Refusal> {
    let header = B64
        .decode(header)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or(Refusal::Malformed)?;
    match json::fields(&header, ["alg"]).ok_or(Refusal::Malformed)?[0] {
        Some(r#""HS256""#) => Ok(Algorithm::HS256),
        Some(r#""HS384""#) => Ok(Algorithm::HS384),
        Some(r#""HS512""#) => Ok(Algorithm::HS512),
        _ => Err(Refusal::Algorithm),
    }
}

/// The claims that are looked at.
const CLAIMS: [&str; 4] = ["exp", "repo_id", "username", "nbf"];

/// Reads claims that are known to be ours. Of a repeated claim the last counts; `null` counts as missing.
fn claims(payload: &[u8], now_s: i64) -> Result<Claims, Refusal> {
    let fields = std::str::from_utf8(payload)
        .ok()
        .and_then(|text| json::fields(text, CLAIMS))
        .ok_or(Refusal::Claims)?;
    let [exp, repo_id, username, nbf] = fields.map(|claim| claim.filter(|text| *text != "null"));
    // Parsed from its digits: "1.0" and "1e9" are no integers here, as in the reference.
    let exp = exp
        .ok_or(Refusal::Claims)?
        .parse::<i64>()
        .map_err(|_| Refusal::Claims)?;
    let claims = Claims {
        exp,
        repo_id: repo_id.map(read).transpose()?,
        username: username.map(read).transpose()?,
    };
    let nbf = nbf.map(read::<f64>).transpose()?;
    if exp <= now_s {
        return Err(Refusal::Expired);
    }
    if nbf.is_some_and(|nbf| nbf > now_s as f64) {
        return Err(Refusal::NotYetValid);
    }
    Ok(claims)
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Refusal> {
    serde_json::from_str(text).map_err(|_| Refusal::Claims)
}

#[cfg(test)]
mod tests;
