//! One Seafile client's state: what it is subscribed to, until when, and what it is owed.
//!
//! Invariant: pure (no socket, no clock, no task); each subscription has a user and an end of its own; a refused entry
//! takes nothing away; nothing of a malformed message takes effect; all that is kept is bounded.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use tracing::Level;

use super::auth::Claims;
use super::ends;
use super::message::{CHANNEL_KIND, ClientMessage, Entry, jwt_expired};
pub use super::rules::Rules;
use super::token_backoff::{Due, Pauses};
use super::token_failures::{Cause, Use};
use crate::event::Channel;
use crate::session::{Action, Close, Session, Since, Turn};

/// Subscriptions end up to this long after their token's `exp`, in milliseconds. With the second or two that a tick may
/// be late, that is within ten seconds.
const JITTER_MS: u64 = 7_000;

struct Subscription {
    channel: Channel,
    /// Unix milliseconds; the greatest number means never.
    ends_ms: u64,
}

/// The state machine of one connection.
pub struct SeafileSession {
    rules: Arc<Rules>,
    /// The state of the jitter's generator.
    jitter: u64,
    /// The user named last, so that the subscriptions of one user share one copy of the name.
    user: Option<Arc<str>>,
    /// Sorted by channel.
    subscriptions: Vec<Subscription>,
    /// Made when a token is refused, dropped when nothing is left in it: most connections never need it.
    pauses: Option<Box<Pauses>>,
    /// When something is due next; the greatest number means never.
    next_ms: u64,
}

impl SeafileSession {
    /// A session without subscriptions. `seed` decides how its subscriptions' ends are spread, and nothing else.
    pub fn new(rules: Arc<Rules>, seed: u64) -> Self {
        Self {
            rules,
            jitter: seed,
            user: None,
            subscriptions: Vec::new(),
            pauses: None,
            next_ms: u64::MAX,
        }
    }

    /// How many libraries the connection is subscribed to.
    pub fn subscriptions(&self) -> usize {
        self.subscriptions.len()
    }

