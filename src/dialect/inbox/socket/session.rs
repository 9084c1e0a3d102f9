//! One page's state: whose it is, by which proof and until when, and when it is told to look.
//!
//! Invariant: pure. What is published once the connection is subscribed comes by itself; what came shortly before is told as
//! one text.

use std::sync::Arc;

use bytes::Bytes;

use super::super::session::channel;
use super::wire::{ENDED, LONGEST, TOO_LONG};
use crate::session::{Action, Answer, Query, Session, Since, Ticket, Turn};

/// Asks what the user was sent of late.
const GAP: Ticket = 1;
/// Asks whether the session at the backend is still there.
const LOOK: Ticket = 2;
/// Never, in Unix milliseconds.
const NEVER: u64 = u64::MAX;

/// What all pages of a node have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manner {
    /// What says that there is something new.
    pub(in crate::dialect::inbox) text: Bytes,
    /// A page whose user was notified within so many milliseconds is told to look when it connects; 0: none is.
    pub(in crate::dialect::inbox) gap_ms: u64,
    /// After so many milliseconds the session at the backend is looked up again; 0: never.
    pub(in crate::dialect::inbox) look_ms: u64,
}

/// Who a page's user is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The user, in decimal.
    pub(super) user: Arc<str>,
    /// When the token runs out, Unix milliseconds; `None`: it is no token.
    pub(super) until_ms: Option<u64>,
    /// The session at the backend that proves it; `None`: a token does.
    pub(super) session: Option<Box<str>>,
}

/// See the module's description.
pub(super) struct SocketSession {
    manner: Arc<Manner>,
    user: Arc<str>,
    session: Option<Box<str>>,
    until_ms: u64,
    look_at: u64,
    /// When it is told to look, since something may be missing.
    tell_at: u64,
}

impl SocketSession {
    /// The session of a page that has just connected.
    pub fn new(manner: Arc<Manner>, login: Login) -> Self {
        let Login {
            user,
            until_ms,
            session,
        } = login;
        let until_ms = until_ms.unwrap_or(NEVER);
        Self {
            manner,
            user,
            session,
            until_ms,
            look_at: NEVER,
            tell_at: NEVER,
        }
    }

    fn look_later(&mut self, now_ms: u64) {
        let looks = self.session.is_some() && self.manner.look_ms > 0;
        self.look_at = if looks {
            now_ms + self.manner.look_ms
        } else {
            NEVER
        };
    }

    fn tell(&self, turn: &mut Turn<'_>) {
        turn.out.push(Action::Send(self.manner.text.clone()));
    }

    /// A message of the client has come: whether it is worth a look.
    fn is_short(turn: &mut Turn<'_>, message: &[u8]) -> bool {
        let short = message.len() <= LONGEST;
        if !short {
            turn.out.push(Action::Close(TOO_LONG));
        }
        short
    }
}

impl Session for SocketSession {
    fn on_start(&mut self, turn: &mut Turn<'_>) {
        self.look_later(turn.now_ms);
        let (channel, user) = (channel(&self.user), Arc::clone(&self.user));
        let since = if self.manner.gap_ms == 0 {
            Since::Now
        } else {
            Since::Past(GAP)
        };
        turn.out.push(Action::Identify(Arc::clone(&user)));
        turn.out.push(Action::Subscribe {
            channel,
            user,
            since,
        });
    }

    fn on_message(&mut self, turn: &mut Turn<'_>, message: &[u8]) {
        if Self::is_short(turn, message) && message == b"ping" {
            turn.out.push(Action::Send(Bytes::from_static(b"pong")));
        }
    }

    fn on_binary(&mut self, turn: &mut Turn<'_>, message: &[u8]) {
        Self::is_short(turn, message);
    }

    fn on_answer(&mut self, turn: &mut Turn<'_>, ticket: Ticket, answer: Answer) {
        match (ticket, answer) {
            (GAP, Answer::Past(past)) => {
                let is_new = |ms: u64| ms.saturating_add(self.manner.gap_ms) > turn.now_ms;
                if past
                    .events
                    .last()
                    .is_some_and(|event| is_new(event.accepted_ms))
                {
                    self.tell(turn);
                }
            }
            // What came cannot be told now, so something may have.
            (GAP, _) => self.tell(turn),
            (LOOK, Answer::Own(user)) if *user != *self.user.as_bytes() => {
                turn.out.push(Action::Close(ENDED))
            }
            // Still there, or nobody can say now.
            _ => self.look_later(turn.now_ms),
        }
    }

    fn on_tick(&mut self, turn: &mut Turn<'_>) {
        if self.until_ms <= turn.now_ms {
            return turn.out.push(Action::Close(ENDED));
        }
        if self.tell_at <= turn.now_ms {
            self.tell_at = NEVER;
            self.tell(turn);
        }
        if self.look_at <= turn.now_ms {
            self.look_at = NEVER;
            let session = self.session.as_deref().unwrap_or_default();
            let question = Bytes::copy_from_slice(session.as_bytes());
            turn.out
                .push(Action::Ask(LOOK, Box::new(Query::Own(question))));
        }
    }

