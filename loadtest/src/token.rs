//! Tokens, signed with HS256 as Seafile's backends sign them (RFC 7515, RFC 7519).
//!
//! Invariant: the key is the string's raw bytes, never base64-decoded; keying is done once, each token costs one hash.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use serde_json::json;
use sha2::Sha256;

/// A keyed signer.
#[derive(Clone)]
pub struct Signer {
    keyed: Hmac<Sha256>,
}

/// base64url of `{"alg":"HS256","typ":"JWT"}`.
const HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

impl Signer {
    /// A signer with this key.
    pub fn new(key: &str) -> Self {
        Self {
            keyed: Hmac::new_from_slice(key.as_bytes()).expect("HMAC takes keys of any length"),
        }
    }

    fn sign(&self, claims: &str) -> String {
        let mut out = String::with_capacity(HEADER.len() + claims.len() * 4 / 3 + 50);
        out.push_str(HEADER);
        out.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut out);
        let mut mac = self.keyed.clone();
        mac.update(out.as_bytes());
        out.push('.');
        URL_SAFE_NO_PAD.encode_string(mac.finalize().into_bytes(), &mut out);
        out
    }

    /// A token for `/events`; `exp` in Unix seconds.
    pub fn event(&self, exp: i64) -> String {
        self.sign(&json!({ "exp": exp }).to_string())
    }

    /// A token that publishes to Mercure, whatever the topic; `exp` in Unix seconds.
    pub fn publication(&self, exp: i64) -> String {
        self.sign(&json!({ "exp": exp, "mercure": { "publish": ["*"] } }).to_string())
    }

    /// A token that subscribes `user` to `repo`; `exp` in Unix seconds.
    pub fn subscription(&self, repo: &str, user: &str, exp: i64) -> String {
        self.sign(&json!({ "exp": exp, "repo_id": repo, "username": user }).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_token() {
        // Checked against Python: hmac.new(b"k", header + "." + payload, sha256).
        assert_eq!(
            URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#),
            HEADER
        );
        assert_eq!(Signer::new("k").event(2_000_000_000), KNOWN);
    }

    #[test]
    fn subscription_claims() {
        assert_eq!(
            claims(&Signer::new("k").subscription("r", "u@x", 5)),
            json!({"exp": 5, "repo_id": "r", "username": "u@x"})
        );
    }

    #[test]
    fn publication_claims() {
        assert_eq!(
            claims(&Signer::new("k").publication(5)),
            json!({"exp": 5, "mercure": {"publish": ["*"]}})
        );
    }

    fn claims(token: &str) -> serde_json::Value {
        let claims = URL_SAFE_NO_PAD
            .decode(token.split('.').nth(1).unwrap())
            .unwrap();
        serde_json::from_slice(&claims).unwrap()
    }

    const KNOWN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjIwMDAwMDAwMDB9.46wuP37D6GoEXs9poHMVDwzsJkdckQ4j7bBfBYlzgj4";
}
