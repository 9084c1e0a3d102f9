//! What event streams call events and positions by: `MILLISECONDS-NAME`, opaque to clients.
//!
//! Invariants: pure; the same event has the same id on every connection, node and replay, but where a node's own clients had it
//! before it was kept, which its name then tells; whatever a client hands back is read as a position, or as none at all.

use sha1::{Digest, Sha1};

use super::notice;
use super::session::CHANNEL_KIND;
use crate::event::{Event, Kept, Place};

/// Digits of Unix milliseconds.
const DIGITS: usize = 13;
/// Bytes of the longest id that is looked at.
const LONGEST: usize = 64;
/// The longest name.
const NAME: usize = 50;
/// How far in the future an id may be, in milliseconds: clocks differ.
const AHEAD_MS: u64 = 60_000;
/// What names of events begin with that have no place.
const UNKEPT: &str = "x.";
/// Digits of such a name.
const NAMED: usize = 16;

/// Where a client is in what its user was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// When it was so, Unix milliseconds.
    pub(super) ms: u64,
    /// The place in the user's past.
    pub(super) mark: Mark,
}

/// A place in a user's past, as far as an id can tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Up to here.
    At(Place),
    /// Before everything: nothing was kept.
    Nothing,
    /// Up to the event of this name, which had no place when it was given. It may have one since.
    Named(u64),
    /// It cannot be told: another server's id.
    Unknown,
}

impl Position {
    /// Reads what a client handed back; `None`: it is no id, or of a time that is still to come.
    pub fn parse(text: &str, now_ms: u64) -> Option<Self> {
        let (ms, name) = text.split_once('-')?;
        let letters = |name: &str| {
            name.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
        };
        if text.len() > LONGEST
            || ms.len() != DIGITS
            || !(1..=NAME).contains(&name.len())
            || !letters(name)
        {
            return None;
        }
        let ms = ms
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| ms.parse().ok())
            .flatten()?;
        (ms <= now_ms.saturating_add(AHEAD_MS)).then(|| Self {
            ms,
            mark: mark(name),
        })
    }
}

fn mark(name: &str) -> Mark {
    if let Some(named) = name.strip_prefix(UNKEPT).and_then(number_of) {
        return Mark::Named(named);
    }
    let number = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| text.parse().ok())
            .flatten()
    };
    match name
        .split_once('.')
        .map(|(epoch, at)| (number(epoch), number(at)))
    {
        Some((Some(0), Some(0))) => Mark::Nothing,
        Some((Some(epoch), Some(number))) => Mark::At(Place { epoch, number }),
        _ => Mark::Unknown,
    }
}

/// The number that a name writes.
fn number_of(name: &str) -> Option<u64> {
    (name.len() == NAMED)
        .then(|| u64::from_str_radix(name, 16).ok())
        .flatten()
}

/// Whether an event is what [`Mark::Named`] tells of.
pub(super) fn is_named(event: &Event, named: u64) -> bool {
    number_of(&name(event)) == Some(named)
}

/// An event's id.
pub(super) fn of_event(event: &Event) -> String {
    match event.kept {
        Kept::At(place) => of(event.accepted_ms, Mark::At(place)),
        Kept::No | Kept::Missed | Kept::Later => {
            format!("{:013}-{UNKEPT}{}", event.accepted_ms, name(event))
        }
    }
}

/// What an event is named by that has no place, the same on all nodes. What another dialect tells itself is not looked at.
fn name(event: &Event) -> String {
    if event
        .channel
        .as_str()
        .strip_prefix(CHANNEL_KIND)
        .is_some_and(|name| name.starts_with('/'))
    {
        return notice::name(event).to_owned();
    }
    let mut digest = Sha1::new();
    for part in [
        event.channel.as_str().as_bytes(),
        event.name.as_bytes(),
        &event.data,
    ] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest
        .finalize()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A position's id.
pub fn of(ms: u64, mark: Mark) -> String {
    match mark {
        Mark::At(Place { epoch, number }) => format!("{ms:013}-{epoch}.{number}"),
        Mark::Nothing => format!("{ms:013}-0.0"),
        Mark::Named(named) => format!("{ms:013}-{UNKEPT}{named:016x}"),
        Mark::Unknown => format!("{ms:013}-{UNKEPT}0"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Channel;

    const NOW: u64 = 1_764_000_000_000;

    #[test]
    fn what_is_written_is_read_as_the_same_position() {
        let place = Place {
            epoch: u64::MAX,
            number: u64::MAX,
        };
        let named = Mark::Named(u64::MAX);
        for mark in [Mark::At(place), Mark::Nothing, named, Mark::Unknown] {
            let id = of(NOW, mark);
            assert!(id.len() <= LONGEST, "{id}");
            assert_eq!(Position::parse(&id, NOW), Some(Position { ms: NOW, mark }));
        }
    }

    #[test]
    fn an_event_that_is_in_no_past_has_a_name_and_no_place() {
        let event = Event {
            meta: "3f".into(),
            accepted_ms: NOW,
            ..Event::new(Channel::new("user", "u"), "n", "1")
        };
        let id = of_event(&event);
        assert_eq!(id, format!("{NOW}-x.3f"));
        assert_eq!(
            Position::parse(&id, NOW).map(|position| position.mark),
            Some(Mark::Unknown)
        );
        let foreign = |data: &'static str| {
            let meta = "what is another dialect's".into();
            of_event(&Event {
                meta,
                accepted_ms: NOW,
                ..Event::new(Channel::new("topic", "u"), "n", data)
            })
        };
        assert!(foreign("1") == foreign("1") && foreign("1") != foreign("2"));
        assert!(matches!(
            Position::parse(&foreign("1"), NOW).map(|position| position.mark),
            Some(Mark::Named(_))
        ));
        let own = Event {
            meta: "00000000000000ab and a text".into(),
            ..event.clone()
        };
        let mark = Position::parse(&of_event(&own), NOW).map(|position| position.mark);
        assert_eq!(mark, Some(Mark::Named(0xab)));
        assert!(is_named(&own, 0xab) && !is_named(&own, 0xac) && !is_named(&event, 0x3f));
        let kept = Event {
            kept: Kept::At(Place {
                epoch: 7,
                number: 9,
            }),
            ..event
        };
        assert_eq!(of_event(&kept), format!("{NOW}-7.9"));
    }

    #[test]
    fn garbage_and_the_future_count_as_none() {
        let long = format!("{NOW}-{}", "a".repeat(51));
        let future = format!("{}-1.1", NOW + AHEAD_MS + 1);
        for text in [
            "",
            "-",
            "1764000000000",
            "1764000000000-",
            "176400000000-a",
            "1764000000000-a b",
            &long,
            &future,
        ] {
            assert_eq!(Position::parse(text, NOW), None, "{text}");
        }
        let gone = Position::parse("1764000000000-gone.1", NOW);
        assert_eq!(
            gone,
            Some(Position {
                ms: NOW,
                mark: Mark::Unknown
            })
        );
    }
}