    /// Something may be missing; the mail says after how many milliseconds to look.
    fn on_mail(&mut self, turn: &mut Turn<'_>, mail: &[u8]) -> Option<Bytes> {
        let after: u64 = std::str::from_utf8(mail).ok()?.parse().ok()?;
        self.tell_at = self.tell_at.min(turn.now_ms.saturating_add(after));
        None
    }

    fn next_tick(&self) -> Option<u64> {
        Some(self.until_ms.min(self.look_at).min(self.tell_at)).filter(|at| *at != NEVER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Past, Place};

    fn session(until_ms: Option<u64>, id: Option<&str>) -> SocketSession {
        let manner = Manner {
            text: "Look".into(),
            gap_ms: 10_000,
            look_ms: 60_000,
        };
        let login = Login {
            user: "7".into(),
            until_ms,
            session: id.map(Into::into),
        };
        SocketSession::new(Arc::new(manner), login)
    }

    fn at(now_ms: u64, turn: impl FnOnce(&mut Turn<'_>)) -> Vec<Action> {
        let mut out = Vec::new();
        turn(&mut Turn {
            now_ms,
            out: &mut out,
        });
        out
    }

    fn look() -> Vec<Action> {
        vec![Action::Send("Look".into())]
    }

    #[test]
    fn a_user_who_was_notified_of_late_is_told_once() {
        let mut page = session(None, None);
        at(100_000, |turn| page.on_start(turn));
        let event = |age: u64| {
            let event = Event {
                accepted_ms: 100_000 - age,
                ..Event::new(channel("7"), "n", "1")
            };
            let place = Place {
                epoch: 1,
                number: 1,
            };
            Answer::Past(Past::new(place, vec![(place, event)]))
        };
        assert_eq!(
            at(100_000, |turn| page.on_answer(turn, GAP, event(9_000))),
            look()
        );
        assert_eq!(
            at(100_000, |turn| page.on_answer(turn, GAP, event(10_000))),
            []
        );
        assert_eq!(
            at(100_000, |turn| page.on_answer(
                turn,
                GAP,
                Answer::Past(Past::default())
            )),
            []
        );
        assert_eq!(
            at(100_000, |turn| page.on_answer(
                turn,
                GAP,
                Answer::Unavailable
            )),
            look()
        );
    }

    #[test]
    fn only_the_text_ping_is_answered() {
        let mut page = session(None, None);
        assert_eq!(
            at(0, |turn| page.on_message(turn, b"ping")),
            [Action::Send("pong".into())]
        );
        assert_eq!(at(0, |turn| page.on_binary(turn, b"ping")), []);
        for other in ["Ping", "ping\n", "", "hello"] {
            assert_eq!(
                at(0, |turn| page.on_message(turn, other.as_bytes())),
                [],
                "{other:?}"
            );
        }
        let long = vec![b'x'; LONGEST + 1];
        assert_eq!(at(0, |turn| page.on_message(turn, &long[1..])), []);
        assert_eq!(
            at(0, |turn| page.on_message(turn, &long)),
            [Action::Close(TOO_LONG)]
        );
        assert_eq!(
            at(0, |turn| page.on_binary(turn, &long)),
            [Action::Close(TOO_LONG)]
        );
    }

    #[test]
    fn a_page_ends_with_its_session_or_token_and_not_because_nobody_can_tell() {
        let mut page = session(None, Some("id"));
        at(1_000, |turn| page.on_start(turn));
        assert_eq!(page.next_tick(), Some(61_000));
        let asked = at(61_000, |turn| page.on_tick(turn));
        assert_eq!(
            asked,
            [Action::Ask(LOOK, Box::new(Query::Own("id".into())))]
        );
        assert_eq!(
            at(61_500, |turn| page.on_answer(
                turn,
                LOOK,
                Answer::Own("7".into())
            )),
            []
        );
        assert_eq!(page.next_tick(), Some(121_500));
        assert_eq!(
            at(130_000, |turn| page.on_answer(
                turn,
                LOOK,
                Answer::Unavailable
            )),
            []
        );
        for gone in ["", "8"] {
            let said = at(0, |turn| {
                page.on_answer(turn, LOOK, Answer::Own(gone.into()))
            });
            assert_eq!(said, [Action::Close(ENDED)], "{gone:?}");
        }
        let mut page = session(Some(5_000), None);
        at(1_000, |turn| page.on_start(turn));
        assert_eq!(page.next_tick(), Some(5_000));
        assert_eq!(at(5_000, |turn| page.on_tick(turn)), [Action::Close(ENDED)]);
    }

    #[test]
    fn whoever_may_miss_something_is_told_when_it_is_his_turn() {
        let mut page = session(None, None);
        assert_eq!(
            at(1_000, |turn| assert_eq!(page.on_mail(turn, b"500"), None)),
            []
        );
        at(1_000, |turn| assert_eq!(page.on_mail(turn, b"900"), None));
        assert_eq!(page.next_tick(), Some(1_500));
        assert_eq!(at(1_500, |turn| page.on_tick(turn)), look());
        assert_eq!(page.next_tick(), None);
    }

    #[test]
    fn it_is_no_larger_than_a_session_may_be() {
        assert!(size_of::<SocketSession>() <= 72);
    }
}
