//! One client's connection: a session decides, an outbox holds what the client has not taken yet, a task moves bytes.
//!
//! Invariant: nothing here ever waits for a client. An outbox that is full closes its connection.

pub mod door;
pub mod handshake;
pub mod inquiry;
pub mod outbox;
pub mod pace;
pub mod peer;
pub mod sweep;
pub mod upgrade;
pub mod websocket;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use crate::event::Channel;

/// What kind of client is at the other end; they take a close differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Client {
    /// A desktop client or SeaDrive: comes back 60 s after any close and then checks everything anew.
    Desktop,
    /// A web page: comes back five times in its life, then never.
    Web,
    /// Anything else; treated as a desktop client.
    Other,
}

impl Client {
    /// What metrics and logs call it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Desktop => "desktop",
            Self::Web => "web",
            Self::Other => "other",
        }
    }
}

/// What a session wants done. A reply is not a close.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Subscribe the connection to `channel` on behalf of `user`. Where it is subscribed already, only the user changes.
    Subscribe {
        /// To what.
        channel: Channel,
        /// Whose subscription it is; empty where the client named nobody.
        user: Arc<str>,
    },
    /// End the subscription, if there is one.
    Unsubscribe(Channel),
    /// Send this text message.
    Reply(Bytes),
    /// Warn the operator; the line says whom it is about.
    Warn(String),
    /// Send a close frame and end the connection. Later actions are not looked at.
    Close(Close),
}

/// Why a connection ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// The WebSocket close code (RFC 6455, section 7.4).
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
        Self { code, reason: Cow::Borrowed(reason), label }
    }
}

/// The state machine of one client: no socket, no clock of its own. Times are Unix milliseconds.
pub trait Session: Send + 'static {
    /// The client sent one whole text or binary message.
    fn on_message(&mut self, now_ms: u64, message: &[u8], out: &mut Vec<Action>);

    /// The time asked for by [`Session::next_tick`] has come (within a second or two).
    fn on_tick(&mut self, now_ms: u64, out: &mut Vec<Action>);

    /// When [`Session::on_tick`] should be called next; `None`: no need.
    fn next_tick(&self) -> Option<u64>;

    /// When its subscription to `channel` ends; `None`: never, or there is none.
    fn ends(&self, channel: &Channel) -> Option<u64> {
        let _ = channel;
        None
    }
}
