//! One WebSocket connection: the task that moves bytes between a socket, a session and an outbox.
//!
//! Invariants: a connection that is idle holds no read buffer; whatever is sent goes through the outbox, in whole
//! frames; the task never waits for the client, except for its close frame, and then not for long.

mod closing;
mod wire;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};

use ::metrics::{Counter, counter};
use bytes::Bytes;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::error::Error;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketContext};
use tracing::Span;

use super::outbox::{Outbox, text_frame};
use super::peer::Peer;
use super::sweep::Registered;
use super::upgrade::{Shared, Who};
use super::{Action, Close, Session};
use crate::event::now_ms;
use crate::metrics;
use crate::node::Member;
use closing::{Closing, refusal};
use wire::{Wire, config};

/// Bytes read from a socket at once; the buffer belongs to the thread, not to the connection.
const SCRATCH: usize = 16 * 1024;
/// Reads of one connection before others get their turn.
const READS_A_TURN: usize = 8;
/// Pings this close together show a client that pings every second.
const PINGER_GAP_MS: u64 = 2_000;
/// So many in a row.
const PINGER_STREAK: u8 = 3;
/// Messages from here on must not leave their buffer behind in the parser.
const LARGE: usize = 4 * 1024;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into());
}

struct Frames {
    message: Counter,
    ping: Counter,
    pong: Counter,
    close: Counter,
}

impl Frames {
    fn of(name: &'static str) -> Self {
        let kind = |kind: &'static str| counter!(name, "kind" => kind);
        Self { message: kind("message"), ping: kind("ping"), pong: kind("pong"), close: kind("close") }
    }
}

static RECEIVED: LazyLock<Frames> = LazyLock::new(|| Frames::of(metrics::FRAMES_IN));
static SENT: LazyLock<Frames> = LazyLock::new(|| Frames::of(metrics::FRAMES_OUT));

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The counter's label.
    pub label: &'static str,
    /// What the log says.
    pub reason: String,
}

/// Serves one client until the connection is over. `early` is what came in one packet with the handshake.
pub async fn serve<S: Session>(shared: &Shared, who: Who, stream: TcpStream, early: Bytes, session: S) -> End {
    let (reader, writer) = stream.into_split();
    let outbox = Outbox::new(who.id, who.client, shared.outbox, writer);
    let peer = Peer::new(Arc::clone(&outbox), who.address);
    let mut connection = Connection {
        shared,
        who,
        user: None,
        socket: Socket { reader, context: WebSocketContext::new(Role::Server, Some(config(shared.max_message))) },
        member: shared.node.join(Arc::clone(&outbox)),
        registered: shared.register.join(Arc::clone(&peer)),
        session,
        outbox,
        peer,
        last_ping: 0,
        ping_streak: 0,
        closing: None,
        deaf: false,
    };
    let end = match connection.take_early(&early) {
        Some(end) => end,
        None => {
            drop(early);
            poll_fn(|cx| connection.poll(cx)).await
        }
    };
    connection.outbox.end();
    end
}

struct Socket {
    reader: OwnedReadHalf,
    context: WebSocketContext,
}

struct Connection<'a, S> {
    shared: &'a Shared,
    who: Who,
    /// Whose first subscription it had.
    user: Option<Arc<str>>,
    socket: Socket,
    member: Member,
    registered: Registered,
    session: S,
    outbox: Arc<Outbox>,
    peer: Arc<Peer>,
    last_ping: u64,
    ping_streak: u8,
    closing: Option<Box<Closing>>,
    /// A message was too long: the parser stands in the middle of it, and must not be asked again.
    deaf: bool,
}

