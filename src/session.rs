//! One client's state machine, and what it may want done.
//!
//! Invariant: pure. A session has no socket, no clock and no task: whoever runs it tells it the time and performs its
//! [`Action`]s.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tracing::Level;

use crate::event::{Channel, Event, Keep, Past};

/// What a session wants done. A message to the client is not a close.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The connection belongs to this user: that is how logs and operators know it. The first one named stays.
    Identify(Arc<str>),
    /// Subscribe the connection to `channel` on behalf of `user`. Where it is subscribed already, only the user changes.
    Subscribe {
        /// To what.
        channel: Channel,
        /// Whose subscription it is; empty where the client named nobody.
        user: Arc<str>,
        /// From where on.
        since: Since,
    },
    /// End the subscription, if there is one.
    Unsubscribe(Channel),
    /// Be present in a channel, for as long as the connection lives; whoever is present already is with what is said now.
    Enter(Box<Entrance>),
    /// Be present there no longer.
    Leave(Channel),
    /// Send this message.
    Send(Bytes),
    /// Ask for what takes time. The answer comes with the same ticket, and answers come in the order of the questions. Until
    /// the last one is there, nothing more is read from the client.
    Ask(Ticket, Box<Query>),
    /// Tell the operator; the line says whom it is about.
    Log(Level, String),
    /// End the connection like this. Later actions are not looked at.
    Close(Close),
}

/// Who is to be present where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entrance {
    /// In which channel.
    pub channel: Channel,
    /// The connection's name, which no other has.
    pub id: Arc<str>,
    /// What others are told of it.
    pub who: Bytes,
    /// For how long they are told that when its node has died.
    pub outlives: Duration,
}

/// What a session tells its questions apart by; it chooses them.
pub type Ticket = u32;

/// What a session may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// Publish this event. It is on its way at once, before what is asked later.
    Publish(Event),
    /// Likewise, and it is kept in its channel's past.
    Keep(Event, Keep),
    /// What a channel's past has.
    Past(Channel),
    /// Who is present in a channel.
    Present(Channel),
    /// Something of the dialect's own ([`Dialect::asked`](crate::dialect::Dialect::asked)), as looking a login up.
    Own(Bytes),
}

/// What a session's question comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The event is accepted, and, as a rule, with the broker.
    Published,
    /// The past.
    Past(Past),
    /// Ids, and what is said of each; sorted.
    Present(Vec<(Arc<str>, Bytes)>),
    /// The dialect's answer.
    Own(Bytes),
    /// There is none, or it took too long: it may be asked again.
    Unavailable,
}

/// From where on a new subscription is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// What is delivered from now on.
    Now,
    /// What the channel saw in the last seconds comes first, as far as this connection was not given it before.
    Recent,
    /// The channel's past is asked for under this ticket. When that is answered, what was delivered since the subscription
    /// began comes, without what the past has; all of it where the past could not be told.
    Past(Ticket),
}

/// Why the core ends a connection. What the client is told is its dialect's business ([`crate::outbox::Kind`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The node is about to end.
    Draining,
    /// The client may have missed events.
    Missed,
    /// The client does not read what it is sent, and its outbox is full.
    Slow,
    /// Nothing was heard of the client for too long.
    Silent,
    /// The client has not subscribed to anything in time.
    Idle,
    /// An administrator wants it.
    Administrator,
    /// A message that the client has begun did not come to its end in time.
    Unfinished,
    /// All clients together have begun to send more than there is room for, and this one the most.
    Crowded,
    /// A message is longer than this server takes.
    TooLong,
    /// A text message is not UTF-8.
    NotText,
    /// The transport's protocol is violated: how.
    Protocol(String),
}

impl Why {
    /// Whether the connection cannot go on, whatever the dialect thinks of it.
    pub fn is_final(&self) -> bool {
        *self != Self::Missed
    }
}

/// How a connection ends, as the client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// The close code: for WebSockets that of RFC 6455, section 7.4, or [`Close::ABNORMAL`].
    pub code: u16,
    /// What the peer is told, 123 bytes at most.
    pub reason: Cow<'static, str>,
    /// What the counter is labelled with.
    pub label: &'static str,
}

impl Close {
    /// Never on the wire (RFC 6455, section 7.4.1): end at once, without a close frame.
    pub const ABNORMAL: u16 = 1006;

    /// A close with a fixed reason.
    pub const fn new(code: u16, reason: &'static str, label: &'static str) -> Self {
        Self {
            code,
            reason: Cow::Borrowed(reason),
            label,
        }
    }
}

/// What a session is told besides the occasion, and where what it wants goes.
pub struct Turn<'a> {
    /// Unix time in milliseconds.
    pub now_ms: u64,
    /// What is to be done, in this order.
    pub out: &'a mut Vec<Action>,
}

/// The state machine of one client: no socket, no clock of its own.
pub trait Session: Send + 'static {
    /// The connection has begun, and the client has not said anything yet.
    fn on_start(&mut self, turn: &mut Turn<'_>) {
        let _ = turn;
    }

    /// The client sent one whole text or binary message.
    fn on_message(&mut self, turn: &mut Turn<'_>, message: &[u8]);

    /// The same, where the transport tells binary messages from text and this one was binary.
    fn on_binary(&mut self, turn: &mut Turn<'_>, message: &[u8]) {
        self.on_message(turn, message);
    }

    /// The time asked for by [`Session::next_tick`] has come (within a second or two).
    fn on_tick(&mut self, turn: &mut Turn<'_>) {
        let _ = turn;
    }

    /// What was asked for with this ticket ([`Action::Ask`]) is here.
    fn on_answer(&mut self, turn: &mut Turn<'_>, ticket: Ticket, answer: Answer) {
        let _ = (turn, ticket, answer);
    }

    /// The connection is over, for whatever reason; its subscriptions end right after this. Events that are published now still
    /// go out; nothing reaches the client, and nothing is answered.
    fn on_end(&mut self, turn: &mut Turn<'_>) {
        let _ = turn;
    }

    /// Another part of the dialect, on whichever node, has something for this session. Returns its answer, if it has one.
    fn on_mail(&mut self, turn: &mut Turn<'_>, mail: &[u8]) -> Option<Bytes> {
        let _ = (turn, mail);
        None
    }

    /// When [`Session::on_tick`] should be called next; `None`: no need.
    fn next_tick(&self) -> Option<u64> {
        None
    }
}
