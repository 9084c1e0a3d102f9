//! What flows through Foghorn: channels and immutable events.
//!
//! Invariant: an [`Event`] never changes once made, and cloning it copies pointers only.

mod past;

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;

pub use self::past::{Early, Keep, Past};

/// What clients subscribe to, written `<kind>/<name>`.
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

    /// What stands before the name.
    pub fn kind(&self) -> &str {
        self.0.split_once('/').map_or("", |(kind, _)| kind)
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

/// A place in what a channel keeps: later places are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Changes where what is kept may have a hole: places of two epochs say nothing of what lies between them.
    pub epoch: u64,
    /// Counts what the channel kept, from 1, without holes within an epoch.
    pub number: u64,
}

impl Place {
    /// So many numbers are passed over where something is missing, or was lost, before the first that is kept.
    pub const MISSING: u64 = 1_000_000;
}

/// Whether an event is in what its channel keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kept {
    /// Nobody wanted it to be.
    #[default]
    No,
    /// It is.
    At(Place),
    /// It should be, and could not be: what is kept has a hole.
    Missed,
    /// It is going to be: its node's own clients have it before it has a place. Other nodes never see this.
    Later,
}

/// One notification, immutable and cheap to clone. No client gets it as it is: each kind of client has a
/// [`Wire`](crate::outbox::Wire) that writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Where it goes.
    pub channel: Channel,
    /// What kind of news it is: letters, digits and hyphens.
    pub name: Arc<str>,
    /// What was posted: JSON without blanks between its tokens, or text.
    pub data: Bytes,
    /// What the dialect that published it tells itself; nobody else reads it.
    pub meta: Bytes,
    /// Which of the channel's subscribers get it.
    pub recipients: Recipients,
    /// When the accepting node took it: Unix time in milliseconds, by that node's clock.
    pub accepted_ms: u64,
    /// The same for each copy of an event that was posted again, by a proxy that saw no answer say; `None` where the
    /// poster gave nothing to tell by.
    pub idempotency_key: Option<u64>,
    /// Where it is in what its channel keeps.
    pub kept: Kept,
}

impl Event {
    /// An event for every subscriber of `channel`, taken now.
    pub fn new(channel: Channel, name: &str, data: impl Into<Bytes>) -> Self {
        Self {
            channel,
            name: name.into(),
            data: data.into(),
            meta: Bytes::new(),
            recipients: Recipients::All,
            accepted_ms: now_ms(),
            idempotency_key: None,
            kept: Kept::No,
        }
    }

    /// No news: it tells every node that something of `channel` is lost for good, so that whoever must check everything
    /// anew then does.
    pub fn loss(channel: Channel) -> Self {
        Self::new(channel, "", Bytes::new())
    }

    /// Whether this is what [`Event::loss`] makes. News has a name.
    pub fn is_loss(&self) -> bool {
        self.name.is_empty()
    }

    /// Roughly what keeping this event costs in memory, in bytes.
    pub fn cost(&self) -> usize {
        let users = match &self.recipients {
            Recipients::All => 0,
            Recipients::Users(users) => users.iter().map(|u| u.len() + 32).sum(),
        };
        let texts =
            self.data.len() + self.meta.len() + self.name.len() + self.channel.as_str().len();
        texts + users + 128
    }
}

/// Unix time in milliseconds by this machine's clock.
pub fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_millis() as u64)
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
        let channel = Channel::new("c", "a/b");
        assert_eq!((channel.as_str(), channel.name()), ("c/a/b", "a/b"));
    }
}
