//! One SockJS client's session: its messages hold several, which are given to the session beneath one after another.
//!
//! Invariant: pure. A message that has to wait holds up those behind it, and after the end none is looked at.

use std::collections::VecDeque;

use bytes::Bytes;

use super::super::answers::{INVALID_MESSAGE, LIMIT_EXCEEDED};
use super::super::session::ClientSession;
use super::frames::unpack;
use crate::session::{Action, Answer, Session, Ticket, Turn};

/// See the module.
pub(super) struct PackedSession {
    inner: ClientSession,
    /// The longest message, bytes.
    longest: usize,
    rest: VecDeque<Box<str>>,
}

impl PackedSession {
    /// A client whose messages may be so long, each.
    pub fn new(inner: ClientSession, longest: usize) -> Self {
        Self {
            inner,
            longest,
            rest: VecDeque::new(),
        }
    }

    fn go_on(&mut self, turn: &mut Turn<'_>) {
        while !self.inner.is_busy()
            && let Some(message) = self.rest.pop_front()
        {
            if message.len() > self.longest {
                turn.out.push(Action::Close(LIMIT_EXCEEDED));
            } else {
                self.inner.on_message(turn, message.as_bytes());
            }
            self.look_for_end(turn);
        }
        if self.rest.is_empty() {
            self.rest = VecDeque::new();
        }
    }

    fn look_for_end(&mut self, turn: &Turn<'_>) {
        if let Some(Action::Close(_)) = turn.out.last() {
            self.rest.clear();
        }
    }
}

impl Session for PackedSession {
    fn on_start(&mut self, turn: &mut Turn<'_>) {
        self.inner.on_start(turn);
    }

    fn on_message(&mut self, turn: &mut Turn<'_>, message: &[u8]) {
        match unpack(message) {
            Ok(messages) => {
                self.rest.extend(messages.into_iter().map(Into::into));
                self.go_on(turn);
            }
            Err(_) => turn.out.push(Action::Close(INVALID_MESSAGE)),
        }
    }

    fn on_tick(&mut self, turn: &mut Turn<'_>) {
        self.inner.on_tick(turn);
        self.look_for_end(turn);
    }

    fn on_answer(&mut self, turn: &mut Turn<'_>, ticket: Ticket, answer: Answer) {
        self.inner.on_answer(turn, ticket, answer);
        self.look_for_end(turn);
        self.go_on(turn);
    }

    fn on_end(&mut self, turn: &mut Turn<'_>) {
        self.inner.on_end(turn);
    }

    fn on_mail(&mut self, turn: &mut Turn<'_>, mail: &[u8]) -> Option<Bytes> {
        let answer = self.inner.on_mail(turn, mail);
        self.look_for_end(turn);
        answer
    }

    fn next_tick(&self) -> Option<u64> {
        self.inner.next_tick()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::super::Site;
    use super::super::super::rules::Rules;
    use super::*;

    fn session(longest: usize) -> PackedSession {
        let rules = Rules {
            insecure: true,
            ..Rules::default()
        };
        PackedSession::new(
            ClientSession::new(Arc::new(Site::new(rules, 1 << 20))),
            longest,
        )
    }

    /// What the session wants when it is told `message`, in words.
    fn told(session: &mut PackedSession, message: &str) -> Vec<String> {
        let mut out = Vec::new();
        session.on_message(
            &mut Turn {
                now_ms: 1,
                out: &mut out,
            },
            message.as_bytes(),
        );
        let words = |action| match action {
            Action::Send(text) => String::from_utf8_lossy(&text).into_owned(),
            Action::Close(close) => close.reason.into_owned(),
            Action::Ask(ticket, _) => format!("asks {ticket}"),
            other => format!("{other:?}"),
        };
        out.into_iter()
            .map(words)
            .filter(|words| !words.starts_with("Identify"))
            .collect()
    }

    #[test]
    fn messages_are_answered_in_order_each_by_itself_and_none_after_the_end() {
        let mut session = session(100);
        let connect = r#"["{\"method\":\"connect\",\"params\":{}}","{\"method\":\"ping\"}"]"#;
        let answers = told(&mut session, connect);
        assert!(
            answers.len() == 2 && answers[1] == r#"{"method":"ping"}"#,
            "{answers:?}"
        );
        assert!(told(&mut session, "[]").is_empty());
        let answers = told(
            &mut session,
            r#"["{\"method\":\"zork\"}","{\"method\":\"ping\"}"]"#,
        );
        assert_eq!(
            answers,
            [r#"{"reason":"method not found","reconnect":false}"#]
        );
    }

    #[test]
    fn what_cannot_be_read_or_is_too_long_ends_the_connection() {
        for bad in ["", "{}", "[{}]", "[\"\"]"] {
            assert_eq!(
                told(&mut session(100), bad),
                [r#"{"reason":"invalid message","reconnect":false}"#],
                "{bad}"
            );
        }
        let long = format!("[\"{}\"]", "x".repeat(101));
        assert_eq!(
            told(&mut session(100), &long),
            [r#"{"reason":"limit exceeded","reconnect":false}"#]
        );
    }

    #[test]
    fn a_message_that_waits_for_an_answer_holds_up_the_next() {
        let rules = Rules {
            insecure: true,
            ..Rules::default()
        };
        let mut session = PackedSession::new(
            ClientSession::new(Arc::new(Site::new(rules, 1 << 20))),
            1_000,
        );
        told(
            &mut session,
            r#"["{\"method\":\"connect\",\"params\":{}}"]"#,
        );
        told(
            &mut session,
            r#"["{\"method\":\"subscribe\",\"params\":{\"channel\":\"x\"}}"]"#,
        );
        let publish = r#"["{\"uid\":\"1\",\"method\":\"publish\",\"params\":{\"channel\":\"x\",\"data\":1}}","{\"uid\":\"2\",\"method\":\"ping\"}"]"#;
        let asks = told(&mut session, publish);
        let ticket = asks
            .iter()
            .find_map(|asks| asks.strip_prefix("asks ")?.parse().ok())
            .expect("it asks");
        assert!(!asks.iter().any(|words| words.contains("ping")), "{asks:?}");
        let mut out = Vec::new();
        session.on_answer(
            &mut Turn {
                now_ms: 2,
                out: &mut out,
            },
            ticket,
            Answer::Published,
        );
        let sent: Vec<_> = out
            .iter()
            .filter(|action| matches!(action, Action::Send(_)))
            .collect();
        assert_eq!(sent.len(), 2, "{out:?}");
    }
}
