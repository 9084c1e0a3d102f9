//! What a connection is besides its bytes: a session, its subscriptions, its outbox, its place in the register.
//!
//! Invariants: whatever a session wants is done here, in its order, and nowhere else; a transport moves bytes and knows
//! neither channels nor sessions. What is held here ends with the link, and the session is told.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};

use ::metrics::{Counter, counter};
use tokio::time::Instant;
use tracing::{Level, Span};

use super::asked::{self, Asked};
use super::sweep::Registration;
use super::tracked::Tracked;
use super::{ClientInfo, Shared};
use crate::event::{Channel, Past, now_ms};
use crate::metrics;
use crate::node::{Presence, Subscriptions};
use crate::outbox::Outbox;
use crate::session::{Action, Answer, Entrance, Session, Since, Turn};

static SENT: LazyLock<Counter> =
    LazyLock::new(|| counter!(metrics::FRAMES_OUT, "kind" => "message"));

/// Where a connection is present; few are anywhere.
#[derive(Default)]
struct Present(HashMap<Channel, Presence>);

/// See the module's description.
pub(super) struct Link<S: Session> {
    shared: Arc<Shared>,
    session: S,
    subscriptions: Subscriptions,
    registered: Registration,
    peer: Arc<Tracked>,
    /// What the session has asked for; there while answers are to come, or what came meanwhile is to be looked at.
    asked: Option<Box<Asked>>,
    /// Where it is present.
    present: Option<Box<Present>>,
}

impl<S: Session> Link<S> {
    /// What all connections of the node share.
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Joins `session` to the node, with an outbox in front of its client.
    pub(super) fn new(
        shared: Arc<Shared>,
        client: ClientInfo,
        outbox: &Arc<Outbox>,
        session: S,
    ) -> Self {
        let peer = Tracked::new(Arc::clone(outbox), client.address);
        let mut link = Self {
            session,
            subscriptions: shared.node.subscriptions(Arc::clone(outbox)),
            registered: shared.register.join(Arc::clone(&peer), &shared.liveness),
            shared,
            peer,
            asked: None,
            present: None,
        };
        let greeting = outbox.kind().wire.greeting();
        if !greeting.is_empty() {
            outbox.push_control(greeting);
        }
        link.work(|session, turn| session.on_start(turn));
        link
    }

    /// What the sweep knows of the connection.
    pub(super) fn peer(&self) -> &Arc<Tracked> {
        &self.peer
    }

    /// Lets the session look at what has come up since the last call: a tick, its mail, and answers.
    pub(super) fn attend(&mut self, cx: &mut Context<'_>) {
        if self.peer.take_tick() {
            self.work(|session, turn| session.on_tick(turn));
        }
        if self.peer.take_mail() {
            let id = self.peer.outbox.id();
            for letter in self.registered.register().mail().take(id) {
                if let Some(answer) = self.work(|session, turn| session.on_mail(turn, &letter.body))
                {
                    letter.answer(id, answer);
                }
            }
        }
        // Last, so that whatever was asked for on the way here is begun, and wakes the task when it is there.
        while let Some(asked) = &mut self.asked
            && let Poll::Ready(Some((ticket, answer))) = asked.poll_next(cx)
        {
            let released = asked.releases(ticket);
            // Nothing was read of its client meanwhile.
            self.peer.heard();
            let had = match &answer {
                Answer::Past(past) => past.had(),
                _ => Past::default(),
            };
            self.work(|session, turn| session.on_answer(turn, ticket, answer));
            if let (Some(channel), Some(asked)) = (released, &mut self.asked) {
                asked.is_told(channel, had);
            }
        }
        // What the session tells of what it has read goes first, and it may tell all of it at once.
        if !self.is_waiting() {
            let told = self
                .asked
                .as_mut()
                .map(|asked| asked.told())
                .unwrap_or_default();
            told.into_iter()
                .for_each(|(channel, had)| self.subscriptions.release(&channel, had));
        }
    }

    /// The client sent one whole message.
    pub(super) fn on_message(&mut self, message: &[u8]) {
        self.work(|session, turn| session.on_message(turn, message));
    }

    /// The same, in a binary message.
    pub(super) fn on_binary(&mut self, message: &[u8]) {
        self.work(|session, turn| session.on_binary(turn, message));
    }

