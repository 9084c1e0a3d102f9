//! Subscribing: who may, and what a new subscriber is told of what it missed.
//!
//! Invariants: pure. A refused subscription leaves nothing behind. Of what a subscriber asks to recover it is told all, or that
//! something may be missing.

use std::borrow::Cow;
use std::sync::Arc;

use ::metrics::counter;

use super::answers::{INVALID_MESSAGE, Refusal, data, status};
use super::command::{Command, info_of, switch_of, text_of};
use super::connected::{At, Awaited, Connected, NO_MATTER, Outcome};
use super::figures;
use super::message::{self, JOIN, newest_first, quoted};
use super::rules::Options;
use crate::event::{Event, Keep, Past};
use crate::session::{Action, Answer, Close, Query, Since};

/// What opens a private channel.
pub struct Proof<'a> {
    client: Cow<'a, str>,
    sign: Cow<'a, str>,
    info: Cow<'a, str>,
}

/// What a subscriber is told.
struct Told<'a> {
    last: &'a str,
    messages: Option<&'a [Event]>,
    recovered: bool,
}

const NOTHING: Told<'_> = Told {
    last: r#""""#,
    messages: None,
    recovered: false,
};

impl Connected {
    /// Subscribes to a channel.
    pub(super) fn subscribe(
        &mut self,
        at: &mut At<'_, '_>,
        command: &Command,
    ) -> Result<Outcome, Close> {
        let [channel, recover, last] = command.params(["channel", "recover", "last"])?;
        let (channel, recover, last) = (text_of(channel)?, switch_of(recover)?, text_of(last)?);
        let [client, sign, info] = command.params(["client", "sign", "info"])?;
        let proof = Proof {
            client: text_of(client)?,
            sign: text_of(sign)?,
            info: text_of(info)?,
        };
        if channel.is_empty() {
            return Err(INVALID_MESSAGE);
        }
        let (options, info) = match self.may_subscribe(at, &channel, &proof) {
            Ok(granted) => granted,
            Err(Denied::Refused(refusal)) => return Ok(refused(&channel, refusal)),
            Err(Denied::Ended(close)) => return Err(close),
        };
        let name: Arc<str> = channel.as_ref().into();
        self.join(at, &name, info);
        // First, so that whatever is answered later is known once it is seen.
        self.enter(at, &name, options);
        if options.drop_inactive {
            at.turn.out.push(Action::Ask(
                NO_MATTER,
                Box::new(Query::Past(message::in_use(&name))),
            ));
        }
        let since = if options.recover {
            Since::Past(at.ticket)
        } else {
            Since::Now
        };
        let (channel, user) = (message::channel(&name), Arc::clone(&self.user));
        at.turn.out.push(Action::Subscribe {
            channel,
            user,
            since,
        });
        if options.recover {
            return Ok(Outcome::Waits(Awaited::Recovery(
                name,
                recover.then(|| last.as_ref().into()),
            )));
        }
        let info = self.info_in(&name);
        self.announce(at, &name, JOIN, &info);
        if options.presence || options.drop_inactive {
            // Of no interest by itself: what is asked of a channel is done in order, and answers come in order of the questions.
            at.turn.out.push(Action::Ask(
                at.ticket,
                Box::new(Query::Past(message::channel(&name))),
            ));
            return Ok(Outcome::Waits(Awaited::Entry(name)));
        }
        Ok(Outcome::Done(None, Some(body(&name, true, &NOTHING))))
    }

    /// Whether it may, with what options, and what the sign says of it.
    fn may_subscribe(
        &self,
        at: &At<'_, '_>,
        channel: &str,
        proof: &Proof<'_>,
    ) -> Result<(Options, Option<Box<str>>), Denied> {
        let rules = at.rules;
        if channel.len() > rules.max_channel || self.channels.len() >= rules.channels {
            return Err(Denied::Refused(Refusal::LimitExceeded));
        }
        if self.channels.contains_key(channel) {
            return Err(Denied::Refused(Refusal::AlreadySubscribed));
        }
        if !rules.separators.allow(channel, &self.user, &self.client) {
            return Err(Denied::Refused(Refusal::PermissionDenied));
        }
        let options = rules
            .options(channel)
            .ok_or(Denied::Refused(Refusal::NamespaceNotFound))?;
        if self.user.is_empty() && !options.anonymous && !rules.insecure {
            return Err(Denied::Refused(Refusal::PermissionDenied));
        }
        if !rules.separators.is_private(channel) {
            return Ok((options, None));
        }
        let signed = rules.signed(&[&proof.client, channel, &proof.info], &proof.sign);
        if *proof.client != *self.client || !signed {
            return Err(Denied::Refused(Refusal::PermissionDenied));
        }
        let info = info_of(&proof.info).map_err(|_| Denied::Ended(INVALID_MESSAGE))?;
        // A sign joins its parts: only where an info begins with a brace and no name has one does no channel's name end where
        // another's info starts.
        if channel.contains('{') || info.is_some() && !proof.info.starts_with('{') {
            return Err(Denied::Refused(Refusal::PermissionDenied));
        }
        Ok((options, info))
    }

