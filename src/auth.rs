//! The shared key: tokens in, claims out; and the key's change while running.
//!
//! Invariant: a token is good only if a key signed it (HS256, HS384 or HS512), its `exp` is later than now, to the
//! second, and every claim we know is of its right JSON type under its exact name. No key is ever printed.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
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
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Algorithm => "algorithm",
            Self::Signature => "signature",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Claims => "claims",
        }
    }
}

/// The keys now in force.
struct Set {
    sign: EncodingKey,
    current: DecodingKey,
    previous: Option<DecodingKey>,
    fingerprint: String,
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

    /// Proves that signing and verifying work, so that a build without its cryptography fails before it listens.
    ///
    /// # Errors
    /// What is wrong with a token that is known to be good.
    pub fn self_test(&self) -> Result<(), Refusal> {
        let known = Self::new("self-test", None).verify(KNOWN_TOKEN, 0)?;
        let own = self.verify(&self.sign(&known), 0)?;
        if own == known && own.repo_id() == "self-test" { Ok(()) } else { Err(Refusal::Claims) }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(hidden)")
    }
}

impl Set {
    fn new(current: &str, previous: Option<&str>) -> Self {
        let sign = EncodingKey::from_secret(current.as_bytes());
        let mark = jsonwebtoken::crypto::sign(FINGERPRINT_LABEL, &sign, Algorithm::HS256)
            .ok()
            .and_then(|text| B64.decode(text).ok())
            .unwrap_or_default();
        Self {
            sign,
            current: DecodingKey::from_secret(current.as_bytes()),
            previous: previous.filter(|key| !key.is_empty()).map(|key| DecodingKey::from_secret(key.as_bytes())),
            fingerprint: mark.iter().take(4).map(|byte| format!("{byte:02x}")).collect(),
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
        let fits = |key| jsonwebtoken::crypto::verify(signature, message.as_bytes(), key, algorithm);
        let good = fits(&self.current).map_err(|_| Refusal::Malformed)?
            || self.previous.as_ref().is_some_and(|key| fits(key).unwrap_or(false));
        if !good {
            return Err(Refusal::Signature);
        }
        B64.decode(payload).map_err(|_| Refusal::Malformed)
    }
}

/// The algorithm of an encoded header. Its other fields do not matter, whatever they are.
fn algorithm(header: &str) -> Result<Algorithm, Refusal> {
    let bytes = B64.decode(header).map_err(|_| Refusal::Malformed)?;
    let fields: HashMap<String, &RawValue> = serde_json::from_slice(&bytes).map_err(|_| Refusal::Malformed)?;
    match fields.get("alg").map(|alg| alg.get()) {
        Some(r#""HS256""#) => Ok(Algorithm::HS256),
        Some(r#""HS384""#) => Ok(Algorithm::HS384),
        Some(r#""HS512""#) => Ok(Algorithm::HS512),
        _ => Err(Refusal::Algorithm),
    }
}

/// Reads claims that are known to be ours. Of a repeated claim the last counts; `null` counts as missing.
fn claims(payload: &[u8], now_s: i64) -> Result<Claims, Refusal> {
    let fields: HashMap<String, &RawValue> = serde_json::from_slice(payload).map_err(|_| Refusal::Claims)?;
    let claim = |name| fields.get(name).map(|value| value.get()).filter(|text| *text != "null");
    let text = |name| claim(name).map(json::<String>).transpose();
    // Parsed from its digits: "1.0" and "1e9" are no integers here, as in the reference.
    let exp = claim("exp").ok_or(Refusal::Claims)?.parse::<i64>().map_err(|_| Refusal::Claims)?;
    let claims = Claims { exp, repo_id: text("repo_id")?, username: text("username")? };
    let nbf = claim("nbf").map(json::<f64>).transpose()?;
    if exp <= now_s {
        return Err(Refusal::Expired);
    }
    if nbf.is_some_and(|nbf| nbf > now_s as f64) {
        return Err(Refusal::NotYetValid);
    }
    Ok(claims)
}

fn json<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Refusal> {
    serde_json::from_str(text).map_err(|_| Refusal::Claims)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "testkey-testkey-testkey-testkey-00";

    fn signed(header: &str, payload: &str, key: &str, algorithm: Algorithm) -> String {
        let message = format!("{}.{}", B64.encode(header), B64.encode(payload));
        let key = EncodingKey::from_secret(key.as_bytes());
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, algorithm).expect("good");
        format!("{message}.{signature}")
    }

    fn judge(payload: &str) -> Result<Claims, Refusal> {
        Keys::new(KEY, None).verify(&signed(r#"{"alg":"HS256"}"#, payload, KEY, Algorithm::HS256), 1_000)
    }

    #[test]
    fn the_self_test_passes_with_any_key() {
        for key in ["", "k", KEY, &"long".repeat(100), "ключ"] {
            assert_eq!(Keys::new(key, None).self_test(), Ok(()), "{key}");
        }
    }

    #[test]
    fn what_is_signed_is_read_back() {
        let keys = Keys::new(KEY, None);
        let claims = Claims { exp: i64::MAX, repo_id: Some("r".into()), username: Some(String::new()) };
        assert_eq!(keys.verify(&keys.sign(&claims), i64::MAX - 1), Ok(claims));
    }

    #[test]
    fn hs256_384_and_512_and_nothing_else() {
        let keys = Keys::new(KEY, None);
        let payload = r#"{"exp":2000}"#;
        for (name, algorithm) in [("HS256", Algorithm::HS256), ("HS384", Algorithm::HS384), ("HS512", Algorithm::HS512)]
        {
            // The header's other fields do not matter.
            let token = signed(&format!(r#"{{"typ":7,"alg":"{name}","crit":["x"]}}"#), payload, KEY, algorithm);
            assert_eq!(keys.verify(&token, 0).map(|c| c.exp), Ok(2000), "{name}");
        }
        for header in [r#"{"alg":"none"}"#, r#"{"alg":"RS256"}"#, r#"{"alg":"hs256"}"#, r#"{"ALG":"HS256"}"#, "{}"] {
            let token = signed(header, payload, KEY, Algorithm::HS256);
            assert_eq!(keys.verify(&token, 0), Err(Refusal::Algorithm), "{header}");
            assert_eq!(
                keys.verify(&format!("{}.", token.rsplit_once('.').expect("a dot").0), 0),
                Err(Refusal::Algorithm)
            );
        }
        let wrong = signed(r#"{"alg":"HS512"}"#, payload, KEY, Algorithm::HS256);
        assert_eq!(keys.verify(&wrong, 0), Err(Refusal::Signature));
    }

    #[test]
    fn no_leeway_and_whole_seconds_only() {
        assert_eq!(judge(r#"{"exp":1001}"#).map(|c| c.exp), Ok(1001));
        assert_eq!(judge(r#"{"exp":1000}"#), Err(Refusal::Expired));
        assert_eq!(judge(r#"{"exp":-5}"#), Err(Refusal::Expired));
        for exp in ["\"4102444800\"", "4102444800.5", "4102444800.0", "4e9", "null", "true", "9223372036854775808"] {
            assert_eq!(judge(&format!(r#"{{"exp":{exp}}}"#)), Err(Refusal::Claims), "{exp}");
        }
        assert_eq!(judge("{}"), Err(Refusal::Claims));
        assert_eq!(judge("null"), Err(Refusal::Claims));
        assert_eq!(judge("[]"), Err(Refusal::Claims));
    }

    #[test]
    fn known_claims_have_their_type_and_exact_name() {
        assert_eq!(judge(r#"{"exp":2000,"repo_id":7}"#), Err(Refusal::Claims));
        assert_eq!(judge(r#"{"exp":2000,"username":["a"]}"#), Err(Refusal::Claims));
        assert_eq!(judge(r#"{"EXP":2000}"#), Err(Refusal::Claims));
        let claims =
            judge(r#"{"exp":2000,"Repo_ID":"x","USERNAME":"u","iat":"odd","aud":5,"deep":[[{}]]}"#).expect("good");
        assert_eq!((claims.repo_id(), claims.username()), ("", ""));
        let claims = judge(r#"{"exp":1,"repo_id":"x","repo_id":"y","exp":2000,"username":null}"#).expect("good");
        assert_eq!((claims.exp, claims.repo_id(), &claims.username), (2000, "y", &None));
    }

    #[test]
    fn nbf_is_honoured() {
        assert!(judge(r#"{"exp":2000,"nbf":1000}"#).is_ok());
        assert!(judge(r#"{"exp":2000,"nbf":null}"#).is_ok());
        assert_eq!(judge(r#"{"exp":2000,"nbf":1001}"#), Err(Refusal::NotYetValid));
        assert_eq!(judge(r#"{"exp":2000,"nbf":1000.5}"#), Err(Refusal::NotYetValid));
        assert_eq!(judge(r#"{"exp":2000,"nbf":"0"}"#), Err(Refusal::Claims));
    }

    #[test]
    fn bytes_after_the_claims_spoil_them() {
        assert_eq!(judge(r#"{"exp":2000}x"#), Err(Refusal::Claims));
        assert_eq!(judge(r#"{"exp":2000}{}"#), Err(Refusal::Claims));
        assert!(judge("{\"exp\":2000}\n").is_ok());
    }

    #[test]
    fn junk_is_told_from_a_wrong_key() {
        let keys = Keys::new(KEY, None);
        let token = keys.sign(&Claims { exp: 2000, ..Claims::default() });
        assert_eq!(keys.verify("", 0), Err(Refusal::Missing));
        for junk in ["abc", "a.b", "a.b.c", "...", " . . ", "Token x.y.z", "\u{e9}.\u{e9}.\u{e9}"] {
            assert_eq!(keys.verify(junk, 0), Err(Refusal::Malformed), "{junk}");
        }
        assert!(keys.verify(&format!("Token {token}"), 0).is_err());
        assert!(keys.verify(&format!("{token}x"), 0).is_err());
        assert!(keys.verify(&format!("{token}.x"), 0).is_err());
        assert_eq!(Keys::new("another-key", None).verify(&token, 0), Err(Refusal::Signature));
    }

    #[test]
    fn both_keys_are_good_while_keys_change() {
        let keys = Keys::new("old", None);
        let clone = keys.clone();
        let old = keys.sign(&Claims { exp: 2000, ..Claims::default() });
        keys.replace("new", Some("old"));
        assert!(clone.verify(&old, 0).is_ok());
        assert_eq!(clone.verify(&old, 2000), Err(Refusal::Expired));
        assert!(Keys::new("new", None).verify(&clone.sign(&Claims { exp: 2000, ..Claims::default() }), 0).is_ok());
        keys.replace("new", Some(""));
        assert_eq!(clone.verify(&old, 0), Err(Refusal::Signature));
    }

    #[test]
    fn fingerprints_tell_keys_apart_and_nothing_prints_a_key() {
        let (one, two) = (Keys::new("one-secret", None), Keys::new("two-secret", None));
        assert_eq!(one.fingerprint(), Keys::new("one-secret", Some("x")).fingerprint());
        assert_ne!(one.fingerprint(), two.fingerprint());
        assert!(one.fingerprint().len() == 8 && one.fingerprint().bytes().all(|b| b.is_ascii_hexdigit()));
        assert!(!format!("{one:?}").contains("secret"));
    }
}
