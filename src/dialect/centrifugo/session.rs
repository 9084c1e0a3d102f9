//! One client's session: its commands, done one after another, and its answers.
//!
//! Invariants: pure. Commands are done in order, and one that waits holds up those behind it; a message's answers go out when the
//! last of its commands is done, and none of them where one ends the connection, or where they are more than may wait for a client.

use std::collections::VecDeque;
use std::sync::Arc;

use ::metrics::counter;
use bytes::Bytes;

use super::anonymous::{Anonymous, Welcome};
use super::answers::{DISCONNECT, EXPIRED, INVALID_MESSAGE, SLOW, STALE, answer};
use super::command::{self, Command, Invalid};
use super::connected::{At, Awaited, Connected, NO_MATTER, Outcome};
use super::totals::Count;
use super::{Site, figures};
use crate::session::{Action, Answer, Close, Session, Ticket, Turn};

/// Whether it is known who the client is.
enum Stage {
    Anonymous(Anonymous),
    Connected(Box<Connected>),
}

/// A message that is being done.
struct Work {
    commands: VecDeque<Command>,
    answers: Vec<String>,
    /// What those have.
    bytes: usize,
    /// Whether it held more than one command.
    several: bool,
    /// The command that waits, and for what.
    waits: Option<(Ticket, Command, Awaited)>,
    /// Channels that a backend wants the client out of, once all is done.
    put_out: Vec<String>,
}

/// See the module.
pub(super) struct ClientSession {
    site: Arc<Site>,
    stage: Stage,
    work: Option<Box<Work>>,
    tickets: Ticket,
}

/// What a backend wants of a user's sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order<'a> {
    /// Leave the channel of this name; empty: all.
    Leave(&'a str),
    /// End.
    End,
}

impl<'a> Order<'a> {
    /// As it travels.
    pub fn write(self) -> Vec<u8> {
        match self {
            Self::Leave(channel) => [b"leave ", channel.as_bytes()].concat(),
            Self::End => b"end".to_vec(),
        }
    }

    fn read(letter: &'a [u8]) -> Option<Self> {
        match std::str::from_utf8(letter).ok()? {
            "end" => Some(Self::End),
            text => text.strip_prefix("leave ").map(Self::Leave),
        }
    }
}

impl From<Invalid> for Close {
    fn from(Invalid: Invalid) -> Self {
        INVALID_MESSAGE
    }
}

impl ClientSession {
    /// A client of whom nothing is known.
    pub fn new(site: Arc<Site>) -> Self {
        let stage = Stage::Anonymous(Anonymous { until_ms: None });
        Self {
            site,
            stage,
            work: None,
            tickets: NO_MATTER,
        }
    }

    /// Whether a message is being done: another one may not come before that.
    pub fn is_busy(&self) -> bool {
        self.work.is_some()
    }

    /// Does what is left of the message, as far as nothing has to be waited for.
    fn go_on(&mut self, turn: &mut Turn<'_>) {
        while let Some(work) = &mut self.work
            && work.waits.is_none()
        {
            let Some(command) = work.commands.pop_front() else {
                return self.reply(turn);
            };
            let done = self.take(turn, &command);
            let result = match &done {
                Ok(Outcome::Done(Some(refusal), _)) => refusal.label(),
                Ok(_) => "ok",
                Err(close) => close.label,
            };
            counter!(figures::COMMANDS, "method" => known(&command.method), "result" => result)
                .increment(1);
            match done {
                Ok(Outcome::Done(refusal, body)) => {
                    if !self.answered(answer(&command, refusal, body.as_deref())) {
                        return self.end(turn, SLOW);
                    }
                }
                Ok(Outcome::Waits(awaited)) => {
                    if let Some(work) = &mut self.work {
                        work.waits = Some((self.tickets, command, awaited));
                    }
                }
                Err(close) => return self.end(turn, close),
            }
        }
    }

    fn take(&mut self, turn: &mut Turn<'_>, command: &Command) -> Result<Outcome, Close> {
        self.tickets = self.tickets.wrapping_add(1).max(NO_MATTER + 1);
        match &mut self.stage {
            Stage::Anonymous(anonymous) => {
                let (welcome, body) = anonymous.take(&self.site, command, turn.now_ms)?;
                if let Welcome::Known(connected) = welcome {
                    self.site.totals.add(Count::Connects, 1);
                    turn.out.push(Action::Identify(Arc::clone(&connected.user)));
                    self.stage = Stage::Connected(connected);
                }
                Ok(Outcome::Done(None, Some(body)))
            }
            Stage::Connected(connected) => {
                let rules = self.site.rules();
                let mut at = At {
                    site: &self.site,
                    rules: &rules,
                    turn,
                    ticket: self.tickets,
                };
                connected.take(&mut at, command)
            }
        }
    }

