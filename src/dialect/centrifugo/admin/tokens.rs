//! What operators show at the admin socket: a token that names its end, signed.
//!
//! Invariants: pure. A token is made with secret and password, so a change of either ends all of them; and with HMAC-SHA512,
//! while whoever signs for clients does it with HMAC-SHA256, so none of those signs is of use here, whatever was signed and
//! even if both secrets are the same. Signs are compared in constant time.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto};

/// See the module.
pub struct Tokens {
    signs: EncodingKey,
    checks: DecodingKey,
}

impl Tokens {
    /// Those of this secret and password.
    pub fn new(secret: &str, password: &str) -> Self {
        let key = [secret.as_bytes(), b"\0", password.as_bytes()].concat();
        Self {
            signs: EncodingKey::from_secret(&key),
            checks: DecodingKey::from_secret(&key),
        }
    }

    /// A token that is good before this second (Unix time).
    pub(super) fn issue(&self, until_s: u64) -> String {
        let claim = claim(until_s);
        // An HMAC under a key that is there does not fail.
        let sign =
            crypto::sign(claim.as_bytes(), &self.signs, Algorithm::HS512).unwrap_or_default();
        format!("{}.{sign}", URL_SAFE_NO_PAD.encode(claim))
    }

    /// Until when a token is good (Unix time in seconds); `None`: it is not, at `now_s`.
    pub(super) fn until_s(&self, token: &str, now_s: u64) -> Option<u64> {
        let (encoded, sign) = token.split_once('.')?;
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()?;
        let good =
            crypto::verify(sign, text.as_bytes(), &self.checks, Algorithm::HS512).unwrap_or(false);
        let until_s = text.strip_prefix(CLAIM)?.parse().ok()?;
        (good && now_s < until_s).then_some(until_s)
    }
}

/// What a token says, in front of its end.
const CLAIM: &str = "centrifugo admin until ";

fn claim(until_s: u64) -> String {
    format!("{CLAIM}{until_s}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_until_its_end_and_for_its_secret_and_password_alone() {
        let tokens = Tokens::new("secret", "password");
        let token = tokens.issue(2_000);
        assert_eq!(
            (tokens.until_s(&token, 1_999), tokens.until_s(&token, 2_000)),
            (Some(2_000), None)
        );
        for others in [
            Tokens::new("secre", "t\0password"),
            Tokens::new("secret", "other"),
            Tokens::new("x", "password"),
        ] {
            assert_eq!(others.until_s(&token, 1_999), None);
        }
        let (_, sign) = token.split_once('.').expect("two parts");
        let later = format!("{}.{sign}", URL_SAFE_NO_PAD.encode(claim(9_000)));
        let unsigned = format!("{}.", URL_SAFE_NO_PAD.encode(claim(9_000)));
        for bad in ["", ".", "a.b", sign, "insecure", &later, &unsigned] {
            assert_eq!(tokens.until_s(bad, 1_999), None, "{bad}");
        }
    }

    #[test]
    fn what_is_signed_for_clients_is_no_token() {
        let key = EncodingKey::from_secret(b"secret\0password");
        let sign = crypto::sign(claim(9_000).as_bytes(), &key, Algorithm::HS256).expect("a sign");
        let forged = format!("{}.{sign}", URL_SAFE_NO_PAD.encode(claim(9_000)));
        assert_eq!(
            Tokens::new("secret", "password").until_s(&forged, 1_999),
            None
        );
    }
}
