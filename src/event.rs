//! What flows through Foghorn: channels and immutable events.
//!
//! Invariant: an [`Event`] never changes once made, and cloning it copies pointers only.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;

/// What clients subscribe to, written `<kind>/<name>`; a Seafile library is `repo/<uuid>`.
///
/// Each dialect has kinds of its own, so that two dialects can never meet in one channel by accident.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Channel(Arc<str>);

impl Channel {
    /// The channel `kind/name`.
    pub fn new(kind: &str, name: &str) -> Self {
        let mut text = String::with_capacity(kind.len() + 1 + name.len());
        text.push_str(kind);
        text.push('/');
        text.push_str(name);
        Self(text.into())
    }

    /// A channel from its full text, as it came over the broker.
    pub fn from_text(text: &str) -> Self {
        Self(text.into())
    }

    /// The full text, `kind/name`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part after the kind.
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, name)| name)
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whom of a channel's subscribers an event is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipients {
    /// Every subscriber.
    All,
    /// Only subscriptions that belong to one of these users; sorted, so that looking one up is cheap.
    Users(Arc<[Arc<str>]>),
}

impl Recipients {
    /// Only these users. An empty list means nobody.
    pub fn users<I, S>(users: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: Into<Arc<str>>,
    {
        let mut list: Vec<Arc<str>> = users.into_iter().map(Into::into).collect();
        list.sort_unstable();
        list.dedup();
        Self::Users(list.into())
    }

    /// Whether a subscription of `user` gets the event. Names compare exactly, case included.
    pub fn include(&self, user: &str) -> bool {
        match self {
            Self::All => true,
            Self::Users(users) => users.binary_search_by(|u| (**u).cmp(user)).is_ok(),
        }
    }
}

/// One notification, immutable and cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Where it goes.
    pub channel: Channel,
    /// The text clients get, encoded once by the accepting node.
    pub payload: Bytes,
    /// Which of the channel's subscribers get it.
    pub recipients: Recipients,
    /// When the accepting node took it: Unix time in milliseconds, by that node's clock.
    pub accepted_ms: u64,
    /// The same for each copy of an event that was posted again, by a proxy that saw no answer say; `None` where the
    /// poster gave nothing to tell by.
    pub idempotency_key: Option<u64>,
}

impl Event {
    /// Roughly what keeping this event costs in memory, in bytes.
    pub fn cost(&self) -> usize {
        let users = match &self.recipients {
            Recipients::All => 0,
            Recipients::Users(users) => users.iter().map(|u| u.len() + 32).sum(),
        };
        self.payload.len() + self.channel.as_str().len() + users + 96
    }
}

/// Unix time in milliseconds by this machine's clock.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipients_compare_exactly() {
        let some = Recipients::users(["b@x", "a@x", "b@x"]);
        assert!(some.include("a@x") && some.include("b@x"));
        assert!(!some.include("A@x") && !some.include(""));
        assert!(!Recipients::users(Vec::<&str>::new()).include(""));
        assert!(Recipients::All.include(""));
    }

    #[test]
    fn a_channel_keeps_its_kind_and_name_apart() {
        let channel = Channel::new("repo", "a/b");
        assert_eq!((channel.as_str(), channel.name()), ("repo/a/b", "a/b"));
    }
}
