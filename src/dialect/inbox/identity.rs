//! Whose event stream a request asks for, and what proves it.
//!
//! Invariants: where a proof is asked for, nobody is taken for another user; no proof is ever logged.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, COOKIE};

use super::addressees::is_user;
use super::form;
use super::keys::Key;
use super::rules::Rules;
use crate::json;

/// The cookie that names a user.
const USER_COOKIE: &str = "userID";
/// The cookie that holds a token.
const TOKEN_COOKIE: &str = "foghornToken";

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub(super) user: Arc<str>,
    /// When the proof runs out, Unix milliseconds; `None`: never.
    pub(super) until_ms: Option<u64>,
}

/// Why it is nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Unidentified {
    /// No user is named.
    #[error("No user is named: the path /sse/USER or the cookie userID does that.")]
    Nobody,
    /// Nobody can be called so.
    #[error("A user's name is 1 to 256 bytes of UTF-8 without control characters.")]
    Name,
    /// A proof is needed.
    #[error("A signed cookie userID or a token is needed.")]
    NoProof,
    /// The proof is not good.
    #[error("The cookie's signature or the token is not good, or has run out.")]
    BadProof,
    /// It is another user's.
    #[error("The proof is another user's than the path names.")]
    OtherUser,
}

impl Unidentified {
    /// The counter's label.
    pub fn label(self) -> &'static str {
        self.into()
    }
}

/// Finds out who asks: `path` is the user that the path names, `query` what stands behind it.
///
/// # Errors
/// [`Unidentified`]
pub fn identify(
    rules: &Rules,
    path: Option<&str>,
    headers: &HeaderMap,
    query: &str,
    now_ms: u64,
) -> Result<Identity, Unidentified> {
    let cookies = Cookies::of(headers);
    if rules.believes_anybody() {
        let named = path
            .map(str::to_owned)
            .or_else(|| cookies.get(USER_COOKIE))
            .filter(|user| !user.is_empty());
        return named_user(named.ok_or(Unidentified::Nobody)?, None);
    }
    let cookie = rules.cookies.as_ref().map(|key| signed(key, &cookies));
    let token = rules
        .tokens
        .as_ref()
        .map(|key| token(key, headers, &cookies, query, now_ms));
    let mut refusal = Unidentified::NoProof;
    for proof in [cookie, token].into_iter().flatten() {
        match proof {
            Ok(identity) if path.is_none_or(|user| *user == *identity.user) => return Ok(identity),
            Ok(_) => refusal = Unidentified::OtherUser,
            Err(Unidentified::NoProof) => {}
            Err(other) => refusal = other,
        }
    }
    Err(refusal)
}

fn named_user(user: String, until_ms: Option<u64>) -> Result<Identity, Unidentified> {
    if is_user(&user) {
        Ok(Identity {
            user: user.into(),
            until_ms,
        })
    } else {
        Err(Unidentified::Name)
    }
}

/// The user of a cookie as Express signs it: `s:USER.SIGNATURE`.
fn signed(key: &Key, cookies: &Cookies) -> Result<Identity, Unidentified> {
    let value = cookies.get(USER_COOKIE).ok_or(Unidentified::NoProof)?;
    let (user, signature) = value
        .strip_prefix("s:")
        .and_then(|rest| rest.rsplit_once('.'))
        .ok_or(Unidentified::BadProof)?;
    if !key.signed(user, signature) {
        return Err(Unidentified::BadProof);
    }
    named_user(user.to_owned(), None)
}

/// The user of a token: from the header, else the cookie, else the query.
fn token(
    key: &Key,
    headers: &HeaderMap,
    cookies: &Cookies,
    query: &str,
    now_ms: u64,
) -> Result<Identity, Unidentified> {
    let token = shown_tokens(headers, cookies, query)
        .into_iter()
        .next()
        .ok_or(Unidentified::NoProof)?;
    let said = key.claims(&token).ok_or(Unidentified::BadProof)?;
    let (user, exp) = claims(&said, (now_ms / 1_000) as i64).ok_or(Unidentified::BadProof)?;
    let user = json::text(user).ok_or(Unidentified::BadProof)?.into_owned();
    named_user(
        user,
        u64::try_from(exp).ok().map(|exp| exp.saturating_mul(1_000)),
    )
}