    /// Puts an answer to those that the message has. Returns whether so much may wait for a client.
    fn answered(&mut self, answer: String) -> bool {
        let Some(work) = &mut self.work else {
            return true;
        };
        work.bytes += answer.len() + 1;
        work.answers.push(answer);
        work.bytes <= self.site.queue_bytes
    }

    /// All commands of the message are done.
    fn reply(&mut self, turn: &mut Turn<'_>) {
        let Some(work) = self.work.take() else { return };
        let text = work.answers.join(",");
        let text = if work.several {
            format!("[{text}]")
        } else {
            text
        };
        self.site.totals.add(Count::Answers, work.answers.len());
        self.site.totals.add(Count::BytesOut, text.len());
        turn.out.push(Action::Send(text.into()));
        for channel in &work.put_out {
            self.put_out(turn, channel);
        }
    }

    fn put_out(&mut self, turn: &mut Turn<'_>, channel: &str) {
        self.connected(turn, |connected, at| connected.put_out(at, channel));
    }

    /// Does something with who is connected, if it is known who that is.
    fn connected<R>(
        &mut self,
        turn: &mut Turn<'_>,
        act: impl FnOnce(&mut Connected, &mut At<'_, '_>) -> R,
    ) -> Option<R> {
        let Stage::Connected(connected) = &mut self.stage else {
            return None;
        };
        let rules = self.site.rules();
        let mut at = At {
            site: &self.site,
            rules: &rules,
            turn,
            ticket: NO_MATTER,
        };
        Some(act(connected, &mut at))
    }

    fn end(&mut self, turn: &mut Turn<'_>, close: Close) {
        self.work = None;
        turn.out.push(Action::Close(close));
    }
}

/// The method's name for the counter, which no client may choose.
fn known(method: &str) -> &'static str {
    let methods = [
        "connect",
        "refresh",
        "subscribe",
        "unsubscribe",
        "publish",
        "presence",
        "history",
        "ping",
    ];
    methods
        .into_iter()
        .find(|known| *known == method)
        .unwrap_or("unknown")
}

impl Session for ClientSession {
    fn on_start(&mut self, turn: &mut Turn<'_>) {
        self.stage = Stage::Anonymous(Anonymous::new(&self.site.rules(), turn.now_ms));
    }

    fn on_message(&mut self, turn: &mut Turn<'_>, message: &[u8]) {
        self.site.totals.add(Count::Requests, 1);
        self.site.totals.add(Count::BytesIn, message.len());
        let commands = match command::read(message) {
            Ok(commands) => commands,
            Err(Invalid) => return self.end(turn, INVALID_MESSAGE),
        };
        let (answers, several) = (Vec::with_capacity(commands.len()), commands.len() > 1);
        self.work = Some(Box::new(Work {
            commands,
            answers,
            bytes: 0,
            several,
            waits: None,
            put_out: Vec::new(),
        }));
        self.go_on(turn);
    }

    fn on_answer(&mut self, turn: &mut Turn<'_>, ticket: Ticket, given: Answer) {
        let waits = self
            .work
            .as_mut()
            .and_then(|work| work.waits.take_if(|(awaited, ..)| *awaited == ticket));
        let Some((_, command, awaited)) = waits else {
            return;
        };
        let Some((refusal, body)) =
            self.connected(turn, |connected, at| connected.finish(at, awaited, given))
        else {
            return;
        };
        if !self.answered(answer(&command, refusal, Some(&body))) {
            return self.end(turn, SLOW);
        }
        self.go_on(turn);
    }

    fn on_tick(&mut self, turn: &mut Turn<'_>) {
        let close = match &self.stage {
            Stage::Anonymous(_) => STALE,
            Stage::Connected(_) => EXPIRED,
        };
        if self.next_tick().is_some_and(|until| until <= turn.now_ms) {
            self.end(turn, close);
        }
    }

    fn on_mail(&mut self, turn: &mut Turn<'_>, mail: &[u8]) -> Option<Bytes> {
        match (Order::read(mail)?, &mut self.work) {
            (Order::End, _) => self.end(turn, DISCONNECT),
            // The client is told in the order in which it is done.
            (Order::Leave(channel), Some(work)) => work.put_out.push(channel.to_owned()),
            (Order::Leave(channel), None) => self.put_out(turn, channel),
        }
        Some(Bytes::from_static(b"done"))
    }

    fn on_end(&mut self, turn: &mut Turn<'_>) {
        self.connected(turn, Connected::end);
    }

    fn next_tick(&self) -> Option<u64> {
        match &self.stage {
            Stage::Anonymous(anonymous) => anonymous.until_ms,
            Stage::Connected(connected) => connected.until_ms,
        }
    }
}

#[cfg(test)]
mod tests;
