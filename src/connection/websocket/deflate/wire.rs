//! What goes out to clients that take compressed messages: another wire's frames, compressed.
//!
//! Invariant: what gets no shorter goes as it is, which every client reads (RFC 7692, section 6).

use std::borrow::Cow;

use bytes::Bytes;

use super::super::framing::{compressed_frame, is_compressed, payload};
use super::Effort;
use super::codec::{deflate, inflate};
use crate::event::Event;
use crate::outbox::Wire;
use crate::session::Close;

/// A wire's events and messages, compressed; they have to be one text frame each. Its other frames go as they are.
pub(super) struct Compressed {
    pub(super) name: &'static str,
    pub(super) plain: &'static dyn Wire,
    pub(super) effort: Effort,
}

impl Compressed {
    fn compress(&self, frame: Bytes) -> Bytes {
        let text = payload(&frame);
        if text.len() <= self.effort.passed_bytes {
            return frame;
        }
        let compressed = deflate(text, self.effort.level);
        if compressed.len() < text.len() {
            compressed_frame(&compressed)
        } else {
            frame
        }
    }
}

impl Wire for Compressed {
    fn name(&self) -> &'static str {
        self.name
    }

    fn event(&self, event: &Event) -> Bytes {
        self.compress(self.plain.event(event))
    }

    fn message(&self, text: &[u8]) -> Bytes {
        self.compress(self.plain.message(text))
    }

    fn heartbeat(&self) -> &'static [u8] {
        self.plain.heartbeat()
    }

    fn greeting(&self) -> &'static [u8] {
        self.plain.greeting()
    }

    fn goodbye(&self, close: &Close) -> Bytes {
        self.plain.goodbye(close)
    }

    fn missed(&self) -> &[u8] {
        self.plain.missed()
    }

    fn text<'f>(&self, frame: &'f [u8]) -> Cow<'f, [u8]> {
        if !is_compressed(frame) {
            return self.plain.text(frame);
        }
        inflate(payload(frame).to_vec(), usize::MAX)
            .unwrap_or_default()
            .into()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::codec::Level;
    use super::super::offered;
    use super::*;
    use crate::event::Channel;
    use crate::hub::{Hub, Subscriber};
    use crate::outbox::testing::BARE;
    use crate::outbox::{Bounds, Deflate, Kind, Outbox};

    fn agreed(passed_bytes: usize) -> &'static Kind {
        let level = Level::Search(1);
        let effort = Effort {
            level,
            passed_bytes,
        };
        let kind = offered(&BARE, "test/bare-deflate", effort);
        match kind.deflate {
            Deflate::Offered(agreed) => agreed,
            Deflate::Never | Deflate::Agreed => panic!("it is offered"),
        }
    }

    #[test]
    fn what_gets_shorter_is_compressed_and_the_log_shows_what_it_was() {
        let text = "words ".repeat(15);
        for (passed, compressed) in [(0, true), (text.len() - 1, true), (text.len(), false)] {
            let wire = agreed(passed).wire;
            let event = Event::new(Channel::new("c", "x"), "said", text.clone());
            for frame in [wire.message(text.as_bytes()), wire.event(&event)] {
                assert_eq!(is_compressed(&frame), compressed, "{passed}");
                assert_eq!(frame.len() < text.len(), compressed, "{passed}");
                assert_eq!(wire.text(&frame), text.as_bytes());
            }
        }
        let (wire, random) = (agreed(0).wire, b"q8Zx!m");
        let frame = wire.message(random);
        assert_eq!(frame, BARE.wire.message(random), "it would be longer");
    }

    #[test]
    fn frames_that_are_no_text_go_as_they_are() {
        let (wire, plain) = (agreed(0).wire, BARE.wire);
        assert_eq!(wire.heartbeat(), plain.heartbeat());
        assert_eq!(wire.greeting(), plain.greeting());
        assert_ne!(wire.name(), plain.name(), "each has frames of its own");
    }

    #[tokio::test]
    async fn an_event_is_compressed_once_for_all_who_get_it() {
        let (hub, channel) = (Hub::new(Duration::ZERO, 0), Channel::new("c", "x"));
        let bounds = Bounds {
            messages: 10,
            bytes: 1_000,
        };
        let kinds = [agreed(0), agreed(0), &BARE, agreed(0), &BARE];
        let outboxes: Vec<_> = (0..)
            .zip(kinds)
            .map(|(id, kind)| Outbox::taken(id, kind, bounds, || {}))
            .collect();
        for outbox in &outboxes {
            let subscriber = Subscriber::new("ann".into(), Arc::clone(outbox));
            hub.subscribe(&channel, subscriber, None);
        }
        hub.deliver(Event::new(channel, "said", "words ".repeat(15)))
            .await;
        let frames: Vec<Bytes> = outboxes.iter().filter_map(|outbox| outbox.take()).collect();
        let shared = |at: [usize; 2]| frames[at[0]].as_ptr() == frames[at[1]].as_ptr();
        assert!(shared([0, 1]) && shared([1, 3]) && shared([2, 4]));
        assert!(is_compressed(&frames[0]) && !is_compressed(&frames[2]));
    }
}