/// The tokens that a request shows: in the header, in the cookie, in the query; what counts most first.
pub(super) fn shown_tokens(headers: &HeaderMap, cookies: &Cookies, query: &str) -> Vec<String> {
    let of_header = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(bearer);
    [
        of_header.map(str::to_owned),
        cookies.get(TOKEN_COOKIE),
        parameter(query, "token"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whose a token is, as it is spelled, and until when (Unix time in seconds); `None` where its claims are not as they must be.
pub(super) fn claims(said: &str, now_s: i64) -> Option<(&str, i64)> {
    let [sub, exp, nbf] = json::fields(said, ["sub", "exp", "nbf"])?;
    let (user, exp) = (sub?, json::integer(exp?)?);
    let begins = nbf
        .filter(|nbf| !json::is_null(nbf))
        .map_or(Some(0.0), |nbf| nbf.parse::<f64>().ok())?;
    (exp > now_s && begins <= now_s as f64).then_some((user, exp))
}

/// A parameter behind the path, the first of its name.
pub fn parameter(query: &str, name: &str) -> Option<String> {
    form::fields(query.as_bytes())
        .into_iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value)
}

/// The cookies of a request. Over HTTP/2 they come in crumbs.
pub(super) struct Cookies(String);

impl Cookies {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let lines = headers
            .get_all(COOKIE)
            .iter()
            .map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned());
        Self(lines.collect::<Vec<_>>().join("; "))
    }

    /// The first of this name, decoded where that can be done.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        let pairs = self.0.split(';').filter_map(|pair| pair.split_once('='));
        let value = pairs
            .map(|(key, value)| (key.trim(), value.trim()))
            .find(|(key, _)| *key == name)?
            .1;
        let bare = value
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .unwrap_or(value);
        let decoded = form::escapes_are_whole(bare.as_bytes())
            .then(|| form::percent_decoded(bare.as_bytes()));
        Some(
            decoded
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .unwrap_or_else(|| bare.to_owned()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookie(lines: &[&str], name: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, line.parse().expect("a value"));
        }
        Cookies::of(&headers).get(name)
    }

    #[test]
    fn cookies_are_read_as_express_reads_them() {
        assert_eq!(
            cookie(&["a=1", "userID=%EA%B0%80; userID=x"], "userID").as_deref(),
            Some("가")
        );
        assert_eq!(
            cookie(&["x=y; userID=\"q r\""], "userID").as_deref(),
            Some("q r")
        );
        assert_eq!(cookie(&["userID=%zz"], "userID").as_deref(), Some("%zz"));
        assert_eq!(cookie(&["userID=%ff"], "userID").as_deref(), Some("%ff"));
        assert_eq!(
            cookie(&["  userID = sp ;"], "userID").as_deref(),
            Some("sp")
        );
        assert_eq!(cookie(&["userID=a=b"], "userID").as_deref(), Some("a=b"));
        assert_eq!(cookie(&["userid=x; xuserID=y"], "userID"), None);
    }

    #[test]
    fn a_token_has_a_user_and_an_end() {
        let claims = |text: &'static str| claims(text, 100);
        assert_eq!(claims(r#"{"sub":"u","exp":101}"#), Some((r#""u""#, 101)));
        for bad in [
            r#"{"sub":"u","exp":100}"#,
            r#"{"sub":"u"}"#,
            r#"{"exp":101}"#,
            r#"{"sub":"u","exp":1e9}"#,
            r#"{"sub":"u","exp":"101"}"#,
            r#"{"sub":"u","exp":101,"nbf":101}"#,
            "[]",
        ] {
            assert_eq!(claims(bad), None, "{bad}");
        }
    }
}