    /// What was waited for is here: the answer's refusal and body.
    pub(super) fn finish(
        &mut self,
        at: &mut At<'_, '_>,
        awaited: Awaited,
        answer: Answer,
    ) -> (Option<Refusal>, String) {
        match (awaited, answer) {
            (Awaited::Publish(channel), _) => (None, status(&channel, true)),
            // It is seen as soon as that is possible.
            (Awaited::Entry(channel), _) => (None, body(&channel, true, &NOTHING)),
            (Awaited::Recovery(channel, last), Answer::Past(past)) => {
                (None, self.recover(at, &channel, last, &past))
            }
            (Awaited::Recovery(channel, _), _) => {
                // Nobody was told that it came, so nobody is that it left.
                self.channels.remove(&channel);
                self.disappear(at, &channel);
                (Some(Refusal::Internal), body(&channel, false, &NOTHING))
            }
            (Awaited::History(channel), Answer::Past(past)) => {
                let kept = kept(keep_of(at, &channel), &past);
                (None, data(&channel, &newest_first(kept)))
            }
            (Awaited::Presence(channel), Answer::Present(here)) => {
                (None, data(&channel, &presence(&here)))
            }
            (Awaited::History(channel) | Awaited::Presence(channel), _) => {
                (Some(Refusal::Internal), data(&channel, "null"))
            }
        }
    }

    fn recover(
        &self,
        at: &mut At<'_, '_>,
        channel: &Arc<str>,
        last: Option<Box<str>>,
        past: &Past,
    ) -> String {
        let info = self.info_in(channel);
        self.announce(at, channel, JOIN, &info);
        let kept = kept(keep_of(at, channel), past);
        let before = past.events.len() - kept.len();
        let Some(last) = last else {
            let last = kept.last().map_or(NOTHING.last, message::uid);
            return body(channel, true, &Told { last, ..NOTHING });
        };
        let last = quoted(&last);
        let had = kept
            .iter()
            .rposition(|event| message::uid(event) == last)
            .filter(|_| last != NOTHING.last);
        let missed = had.and_then(|had| past.behind(before + had));
        counter!(figures::RECOVERIES, "result" => if missed.is_some() { "recovered" } else { "partial" }).increment(1);
        body(
            channel,
            true,
            &Told {
                messages: Some(missed.unwrap_or(kept)),
                recovered: missed.is_some(),
                ..NOTHING
            },
        )
    }
}

/// Why there is no subscription.
enum Denied {
    /// The client is told.
    Refused(Refusal),
    /// The connection ends.
    Ended(Close),
}

/// What of a past a channel's history has: since it was kept fewer may be wanted.
pub fn kept(keep: Option<Keep>, past: &Past) -> &[Event] {
    let most = keep.map_or(0, |keep| keep.events as usize);
    &past.events[past.events.len().saturating_sub(most)..]
}

fn keep_of(at: &At<'_, '_>, channel: &str) -> Option<Keep> {
    at.rules.options(channel)?.keep
}

fn refused(channel: &str, refusal: Refusal) -> Outcome {
    Outcome::Done(Some(refusal), Some(body(channel, false, &NOTHING)))
}

fn body(channel: &str, done: bool, told: &Told<'_>) -> String {
    let (channel, messages) = (
        quoted(channel),
        told.messages.map_or("null".to_owned(), newest_first),
    );
    let Told {
        last, recovered, ..
    } = told;
    format!(
        r#"{{"channel":{channel},"status":{done},"last":{last},"messages":{messages},"recovered":{recovered}}}"#
    )
}

/// Who is there, as an object.
pub fn presence(here: &[(Arc<str>, bytes::Bytes)]) -> String {
    let one = |(id, who): &(Arc<str>, bytes::Bytes)| {
        format!("{}:{}", quoted(id), String::from_utf8_lossy(who))
    };
    format!("{{{}}}", here.iter().map(one).collect::<Vec<_>>().join(","))
}
