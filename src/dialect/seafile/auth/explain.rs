//! Explains a token to a person: what it says, whether it is good, for what, and why not.
//!
//! Invariant: the token itself is in no answer and in no log; what it claims is shown also where its signature is wrong,
//! and then said to be so.

use base64::Engine;
use serde::Serialize;
use serde_json::Value;

use super::{B64, Keys, Refusal};

/// What there is to say about a token.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explained {
    /// Whether it is good for anything.
    pub valid: bool,
    /// Why not, as metrics call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
    /// The same in words.
    pub text: String,
    /// Its header, `null` where that cannot be read.
    pub header: Value,
    /// Its claims, `null` where they cannot be read. Not to be believed where the signature is wrong.
    pub claims: Value,
    /// What it is good for.
    uses: Uses,
    /// Seconds until it runs out; negative: since it has. `None`: it does not say.
    pub expires_in_seconds: Option<i64>,
}

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Uses {
    /// Subscribing to the library it names.
    subscribe: bool,
    /// Posting events.
    events: bool,
}

impl Keys {
    /// Explains `token` as it is at `now_s`, Unix time in seconds.
    pub fn explain(&self, token: &str, now_s: i64) -> Explained {
        let mut pieces = token.trim().split('.').map(json);
        let (header, claims) = (pieces.next().flatten(), pieces.next().flatten());
        let verdict = self.verify(token.trim(), now_s);
        let uses = match &verdict {
            Ok(claims) => Uses {
                subscribe: !claims.repo_id().is_empty(),
                events: claims.username().is_empty(),
            },
            Err(_) => Uses {
                subscribe: false,
                events: false,
            },
        };
        let exp = claims
            .as_ref()
            .and_then(|claims| claims.get("exp")?.as_i64());
        Explained {
            valid: verdict.is_ok(),
            cause: verdict.as_ref().err().map(|refusal| refusal.label()),
            text: sentence(verdict.as_ref().err().copied(), uses),
            header: header.unwrap_or_default(),
            claims: claims.unwrap_or_default(),
            uses,
            expires_in_seconds: exp.map(|exp| exp.saturating_sub(now_s)),
        }
    }
}

fn json(piece: &str) -> Option<Value> {
    serde_json::from_slice(&B64.decode(piece).ok()?).ok()
}

fn sentence(refusal: Option<Refusal>, uses: Uses) -> String {
    match refusal {
        Some(Refusal::Signature) => {
            "No: its signature does not fit the key. Seafile's JWT_PRIVATE_KEY and this server's differ, or it was changed."
                .into()
        }
        Some(refusal) => format!("No: {refusal}."),
        None => match (uses.subscribe, uses.events) {
            (true, true) => "It is good for subscribing to its library, and for posting events.".into(),
            (true, false) => "It is good for subscribing to its library. It names a user: not for posting events.".into(),
            (false, true) => "It is good for posting events. It names no library: not for subscribing.".into(),
            (false, false) => "It is genuine and good for nothing: it names a user and no library.".into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::seafile::auth::Claims;

    const KEY: &str = "testkey-testkey-testkey-testkey-00";

    fn token(repo: Option<&str>, user: Option<&str>) -> String {
        let claims = Claims {
            exp: 2_000,
            repo_id: repo.map(Into::into),
            username: user.map(Into::into),
        };
        Keys::new(KEY, None).sign(&claims)
    }

    #[test]
    fn what_a_token_is_good_for() {
        let keys = Keys::new(KEY, None);
        for (repo, user, subscribe, events) in [
            (Some("r"), Some("u"), true, false),
            (Some("r"), Some(""), true, true),
            (None, None, false, true),
            (None, Some("u"), false, false),
        ] {
            let said = keys.explain(&token(repo, user), 1_000);
            assert_eq!(
                (said.valid, said.uses),
                (true, Uses { subscribe, events }),
                "{repo:?} {user:?}"
            );
            assert_eq!(
                (said.expires_in_seconds, &said.header["alg"]),
                (Some(1_000), &"HS256".into())
            );
        }
    }

    #[test]
    fn why_it_is_not() {
        let good = token(Some("r"), Some("u"));
        let late = Keys::new(KEY, None).explain(&good, 2_005);
        assert_eq!(
            (late.cause, late.expires_in_seconds),
            (Some("expired"), Some(-5))
        );
        let other = Keys::new("another", None).explain(&good, 1_000);
        assert_eq!(
            (other.cause, &other.claims["repo_id"]),
            (Some("signature"), &"r".into())
        );
        for (text, cause) in [
            ("", "missing"),
            ("x", "malformed"),
            ("a.b.c", "malformed"),
            ("\u{0}..", "malformed"),
        ] {
            let said = Keys::new(KEY, None).explain(text, 0);
            assert_eq!(
                (said.cause, said.valid, said.claims),
                (Some(cause), false, Value::Null),
                "{text}"
            );
        }
    }
}
