//! Keys that prove who somebody is: they sign cookies, as Express does, and tokens (JWT).
//!
//! Invariant: signatures are compared in constant time; no key is ever printed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};

use crate::json;

/// A key whose bytes are those of its text.
pub struct Key(DecodingKey);

impl Key {
    /// The key of this text.
    pub fn new(text: &str) -> Self {
        Self(DecodingKey::from_secret(text.as_bytes()))
    }

    /// Whether `signature` is the HMAC-SHA256 of `message`, in Base64 with `+` and `/` and without `=`.
    pub fn signed(&self, message: &str, signature: &str) -> bool {
        let plain = !signature.contains(['-', '_', '=']);
        plain
            && self.fits(
                &signature.replace('+', "-").replace('/', "_"),
                message,
                Algorithm::HS256,
            )
    }

    /// The claims of a token that the key signed, by HMAC-SHA256, 384 or 512; nothing of them is judged.
    pub fn claims(&self, token: &str) -> Option<String> {
        let (message, signature) = token.rsplit_once('.')?;
        let (header, payload) = message.split_once('.')?;
        let algorithm = match json::fields(&text(header)?, ["alg"])?[0]? {
            r#""HS256""# => Algorithm::HS256,
            r#""HS384""# => Algorithm::HS384,
            r#""HS512""# => Algorithm::HS512,
            _ => return None,
        };
        if self.fits(signature, message, algorithm) {
            text(payload)
        } else {
            None
        }
    }

    fn fits(&self, signature: &str, message: &str, algorithm: Algorithm) -> bool {
        jsonwebtoken::crypto::verify(signature, message.as_bytes(), &self.0, algorithm)
            .unwrap_or(false)
    }
}

fn text(part: &str) -> Option<String> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_good_as_express_signs_it_and_in_no_other_spelling() {
        // cookie-signature 1.0.6: sign("hello", "tobiiscool")
        let (key, good) = (
            Key::new("tobiiscool"),
            "DGDUkGlIkCzPz+C0B064FNgHdEjox7ch8tOBGslZ5QI",
        );
        assert!(key.signed("hello", good));
        assert!(
            !key.signed("hello", &good.replace('+', "-"))
                && !key.signed("hello", &format!("{good}="))
        );
        assert!(
            !key.signed("hallo", good)
                && !key.signed("hello", "")
                && !Key::new("luna").signed("hello", good)
        );
    }

    #[test]
    fn a_token_is_good_if_the_key_signed_it() {
        let sign = jsonwebtoken::EncodingKey::from_secret(b"key");
        let header = jsonwebtoken::Header::new(Algorithm::HS384);
        let token = jsonwebtoken::encode(&header, &serde_json::json!({"sub": "u"}), &sign)
            .expect("a token");
        assert_eq!(
            Key::new("key").claims(&token).as_deref(),
            Some(r#"{"sub":"u"}"#)
        );
        assert_eq!(Key::new("another").claims(&token), None);
        for bad in [
            "",
            "a.b",
            "a.b.c",
            "..",
            token.trim_end_matches(|c| c != '.'),
        ] {
            assert_eq!(Key::new("key").claims(bad), None, "{bad}");
        }
    }
}
