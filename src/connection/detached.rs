//! A connection whose client comes and goes: one request after another fetches what is for it, others bring what it says.
//!
//! Invariants: one request fetches at a time. What waits for the client is bounded by its outbox, and what it has said and nobody
//! has looked at by [`Manner::said_bytes`]. A connection that nobody fetches from ends after [`Manner::patience`], and for as long
//! every request that fetches is told how it ended. Time for which the node stood still does not count against a client.

mod had;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tracing::{Instrument, Level};

use self::had::Had;
use super::entry::{self, Open, Refused, Visit, Wish};
use super::link::Link;
use super::stream::HangUp;
use super::tracked::Tracked;
use super::{ClientInfo, Shared};
use crate::drain::Tasks;
use crate::outbox::{Kind, Outbox};
use crate::session::{Close, Session};

/// Messages of one client that are looked at before others get their turn.
const MESSAGES_A_TURN: usize = 8;
/// How late a node may notice that nobody fetches any more. If it is later, it stood still, and requests may have come meanwhile.
const LATE: Duration = Duration::from_millis(250);

/// How such connections are kept.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// What kind of client it is.
    pub kind: &'static Kind,
    /// How long the connection lives while nobody fetches.
    pub patience: Duration,
    /// Bytes that the client may have said and the session not looked at yet.
    pub said_bytes: usize,
}

/// What a request that fetches gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// The connection has begun. It comes once, before everything else.
    Begun,
    /// Whole frames of the connection's wire.
    Frames(Bytes),
    /// The connection has ended like this. Nothing comes after it.
    End(Close),
}

/// Another request fetches already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken;

/// The client has said more than may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMuch;

struct State {
    begun: bool,
    /// Cuts off the request that fetches.
    fetching: Option<HangUp>,
    /// The task that answers it.
    waker: Option<Waker>,
    /// Since when nobody fetches.
    since: Instant,
    /// A request was cut off while it fetched, so the client is gone.
    cut: bool,
    said: VecDeque<Bytes>,
    said_bytes: usize,
    /// How the connection ended.
    end: Option<Close>,
}

/// Where requests find the connection.
pub struct Desk {
    peer: Arc<Tracked>,
    manner: Manner,
    state: Arc<Mutex<State>>,
    had: Mutex<Had>,
    /// A request has stopped fetching.
    left: Notify,
}

/// Opens a connection for who sent `request`, served by what `session` makes. What `place` makes is dropped when nothing of the
/// connection is left; it is not asked for a connection that is refused.
///
/// # Errors
/// [`Refused`]: what the client is told then is its dialect's business.
pub fn open<S, F, G, P>(
    shared: &Arc<Shared>,
    manner: Manner,
    request: &Parts,
    session: F,
    place: G,
) -> Result<Arc<Desk>, Refused>
where
    S: Session,
    F: FnOnce(ClientInfo) -> S,
    G: FnOnce() -> P,
    P: Send + 'static,
{
    let visit = entry::enter(shared, manner.kind, Wish::Detached, request)?;
    let client = visit.client;
    let state = Arc::new(Mutex::new(State {
        begun: false,
        fetching: None,
        waker: None,
        since: Instant::now(),
        cut: false,
        said: VecDeque::new(),
        said_bytes: 0,
        end: None,
    }));
    let fetching = Arc::clone(&state);
    let hang_up = move || {
        fetching
            .lock()
            .fetching
            .iter()
            .for_each(|hang_up| hang_up())
    };
    let outbox = Outbox::taken(client.id, client.kind, shared.outbox, hang_up);
    let link = Link::new(Arc::clone(shared), client, &outbox, session(client));
    let desk = Arc::new(Desk {
        peer: Arc::clone(link.peer()),
        manner,
        state,
        had: Mutex::default(),
        left: Notify::new(),
    });
    let serve = serve(
        Arc::clone(&desk),
        link,
        visit,
        shared.tasks.clone(),
        place(),
    );
    // Like any connection, it has a span of its own only where its lines are wanted.
    match tracing::enabled!(Level::DEBUG) {
        true => shared
            .tasks
            .spawn_connection(serve.instrument(client.span(&shared.name, None))),
        false => shared.tasks.spawn_connection(serve),
    }
    Ok(desk)
}

async fn serve<S: Session, P>(
    desk: Arc<Desk>,
    mut link: Link<S>,
    visit: Visit,
    tasks: Tasks,
    place: P,
) {
    let open = Open::new(visit.client.kind);
    let mut alone = None;
    let close = std::future::poll_fn(|cx| desk.poll_live(&mut link, &mut alone, cx)).await;
    // Whatever the session held ends now, not when its client has heard of it.
    drop((link, alone));
    open.ended(close.label, &close.reason);
    let is_told = close.code != Close::ABNORMAL;
    desk.has_ended(close);
    if is_told {
        desk.linger(&tasks).await;
    }
    desk.peer.outbox.abandon();
    desk.peer.outbox.finish();
    drop((place, visit.admitted));
}

impl Desk {
    /// Begins to fetch; `hang_up` cuts off who does.
    ///
    /// # Errors
    /// [`Taken`]
    pub fn fetch(self: &Arc<Self>, hang_up: HangUp) -> Result<Fetcher, Taken> {
        let mut state = self.state.lock();
        if state.fetching.is_some() {
            return Err(Taken);
        }
        state.fetching = Some(hang_up);
        drop(state);
        self.peer.heard();
        Ok(Fetcher {
            desk: Arc::clone(self),
            in_order: false,
        })
    }

