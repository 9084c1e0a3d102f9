//! An operator's session: who it is, then API commands, one after another, and the messages of watched channels.
//!
//! Invariants: pure. A message with one bad command is refused whole and nothing of it is done; the session does not outlive
//! its token, nor password and secret that the token was made with.

use std::collections::VecDeque;
use std::sync::Arc;

use super::super::Site;
use super::super::answers::{Refusal, api_answer};
use super::super::command::{self, Command, Invalid, switch_of, text_of};
use super::super::posted::{BadPost, Call};
use super::watchers;
use crate::session::{Action, Answer, Close, Query, Session, Since, Ticket, Turn};

/// What the questions of these sessions to their dialect begin with; a command follows, as a backend would post it.
pub const QUESTION: &[u8] = b"admin\n";

const UNAUTHORIZED: Close = end(
    r#"{"reason":"unauthorized","reconnect":true}"#,
    "unauthorized",
);
const INVALID_MESSAGE: Close = end(
    r#"{"reason":"invalid message","reconnect":true}"#,
    "invalid_message",
);
const METHOD_NOT_FOUND: Close = end(
    r#"{"reason":"method not found","reconnect":true}"#,
    "method_not_found",
);
/// An operator does not read what it is sent.
pub(super) const SLOW: Close = end(r#"{"reason":"slow","reconnect":true}"#, "overflow");
/// No good `connect` came in time.
pub(super) const STALE: Close = end(r#"{"reason":"stale","reconnect":true}"#, "stale");

/// How often it is looked whether an operator still is one, milliseconds.
const LOOK_MS: u64 = 5_000;

const fn end(reason: &'static str, label: &'static str) -> Close {
    Close::new(3000, reason, label)
}

/// Whether it is known who that is.
enum Stage {
    Stranger,
    Operator {
        /// What was presented: what it is good for may change.
        token: String,
        /// When that is looked at again, Unix milliseconds.
        look_ms: u64,
    },
}

#[derive(Default)]
struct Work {
    commands: VecDeque<Command>,
    answers: Vec<String>,
    bytes: usize,
}

/// What a good `connect` says.
struct Introduced {
    token: String,
    /// Until when it is good, Unix milliseconds; `None`: for ever.
    until_ms: Option<u64>,
    watch: bool,
}

/// See the module.
pub(super) struct AdminSession {
    site: Arc<Site>,
    stage: Stage,
    /// When it ends, Unix milliseconds; `None`: never.
    until_ms: Option<u64>,
    work: Option<Box<Work>>,
    /// The command that waits, by its ticket.
    waits: Option<(Ticket, Box<Command>)>,
    tickets: Ticket,
}

impl AdminSession {
    /// Somebody of whom nothing is known.
    pub fn new(site: Arc<Site>) -> Self {
        Self {
            site,
            stage: Stage::Stranger,
            until_ms: None,
            work: None,
            waits: None,
            tickets: 0,
        }
    }

    /// Whether a message's commands may be done, as far as they say themselves.
    fn judge(&self, commands: &VecDeque<Command>, now_ms: u64) -> Result<(), Close> {
        let connects = commands
            .front()
            .is_some_and(|first| *first.method == *"connect");
        match &self.stage {
            _ if connects => {}
            Stage::Stranger => return Err(UNAUTHORIZED),
            Stage::Operator { token, .. } => drop(self.admit(token, now_ms)?),
        }
        for command in commands {
            match &*command.method {
                "connect" => drop(self.introduced(command, now_ms)?),
                "ping" | "info" => {}
                method => match Call::read(method, command.params.as_deref()) {
                    Ok(_) => {}
                    Err(BadPost::Method) => return Err(METHOD_NOT_FOUND),
                    Err(BadPost::Json | BadPost::Params) => return Err(INVALID_MESSAGE),
                },
            }
        }
        Ok(())
    }

    /// Until when the token is good by the rules of now, Unix milliseconds; `None`: for ever.
    fn admit(&self, token: &str, now_ms: u64) -> Result<Option<u64>, Close> {
        let rules = self.site.rules();
        match &rules.admin.tokens {
            _ if rules.admin.insecure => Ok(None),
            None => Err(UNAUTHORIZED),
            Some(tokens) => tokens
                .until_s(token, now_ms / 1_000)
                .map(|until_s| Some(until_s * 1_000))
                .ok_or(UNAUTHORIZED),
        }
    }

    /// Who connects, if that is an operator.
    fn introduced(&self, command: &Command, now_ms: u64) -> Result<Introduced, Close> {
        let [token, watch] = command
            .params(["token", "watch"])
            .map_err(|Invalid| INVALID_MESSAGE)?;
        let token = text_of(token).map_err(|Invalid| INVALID_MESSAGE)?;
        let watch = switch_of(watch).map_err(|Invalid| INVALID_MESSAGE)?;
        Ok(Introduced {
            until_ms: self.admit(&token, now_ms)?,
            token: token.into_owned(),
            watch,
        })
    }

    fn connect(&mut self, turn: &mut Turn<'_>, command: &Command) -> Result<(), Close> {
        let Introduced {
            until_ms,
            token,
            watch,
        } = self.introduced(command, turn.now_ms)?;
        self.until_ms = until_ms;
        self.stage = Stage::Operator {
            token,
            look_ms: turn.now_ms + LOOK_MS,
        };
        turn.out.push(match watch {
            true => Action::Subscribe {
                channel: watchers(),
                user: Arc::from(""),
                since: Since::Now,
            },
            false => Action::Unsubscribe(watchers()),
        });
        Ok(())
    }

    /// Does what is left of the message, as far as nothing has to be waited for.
    fn go_on(&mut self, turn: &mut Turn<'_>) {
        while self.waits.is_none() {
            let Some(work) = &mut self.work else { return };
            let Some(command) = work.commands.pop_front() else {
                return self.reply(turn);
            };
            let body = match &*command.method {
                "connect" => match self.connect(turn, &command) {
                    Ok(()) => "true",
                    Err(close) => return self.end(turn, close),
                },
                "ping" => r#""pong""#,
                _ => {
                    self.tickets = self.tickets.wrapping_add(1);
                    turn.out.push(Action::Ask(
                        self.tickets,
                        Box::new(Query::Own(question(&command).into())),
                    ));
                    self.waits = Some((self.tickets, Box::new(command)));
                    return;
                }
            };
            self.answered(
                turn,
                api_answer(command.uid.as_deref(), &command.method, None, false, body),
            );
        }
    }

    fn answered(&mut self, turn: &mut Turn<'_>, answer: String) {
        let Some(work) = &mut self.work else { return };
        work.bytes += answer.len() + 1;
        work.answers.push(answer);
        if work.bytes > self.site.queue_bytes {
            self.end(turn, SLOW);
        }
    }

    fn reply(&mut self, turn: &mut Turn<'_>) {
        if let Some(work) = self.work.take() {
            turn.out
                .push(Action::Send(format!("[{}]", work.answers.join(",")).into()));
        }
    }

    fn end(&mut self, turn: &mut Turn<'_>, close: Close) {
        self.work = None;
        turn.out.push(Action::Close(close));
    }
}

/// A command as a backend would post it, for the dialect.
fn question(command: &Command) -> Vec<u8> {
    let (uid, params) = (
        command.uid.as_deref().unwrap_or("null"),
        command.params.as_deref().unwrap_or("null"),
    );
    let text = format!(
        r#"{{"uid":{uid},"method":"{}","params":{params}}}"#,
        command.method
    );
    [QUESTION, text.as_bytes()].concat()
}

impl Session for AdminSession {
    fn on_start(&mut self, turn: &mut Turn<'_>) {
        let delay_s = self.site.rules().stale_delay_s;
        self.until_ms = (delay_s > 0).then(|| turn.now_ms + delay_s * 1_000);
    }

    fn on_message(&mut self, turn: &mut Turn<'_>, message: &[u8]) {
        let commands = match command::read(message) {
            Ok(commands) => commands,
            Err(Invalid) => return self.end(turn, INVALID_MESSAGE),
        };
        if let Err(close) = self.judge(&commands, turn.now_ms) {
            return self.end(turn, close);
        }
        self.work = Some(Box::new(Work {
            commands,
            ..Work::default()
        }));
        self.go_on(turn);
    }

    fn on_answer(&mut self, turn: &mut Turn<'_>, ticket: Ticket, given: Answer) {
        let Some((_, command)) = self.waits.take_if(|(awaited, _)| *awaited == ticket) else {
            return;
        };
        let answer = match given {
            Answer::Own(answer) => String::from_utf8_lossy(&answer).into_owned(),
            _ => api_answer(
                command.uid.as_deref(),
                &command.method,
                Some(Refusal::Internal),
                true,
                "null",
            ),
        };
        self.answered(turn, answer);
        self.go_on(turn);
    }

    fn on_tick(&mut self, turn: &mut Turn<'_>) {
        let now_ms = turn.now_ms;
        let ends = self.until_ms.is_some_and(|until| until <= now_ms);
        match &self.stage {
            Stage::Stranger if ends => self.end(turn, STALE),
            Stage::Operator { .. } if ends => self.end(turn, UNAUTHORIZED),
            Stage::Operator { token, look_ms } if *look_ms <= now_ms => {
                match self.admit(token, now_ms) {
                    Ok(until_ms) => self.until_ms = until_ms,
                    Err(close) => return self.end(turn, close),
                }
                if let Stage::Operator { look_ms, .. } = &mut self.stage {
                    *look_ms = now_ms + LOOK_MS;
                }
            }
            _ => {}
        }
    }

    fn next_tick(&self) -> Option<u64> {
        let look_ms = match self.stage {
            Stage::Stranger => None,
            Stage::Operator { look_ms, .. } => Some(look_ms),
        };
        self.until_ms.into_iter().chain(look_ms).min()
    }
}

#[cfg(test)]
mod tests;
