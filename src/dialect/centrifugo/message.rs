//! Events of channels, and how they read as JSON: messages, joins and leaves.
//!
//! Invariant: pure. What clients and backends gave is passed on as it was spelled: big numbers, order and white space survive.

use rand::Rng;
use rand::distr::Alphanumeric;
use serde_json::Value;

use crate::event::{Channel, Event};

/// Kind of the channels of this dialect.
pub const CHANNEL_KIND: &str = "c";
/// Kind of the channels that say whether a channel is in use; nobody subscribes to them.
const USE_KIND: &str = "c-use";

/// Something was published.
const MESSAGE: &str = "message";
/// Somebody came.
pub(super) const JOIN: &str = "join";
/// Somebody left.
pub const LEAVE: &str = "leave";

/// A channel by its name.
pub fn channel(name: &str) -> Channel {
    Channel::new(CHANNEL_KIND, name)
}

/// The channel that says whether the one of this name is in use: its subscribers are present in it, and that they left is in
/// its past.
pub(super) fn in_use(name: &str) -> Channel {
    Channel::new(USE_KIND, name)
}

/// That somebody left a channel, for the past of [`in_use`].
pub fn left(name: &str) -> Event {
    Event::new(in_use(name), LEAVE, "")
}

/// A text as a JSON string.
pub fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// A new id for a message: 22 letters and digits.
pub(super) fn new_uid() -> String {
    rand::rng()
        .sample_iter(Alphanumeric)
        .take(22)
        .map(char::from)
        .collect()
}

/// Who publishes.
#[derive(Clone, Copy, Debug, Default)]
pub struct From<'a> {
    /// The id of a client; empty: none.
    pub(super) client: &'a str,
    /// What is said of it, JSON; empty: nothing.
    pub(super) info: &'a str,
}

/// A message with this id, whose data is JSON.
pub fn message(name: &str, uid: &str, data: &str, from: From<'_>) -> Event {
    // The id, and behind the first end of a line what stands behind the data.
    let mut meta = quoted(uid) + "\n";
    if !from.client.is_empty() {
        meta += &format!(r#","client":{}"#, quoted(from.client));
    }
    if !from.info.is_empty() {
        meta += r#","info":"#;
        meta += from.info;
    }
    Event {
        meta: meta.into(),
        ..Event::new(channel(name), MESSAGE, data.to_owned())
    }
}

/// A join or a leave ([`JOIN`], [`LEAVE`]) of whom `info` tells.
pub fn moved(name: &str, what: &str, info: &str) -> Event {
    Event::new(channel(name), what, info.to_owned())
}

/// Whether that is a message of a channel of this dialect.
pub(super) fn is_message(event: &Event) -> bool {
    let kind = event.channel.as_str().split_once('/').map(|(kind, _)| kind);
    kind == Some(CHANNEL_KIND) && *event.name == *MESSAGE
}

fn meta(event: &Event) -> (&str, &str) {
    // It was made of text.
    let meta = std::str::from_utf8(&event.meta).unwrap_or_default();
    meta.split_once('\n').unwrap_or((r#""""#, ""))
}

/// The id of a message, as a JSON string.
pub fn uid(event: &Event) -> &str {
    meta(event).0
}

/// What clients and backends see of an event.
pub fn body(event: &Event) -> String {
    let name = quoted(event.channel.name());
    let data = std::str::from_utf8(&event.data).unwrap_or("null");
    if *event.name == *MESSAGE {
        let (uid, rest) = meta(event);
        format!(r#"{{"uid":{uid},"channel":{name},"data":{data}{rest}}}"#)
    } else {
        format!(r#"{{"channel":{name},"data":{data}}}"#)
    }
}

/// Messages, the newest first, as an array.
pub(super) fn newest_first(events: &[Event]) -> String {
    let messages: Vec<String> = events.iter().rev().map(body).collect();
    format!("[{}]", messages.join(","))
}

/// What others see of a client.
pub fn info(user: &str, client: &str, default: Option<&str>, of_channel: Option<&str>) -> String {
    let mut text = format!(r#"{{"user":{},"client":{}"#, quoted(user), quoted(client));
    for (key, info) in [("default_info", default), ("channel_info", of_channel)] {
        if let Some(info) = info {
            text += &format!(r#","{key}":{info}"#);
        }
    }
    text + "}"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_reads_as_it_was_given() {
        let from = From {
            client: "c\"1",
            info: "{ \"user\":\n\"42\" }",
        };
        let event = message("a\"b", "u\n1", "[1e999,\n \"\\ud800\"]", from);
        assert_eq!(
            body(&event),
            "{\"uid\":\"u\\n1\",\"channel\":\"a\\\"b\",\"data\":[1e999,\n \"\\ud800\"],\"client\":\"c\\\"1\",\"info\":{ \"user\":\n\"42\" }}"
        );
        assert_eq!(uid(&event), quoted("u\n1"));
        let bare = message("x", "1", "null", From::default());
        assert_eq!(
            newest_first(&[bare.clone(), event.clone()]),
            format!("[{},{}]", body(&event), body(&bare))
        );
    }

    #[test]
    fn joins_tell_who_it_is() {
        let info = info("42", "c1", Some("1"), Some("{}"));
        assert_eq!(
            info,
            r#"{"user":"42","client":"c1","default_info":1,"channel_info":{}}"#
        );
        assert_eq!(
            body(&moved("x", JOIN, &info)),
            format!(r#"{{"channel":"x","data":{info}}}"#)
        );
    }
}