    fn subscribe_all(&mut self, now_ms: u64, entries: &[Entry<'_>], out: &mut Vec<Action>) {
        let max = self.rules.max_subscriptions;
        if entries.len() > max {
            return out.push(too_many(
                format!("more than {max} libraries in one message"),
                "subscriptions",
            ));
        }
        for entry in entries {
            let done = match self.rules.may_subscribe(&entry.id, &entry.token, now_ms) {
                Ok(claims) => self.subscribe(&entry.id, claims, out),
                Err(cause) => self.refuse(now_ms, &entry.id, cause, out),
            };
            if let Err(close) = done {
                return out.push(close);
            }
        }
    }

    fn subscribe(&mut self, id: &str, claims: Claims, out: &mut Vec<Action>) -> Result<(), Action> {
        let channel = Channel::new(CHANNEL_KIND, id);
        let ends_ms = self.end_of(claims.exp);
        let channel = match self
            .subscriptions
            .binary_search_by(|held| held.channel.cmp(&channel))
        {
            Ok(at) => {
                self.subscriptions[at].ends_ms = ends_ms;
                self.subscriptions[at].channel.clone()
            }
            Err(_) if self.subscriptions.len() >= self.rules.max_subscriptions => {
                let max = self.rules.max_subscriptions;
                return Err(too_many(
                    format!("more than {max} libraries subscribed"),
                    "subscriptions",
                ));
            }
            Err(at) => {
                self.make_room();
                self.subscriptions.insert(
                    at,
                    Subscription {
                        channel: channel.clone(),
                        ends_ms,
                    },
                );
                channel
            }
        };
        self.with_pauses(|pauses| pauses.forgive(id));
        let is_first = self.user.is_none();
        let user = self.shared_user(claims.username());
        if is_first {
            out.push(Action::Identify(Arc::clone(&user)));
        }
        out.push(Action::Subscribe {
            channel,
            user,
            since: Since::Recent,
        });
        Ok(())
    }

    /// Grows by half, from one: a web page has one subscription, and there are many pages.
    fn make_room(&mut self) {
        let held = self.subscriptions.len();
        if held == self.subscriptions.capacity() {
            self.subscriptions.reserve_exact((held / 2).max(1));
        }
    }

    fn shared_user(&mut self, name: &str) -> Arc<str> {
        match &self.user {
            Some(user) if **user == *name => Arc::clone(user),
            _ => Arc::clone(self.user.insert(name.into())),
        }
    }

    /// When a subscription ends whose token is good until `exp`.
    fn end_of(&mut self, exp: i64) -> u64 {
        // splitmix64, so that neither a node's connections nor a connection's libraries end all at once.
        self.jitter = self.jitter.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.jitter;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        u64::try_from(exp)
            .unwrap_or(0)
            .saturating_mul(1000)
            .saturating_add(mixed % (JITTER_MS + 1))
    }

    fn refuse(
        &mut self,
        now_ms: u64,
        id: &str,
        cause: Cause,
        out: &mut Vec<Action>,
    ) -> Result<(), Action> {
        out.extend(
            self.rules
                .refusals
                .note(Use::Subscribe, cause, id, now_ms)
                .map(|text| Action::Log(Level::WARN, text)),
        );
        let max = self.rules.max_subscriptions;
        match self.pauses.get_or_insert_default().refused(id, now_ms, max) {
            Due::Now => out.push(Action::Send(jwt_expired(id))),
            Due::Later => {}
            Due::TooMany => {
                return Err(too_many(
                    "too many libraries with a bad token".into(),
                    "refusals",
                ));
            }
        }
        Ok(())
    }

    fn unsubscribe(&mut self, id: &str, out: &mut Vec<Action>) {
        let channel = Channel::new(CHANNEL_KIND, id);
        if let Ok(at) = self
            .subscriptions
            .binary_search_by(|held| held.channel.cmp(&channel))
        {
            out.push(Action::Unsubscribe(self.subscriptions.remove(at).channel));
        }
        self.with_pauses(|pauses| pauses.waive(id));
    }

    fn with_pauses(&mut self, change: impl FnOnce(&mut Pauses)) {
        if let Some(pauses) = &mut self.pauses {
            change(pauses);
            if pauses.is_empty() {
                self.pauses = None;
            }
        }
    }

    /// When the subscription to `channel` ends; `None`: never, or there is none.
    fn ends(&self, channel: &str) -> Option<u64> {
        let at = self
            .subscriptions
            .binary_search_by(|held| held.channel.as_str().cmp(channel))
            .ok()?;
        Some(self.subscriptions[at].ends_ms).filter(|ends_ms| *ends_ms != u64::MAX)
    }

    fn look_ahead(&mut self) {
        let ends = self
            .subscriptions
            .iter()
            .map(|held| held.ends_ms)
            .min()
            .unwrap_or(u64::MAX);
        let owed = self
            .pauses
            .as_ref()
            .and_then(|pauses| pauses.next())
            .unwrap_or(u64::MAX);
        self.next_ms = ends.min(owed);
    }
}

fn too_many(reason: String, label: &'static str) -> Action {
    Action::Close(Close {
        code: 1008,
        reason: Cow::Owned(reason),
        label,
    })
}

impl Session for SeafileSession {
    fn on_message(&mut self, turn: &mut Turn<'_>, message: &[u8]) {
        let Turn { now_ms, out } = turn;
        match ClientMessage::parse(message) {
            Ok(ClientMessage::Subscribe(entries)) => self.subscribe_all(*now_ms, &entries, out),
            Ok(ClientMessage::Unsubscribe(ids)) => {
                ids.iter().for_each(|id| self.unsubscribe(id, out))
            }
            Err(bad) => out.push(Action::Close(bad.close())),
        }
        self.look_ahead();
    }

    fn on_tick(&mut self, turn: &mut Turn<'_>) {
        let (now_ms, out) = (turn.now_ms, &mut *turn.out);
        if now_ms < self.next_ms {
            return;
        }
        let before = self.subscriptions.len();
        self.subscriptions.retain(|held| {
            let goes_on = held.ends_ms > now_ms || held.ends_ms == u64::MAX;
            if !goes_on {
                out.push(Action::Unsubscribe(held.channel.clone()));
                out.push(Action::Send(jwt_expired(held.channel.name())));
            }
            goes_on
        });
        let ended = (before - self.subscriptions.len()) as u64;
        if ended > 0 {
            ::metrics::counter!(super::figures::SUBSCRIPTIONS_EXPIRED).increment(ended);
        }
        self.with_pauses(|pauses| pauses.pay(now_ms, |id| out.push(Action::Send(jwt_expired(id)))));
        self.look_ahead();
    }

    fn next_tick(&self) -> Option<u64> {
        (self.next_ms != u64::MAX).then_some(self.next_ms)
    }

    fn on_mail(&mut self, _: &mut Turn<'_>, mail: &[u8]) -> Option<Bytes> {
        ends::answer(mail, |channel| self.ends(channel))
    }
}

#[cfg(test)]
mod tests;
