//! One WebSocket connection: the task that moves bytes between a socket, a session and an outbox.
//!
//! Invariants: a connection that is idle holds no read buffer; whatever is sent goes through the outbox, in whole
//! frames; the task never waits for the client, except for its close frame, and then not for long.

mod begun;
mod closing;
pub mod deflate;
pub mod framing;
pub(super) mod io;
mod progress;
mod wire;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};

use ::metrics::{Counter, counter};
use bytes::Bytes;
use tokio::io::ReadBuf;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::error::Error;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketContext};

use super::link::Link;
use super::{ClientInfo, Shared};
use crate::metrics;
use crate::outbox::{Deflate, Outbox};
use crate::session::{Close, Session, Why};
use begun::Begun;
use closing::{Closing, fault};
use io::{Io, Near};
use wire::{ParserView, config};

/// Bytes read from a socket at once; the buffer belongs to the thread, not to the connection.
const SCRATCH: usize = 16 * 1024;
/// Reads of one connection before others get their turn.
const READS_A_TURN: usize = 8;
/// Bytes read at once, and in a turn, where messages may be compressed: they may come to a thousand times as much.
const DEFLATED_SCRATCH: usize = 2 * 1024;
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
        Self {
            message: kind("message"),
            ping: kind("ping"),
            pong: kind("pong"),
            close: kind("close"),
        }
    }
}

static RECEIVED: LazyLock<Frames> = LazyLock::new(|| Frames::of(metrics::FRAMES_IN));
static SENT: LazyLock<Frames> = LazyLock::new(|| Frames::of(metrics::FRAMES_OUT));

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The counter's label.
    pub(super) label: &'static str,
    /// What the log says.
    pub(super) reason: String,
}

/// Serves one client until the connection is over. `early` is what came in one packet with the handshake.
pub(super) async fn serve<S: Session>(
    shared: Arc<Shared>,
    client: ClientInfo,
    io: Io,
    early: Bytes,
    session: S,
) -> End {
    let (outbox, near) = io.split(client, shared.outbox);
    let near = match client.kind.deflate {
        Deflate::Agreed => near.deflated(shared.max_message),
        Deflate::Never | Deflate::Offered(_) => near,
    };
    let context = WebSocketContext::new(Role::Server, Some(config(shared.max_message)));
    let mut connection = Connection {
        socket: Socket { near, context },
        link: Link::new(shared, client, &outbox, session),
        outbox,
        last_ping: 0,
        ping_streak: 0,
        closing: None,
        begun: None,
        deaf: false,
    };
    let end = match connection.take_early(&early) {
        Some(end) => end,
        None => {
            drop(early);
            poll_fn(|cx| connection.poll(cx)).await
        }
    };
    connection.outbox.finish();
    end
}

struct Socket {
    near: Near,
    context: WebSocketContext,
}

struct Connection<S: Session> {
    socket: Socket,
    link: Link<S>,
    outbox: Arc<Outbox>,
    last_ping: u64,
    ping_streak: u8,
    closing: Option<Box<Closing>>,
    /// What the client has begun to send.
    begun: Option<Box<Begun>>,
    /// A message was too long: the parser stands in the middle of it, and must not be asked again.
    deaf: bool,
}

