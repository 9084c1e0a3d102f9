//! A notification as an event: what streams show of it, and what WebSockets do.
//!
//! Invariant: pure. An event's meta is sixteen letters that name it where it is in no past, then the text that WebSockets
//! are sent in the place of the usual one, if there is such.

use bytes::Bytes;

use super::session::channel;
use crate::event::Event;

/// Letters of a name.
const NAME: usize = 16;

/// A notification for `user`; `name` is what streams call it, `number` whatever tells it from others.
pub fn new(user: &str, name: &str, data: Bytes, number: u64, text: &str) -> Event {
    Event {
        meta: format!("{number:016x}{text}").into(),
        ..Event::new(channel(user), name, data)
    }
}

/// What it is named by where it is in no past.
pub fn name(event: &Event) -> &str {
    std::str::from_utf8(event.meta.get(..NAME).unwrap_or(&event.meta)).unwrap_or_default()
}

/// What WebSockets are sent of it, where that is not the usual text.
pub fn text(event: &Event) -> Option<&[u8]> {
    event.meta.get(NAME..).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_has_a_name_and_at_times_a_text() {
        let plain = new("7", "notify", Bytes::from_static(b"1"), 0xab, "");
        assert_eq!((name(&plain), text(&plain)), ("00000000000000ab", None));
        let own = new("7", "notify", Bytes::from_static(b"1"), 1, "hello");
        assert_eq!(
            (name(&own), text(&own)),
            ("0000000000000001", Some(b"hello".as_slice()))
        );
        let short = Event {
            meta: "3f".into(),
            ..own
        };
        assert_eq!((name(&short), text(&short)), ("3f", None));
    }
}
