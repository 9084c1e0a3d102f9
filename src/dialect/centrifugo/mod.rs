//! Centrifugo v1's protocol: pages that subscribe to channels over WebSocket, and backends that publish over HTTP.
//!
//! * [`command`], [`answers`]: what clients say and are told, pure. [`claims`]: who they say they are. [`session`],
//!   [`anonymous`], [`connected`], `subscribe`: one client's state, pure.
//! * [`rules`], [`names`], [`signing_key`], [`file`],
//!   [`honoured`], [`refused`]: what may be done where, read from the file that v1 reads.
//! * [`message`]: events, and how they read; [`wire`]: the frames that clients get, and how connections end.
//! * [`posted`]: what backends post, pure; `api` takes it, `lists` takes it from Redis, `perform` does it, `nodes` tells of the nodes.
//! * [`admin`], `info`: operators, who log in and watch.
//! * [`sockjs`]: the same protocol for pages without a WebSocket.
//! * [`attendance`], [`totals`]: who is here and how much was done. [`start`], [`settings`], [`figures`]: from the configuration to a
//!   dialect that runs.
//!
//! A channel is `c/<name>`. What a channel keeps, and who is in it, is the keeper's: for all nodes, and beyond any one of them.

pub mod admin;
pub mod anonymous;
pub mod answers;
mod api;
pub mod attendance;
pub mod claims;
pub mod command;
pub mod connected;
pub mod figures;
pub mod file;
pub mod honoured;
mod info;
mod lists;
pub mod message;
pub mod names;
mod nodes;
mod perform;
mod pid;
pub mod posted;
pub mod refused;
pub mod rules;
pub mod session;
pub mod settings;
pub mod signing_key;
pub mod sockjs;
pub mod start;
mod subscribe;
pub mod totals;
pub mod wire;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::{Mutex, RwLock};

use self::admin::attempts::Attempts;
use self::attendance::Attendance;
use self::rules::Rules;
use self::sockjs::SockJs;
pub use self::start::DESCRIPTOR;
use self::totals::Totals;
use crate::config::Config;
use crate::connection::Shared;
use crate::dialect::{Context, Dialect, Route};
use crate::outbox::Kind;

/// What sessions share with the rest of the dialect on one node.
#[derive(Default)]
pub struct Site {
    rules: RwLock<Arc<Rules>>,
    /// Bytes that may wait for one client.
    queue_bytes: usize,
    /// Who is here.
    attendance: Attendance,
    /// How much was done.
    totals: Totals,
}

impl Site {
    /// A node with these rules, where so many bytes may wait for one client.
    pub fn new(rules: Rules, queue_bytes: usize) -> Self {
        Self {
            rules: RwLock::new(Arc::new(rules)),
            queue_bytes,
            ..Self::default()
        }
    }

    /// What may be done now.
    pub fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read())
    }
}

/// The dialect at one node.
pub struct Centrifugo {
    context: Context,
    /// What its connections share: bounds of their own.
    connections: Arc<Shared>,
    site: Arc<Site>,
    /// What its clients with a raw WebSocket are.
    socket: &'static Kind,
    /// What its clients without a raw WebSocket share.
    sockjs: SockJs,
    /// What all its paths begin with.
    prefix: String,
    /// The longest body of a request to the API, bytes.
    max_body: usize,
    /// How long it may take to come.
    request: Duration,
    /// Over how long the figures of `stats` are counted.
    interval: Duration,
    /// Whether there is an admin socket.
    has_admin: bool,
    /// Whether there is a page for it.
    has_page: bool,
    /// What answers at which of its own ports.
    places: api::Places,
    /// Who tried which password how often.
    attempts: Mutex<Attempts>,
    /// What `stats` shows of this node.
    snapshot: nodes::Snapshot,
}

impl Dialect for Centrifugo {
    fn name(&self) -> &'static str {
        DESCRIPTOR.name
    }

    fn routes(self: Arc<Self>) -> Vec<Route> {
        api::routes(&self, None)
    }

    fn router(self: Arc<Self>, port: &'static str) -> Router {
        let add = |router: Router, (path, route): Route| router.route(&path, route);
        api::routes(&self, Some(port))
            .into_iter()
            .fold(Router::new(), add)
    }

    fn answer(self: Arc<Self>, question: Bytes) -> BoxFuture<'static, Option<Bytes>> {
        Box::pin(async move {
            match question.starts_with(sockjs::talk::SUBJECT) {
                true => sockjs::relay::answer(self, question).await,
                false => nodes::answer(&self, &question),
            }
        })
    }

    fn asked(self: Arc<Self>, question: Bytes) -> BoxFuture<'static, Option<Bytes>> {
        Box::pin(async move { admin::asked(&self, &question).await })
    }

    fn reload(&self, config: &Config) {
        match settings::v1(&config.values) {
            Ok(v1) => *self.site.rules.write() = Arc::new(v1.rules),
            Err(error) => {
                tracing::error!(%error, "Centrifugo's settings not read again: the former ones stay in use")
            }
        }
    }
}
