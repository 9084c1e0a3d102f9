//! The wire protocols Foghorn speaks, one folder each: what a dialect is to the rest of the house, and what the house is to
//! a dialect.
//!
//! Invariant: no dialect knows another, and nothing outside of [`ALL`] names one: whatever is done for dialects is done
//! for each that runs.

pub mod centrifugo;
pub mod inbox;
pub mod seafile;

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::fmt;
use std::future::ready;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use axum::Router;
use axum::routing::MethodRouter;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::acme::Wanted;
use crate::broker::keep::Keeper;
use crate::cluster::Cluster;
use crate::config::predecessor::Predecessor;
use crate::config::reader::Reader;
use crate::config::settings::Row;
use crate::config::{Config, Values};
use crate::connection::Shared;
use crate::connection::tracked::Tracked;
use crate::drain::Tasks;
use crate::event::Channel;
use crate::metrics::Metric;

/// What a dialect may use of its node.
#[derive(Clone)]
pub struct Context {
    /// What all connections share: the node to publish and subscribe at, who may come in, who is there.
    pub connections: Arc<Shared>,
    /// The node among the others.
    pub cluster: Arc<Cluster>,
    /// What outlives delivery: pasts, presence, lists that others fill, and what one node of all does.
    pub keeper: Keeper,
    /// Runs what carries events: it ends when all that was accepted is handed over. Connections have tasks of their own.
    pub tasks: Tasks,
    /// What of the other dialects' channels may be read, and with which token.
    pub grants: Grants,
}

/// What a token allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// As whom the channel is read; empty: as nobody.
    pub user: Arc<str>,
    /// Until when, Unix milliseconds.
    pub until_ms: u64,
}

/// The dialects of this node as judges of tokens: a channel is read only with what its own dialect takes for a good one. Clones share them.
#[derive(Clone, Default)]
pub struct Grants(Arc<OnceLock<Vec<Weak<dyn Dialect>>>>);

impl Grants {
    /// From now on these judge. Given twice, the first ones stay.
    pub fn judged_by(&self, dialects: &[Arc<dyn Dialect>]) {
        // A dialect holds this, so this must not hold the dialect.
        let _ = self.0.set(dialects.iter().map(Arc::downgrade).collect());
    }

    /// What [`Dialect::may_read`] of the first that has such channels says; `None`: no dialect that runs here has.
    pub fn of(&self, channel: &Channel, token: &str, now_ms: u64) -> Option<Result<Grant, String>> {
        let running = self.0.get().into_iter().flatten().filter_map(Weak::upgrade);
        running
            .filter_map(|dialect| dialect.may_read(channel, token, now_ms))
            .next()
    }
}

/// Something that `/readyz` shows by its name, in words.
pub type Note = (&'static str, String);

/// A path and what answers there.
pub type Route = (String, MethodRouter);

/// A protocol towards clients and backends, running on one node.
pub trait Dialect: Send + Sync + 'static {
    /// [`Descriptor::name`].
    fn name(&self) -> &'static str;

    /// Its endpoints on the clients' port, which it may share with others.
    fn routes(self: Arc<Self>) -> Vec<Route> {
        Vec::new()
    }

    /// What answers at one of its own ports ([`Descriptor::ports`]), by that port's name.
    fn router(self: Arc<Self>, port: &'static str) -> Router {
        let _ = port;
        Router::new()
    }

    /// Answers what the same dialect asks of all nodes ([`Cluster::ask`]); `None`: this node has nothing to say.
    fn answer(self: Arc<Self>, question: Bytes) -> BoxFuture<'static, Option<Bytes>> {
        let _ = question;
        Box::pin(ready(None))
    }

    /// Answers what a session of it on this node asks ([`Query::Own`](crate::session::Query)); `None`: it cannot.
    fn asked(self: Arc<Self>, question: Bytes) -> BoxFuture<'static, Option<Bytes>> {
        let _ = question;
        Box::pin(ready(None))
    }

    /// Whether clients of another dialect may read `channel` with `token` at `now_ms` (Unix time in milliseconds), or why not, for a
    /// person; `None`: it is no channel of this dialect, or none that others read.
    fn may_read(
        &self,
        channel: &Channel,
        token: &str,
        now_ms: u64,
    ) -> Option<Result<Grant, String>> {
        let _ = (channel, token, now_ms);
        None
    }

    /// Events that were accepted and are not with the broker yet: a node that ends waits for them.
    fn waiting(&self) -> usize {
        0
    }

    /// The node ends: what still waits is given up, and declared lost where somebody must know.
    fn give_up(&self) {}

    /// What else `/readyz` shows. It makes no node less ready.
    fn notes(&self) -> Vec<Note> {
        Vec::new()
    }

    /// Puts into force what of a new configuration can change while the node runs.
    fn reload(&self, config: &Config) {
        let _ = config;
    }

    /// What operators may do with it, by console and commands.
    fn operate(self: Arc<Self>) -> Option<Arc<dyn Operate>> {
        None
    }
}

/// When subscriptions end, in Unix milliseconds, by connection and channel.
pub type Ends = HashMap<(u64, Channel), u64>;

/// What operators' pages call the things of a dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Words {
    /// A channel.
    pub channel: &'static str,
    /// What people know one by: the channel's name.
    pub name: &'static str,
    /// The kind of the channels that are meant where only a name is given.
    pub kind: &'static str,
    /// The types of the events that a backend posts.
    pub types: &'static [&'static str],
}

