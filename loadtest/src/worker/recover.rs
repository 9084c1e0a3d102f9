//! What a client hears that recovers: its subscriptions' answers, with what it missed in them, and messages.
//!
//! Invariant: such a client is subscribed when all its subscriptions have been answered, and always knows the last message of
//! each library that it has had; a refusal ends its connection, as it could not tell otherwise when to ask again.

use super::Worker;
use crate::clock;
use crate::dialect::{Heard, Message, Place, Subscribed};
use crate::stamp;

impl Worker {
    /// Where client `i` is in each of its libraries.
    pub(super) fn places_of(&self, i: u32) -> &[Option<Place>] {
        let per_client = self.plan.per_client as usize;
        &self.places[i as usize * per_client..][..per_client]
    }

    /// A client received a message, or something about its subscriptions.
    pub(super) fn on_recoverable(&mut self, i: u32, text: &[u8]) {
        let heard = self.plan.dialect.hear(text);
        if heard.is_empty() {
            return self.on_other(i, text);
        }
        for heard in heard {
            match heard {
                Heard::Message(message) => self.on_message(i, &message),
                Heard::Subscribed(answer) => self.on_subscribed(i, answer),
                Heard::Refused(why) => return self.ended(i, &format!("refused: {why}"), 1000),
            }
        }
    }

    fn on_message(&mut self, i: u32, message: &Message<'_>) {
        let found = stamp::find(&self.finder, message.data.as_bytes());
        let found = found.filter(|s| s.run == self.plan.run);
        let Some((s, cell)) = found.and_then(|s| Some((s, self.book.cell(i, s.channel)?))) else {
            return self.tally.foreign += 1;
        };
        let place = self.places[cell].get_or_insert_default();
        place.last.clear();
        place.last.push_str(&message.last);
        self.receive(i, s);
    }

    fn on_subscribed(&mut self, i: u32, answer: Subscribed<'_>) {
        let per_client = self.plan.per_client;
        if answer.nth >= per_client as usize {
            return self.tally.foreign += 1;
        }
        let (cell, now) = (
            i as usize * per_client as usize + answer.nth,
            clock::now_ns(),
        );
        // Who had nothing to name is not told anything by that, but is given all there is.
        let named = self.places[cell]
            .as_ref()
            .is_some_and(|p| !p.last.is_empty());
        match (answer.recovered, answer.place) {
            // A message that came before the answer is newer than what that tells.
            (None, place) => self.places[cell] = self.places[cell].take().or(place),
            (Some(_), Some(place)) => self.places[cell] = Some(place),
            (Some(_), None) => {}
        }
        match answer.recovered {
            Some(true) => self.tally.recovered += 1,
            Some(false) => {
                self.tally.holes += u64::from(named);
                self.book.hole(cell, now / 1000);
            }
            None => {}
        }
        for message in &answer.messages {
            self.on_message(i, message);
        }
        let answered = &mut self.conns[i as usize].answered;
        *answered += 1;
        if *answered == per_client {
            self.subscribed(i, now);
        }
    }
}