    /// Whether the session waits for answers: then nothing is to be read from its client.
    pub(super) fn is_waiting(&self) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.is_open())
    }

    /// Keeps what was read and is not to be looked at before the answers are here.
    pub(super) fn hold(&mut self, bytes: &[u8]) {
        if let Some(asked) = &mut self.asked {
            asked.hold(bytes);
        }
    }

    /// The session waits no longer: what was kept meanwhile. `None` where it has not waited.
    pub(super) fn resume(&mut self) -> Option<Vec<u8>> {
        self.asked.take().map(|asked| asked.into_held())
    }

    /// Lets the session decide, and does what it wants.
    fn work<R>(&mut self, decide: impl FnOnce(&mut S, &mut Turn<'_>) -> R) -> R {
        let mut out = Vec::new();
        let decided = decide(
            &mut self.session,
            &mut Turn {
                now_ms: now_ms(),
                out: &mut out,
            },
        );
        self.perform(out);
        decided
    }

    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Identify(user) => {
                    if self.peer.identify(Arc::clone(&user)) {
                        Span::current().record("user", &*user);
                    }
                }
                Action::Subscribe {
                    channel,
                    user,
                    since,
                } => {
                    self.peer.mark_subscribed();
                    tracing::debug!(%channel, user = &*user, "subscribed");
                    let began = Instant::now();
                    self.subscriptions.subscribe(channel.clone(), user, since);
                    if let Since::Past(ticket) = since {
                        let asked = self.asked.get_or_insert_default();
                        asked.ask_past(&self.shared, ticket, channel, began);
                    }
                }
                Action::Unsubscribe(channel) => {
                    tracing::debug!(%channel, "unsubscribed");
                    self.subscriptions.unsubscribe(&channel);
                }
                Action::Enter(entrance) => self.enter(*entrance),
                Action::Leave(channel) => {
                    if let Some(present) = &mut self.present {
                        present.0.remove(&channel);
                    }
                }
                Action::Send(text) => {
                    tracing::debug!("sending {}", String::from_utf8_lossy(&text).trim_end());
                    let outbox = &self.peer.outbox;
                    if outbox.push(&outbox.kind().wire.message(&text)) {
                        SENT.increment(1);
                    }
                }
                Action::Ask(ticket, query) => {
                    let dialect = self.peer.outbox.kind().dialect;
                    self.asked
                        .get_or_insert_default()
                        .ask(&self.shared, dialect, ticket, *query);
                }
                Action::Log(level, text) => self.log(level, &text),
                Action::Close(close) => return self.peer.outbox.close(close),
            }
        }
        self.registered.tick_at(self.session.next_tick());
    }

    fn enter(
        &mut self,
        Entrance {
            channel,
            id,
            who,
            outlives,
        }: Entrance,
    ) {
        let presence = self
            .shared
            .node
            .keeper()
            .enter(&channel, &id, who, outlives);
        self.present
            .get_or_insert_default()
            .0
            .insert(channel, presence);
    }

    fn log(&self, level: Level, text: &str) {
        // At most levels a connection has no span of its own, since that costs memory for as long as it lives.
        let own = Span::current();
        let outbox = &self.peer.outbox;
        let client = ClientInfo {
            id: outbox.id(),
            address: self.peer.address,
            kind: outbox.kind(),
        };
        let made = || client.span(&self.shared.name, self.peer.user());
        let span = if own.is_disabled() { made() } else { own };
        match level {
            Level::ERROR => tracing::error!(parent: &span, "{text}"),
            Level::WARN => tracing::warn!(parent: &span, "{text}"),
            Level::INFO => tracing::info!(parent: &span, "{text}"),
            _ => tracing::debug!(parent: &span, "{text}"),
        }
    }
}

impl<S: Session> Drop for Link<S> {
    fn drop(&mut self) {
        let mut out = Vec::new();
        self.session.on_end(&mut Turn {
            now_ms: now_ms(),
            out: &mut out,
        });
        for action in out {
            match action {
                Action::Ask(_, query) => {
                    let answer =
                        asked::begin(&self.shared, self.peer.outbox.kind().dialect, *query);
                    // Nobody waits for it, but it has to be done.
                    self.shared
                        .tasks
                        .spawn_connection(async move { drop(answer.await) });
                }
                Action::Log(level, text) => self.log(level, &text),
                // The client is gone, and what it was subscribed to ends with the link.
                _ => {}
            }
        }
    }
}
