//! Who a page's user is: by a JWT, or by a session that the backend keeps.
//!
//! Invariants: nobody is taken for another user; no proof is ever logged.

use axum::http::HeaderMap;

use super::super::identity::{Cookies, claims, shown_tokens};
use super::super::rules::Rules;
use super::session::Login;
use super::store::{self, Store};
use crate::broker::keep::KeepError;
use crate::json;

/// Why nobody is let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum LoginError {
    /// Nothing says who it is.
    #[error("neither a session nor a token is shown")]
    NoProof,
    /// The session is gone, or the token is not good.
    #[error("the session is over or has no user, or the token is not good or has run out")]
    BadProof,
    /// The backend's Redis does not say whose the session is.
    #[error("the sessions' Redis (FOGHORN_INBOX_SESSION_REDIS_URL): {0}")]
    SessionStore(KeepError),
}

impl LoginError {
    /// The counter's label.
    pub fn label(&self) -> &'static str {
        self.into()
    }
}

/// Finds out who asks. `query` is what stands behind the path.
///
/// # Errors
/// [`LoginError`]
pub async fn login(
    store: Option<&Store>,
    rules: &Rules,
    headers: &HeaderMap,
    query: &str,
    now_ms: u64,
) -> Result<Login, LoginError> {
    let cookies = Cookies::of(headers);
    let mut refusal = LoginError::NoProof;
    let token = rules
        .socket_tokens
        .as_ref()
        .zip(shown_tokens(headers, &cookies, query).into_iter().next());
    if let Some((key, token)) = token {
        let said = key.claims(&token);
        match said.as_deref().and_then(|said| of_claims(said, now_ms)) {
            Some(login) => return Ok(login),
            None => refusal = LoginError::BadProof,
        }
    }
    let Some((store, session)) = store.and_then(|store| Some((store, cookies.get(&store.cookie)?)))
    else {
        return Err(refusal);
    };
    if !store::is_name(&session) {
        return Err(LoginError::BadProof);
    }
    let user = store
        .user(&session, now_ms)
        .await
        .map_err(LoginError::SessionStore)?
        .ok_or(LoginError::BadProof)?;
    Ok(Login {
        user,
        until_ms: None,
        session: Some(session.into()),
    })
}

/// Whose a token is: a whole number, by itself or in a string.
fn of_claims(said: &str, now_ms: u64) -> Option<Login> {
    let (sub, exp) = claims(said, (now_ms / 1_000) as i64)?;
    let number = json::text(sub).map_or_else(|| sub.to_owned(), |text| text.into_owned());
    let plain = number.bytes().all(|byte| byte.is_ascii_digit()) && !number.starts_with('0');
    let user = number
        .parse::<i64>()
        .ok()
        .filter(|user| plain && *user > 0)?;
    let until_ms = u64::try_from(exp).ok()?.saturating_mul(1_000);
    Some(Login {
        user: user.to_string().into(),
        until_ms: Some(until_ms),
        session: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_a_user_by_number() {
        let user = |sub: &str| {
            of_claims(&format!(r#"{{"sub":{sub},"exp":101}}"#), 100_000).map(|login| login.user)
        };
        assert_eq!(
            (user("7").as_deref(), user(r#""7""#).as_deref()),
            (Some("7"), Some("7"))
        );
        assert_eq!(
            user(r#""9223372036854775807""#).as_deref(),
            Some("9223372036854775807")
        );
        for bad in [
            "0",
            "-5",
            "1.5",
            r#""ann""#,
            r#""07""#,
            r#""""#,
            r#""+7""#,
            r#""9223372036854775808""#,
            "1e3",
        ] {
            assert_eq!(user(bad), None, "{bad}");
        }
        assert_eq!(of_claims(r#"{"sub":7,"exp":100}"#, 100_000), None);
        assert_eq!(of_claims(r#"{"sub":7}"#, 100_000), None);
    }
}
