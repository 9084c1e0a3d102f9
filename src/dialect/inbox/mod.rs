//! Users' inboxes: notifications that backends post or send over MQTT, to every page that a user has open, as event streams
//! and WebSockets.
//!
//! * [`form`], [`posted`], [`addressees`]: what is posted, pure. [`id`], [`recovery`]: where a client is, and what it missed.
//! * [`session`]: one client's state, pure; [`wire`]: the blocks that it reads; [`stream`]: the body that they go out in.
//! * [`identity`], [`keys`], [`cors`]: who asks, with what proof ([`proof`] is what a program shows), from which page. [`rules`]: what decides about
//!   that.
//! * [`routes`]: which path is what; [`open`], [`post`], [`users`], [`script`] answer there, by [`answers`];
//!   [`access_log`] notes it.
//! * [`socket`]: inboxes as WebSockets. [`mqtt`]: what comes over MQTT. [`notice`]: a notification as an event, whichever way
//!   it came. [`missed`]: something may be missing, nobody knows whose.
//! * [`watch`]: another dialect's channel as an event stream. [`operate`]: what operators may do.
//! * [`roster`]: who is here. [`start`], [`settings`], [`figures`]: from the configuration to a dialect that runs.
//!
//! A user's channel is `user/<id>`. What goes there is kept for a minute, so that a page that comes back, at whichever node,
//! goes on where it was.

mod access_log;
pub mod addressees;
pub mod answers;
pub mod cors;
pub mod figures;
pub mod form;
pub mod id;
pub mod identity;
pub mod keys;
pub mod missed;
pub mod mqtt;
pub mod notice;
mod open;
mod operate;
mod post;
pub mod posted;
pub mod proof;
pub mod recovery;
pub mod roster;
pub mod routes;
pub mod rules;
mod script;
pub mod session;
pub mod settings;
pub mod socket;
pub mod start;
pub mod stream;
mod users;
mod watch;
pub mod wire;

use std::collections::VecDeque;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;

use self::access_log::AccessLog;
use self::mqtt::standing::Standing;
use self::roster::Roster;
use self::rules::Rules;
use self::session::channel;
use self::socket::store::Store;
pub use self::start::DESCRIPTOR;
use self::stream::Manner;
use crate::broker::keep::{Keep, KeepError, Past};
use crate::config::Config;
use crate::dialect::{Context, Dialect, Note, Operate};
use crate::event::{Event, now_ms};
use crate::node::Receipt;
use crate::outbox::Kind;
use crate::throttle::Throttle;

/// Notifications of one user that are kept at most.
const KEPT: u32 = 1_000;
/// What is kept a little longer than it is told, since clocks differ.
const SLACK: Duration = Duration::from_secs(5);

/// The dialect at one node.
pub struct Inbox {
    context: Context,
    rules: RwLock<Arc<Rules>>,
    roster: Roster,
    manner: Manner,
    /// Silence after which a stream is sent a sign of life, milliseconds.
    quiet_ms: u64,
    /// For how long notifications are kept; zero: not at all.
    replay: Duration,
    /// Where requests are noted, if they are.
    access_log: Option<AccessLog>,
    /// The longest post, bytes.
    max_event: usize,
    /// How long a post may take to come.
    request: Duration,
    /// Events that may wait for the broker.
    room: usize,
    /// A page whose user was notified within this time is told to look when it connects.
    gap: Duration,
    /// Those who have their inbox as a WebSocket, and how they are treated.
    kind: &'static Kind,
    sockets: Arc<socket::session::Manner>,
    /// The backend's sessions.
    store: Option<Store>,
    /// What says that there is something new.
    text: String,
    /// How the way from the MQTT broker stands, and whether there is one.
    standing: Standing,
    takes_mqtt: bool,
    /// What was warned of lately.
    warnings: Throttle,
    /// Over how long those are told who may have missed something.
    resync_window: Duration,
    /// What the last of those was called.
    told_missed: Mutex<VecDeque<Box<[u8]>>>,
}

impl Inbox {
    /// What decides about requests now.
    fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read())
    }

    /// Publishes a notification, and keeps it for who comes back.
    fn keep(&self, event: Event) -> Receipt {
        let kept = self.replay.max(self.gap);
        if kept.is_zero() {
            return self.context.connections.node.publish(event);
        }
        self.context.keeper.keep(
            event,
            Keep {
                events: KEPT,
                lifetime: kept + SLACK,
            },
        )
    }

    /// What a user was sent of late, for a client that is given what comes `since` then; `None` where nothing is kept.
    async fn past(&self, user: &str, since: Instant) -> Result<Option<Past>, KeepError> {
        if self.replay.is_zero() {
            return Ok(None);
        }
        let past = self.context.keeper.past_since(&channel(user), since).await;
        past.map(Some)
    }

    /// Whether no more can be taken: Redis is away, and too much waits for it.
    fn is_full(&self) -> bool {
        self.context.connections.node.health().waiting >= self.room
    }
}

impl Dialect for Inbox {
    fn name(&self) -> &'static str {
        DESCRIPTOR.name
    }

    fn router(self: Arc<Self>, port: &'static str) -> Router {
        match port {
            start::SOCKETS => Router::new()
                .fallback(socket::routes::answer)
                .with_state(self),
            _ => Router::new().fallback(routes::answer).with_state(self),
        }
    }

    fn answer(self: Arc<Self>, question: Bytes) -> BoxFuture<'static, Option<Bytes>> {
        Box::pin(ready(
            users::answer(&self, &question).or_else(|| missed::answer(&self, &question)),
        ))
    }

    /// Whose a session is, which the question names; nobody's: nothing.
    fn asked(self: Arc<Self>, question: Bytes) -> BoxFuture<'static, Option<Bytes>> {
        Box::pin(async move {
            let session = std::str::from_utf8(&question).ok()?;
            let user = self.store.as_ref()?.user(session, now_ms()).await.ok()?;
            Some(
                user.map(|user| Bytes::copy_from_slice(user.as_bytes()))
                    .unwrap_or_default(),
            )
        })
    }

    /// The turn to take what comes over MQTT counts as one: the next node waits for it.
    fn waiting(&self) -> usize {
        usize::from(self.standing.is_held())
    }

    fn notes(&self) -> Vec<Note> {
        if self.takes_mqtt {
            vec![("inbox_mqtt", self.standing.text())]
        } else {
            Vec::new()
        }
    }

    fn operate(self: Arc<Self>) -> Option<Arc<dyn Operate>> {
        Some(self)
    }

    fn reload(&self, config: &Config) {
        *self.rules.write() = Arc::new(Rules::new(config));
    }
}
