//! A client that has said who it is: where it is subscribed, and what it does there.
//!
//! Invariants: pure. Whatever it leaves it leaves whole: subscription, presence, and what others are told of it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use ahash::RandomState;
use bytes::Bytes;

use super::Site;
use super::answers::{
    INVALID_MESSAGE, INVALID_TOKEN, METHOD_NOT_FOUND, Refusal, status, unsubscribed,
};
use super::attendance::Seat;
use super::claims::{Claims, Expired, welcome};
use super::command::{Command, text_of};
use super::message::{self, From, JOIN, LEAVE};
use super::rules::{Options, Rules};
use super::totals::Count;
use crate::event::Keep;
use crate::session::{Action, Close, Entrance, Query, Ticket, Turn};

/// The ticket of questions whose answers change nothing.
pub(super) const NO_MATTER: Ticket = 0;

/// One subscription.
pub struct Membership {
    /// What the sign said of the client, JSON.
    pub(super) info: Option<Box<str>>,
    _seat: Seat,
}

/// See the module.
pub struct Connected {
    pub(super) user: Arc<str>,
    pub(super) client: Arc<str>,
    /// What the token said of it, JSON.
    info: Option<Box<str>>,
    /// When it ends if it is not refreshed, Unix milliseconds; `None`: never.
    pub(super) until_ms: Option<u64>,
    pub(super) channels: HashMap<Arc<str>, Membership, RandomState>,
    _seat: Seat,
}

/// Where and when something is done.
pub struct At<'a, 't> {
    pub(super) site: &'a Site,
    pub(super) rules: &'a Rules,
    pub(super) turn: &'a mut Turn<'t>,
    /// The ticket of the next question.
    pub(super) ticket: Ticket,
}

/// What comes of a command.
pub enum Outcome {
    /// It is done, or refused; the answer's body.
    Done(Option<Refusal>, Option<String>),
    /// It is asked for under the ticket.
    Waits(Awaited),
}

/// What an answer is waited for.
pub enum Awaited {
    /// That a message is published there.
    Publish(Box<str>),
    /// That it is seen in the channel.
    Entry(Arc<str>),
    /// What a new subscriber of the channel missed; the id of the message that it had last, if it asked.
    Recovery(Arc<str>, Option<Box<str>>),
    /// The channel's history.
    History(Box<str>),
    /// Who is there.
    Presence(Box<str>),
}

impl Connected {
    /// A client that is subscribed to nothing.
    pub fn new(user: Arc<str>, info: Option<Box<str>>, until_ms: Option<u64>, seat: Seat) -> Self {
        Self {
            user,
            client: client_id(),
            info,
            until_ms,
            channels: HashMap::default(),
            _seat: seat,
        }
    }

    /// Does a command.
    ///
    /// # Errors
    /// What ends the connection.
    pub fn take(&mut self, at: &mut At<'_, '_>, command: &Command) -> Result<Outcome, Close> {
        match &*command.method {
            "connect" => Err(INVALID_MESSAGE),
            "refresh" => self.refresh(at, command),
            "subscribe" => self.subscribe(at, command),
            "unsubscribe" => self.unsubscribe(at, command),
            "publish" => self.publish(at, command),
            "presence" => self.ask(at, command, true),
            "history" => self.ask(at, command, false),
            "ping" => ping(command),
            _ => Err(METHOD_NOT_FOUND),
        }
    }

    /// What others see of the client in a channel.
    pub(super) fn info_in(&self, channel: &str) -> String {
        let of_channel = self
            .channels
            .get(channel)
            .and_then(|member| member.info.as_deref());
        message::info(&self.user, &self.client, self.info.as_deref(), of_channel)
    }

    fn refresh(&mut self, at: &mut At<'_, '_>, command: &Command) -> Result<Outcome, Close> {
        let (claims, now_s) = (Claims::of(command)?, at.turn.now_ms / 1_000);
        let proven = claims.proven(at.rules, now_s)?;
        if *claims.user != *self.user {
            return Err(INVALID_TOKEN);
        }
        let expired = match proven.until_ms(at.rules, now_s) {
            Err(Expired) => true,
            Ok(until_ms) => {
                self.until_ms = until_ms;
                if until_ms.is_some() {
                    self.renew(at, proven.info);
                }
                false
            }
        };
        Ok(Outcome::Done(
            None,
            Some(welcome(at.rules, &self.client, expired)),
        ))
    }

