//! The secret that tokens and signs are made with: HMAC-SHA256 in lower-case hex.
//!
//! Invariant: signs are compared in constant time; the secret is never printed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};

/// See the module.
pub struct SigningKey(DecodingKey);

impl SigningKey {
    /// The secret of this text.
    pub fn new(text: &str) -> Self {
        Self(DecodingKey::from_secret(text.as_bytes()))
    }

    /// Whether `sign` is that of `parts`, put together with nothing between them.
    pub fn signed(&self, parts: &[&str], sign: &str) -> bool {
        self.signed_bytes(parts.concat().as_bytes(), sign)
    }

    /// Whether `sign` is that of `message`.
    pub(super) fn signed_bytes(&self, message: &[u8], sign: &str) -> bool {
        let Some(signature) = unhex(sign) else {
            return false;
        };
        let signature = URL_SAFE_NO_PAD.encode(signature);
        jsonwebtoken::crypto::verify(&signature, message, &self.0, Algorithm::HS256)
            .unwrap_or(false)
    }
}

/// The bytes of 64 hex digits, in small letters.
fn unhex(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let digits: &[u8; 64] = text.as_bytes().try_into().ok()?;
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The sign of `parts`, as a backend makes it.
    pub(in crate::dialect::centrifugo) fn sign(secret: &str, parts: &[&str]) -> String {
        let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
        let sign = jsonwebtoken::crypto::sign(parts.concat().as_bytes(), &key, Algorithm::HS256)
            .expect("a sign");
        URL_SAFE_NO_PAD
            .decode(sign)
            .expect("base64")
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    #[test]
    fn a_sign_is_good_as_any_hmac_makes_it_and_in_no_other_spelling() {
        // printf '421500000000' | openssl dgst -sha256 -hmac secret
        let (secret, good) = (
            SigningKey::new("secret"),
            sign("secret", &["42", "1500000000"]),
        );
        assert!(secret.signed(&["42", "1500000000", ""], &good));
        for bad in [
            "",
            "short",
            &good.to_uppercase(),
            &good[..62],
            &sign("other", &["42", "1500000000"]),
        ] {
            assert!(!secret.signed(&["42", "1500000000"], bad), "{bad}");
        }
        // RFC 4231, test case 2.
        let rfc = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert!(SigningKey::new("Jefe").signed(&["what do ya want ", "for nothing?"], rfc));
    }
}
