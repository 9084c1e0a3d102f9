//! The other side of a proof: what a program shows that has the keys of the configuration.
//!
//! Invariant: no key and no proof is ever printed.

use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::{HeaderName, HeaderValue};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use super::settings as s;
use crate::config::{ConfigError, Sources, only};

/// What shows who somebody is.
pub enum Proof {
    /// A token signed with this key.
    Token(String),
    /// A cookie signed with this secret.
    Cookie(String),
    /// None is set, so none is asked for.
    Nothing,
}

impl Proof {
    /// That of the configuration; nothing else of it is looked at.
    ///
    /// # Errors
    /// A key is wrong, or `-c` is.
    pub fn from(sources: &Sources) -> Result<Self, ConfigError> {
        let rows = [
            &s::JWT_KEY.row,
            &s::JWT_KEY_FILE.row,
            &s::COOKIE_SECRET.row,
            &s::COOKIE_SECRET_FILE.row,
        ];
        let values = only(sources, &rows, |_, _| {})?;
        let cookie = || values.optional(&s::COOKIE_SECRET).map(Self::Cookie);
        Ok(values
            .optional(&s::JWT_KEY)
            .map(Self::Token)
            .or_else(cookie)
            .unwrap_or(Self::Nothing))
    }

    /// The header that proves that somebody is `user`, until `exp` (Unix time in seconds) where it is a token.
    pub fn header(&self, user: &str, exp: i64) -> Option<(HeaderName, HeaderValue)> {
        let (name, text) = match self {
            Self::Token(key) => (AUTHORIZATION, format!("Bearer {}", token(key, user, exp)?)),
            Self::Cookie(secret) => (
                COOKIE,
                format!("userID={}", escaped(&cookie(secret, user)?)),
            ),
            Self::Nothing => return None,
        };
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some((name, value))
    }
}

/// What posts show, where the configuration has it; nothing else of it is looked at.
///
/// # Errors
/// The secret is wrong, or `-c` is.
pub fn posting(sources: &Sources) -> Result<Option<(HeaderName, HeaderValue)>, ConfigError> {
    let values = only(sources, &[&s::SECRET.row, &s::SECRET_FILE.row], |_, _| {})?;
    let secret = values
        .optional(&s::SECRET)
        .and_then(|secret| HeaderValue::from_str(&format!("Bearer {secret}")).ok());
    Ok(secret.map(|mut value| {
        value.set_sensitive(true);
        (AUTHORIZATION, value)
    }))
}

fn token(key: &str, user: &str, exp: i64) -> Option<String> {
    let claims = json!({"sub": user, "exp": exp});
    jsonwebtoken::encode(
        &Header::default(),
        &claims,
        &EncodingKey::from_secret(key.as_bytes()),
    )
    .ok()
}

/// As Express signs it.
fn cookie(secret: &str, user: &str) -> Option<String> {
    let key = EncodingKey::from_secret(secret.as_bytes());
    let signature = jsonwebtoken::crypto::sign(user.as_bytes(), &key, Algorithm::HS256).ok()?;
    Some(format!(
        "s:{user}.{}",
        signature.replace('-', "+").replace('_', "/")
    ))
}

/// With percent-escapes for all but letters and digits.
pub fn escaped(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::keys::Key;
    use super::*;

    #[test]
    fn what_is_shown_is_what_the_other_side_takes() {
        let shown = cookie("tobiiscool", "hel_lo.한").expect("a cookie");
        let (user, signature) = shown
            .strip_prefix("s:")
            .and_then(|rest| rest.rsplit_once('.'))
            .expect("two parts");
        assert!(user == "hel_lo.한" && Key::new("tobiiscool").signed(user, signature));
        let shown = token("key", "ann", 7).expect("a token");
        assert_eq!(
            Key::new("key").claims(&shown).as_deref(),
            Some(r#"{"exp":7,"sub":"ann"}"#)
        );
        assert_eq!(escaped("a b/한"), "a%20b%2F%ED%95%9C");
    }
}
