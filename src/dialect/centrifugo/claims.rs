//! Who a client says it is, with what proof: the parameters of `connect` and `refresh`.
//!
//! Invariants: pure. A token joins its parts with nothing between them, so a timestamp is ten digits long and of no future, and
//! an info does not begin with a digit: then no user's token is good for another user, and none makes a connection live
//! longer than one that is made now.

use std::borrow::Cow;

use super::answers::{INVALID_MESSAGE, INVALID_TOKEN};
use super::command::{Command, info_of, text_of};
use super::rules::Rules;
use crate::session::Close;

/// How far ahead of this machine's clock a backend's may be, seconds.
const SKEW_S: u64 = 300;

/// See the module.
pub struct Claims<'a> {
    /// The user; empty: none.
    pub(super) user: Cow<'a, str>,
    timestamp: Cow<'a, str>,
    info: Cow<'a, str>,
    token: Cow<'a, str>,
}

/// What is known once the proof is good.
#[derive(Debug, PartialEq, Eq)]
pub struct Proven {
    /// When the backend made it, Unix seconds; not in the future.
    at_s: u64,
    /// What it says of the client, JSON.
    pub(super) info: Option<Box<str>>,
}

impl<'a> Claims<'a> {
    /// Those of a command.
    ///
    /// # Errors
    /// Parameters are missing, or of another type.
    pub fn of(command: &'a Command) -> Result<Self, Close> {
        let [user, timestamp, info, token] =
            command.params(["user", "timestamp", "info", "token"])?;
        let (user, timestamp) = (text_of(user)?, text_of(timestamp)?);
        Ok(Self {
            user,
            timestamp,
            info: text_of(info)?,
            token: text_of(token)?,
        })
    }

    /// What is claimed, where no proof is asked for.
    ///
    /// # Errors
    /// The info is no JSON.
    pub fn believed(&self, now_s: u64) -> Result<Proven, Close> {
        Ok(Proven {
            at_s: now_s,
            info: info_of(&self.info)?,
        })
    }

    /// What is proven.
    ///
    /// # Errors
    /// What ends the connection.
    pub fn proven(&self, rules: &Rules, now_s: u64) -> Result<Proven, Close> {
        if !rules.signed(&[&self.user, &self.timestamp, &self.info], &self.token) {
            return Err(INVALID_TOKEN);
        }
        // A digit there may have been the timestamp's, and the timestamp's first the user's.
        if self.info.starts_with(|first: char| first.is_ascii_digit()) {
            return Err(INVALID_TOKEN);
        }
        let digits =
            self.timestamp.len() == 10 && self.timestamp.bytes().all(|byte| byte.is_ascii_digit());
        let at_s: u64 = self
            .timestamp
            .parse()
            .ok()
            .filter(|_| digits)
            .ok_or(INVALID_MESSAGE)?;
        if at_s > now_s + SKEW_S {
            return Err(INVALID_TOKEN);
        }
        Ok(Proven {
            at_s: at_s.min(now_s),
            info: info_of(&self.info)?,
        })
    }
}

impl Proven {
    /// When a connection ends that is not refreshed, Unix milliseconds; `None`: never.
    ///
    /// # Errors
    /// [`Expired`]
    pub fn until_ms(&self, rules: &Rules, now_s: u64) -> Result<Option<u64>, Expired> {
        match rules.ttl() {
            0 => Ok(None),
            ttl if self.at_s + ttl <= now_s => Err(Expired),
            ttl => Ok(Some((self.at_s + ttl + rules.expired_delay_s) * 1_000)),
        }
    }
}

/// The proof was good once: the client is asked for a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired;

/// The answer's body to `connect` and `refresh`.
pub(super) fn welcome(rules: &Rules, client: &str, expired: bool) -> String {
    let (version, ttl) = (env!("CARGO_PKG_VERSION"), rules.ttl());
    let expires = ttl > 0;
    format!(
        r#"{{"version":"{version}","client":"{client}","expires":{expires},"expired":{expired},"ttl":{ttl}}}"#
    )
}

#[cfg(test)]
mod tests {
    use super::super::command;
    use super::super::signing_key::SigningKey;
    use super::super::signing_key::tests::sign;
    use super::*;

    const NOW_S: u64 = 1_700_000_000;

    fn proven(user: &str, timestamp: &str, info: &str, signed: &[&str]) -> Result<Proven, Close> {
        let rules = Rules {
            secret: Some(SigningKey::new("secret")),
            ..Rules::default()
        };
        let params = serde_json::json!({"user": user, "timestamp": timestamp, "info": info, "token": sign("secret", signed)});
        let message = serde_json::json!({"method": "connect", "params": params}).to_string();
        let command = command::read(message.as_bytes())
            .expect("a command")
            .remove(0)
            .expect("one");
        Claims::of(&command)?.proven(&rules, NOW_S)
    }

    #[test]
    fn a_token_is_good_for_its_user_alone() {
        let good = ["42", "1500000000"];
        assert_eq!(
            proven("42", "1500000000", "", &good),
            Ok(Proven {
                at_s: 1_500_000_000,
                info: None
            })
        );
        // The same letters, taken apart otherwise.
        for (user, timestamp) in [
            ("4", "21500000000"),
            ("421", "500000000"),
            ("", "421500000000"),
        ] {
            assert_eq!(
                proven(user, timestamp, "", &good),
                Err(INVALID_MESSAGE),
                "{user} {timestamp}"
            );
        }
        for (user, timestamp, info) in [
            ("43", "1500000000", ""),
            ("42", "1500000001", ""),
            ("42", "1500000000", "{}"),
        ] {
            assert_eq!(
                proven(user, timestamp, info, &good),
                Err(INVALID_TOKEN),
                "{user} {timestamp} {info}"
            );
        }
        for (user, timestamp, info, signed) in [
            ("4", "1170000000", "0", ["41", "1700000000"]),
            ("4", "1117000000", "42", ["411", "1700000042"]),
            ("42", "1500000000", "7", ["42", "15000000007"]),
        ] {
            assert_eq!(
                proven(user, timestamp, info, &signed),
                Err(INVALID_TOKEN),
                "{user} {timestamp} {info}"
            );
        }
        assert_eq!(
            proven("42", "1500000000", "hello", &["42", "1500000000", "hello"]),
            Err(INVALID_MESSAGE)
        );
    }

    #[test]
    fn no_token_is_from_the_future_and_life_counts_from_now_at_most() {
        let at = |timestamp: u64| {
            proven(
                "42",
                &timestamp.to_string(),
                "",
                &["42", &timestamp.to_string()],
            )
        };
        assert_eq!(
            at(NOW_S + 300),
            Ok(Proven {
                at_s: NOW_S,
                info: None
            })
        );
        assert_eq!(at(NOW_S + 301), Err(INVALID_TOKEN));
        let rules = Rules {
            lifetime_s: 60,
            ..Rules::default()
        };
        let until = |at_s| Proven { at_s, info: None }.until_ms(&rules, NOW_S);
        assert_eq!(
            (until(NOW_S), until(NOW_S - 60)),
            (Ok(Some((NOW_S + 85) * 1_000)), Err(Expired))
        );
    }
}