    /// From now on the client is seen with this info, where there is one.
    fn renew(&mut self, at: &mut At<'_, '_>, info: Option<Box<str>>) {
        if info.is_none() || info == self.info {
            return;
        }
        self.info = info;
        for channel in self.channels.keys() {
            if at
                .rules
                .options(channel)
                .is_some_and(|options| options.presence)
            {
                self.be_present(at, channel);
            }
        }
    }

    fn be_present(&self, at: &mut At<'_, '_>, channel: &str) {
        let who = self.info_in(channel).into();
        let (id, outlives) = (Arc::clone(&self.client), at.rules.presence);
        let entrance = Entrance {
            channel: message::channel(channel),
            id,
            who,
            outlives,
        };
        at.turn.out.push(Action::Enter(Box::new(entrance)));
    }

    /// Joins a channel; nobody is told yet.
    pub(super) fn join(&mut self, at: &At<'_, '_>, channel: &Arc<str>, info: Option<Box<str>>) {
        let seat = at.site.attendance.subscribe(channel);
        self.channels
            .insert(Arc::clone(channel), Membership { info, _seat: seat });
        at.site.totals.add(Count::Subscribes, 1);
    }

    /// It is seen in a channel, by whoever asks who is there.
    pub(super) fn enter(&self, at: &mut At<'_, '_>, channel: &str, options: Options) {
        if options.presence {
            self.be_present(at, channel);
        }
        if let Some(keep) = inactive(options) {
            let (channel, id, outlives) = (
                message::in_use(channel),
                Arc::clone(&self.client),
                keep.lifetime,
            );
            let entrance = Entrance {
                channel,
                id,
                who: Bytes::new(),
                outlives,
            };
            at.turn.out.push(Action::Enter(Box::new(entrance)));
        }
    }

    /// Those who are in a channel are told that it is there, or has left ([`JOIN`], [`LEAVE`]), where they are told that.
    pub(super) fn announce(&self, at: &mut At<'_, '_>, channel: &str, what: &str, info: &str) {
        let told = at
            .rules
            .options(channel)
            .is_some_and(|options| options.join_leave);
        if told {
            at.site.totals.add(
                if what == JOIN {
                    Count::Joins
                } else {
                    Count::Leaves
                },
                1,
            );
            let event = message::moved(channel, what, info);
            at.turn
                .out
                .push(Action::Ask(NO_MATTER, Box::new(Query::Publish(event))));
        }
    }

    /// Leaves a channel, if it is there. Returns whether it was.
    pub(super) fn leave(&mut self, at: &mut At<'_, '_>, channel: &str) -> bool {
        let info = self.info_in(channel);
        if self.channels.remove(channel).is_none() {
            return false;
        }
        // Noted before it is seen there no longer, so that the channel is in use all the time. A namespace that is gone says
        // nothing of what there was to note.
        if let Some(keep) = at.rules.options(channel).and_then(inactive) {
            let keep = Keep { events: 1, ..keep };
            at.turn.out.push(Action::Ask(
                NO_MATTER,
                Box::new(Query::Keep(message::left(channel), keep)),
            ));
        }
        self.disappear(at, channel);
        self.announce(at, channel, LEAVE, &info);
        true
    }

    /// It is in a channel no longer.
    pub(super) fn disappear(&self, at: &mut At<'_, '_>, channel: &str) {
        let of = message::channel(channel);
        let (unsubscribe, leave) = (Action::Unsubscribe(of.clone()), Action::Leave(of));
        at.turn
            .out
            .extend([unsubscribe, leave, Action::Leave(message::in_use(channel))]);
    }

    /// A backend wants it out of a channel; an empty name: out of all.
    pub(super) fn put_out(&mut self, at: &mut At<'_, '_>, channel: &str) {
        let all = || self.channels.keys().cloned().collect();
        let channels: Vec<Arc<str>> = if channel.is_empty() {
            all()
        } else {
            vec![channel.into()]
        };
        for channel in channels {
            if self.leave(at, &channel) {
                at.turn
                    .out
                    .push(Action::Send(unsubscribed(&channel).into()));
            }
        }
    }