/// What operators may do with a dialect.
pub trait Operate: Send + Sync + 'static {
    /// What its things are called.
    fn words(&self) -> Words;

    /// Takes an event for `channel`, as if a backend had posted it. The error says why it goes to nobody.
    fn post(
        self: Arc<Self>,
        name: String,
        channel: Channel,
        content: Map<String, Value>,
    ) -> BoxFuture<'static, Result<(), String>>;

    /// Explains a token to a person, as it is at `now_s` (Unix time in seconds).
    fn explain(&self, token: &str, now_s: i64) -> Value;

    /// Fingerprints of the keys that it takes, the one that it signs with first.
    fn keys(&self) -> Vec<String>;

    /// When the subscriptions of its clients to the channels beside them end. What is not known `within` this time, because
    /// a connection has just ended, is left out.
    fn ends(
        self: Arc<Self>,
        held: Vec<(Arc<Tracked>, Vec<Channel>)>,
        within: Duration,
    ) -> BoxFuture<'static, Ends>;
}

/// Why a dialect cannot start.
pub type StartError = Box<dyn Error + Send + Sync>;

/// Starts a dialect on one node.
pub type Start = fn(&Config, Context) -> Result<Arc<dyn Dialect>, StartError>;

/// A dialect as it is known before it runs.
pub struct Descriptor {
    /// What settings, metrics and logs call it.
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// Its settings, as [`settings!`](crate::settings) says them. They are read where it is switched on, and nowhere else.
    pub settings: &'static [&'static Row],
    /// The program whose place it takes, where that has a configuration of which something holds here.
    pub predecessor: Option<&'static Predecessor>,
    /// Finds what is wrong or doubtful with what they are set to, all seen together.
    pub check: fn(&Values, &mut Reader),
    /// Its metrics, as [`metrics!`](crate::metrics!) says them.
    pub metrics: &'static [Metric],
    /// The ports that it has to itself, where its settings ask for some.
    pub ports: fn(&Values) -> Vec<Port>,
    /// Starts it on one node.
    pub start: Start,
}

impl PartialEq for Descriptor {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Descriptor {}

impl fmt::Debug for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// A port that a dialect has to itself. HTTP/1.1 and HTTP/2 are spoken there, and HTTP/1.0 is answered; with a certificate
/// all of it is encrypted. The same bounds hold there as at the clients' port, and it ends with that one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// What its dialect calls it ([`Dialect::router`]).
    pub name: &'static str,
    /// The setting that names it, for whoever has to change that.
    pub setting: &'static str,
    /// Address or host name to listen on.
    pub host: String,
    /// The port; 0: any free one.
    pub port: u16,
    /// Where its certificate comes from; `None`: no TLS.
    pub tls: Option<Certificate>,
}

/// Where a port's certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// Chain and private key, PEM files, which are read again when they change and on SIGHUP.
    Files(PathBuf, PathBuf),
    /// An authority that it is ordered from. Ports that want the same share it.
    Ordered(Wanted),
}

/// Every dialect there is. A new one adds its line here, and nothing else outside of its folder.
pub static ALL: &[&Descriptor] = &[
    &seafile::DESCRIPTOR,
    &inbox::DESCRIPTOR,
    &centrifugo::DESCRIPTOR,
];

/// The dialect that is spoken where nobody says which.
pub const DEFAULT: &str = seafile::clients::DIALECT;

/// Every metric that there is: the core's, then each dialect's.
pub fn metrics() -> impl Iterator<Item = &'static Metric> {
    crate::metrics::TABLE
        .iter()
        .chain(ALL.iter().flat_map(|dialect| dialect.metrics))
}

/// Two dialects want to answer at one path of one port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "FOGHORN_DIALECTS: {first} and {second} both want to answer at {path}, so they cannot run on one node"
)]
pub struct PathConflict {
    /// The path.
    pub path: String,
    /// Who has it.
    pub first: &'static str,
    /// Who wants it too.
    pub second: &'static str,
}

/// All endpoints of `dialects`, on one port.
///
/// # Errors
/// Two of them want one path.
pub fn router(dialects: &[Arc<dyn Dialect>]) -> Result<Router, PathConflict> {
    let mut owners: BTreeMap<String, &'static str> = BTreeMap::new();
    let mut router = Router::new();
    for dialect in dialects {
        for (path, route) in Arc::clone(dialect).routes() {
            if let Some(first) = owners.insert(path.clone(), dialect.name()) {
                return Err(PathConflict {
                    path,
                    first,
                    second: dialect.name(),
                });
            }
            router = router.route(&path, route);
        }
    }
    Ok(router)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::any;

    struct Greeter(&'static str, &'static [&'static str]);

    impl Dialect for Greeter {
        fn name(&self) -> &'static str {
            self.0
        }

        fn routes(self: Arc<Self>) -> Vec<Route> {
            self.1
                .iter()
                .map(|path| ((*path).to_owned(), any(async || "hello")))
                .collect()
        }
    }

    #[test]
    fn two_dialects_that_want_one_path_are_both_named() {
        let [a, b, c]: [Arc<dyn Dialect>; 3] = [
            Arc::new(Greeter("a", &["/", "/a"])),
            Arc::new(Greeter("b", &["/b"])),
            Arc::new(Greeter("c", &["/c", "/"])),
        ];
        assert!(router(&[Arc::clone(&a), Arc::clone(&b)]).is_ok());
        let conflict = router(&[a, b, c]).expect_err("both want /");
        assert_eq!(
            conflict,
            PathConflict {
                path: "/".into(),
                first: "a",
                second: "c"
            }
        );
    }

    #[test]
    fn every_dialect_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<&str> =
            ALL.iter().map(|dialect| dialect.name).collect();
        assert_eq!(names.len(), ALL.len());
    }
}
