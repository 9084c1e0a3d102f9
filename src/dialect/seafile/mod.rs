//! Seafile's notification protocol, towards desktop clients, web pages and Seafile's backends.
//!
//! * [`message`] and [`posted`]: the wire types, pure.
//! * [`session`]: one client's state, pure; [`pauses`], [`refusals`] and [`rules`] are parts of it.
//! * [`events`]: what backends post.
//! * [`groups`]: who is in a group, from Seafile's database.
//! * [`order`]: each event in its place, also while a group is looked up.
//!
//! Every endpoint answers under `/notification` too, for proxies that do not rewrite. `/ping` answers as long as the
//! process lives: clients ask it once in their life.

pub mod events;
pub mod groups;
pub mod line;
pub mod members;
pub mod message;
pub mod order;
pub mod pauses;
pub mod posted;
pub mod refusals;
pub mod rules;
pub mod session;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::any;

use self::order::Order;
use self::rules::Rules;
use self::session::SeafileSession;
use crate::auth::Keys;
use crate::connection::upgrade::{Dialect, Shared, Who, upgrade};

/// How metrics and logs call this dialect, and what its desktop clients offer.
const DIALECT: Dialect = Dialect { name: "seafile", subprotocol: "notification.seafile.com" };

/// What the dialect is told by the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The longest event that is taken, in bytes.
    pub max_event: usize,
    /// Subscriptions that one connection may hold.
    pub max_subscriptions: usize,
    /// How long a backend may take to send an event.
    pub request: Duration,
}

/// The dialect at one node.
pub struct Seafile {
    shared: Arc<Shared>,
    rules: Arc<Rules>,
    order: Order,
    config: Config,
}

impl Seafile {
    /// The dialect over `shared`'s node, with tokens checked by `keys` and events published through `order`.
    pub fn new(shared: Arc<Shared>, keys: Keys, order: Order, config: Config) -> Arc<Self> {
        Arc::new(Self { shared, rules: Rules::new(keys, config.max_subscriptions), order, config })
    }
}

impl Seafile {
    /// Takes an event from an operator, as if a backend had posted it.
    ///
    /// # Errors
    /// Why it goes to nobody.
    pub async fn post(&self, body: &[u8]) -> Result<(), String> {
        match events::take(self, body, None).await {
            Ok(None) => Ok(()),
            Ok(Some(nowhere)) => Err(nowhere),
            Err(bad) => Err(bad.to_string()),
        }
    }
}

/// The dialect's endpoints.
pub fn router(seafile: Arc<Seafile>) -> Router {
    let mut router = Router::new();
    for prefix in ["", "/notification"] {
        let root = if prefix.is_empty() { "/" } else { prefix };
        router = router
            .route(root, any(connect))
            .route(&format!("{prefix}/ping"), any(ping))
            .route(&format!("{prefix}/events"), any(events::post));
    }
    router.with_state(seafile)
}

async fn ping() -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], "{\"ret\": \"pong\"}\n").into_response()
}

async fn connect(State(seafile): State<Arc<Seafile>>, request: Request) -> Response {
    let (parts, _body) = request.into_parts();
    let session = |who: Who| SeafileSession::new(Arc::clone(&seafile.rules), rand::random::<u64>() ^ who.id);
    upgrade(&seafile.shared, DIALECT, parts, session).map(Body::from)
}
