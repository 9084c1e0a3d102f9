//! One event, as the wires that it meets write it.
//!
//! Invariant: it is written once for each wire, however many subscribers of however many kinds take it.

use std::ptr;

use bytes::Bytes;

use crate::event::Event;
use crate::outbox::Kind;

/// See the module's description.
pub(super) struct Rendered<'e> {
    event: &'e Event,
    /// What was asked for last: subscribers of one kind are the rule.
    current: Option<(&'static Kind, Bytes)>,
    others: Vec<(&'static Kind, Bytes)>,
}

impl<'e> Rendered<'e> {
    pub(super) fn new(event: &'e Event) -> Self {
        Self {
            event,
            current: None,
            others: Vec::new(),
        }
    }

    /// The event's frame for clients of `kind`.
    pub(super) fn frame(&mut self, kind: &'static Kind) -> &Bytes {
        // Kinds are no empty types: one address is one kind.
        if !self
            .current
            .as_ref()
            .is_some_and(|(last, _)| ptr::eq(*last, kind))
        {
            self.turn_to(kind);
        }
        let (_, frame) = self
            .current
            .get_or_insert_with(|| (kind, kind.wire.event(self.event)));
        frame
    }

    /// Makes the frame for `kind` the current one.
    fn turn_to(&mut self, kind: &'static Kind) {
        let name = kind.wire.name();
        match self.current.take() {
            Some((last, frame)) if last.wire.name() == name => {
                return self.current = Some((kind, frame));
            }
            Some(last) => self.others.push(last),
            None => {}
        }
        let made = self
            .others
            .iter()
            .position(|(other, _)| other.wire.name() == name);
        self.current = made.map(|at| (kind, self.others.swap_remove(at).1));
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::event::Channel;
    use crate::outbox::testing::BARE;
    use crate::outbox::{Deflate, Wire};

    static WRITTEN: AtomicUsize = AtomicUsize::new(0);

    /// Without fields, so that two of them may share an address.
    struct Shouting;
    struct Whispering;

    fn written(text: String) -> Bytes {
        WRITTEN.fetch_add(1, Ordering::Relaxed);
        text.into()
    }

    macro_rules! wire {
        ($wire:ident, $name:literal, $change:ident) => {
            impl Wire for $wire {
                fn name(&self) -> &'static str {
                    $name
                }
                fn event(&self, event: &Event) -> Bytes {
                    written(event.name.$change())
                }
                fn message(&self, text: &[u8]) -> Bytes {
                    Bytes::copy_from_slice(text)
                }
                fn heartbeat(&self) -> &'static [u8] {
                    b""
                }
                fn text<'f>(&self, frame: &'f [u8]) -> Cow<'f, [u8]> {
                    frame.into()
                }
            }
        };
    }
    wire!(Shouting, "test/shouting", to_uppercase);
    wire!(Whispering, "test/whispering", to_lowercase);

    const fn kind(label: &'static str, wire: &'static dyn Wire) -> Kind {
        Kind {
            label,
            wire,
            dialect: BARE.dialect,
            deflate: Deflate::Never,
            drained_last: false,
            closed_at_once: false,
            pinger_patience: None,
            close: |_| None,
        }
    }
    static LOUD: Kind = kind("loud", &Shouting);
    static QUIET: Kind = kind("quiet", &Whispering);
    static ALSO_LOUD: Kind = kind("also loud", &Shouting);

    #[test]
    fn each_wire_gets_its_own_frame_written_once() {
        let event = Event::new(Channel::new("c", "x"), "News", "");
        let mut rendered = Rendered::new(&event);
        for kind in [&LOUD, &LOUD, &QUIET, &ALSO_LOUD, &QUIET, &LOUD, &ALSO_LOUD] {
            let wanted = if ptr::eq(kind, &QUIET) {
                "news"
            } else {
                "NEWS"
            };
            assert_eq!(rendered.frame(kind), wanted, "{kind:?}");
        }
        assert_eq!(WRITTEN.load(Ordering::Relaxed), 2);
    }
}
