//! Sessions that the backend keeps in its Redis: whose one is.
//!
//! Invariants: nothing is asked for but what looks like a session's name, so that no client can name another key; nothing is
//! written: the backend renews its sessions.

use std::sync::Arc;

use crate::broker::keep::{Foreign, KeepError};
use crate::json;

/// Letters of a session's name, which is a UUID.
const NAME: usize = 36;
/// Where its dashes are.
const DASHES: [usize; 4] = [8, 13, 18, 23];

/// See the module's description.
pub struct Store {
    redis: Foreign,
    /// The cookie whose value names a session.
    pub(super) cookie: String,
}

impl Store {
    /// The sessions in `redis` that `cookie` names.
    pub fn new(redis: Foreign, cookie: String) -> Self {
        Self { redis, cookie }
    }

    /// Whose session this is; `None`: nobody's, or its time is over.
    ///
    /// # Errors
    /// [`KeepError`]: nobody can say now.
    pub async fn user(&self, session: &str, now_ms: u64) -> Result<Option<Arc<str>>, KeepError> {
        let value = self.redis.get(session).await?;
        let value = value
            .as_deref()
            .and_then(|value| std::str::from_utf8(value).ok());
        Ok(value
            .and_then(|value| user(value, now_ms))
            .map(|user| user.to_string().into()))
    }
}

/// Whether a cookie's value may name a session.
pub fn is_name(text: &str) -> bool {
    let fits = |(at, byte): (usize, u8)| {
        if DASHES.contains(&at) {
            byte == b'-'
        } else {
            byte.is_ascii_hexdigit()
        }
    };
    text.len() == NAME && text.bytes().enumerate().all(fits)
}

/// The user of a session as the backend writes it.
fn user(value: &str, now_ms: u64) -> Option<i64> {
    let [content, expires] = json::fields(value, ["content", "expireTime"])?;
    if let Some(expires) = expires.filter(|expires| !json::is_null(expires))
        && expires.parse::<f64>().ok()? * 1_000.0 <= now_ms as f64
    {
        return None;
    }
    let [user] = json::fields(content?, ["currentUser"])?;
    let [id] = json::fields(user?, ["id"])?;
    json::integer(id?).filter(|id| *id > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_looks_like_a_session_is_asked_for() {
        assert!(is_name("0b1c2d3e-0000-4000-8000-00000000dEaD"));
        for other in [
            "",
            "session",
            "0b1c2d3e-0000-4000-8000-00000000deaz",
            "0b1c2d3e00004000800000000000dead0000",
        ] {
            assert!(!is_name(other), "{other}");
        }
    }

    #[test]
    fn a_session_has_a_user_and_lies_ahead() {
        let whose = |text: &str| user(text, 1_000_000);
        assert_eq!(
            whose(r#"{"expireTime":1001,"content":{"currentUser":{"id":42,"x":[]}},"lock":{}}"#),
            Some(42)
        );
        assert_eq!(
            whose(r#"{"content":{"currentUser":{"id":9223372036854775807}}}"#),
            Some(i64::MAX)
        );
        assert_eq!(
            whose(r#"{"expireTime":null,"content":{"currentUser":{"id":1}}}"#),
            Some(1)
        );
        for nobody in [
            "not json",
            r#"{"content":{}}"#,
            r#"{"content":{"currentUser":{"id":"7"}}}"#,
            r#"{"content":{"currentUser":{"id":0}}}"#,
            r#"{"content":{"currentUser":{"id":1.5}}}"#,
            r#"{"content":{"currentUser":{"id":9223372036854775808}}}"#,
            r#"{"expireTime":1000,"content":{"currentUser":{"id":1}}}"#,
            r#"{"expireTime":"later","content":{"currentUser":{"id":1}}}"#,
        ] {
            assert_eq!(whose(nobody), None, "{nobody}");
        }
    }
}