    /// The connection is over.
    pub fn end(&mut self, at: &mut At<'_, '_>) {
        let channels: Vec<Arc<str>> = self.channels.keys().cloned().collect();
        for channel in channels {
            self.leave(at, &channel);
        }
    }

    fn unsubscribe(&mut self, at: &mut At<'_, '_>, command: &Command) -> Result<Outcome, Close> {
        let channel = channel_of(command)?;
        if channel.is_empty() {
            return Err(INVALID_MESSAGE);
        }
        if at.rules.options(&channel).is_none() {
            return Ok(Outcome::Done(
                Some(Refusal::NamespaceNotFound),
                Some(status(&channel, false)),
            ));
        }
        self.leave(at, &channel);
        Ok(Outcome::Done(None, Some(status(&channel, true))))
    }

    fn publish(&mut self, at: &mut At<'_, '_>, command: &Command) -> Result<Outcome, Close> {
        let [channel, data] = command.params(["channel", "data"])?;
        let channel = text_of(channel)?;
        let refused = |refusal| Ok(Outcome::Done(Some(refusal), Some(status(&channel, false))));
        let Some(data) = data.filter(|_| !channel.is_empty()) else {
            return refused(Refusal::InvalidMessage);
        };
        let options = at
            .rules
            .options(&channel)
            .filter(|_| self.channels.contains_key(&*channel));
        let Some(options) = options.filter(|options| options.publish || at.rules.insecure) else {
            return refused(Refusal::PermissionDenied);
        };
        let from = From {
            client: &self.client,
            info: &self.info_in(&channel),
        };
        let event = message::message(&channel, &message::new_uid(), data, from);
        at.site.totals.add(Count::ClientPublished, 1);
        at.site.totals.add(Count::Published, 1);
        // It is in the channel, so the channel is in use, and keeps what it keeps.
        let query = options.keep.map_or_else(
            || Query::Publish(event.clone()),
            |keep| Query::Keep(event.clone(), keep),
        );
        at.turn.out.push(Action::Ask(at.ticket, Box::new(query)));
        Ok(Outcome::Waits(Awaited::Publish(channel.as_ref().into())))
    }

    /// Asks who is in a channel, or for its history.
    fn ask(
        &self,
        at: &mut At<'_, '_>,
        command: &Command,
        presence: bool,
    ) -> Result<Outcome, Close> {
        let name = channel_of(command)?;
        let refused = |refusal| {
            Ok(Outcome::Done(
                Some(refusal),
                Some(super::answers::data(&name, "null")),
            ))
        };
        let options = at
            .rules
            .options(&name)
            .filter(|_| self.channels.contains_key(&*name));
        let Some(options) = options else {
            return refused(Refusal::PermissionDenied);
        };
        let (there, channel) = (
            if presence {
                options.presence
            } else {
                options.keep.is_some()
            },
            message::channel(&name),
        );
        if !there {
            return refused(Refusal::NotAvailable);
        }
        let query = if presence {
            Query::Present(channel)
        } else {
            Query::Past(channel)
        };
        at.turn.out.push(Action::Ask(at.ticket, Box::new(query)));
        let name = name.as_ref().into();
        Ok(Outcome::Waits(if presence {
            Awaited::Presence(name)
        } else {
            Awaited::History(name)
        }))
    }
}

/// What is kept of a channel that keeps nothing while it is not in use; `None`: it is no such channel.
pub fn inactive(options: Options) -> Option<Keep> {
    options.keep.filter(|_| options.drop_inactive)
}

fn channel_of(command: &Command) -> Result<Cow<'_, str>, Close> {
    let [channel] = command.params(["channel"])?;
    Ok(text_of(channel)?)
}

fn ping(command: &Command) -> Result<Outcome, Close> {
    let Some(_) = &command.params else {
        return Ok(Outcome::Done(None, None));
    };
    let [data] = command.params(["data"])?;
    let said = !text_of(data)?.is_empty();
    Ok(Outcome::Done(
        None,
        data.filter(|_| said)
            .map(|data| format!(r#"{{"data":{data}}}"#)),
    ))
}

/// A new name for a connection: a random UUID (RFC 9562, section 5.4).
fn client_id() -> Arc<str> {
    let bits = rand::random::<u128>() & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-")
    .into()
}
