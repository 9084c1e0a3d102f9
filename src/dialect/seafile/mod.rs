//! Seafile's notification protocol, towards desktop clients, web pages and Seafile's backends.
//!
//! * [`message`] and [`backend_event`]: the wire types, pure.
//! * [`session`]: one client's state, pure; [`token_backoff`], [`token_failures`] and [`rules`] are parts of it.
//! * [`auth`]: tokens and the key that signs them.
//! * [`clients`]: the kinds of clients, and what each is told.
//! * [`events`]: what backends post; [`figures`]: metrics; [`operate`]: what operators do; [`ends`]: what sessions are asked.
//! * [`settings`]: what it can be told, and `predecessor`, what else tells it; [`start`]: from that to a dialect that runs.
//! * [`groups`]: who is in a group, from Seafile's database; [`group_cache`]: for how long that is believed.
//! * [`sequencer`]: each event in its place, also while a group is looked up, which is waited for in the [`waiting_room`].
//!
//! Every endpoint answers under `/notification` too, for proxies that do not rewrite. `/ping` answers as long as the
//! process lives: clients ask it once in their life.

pub mod auth;
pub mod backend_event;
pub mod clients;
pub mod ends;
pub mod events;
pub mod figures;
pub mod group_cache;
pub mod groups;
pub mod message;
mod operate;
mod predecessor;
pub mod rules;
pub mod sequencer;
pub mod session;
pub mod settings;
pub mod start;
pub mod token_backoff;
pub mod token_failures;
pub mod waiting_room;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::any;

use self::auth::{Claims, Keys};
use self::groups::Groups;
use self::message::CHANNEL_KIND;
use self::rules::Rules;
use self::sequencer::Sequencer;
use self::session::SeafileSession;
use self::settings::Secrets;
pub use self::start::DESCRIPTOR;
use crate::config;
use crate::connection::handshake;
use crate::connection::upgrade::upgrade;
use crate::connection::{ClientInfo, Shared};
use crate::dialect::{Dialect, Grant, Note, Operate, Route};
use crate::event::Channel;

/// What anybody reads who looks here without a WebSocket, as a balancer's check does.
const HERE: &str =
    "This is a notification server for Seafile (Foghorn). Its clients connect here by WebSocket.\n";

/// What the dialect is told by the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The longest event that is taken, in bytes.
    max_event: usize,
    /// Subscriptions that one connection may hold.
    max_subscriptions: usize,
    /// How long a backend may take to send an event.
    request: Duration,
}

/// The dialect at one node.
pub struct Seafile {
    shared: Arc<Shared>,
    rules: Arc<Rules>,
    order: Sequencer,
    groups: Option<Groups>,
    config: Config,
}

impl Seafile {
    /// The dialect over `shared`'s node, with tokens checked by `keys` and events published through `order`.
    pub fn new(
        shared: Arc<Shared>,
        keys: Keys,
        order: Sequencer,
        groups: Option<Groups>,
        config: Config,
    ) -> Arc<Self> {
        Arc::new(Self {
            shared,
            rules: Rules::new(keys, config.max_subscriptions),
            order,
            groups,
            config,
        })
    }
}

impl Dialect for Seafile {
    fn name(&self) -> &'static str {
        DESCRIPTOR.name
    }

    fn routes(self: Arc<Self>) -> Vec<Route> {
        let mut routes = Vec::new();
        for prefix in ["", "/notification"] {
            let root = if prefix.is_empty() { "/" } else { prefix };
            routes.push((root.to_owned(), any(connect).with_state(Arc::clone(&self))));
            routes.push((format!("{prefix}/ping"), any(ping)));
            routes.push((
                format!("{prefix}/events"),
                any(events::post).with_state(Arc::clone(&self)),
            ));
        }
        routes
    }

    fn may_read(
        &self,
        channel: &Channel,
        token: &str,
        now_ms: u64,
    ) -> Option<Result<Grant, String>> {
        let library = channel
            .as_str()
            .strip_prefix(CHANNEL_KIND)?
            .strip_prefix('/')?;
        let judged = self.rules.may_subscribe(library, token, now_ms);
        let until_ms = |exp| u64::try_from(exp).unwrap_or(0).saturating_mul(1_000);
        let grant = |claims: Claims| Grant {
            user: claims.username().into(),
            until_ms: until_ms(claims.exp),
        };
        Some(judged.map(grant).map_err(|cause| cause.to_string()))
    }

    fn waiting(&self) -> usize {
        self.order.waiting()
    }

    fn give_up(&self) {
        self.order.give_up();
    }

    fn notes(&self) -> Vec<Note> {
        let standing = self
            .groups
            .as_ref()
            .map(|groups| ("group_database", groups.standing()));
        standing.into_iter().collect()
    }

    fn reload(&self, config: &config::Config) {
        let secrets = Secrets::of(&config.values);
        self.rules
            .keys
            .replace(&secrets.current, secrets.previous.as_deref());
        if let (Some(groups), Some(database)) = (&self.groups, settings::groups(&config.values)) {
            groups.log_in_with(&database.password);
        }
    }

    fn operate(self: Arc<Self>) -> Option<Arc<dyn Operate>> {
        Some(self)
    }
}

async fn ping() -> Response {
    (
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
        "{\"ret\": \"pong\"}\n",
    )
        .into_response()
}

async fn connect(State(seafile): State<Arc<Seafile>>, request: Request) -> Response {
    let (parts, _body) = request.into_parts();
    if handshake::is_question(&parts) {
        return ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], HERE).into_response();
    }
    let session = |who: ClientInfo| {
        SeafileSession::new(Arc::clone(&seafile.rules), rand::random::<u64>() ^ who.id)
    };
    upgrade(
        &seafile.shared,
        clients::kind(&parts.headers),
        parts,
        session,
    )
    .map(Body::from)
}