    /// The client says something. What it says after the end is passed over.
    ///
    /// # Errors
    /// [`TooMuch`]
    pub fn say(&self, message: Bytes) -> Result<(), TooMuch> {
        let mut state = self.state.lock();
        if state.end.is_some() || self.peer.outbox.is_closing() {
            return Ok(());
        }
        if state.said_bytes + message.len() > self.manner.said_bytes {
            return Err(TooMuch);
        }
        state.said_bytes += message.len();
        state.said.push_back(message);
        drop(state);
        self.peer.heard();
        self.peer.outbox.wake();
        Ok(())
    }

    /// The client says something, which may be brought more than once: under the same `id` it is said once, and all are answered
    /// alike.
    ///
    /// # Errors
    /// [`TooMuch`]
    pub fn say_once(&self, id: u64, message: Bytes) -> Result<(), TooMuch> {
        self.had.lock().once(id, || self.say(message))
    }

    /// What `act` does, unless something was brought under this `id` before. It counts as brought from now on.
    pub fn if_new<T>(&self, id: u64, act: impl FnOnce() -> T) -> Option<T> {
        // Whoever else brings it finds it done.
        let mut had = self.had.lock();
        had.is_new(id).then(act)
    }

    /// Asks the connection to end like this. The first reason given counts.
    pub fn end(&self, close: Close) {
        self.peer.outbox.close(close);
    }

    fn take_said(&self) -> Option<Bytes> {
        let mut state = self.state.lock();
        let message = state.said.pop_front()?;
        state.said_bytes -= message.len();
        Some(message)
    }

    /// Lets the session do what there is to do. Ready when the connection ends.
    fn poll_live<S: Session>(
        &self,
        link: &mut Link<S>,
        alone: &mut Option<Pin<Box<Sleep>>>,
        cx: &mut Context<'_>,
    ) -> Poll<Close> {
        let outbox = &self.peer.outbox;
        outbox.register(cx.waker());
        for turn in 0..=MESSAGES_A_TURN {
            link.attend(cx);
            if link.is_waiting() || outbox.is_closing() {
                break;
            }
            // Whatever was said meanwhile lies here, not there.
            link.resume();
            if turn == MESSAGES_A_TURN {
                cx.waker().wake_by_ref();
                break;
            }
            let Some(message) = self.take_said() else {
                break;
            };
            link.on_message(&message);
        }
        if let Some(close) = outbox.take_close() {
            return Poll::Ready(close);
        }
        let mut state = self.state.lock();
        if state.cut {
            return Poll::Ready(Close::new(Close::ABNORMAL, "the peer hung up", "gone"));
        }
        if state.fetching.is_some() {
            *alone = None;
        } else {
            let mut until = state.since + self.manner.patience;
            let now = Instant::now();
            if now > until + LATE {
                state.since = now;
                until = state.since + self.manner.patience;
            }
            let alone = alone.get_or_insert_with(|| Box::pin(sleep_until(until)));
            if alone.deadline() != until {
                alone.as_mut().reset(until);
            }
            if alone.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Close::new(
                    Close::ABNORMAL,
                    "nobody fetched for too long",
                    "away",
                ));
            }
        }
        if !outbox.is_empty() {
            state.wake();
        }
        Poll::Pending
    }

    fn has_ended(&self, close: Close) {
        let mut state = self.state.lock();
        (state.end, state.said) = (Some(close), VecDeque::new());
        state.wake();
    }

    /// Lets the end be fetched for a while, also by who comes late. A node that ends waits only for who fetches now.
    async fn linger(&self, tasks: &Tasks) {
        let stopped = async {
            tasks.stopped().await;
            while self.state.lock().fetching.is_some() {
                self.left.notified().await;
            }
        };
        tokio::select! {
            () = sleep(self.manner.patience) => {}
            () = stopped => {}
        }
    }
}

impl State {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// A request that fetches. Dropped before [`Fetcher::has_all`], it was cut off, and the connection ends with it.
pub struct Fetcher {
    desk: Arc<Desk>,
    in_order: bool,
}

impl Fetcher {
    /// What is next.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Fetched> {
        let mut state = self.desk.state.lock();
        if !state.begun {
            state.begun = true;
            return Poll::Ready(Fetched::Begun);
        }
        if let Some(frames) = self.desk.peer.outbox.take() {
            self.desk.peer.heard();
            return Poll::Ready(Fetched::Frames(frames));
        }
        if let Some(close) = &state.end {
            return Poll::Ready(Fetched::End(close.clone()));
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Further frames that are there already.
    pub fn more(&mut self) -> Option<Bytes> {
        self.desk.peer.outbox.take()
    }

    /// The request has all that it is to have: another one will come.
    pub fn has_all(mut self) {
        self.in_order = true;
    }
}

impl Drop for Fetcher {
    fn drop(&mut self) {
        let mut state = self.desk.state.lock();
        (state.fetching, state.waker, state.since) = (None, None, Instant::now());
        state.cut |= !self.in_order;
        drop(state);
        self.desk.left.notify_one();
        self.desk.peer.outbox.wake();
    }
}