impl<S: Session> Connection<'_, S> {
    fn take_early(&mut self, early: &Bytes) -> Option<End> {
        if early.is_empty() { None } else { self.feed(early) }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.outbox.register(cx.waker());
        if self.peer.take_tick() {
            self.work(Session::on_tick);
        }
        if self.peer.take_asked() {
            let inquiries = self.registered.register().inquiries();
            inquiries.answer(self.outbox.id(), |channel| self.session.ends(channel));
        }
        if let Some(close) = self.outbox.take_close() {
            if close.code == Close::ABNORMAL {
                return Poll::Ready(End { label: close.label, reason: close.reason.into_owned() });
            }
            self.start_close(&close, cx);
        }
        let flushed = self.outbox.poll_flush(cx);
        if let Poll::Ready(Err(error)) = &flushed {
            return Poll::Ready(self.over("lost", error.to_string()));
        }
        if let Some(closing) = &mut self.closing
            && closing.deadline.as_mut().poll(cx).is_ready()
        {
            self.outbox.abandon();
            return Poll::Ready(closing.end.clone());
        }
        self.poll_read(cx)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        for _ in 0..READS_A_TURN {
            let end = BUFFER.with_borrow_mut(|scratch| {
                let mut buffer = ReadBuf::new(scratch);
                let read = ready!(Pin::new(&mut self.socket.reader).poll_read(cx, &mut buffer));
                Poll::Ready(match read {
                    Err(error) => Some(self.over("lost", error.to_string())),
                    Ok(()) if buffer.filled().is_empty() => Some(self.over("gone", "the peer hung up".into())),
                    Ok(()) => self.feed(buffer.filled()),
                })
            });
            if let Some(end) = ready!(end) {
                return Poll::Ready(end);
            }
            // What was just read may have asked for a close, or for writing.
            if self.outbox_needs_care() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn outbox_needs_care(&self) -> bool {
        self.closing.is_none() && self.outbox.is_closing()
    }

    /// The connection is over, for a reason that was given before or for this one.
    fn over(&self, label: &'static str, reason: String) -> End {
        match &self.closing {
            Some(closing) => closing.end.clone(),
            None => End { label, reason },
        }
    }

    /// Hands bytes to the parser and what comes out of it to the session.
    fn feed(&mut self, input: &[u8]) -> Option<End> {
        let now = self.peer.heard();
        if self.deaf {
            return None;
        }
        let mut wire = Wire { input, outbox: &self.outbox.clone() };
        // A large message is kept until the parser has been asked for the next one: while it is alive the parser
        // cannot take its buffer back, and keeping that would cost an idle connection up to `max_message`.
        let mut large = None;
        loop {
            let message = self.socket.context.read(&mut wire);
            drop(large.take());
            match message {
                Ok(Message::Ping(_)) => self.on_ping(now),
                Ok(Message::Pong(_)) => RECEIVED.pong.increment(1),
                Ok(Message::Close(frame)) => self.peer_closes(frame),
                Ok(message @ (Message::Text(_) | Message::Binary(_))) => {
                    RECEIVED.message.increment(1);
                    let data = message.into_data();
                    self.on_message(&data);
                    large = (data.len() >= LARGE).then_some(data);
                }
                Ok(Message::Frame(_)) => {}
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => {
                    return Some(self.over("closed", "closed".into()));
                }
                Err(error) => {
                    self.deaf = matches!(error, Error::Capacity(_));
                    self.outbox.close(refusal(&error));
                    return None;
                }
            }
        }
    }

    fn on_ping(&mut self, now: u64) {
        RECEIVED.ping.increment(1);
        // The parser answers each ping.
        SENT.pong.increment(1);
        self.ping_streak = if now.saturating_sub(self.last_ping) <= PINGER_GAP_MS { self.ping_streak + 1 } else { 0 };
        self.last_ping = now;
        if self.ping_streak >= PINGER_STREAK {
            self.ping_streak = 0;
            self.peer.mark_pinger();
        }
    }

    fn on_message(&mut self, data: &[u8]) {
        if self.closing.is_some() || self.outbox.is_closing() {
            return;
        }
        self.work(|session, now, actions| session.on_message(now, data, actions));
    }

    /// Lets the session decide, and does what it wants.
    fn work(&mut self, decide: impl FnOnce(&mut S, u64, &mut Vec<Action>)) {
        let mut actions = Vec::new();
        decide(&mut self.session, now_ms(), &mut actions);
        self.perform(actions);
    }

    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Subscribe { channel, user } => {
                    if self.peer.mark_subscribed() {
                        Span::current().record("user", &*user);
                        self.user = Some(Arc::clone(&user));
                    }
                    tracing::debug!(%channel, user = &*user, "subscribed");
                    self.member.subscribe(channel, user);
                }
                Action::Unsubscribe(channel) => {
                    tracing::debug!(%channel, "unsubscribed");
                    self.member.unsubscribe(&channel);
                }
                Action::Reply(text) => {
                    tracing::debug!("sending {}", String::from_utf8_lossy(&text).trim_end());
                    if self.outbox.push(&text_frame(&text)) {
                        SENT.message.increment(1);
                    }
                }
                Action::Warn(text) => {
                    // Made for the line alone: at most levels no connection has one of its own.
                    let own = Span::current();
                    let made = || self.who.span(&self.shared.name, self.user.as_deref());
                    let span = if own.is_disabled() { made() } else { own };
                    tracing::warn!(parent: &span, "{text}");
                }
                Action::Close(close) => {
                    self.outbox.close(close);
                    return;
                }
            }
        }
        self.registered.tick_at(self.session.next_tick());
    }
}
