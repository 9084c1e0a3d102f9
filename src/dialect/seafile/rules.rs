//! What all Seafile sessions and posts of a node have in common: the keys, the limits, and who may do what.
//!
//! Invariant: pure. A token that names a user is never good for posting: one key signs both kinds, and users hold
//! theirs.

use std::sync::Arc;

use super::auth::{Claims, Keys, Refusal};
use super::token_failures::{Cause, Refusals};

/// One a node.
#[derive(Debug)]
pub struct Rules {
    /// What tokens are judged by.
    pub(super) keys: Keys,
    /// Libraries a connection may be subscribed to at once.
    pub(super) max_subscriptions: usize,
    /// Where refused tokens are counted.
    pub(super) refusals: Refusals,
}

impl Rules {
    /// Rules for new sessions.
    pub fn new(keys: Keys, max_subscriptions: usize) -> Arc<Self> {
        Arc::new(Self {
            keys,
            max_subscriptions,
            refusals: Refusals::default(),
        })
    }

    /// Whether a token allows subscribing to `library`, and as whom. `now_ms` is Unix time in milliseconds.
    ///
    /// # Errors
    /// Why not; not yet counted.
    pub fn may_subscribe(&self, library: &str, token: &str, now_ms: u64) -> Result<Claims, Cause> {
        if library.is_empty() {
            return Err(Cause::NoLibrary);
        }
        let claims = self.keys.verify(token, (now_ms / 1000) as i64)?;
        if claims.repo_id() == library {
            Ok(claims)
        } else {
            Err(Cause::OtherLibrary)
        }
    }

    /// Whether a backend may post, by its `Authorization` header: any word, a blank, the token, and what follows another
    /// blank is not looked at. `now_ms` is Unix time in milliseconds.
    ///
    /// # Errors
    /// Why not; not yet counted.
    pub fn may_post(&self, authorization: Option<&str>, now_ms: u64) -> Result<(), Cause> {
        let token = authorization
            .and_then(|header| header.split(' ').nth(1))
            .ok_or(Refusal::Missing)?;
        let claims = self.keys.verify(token, (now_ms / 1000) as i64)?;
        if claims.username().is_empty() {
            Ok(())
        } else {
            Err(Cause::UserToken)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000;

    fn token(exp: i64, repo_id: Option<&str>, username: Option<&str>) -> String {
        let (repo_id, username) = (repo_id.map(str::to_owned), username.map(str::to_owned));
        Keys::new("key", None).sign(&Claims {
            exp,
            repo_id,
            username,
        })
    }

    #[test]
    fn backends_post_and_users_do_not() {
        let rules = Rules::new(Keys::new("key", None), 1);
        let good = token(2_000, None, None);
        for header in [
            format!("Token {good}"),
            format!("anything {good}"),
            format!("Token {good} more words"),
            format!(" {good}"),
        ] {
            assert_eq!(rules.may_post(Some(&header), NOW), Ok(()), "{header}");
        }
        let fileserver = token(2_000, Some("r"), Some(""));
        assert_eq!(
            rules.may_post(Some(&format!("Token {fileserver}")), NOW),
            Ok(())
        );
        for users in [
            token(2_000, Some("r"), Some("ann@example.com")),
            token(2_000, None, Some("ann@example.com")),
        ] {
            assert_eq!(
                rules.may_post(Some(&format!("Token {users}")), NOW),
                Err(Cause::UserToken)
            );
        }
    }

    #[test]
    fn a_bad_header_or_token_is_refused() {
        let rules = Rules::new(Keys::new("key", None), 1);
        let good = token(2_000, None, None);
        let missing = Err(Cause::Token(Refusal::Missing));
        for header in [
            None,
            Some(""),
            Some("Token"),
            Some(good.as_str()),
            Some("Token  x"),
            Some("Token "),
        ] {
            assert_eq!(rules.may_post(header, NOW), missing, "{header:?}");
        }
        let expired = format!("Token {}", token(1_000, None, None));
        assert_eq!(
            rules.may_post(Some(&expired), NOW),
            Err(Cause::Token(Refusal::Expired))
        );
        let foreign = format!(
            "Token {}",
            Keys::new("other", None).sign(&Claims {
                exp: 2_000,
                ..Claims::default()
            })
        );
        assert_eq!(
            rules.may_post(Some(&foreign), NOW),
            Err(Cause::Token(Refusal::Signature))
        );
        assert_eq!(
            rules.may_post(Some("Token abc"), NOW),
            Err(Cause::Token(Refusal::Malformed))
        );
    }

    #[test]
    fn a_library_is_subscribed_to_with_its_own_token() {
        let rules = Rules::new(Keys::new("key", None), 1);
        let (own, none) = (
            token(2_000, Some("r"), Some("ann")),
            token(2_000, None, None),
        );
        assert_eq!(
            rules
                .may_subscribe("r", &own, NOW)
                .map(|claims| claims.username),
            Ok(Some("ann".into()))
        );
        assert_eq!(
            rules.may_subscribe("R", &own, NOW),
            Err(Cause::OtherLibrary)
        );
        assert_eq!(
            rules.may_subscribe("r", &none, NOW),
            Err(Cause::OtherLibrary)
        );
        assert_eq!(rules.may_subscribe("", &none, NOW), Err(Cause::NoLibrary));
    }
}
