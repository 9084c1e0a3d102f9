//! What a message says: whose it is, and what is told.
//!
//! Invariant: pure. Whatever does not fit reaches nobody, and has a name to be counted by.

use std::str;

/// Digits of a user's number at most.
const DIGITS: usize = 19;
/// Bytes of a payload that is passed on.
const LONGEST: usize = 64 << 10;
/// Stands for the user in a topic.
const USER: &str = "{id}";

/// The users' topics: what stands before and behind a user's number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    before: String,
    behind: String,
}

impl Topic {
    /// Reads one as it is set: `notification{id}`. `None`: nobody can subscribe to it.
    pub fn parse(text: &str) -> Option<Self> {
        let (before, behind) = text.split_once(USER)?;
        let plain =
            !behind.contains(USER) && text.len() <= 1_000 && !text.contains(['+', '#', '\0']);
        plain.then(|| Self {
            before: before.to_owned(),
            behind: behind.to_owned(),
        })
    }

    /// What is subscribed to: MQTT has no sign for a part of a level, so it is all of the level that the number is in.
    pub fn filter(&self) -> String {
        let above = self.before.rfind('/').map_or("", |at| &self.before[..=at]);
        let below = self.behind.find('/').map_or("", |at| &self.behind[at..]);
        format!("{above}+{below}")
    }

    /// A topic that is subscribed to and no user's, made unlike others by `word`, which is no number.
    pub fn of_nobody(&self, word: &str) -> String {
        format!("{}{word}{}", self.before, self.behind)
    }

    fn user(&self, topic: &[u8]) -> Option<u64> {
        let digits = str::from_utf8(topic)
            .ok()?
            .strip_prefix(&*self.before)?
            .strip_suffix(&*self.behind)?;
        let plain = (1..=DIGITS).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit());
        (plain && !digits.starts_with('0'))
            .then(|| digits.parse().ok())
            .flatten()
            .filter(|user| *user <= i64::MAX as u64)
    }
}

/// What payloads mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// The topic's user again, in decimal.
    Id,
    /// The text that pages are sent; empty: the usual one.
    Pass,
}

/// Why a message is for nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Unfit {
    /// The topic is no user's.
    Topic,
    /// The payload is not what it should be.
    Payload,
    /// It is kept by the broker for whoever subscribes: old news.
    Retained,
    /// It is too long to be one of ours.
    Size,
}

impl Unfit {
    /// The counter's label.
    pub fn label(self) -> &'static str {
        self.into()
    }
}

/// Reads a message: its user, and what is told instead of the usual text.
///
/// # Errors
/// [`Unfit`]
pub fn read<'a>(
    topics: &Topic,
    mode: Payload,
    topic: &[u8],
    payload: &'a [u8],
) -> Result<(u64, &'a str), Unfit> {
    let user = topics.user(topic).ok_or(Unfit::Topic)?;
    let text = str::from_utf8(payload).map_err(|_| Unfit::Payload)?;
    match mode {
        Payload::Pass if text.len() <= LONGEST => Ok((user, text)),
        Payload::Id if decimal(text) == Some(user) => Ok((user, "")),
        _ => Err(Unfit::Payload),
    }
}

fn decimal(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain() -> Topic {
        Topic::parse("notification{id}").expect("a topic")
    }

    #[test]
    fn a_topic_is_subscribed_to_by_its_level() {
        let filter = |text: &str| Topic::parse(text).map(|topic| topic.filter());
        assert_eq!(filter("notification{id}").as_deref(), Some("+"));
        assert_eq!(filter("a/b{id}c/d").as_deref(), Some("a/+/d"));
        assert_eq!(filter("/{id}").as_deref(), Some("/+"));
        for bad in ["notification", "{id}{id}", "a/+/{id}", "{id}/#"] {
            assert_eq!(filter(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_a_users_own_topic_is_his() {
        let user = |topic: &str| plain().user(topic.as_bytes());
        assert_eq!(
            (
                user("notification42"),
                user("notification9223372036854775807")
            ),
            (Some(42), Some(i64::MAX as u64))
        );
        for other in [
            "notification",
            "notification/42",
            "notification42/x",
            "Notification42",
            "xnotification42",
            "notification042",
            "notification0",
            "notification-1",
            "notification1 ",
            "notification\u{ff11}",
            "notification9223372036854775808",
            "notification18446744073709551617",
        ] {
            assert_eq!(user(other), None, "{other}");
        }
        assert_eq!(plain().user(b"notification\xff"), None);
        assert_eq!(
            Topic::parse("{id}{x").expect("odd, and fine").user(b"7{x"),
            Some(7)
        );
    }

    #[test]
    fn a_payload_is_the_users_number_or_a_text() {
        let read = |mode, payload: &'static [u8]| read(&plain(), mode, b"notification42", payload);
        for good in [b"42".as_slice(), b"00042", b"000000000000000000000000042"] {
            assert_eq!(read(Payload::Id, good), Ok((42, "")), "{good:?}");
        }
        for bad in [
            b"43".as_slice(),
            b"",
            b"+42",
            b" 42",
            b"42\n",
            b"4.2e1",
            b"{\"id\":42}",
            b"99999999999999999999",
            b"\xff",
        ] {
            assert_eq!(read(Payload::Id, bad), Err(Unfit::Payload), "{bad:?}");
        }
        assert_eq!(read(Payload::Pass, "한".as_bytes()), Ok((42, "한")));
        assert_eq!(read(Payload::Pass, b""), Ok((42, "")));
        assert_eq!(read(Payload::Pass, b"\xff"), Err(Unfit::Payload));
        assert_eq!(
            read(Payload::Pass, &[b'x'; LONGEST + 1]),
            Err(Unfit::Payload)
        );
    }
}