impl<S: Session> Connection<S> {
    fn take_early(&mut self, early: &Bytes) -> Option<End> {
        if early.is_empty() {
            None
        } else {
            self.feed(early)
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.outbox.register(cx.waker());
        self.link.attend(cx);
        if let Some(close) = self.outbox.take_close() {
            if close.code == Close::ABNORMAL {
                return Poll::Ready(End {
                    label: close.label,
                    reason: close.reason.into_owned(),
                });
            }
            self.start_close(&close, cx);
        }
        if let Some(end) = self.take_held(cx) {
            return Poll::Ready(end);
        }
        let flushed = self.socket.near.poll_flush(&self.outbox, cx);
        if let Poll::Ready(Err(error)) = &flushed {
            return Poll::Ready(self.over("lost", error.to_string()));
        }
        if let Some(closing) = &mut self.closing
            && closing.deadline.as_mut().poll(cx).is_ready()
        {
            self.outbox.abandon();
            return Poll::Ready(closing.end.clone());
        }
        if self.is_waiting() {
            Poll::Pending
        } else {
            self.poll_read(cx)
        }
    }

    /// Whether the session waits for answers: then the client waits too. A connection that closes waits for nothing.
    fn is_waiting(&self) -> bool {
        self.closing.is_none() && self.link.is_waiting()
    }

    /// Looks at what came while the session waited, once it does not any more.
    fn take_held(&mut self, cx: &mut Context<'_>) -> Option<End> {
        if self.is_waiting() {
            return None;
        }
        let held = self.link.resume()?;
        let end = self.parse(&held);
        if self.link.is_waiting() {
            // What was asked for just now begins at the next turn.
            cx.waker().wake_by_ref();
        }
        end
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let is_deflated = self.socket.near.inflater().is_some();
        for _ in 0..READS_A_TURN {
            let end = BUFFER.with_borrow_mut(|scratch| {
                let room = if is_deflated {
                    DEFLATED_SCRATCH
                } else {
                    SCRATCH
                };
                let mut buffer = ReadBuf::new(&mut scratch[..room]);
                let read = ready!(self.socket.near.poll_read(cx, &mut buffer));
                Poll::Ready(match read {
                    Err(error) => Some(self.over("lost", error.to_string())),
                    Ok(()) if buffer.filled().is_empty() => {
                        Some(self.over("gone", "the peer hung up".into()))
                    }
                    Ok(()) => self.feed(buffer.filled()),
                })
            });
            if let Some(end) = ready!(end) {
                return Poll::Ready(end);
            }
            // What was just read may have asked for a close, or for writing; what is inflated may have taken its time.
            if self.outbox_needs_care() || self.link.is_waiting() || is_deflated {
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
        self.link.peer().heard();
        if self.deaf {
            return None;
        }
        if self.closing.is_none() {
            self.measure(input);
        }
        self.parse(input)
    }

    fn parse(&mut self, mut input: &[u8]) -> Option<End> {
        let outbox = self.outbox.clone();
        // A large message is kept until the parser has been asked for the next one: while it is alive the parser
        // cannot take its buffer back, and keeping that would cost an idle connection up to `max_message`.
        let mut large = None;
        loop {
            if self.is_waiting() {
                self.link.hold(input);
                return None;
            }
            let Socket { near, context } = &mut self.socket;
            let mut wire = ParserView {
                input,
                inflater: near.inflater(),
                outbox: &outbox,
            };
            let message = context.read(&mut wire);
            input = wire.input;
            drop(large.take());
            match message {
                Ok(Message::Ping(_)) => self.on_ping(),
                Ok(Message::Pong(_)) => RECEIVED.pong.increment(1),
                Ok(Message::Close(frame)) => self.peer_closes(frame),
                Ok(message @ (Message::Text(_) | Message::Binary(_))) => {
                    RECEIVED.message.increment(1);
                    let binary = message.is_binary();
                    let data = message.into_data();
                    self.on_message(&data, binary);
                    large = (data.len() >= LARGE).then_some(data);
                }
                Ok(Message::Frame(_)) => {}
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => {
                    return Some(self.over("closed", "closed".into()));
                }
                Err(error) => {
                    let why = fault(&error);
                    self.deaf = why == Why::TooLong;
                    self.begun = None;
                    self.outbox.end(&why);
                    return None;
                }
            }
        }
    }

    fn on_ping(&mut self) {
        let now = self.link.peer().heard();
        RECEIVED.ping.increment(1);
        // The parser answers each ping.
        SENT.pong.increment(1);
        self.ping_streak = if now.saturating_sub(self.last_ping) <= PINGER_GAP_MS {
            self.ping_streak + 1
        } else {
            0
        };
        self.last_ping = now;
        if self.ping_streak >= PINGER_STREAK {
            self.ping_streak = 0;
            self.link.peer().mark_pinger();
        }
    }

    fn on_message(&mut self, data: &[u8], binary: bool) {
        if self.closing.is_some() || self.outbox.is_closing() {
            return;
        }
        if binary {
            self.link.on_binary(data)
        } else {
            self.link.on_message(data)
        }
    }
}
