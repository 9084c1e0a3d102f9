//! What the node is told to be: flags, environment and `seafile.conf`, read into plain structs, one for each area.
//!
//! Invariant: a [`Config`] is only handed out where nothing is wrong; a [`Report`] tells of every setting and every fault.

pub mod env_file;
pub mod load;
pub mod parse;
pub mod reader;
pub mod reference;
pub mod seafile_conf;
pub mod settings;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

use crate::broker::redis::Server;

pub use load::{Report, all_keys, key, load, ops_access};
pub use reader::{Entry, Fault, Source, Sources};

/// The configuration is wrong.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Everything that is.
    #[error("{}", lines(.0))]
    Faults(Vec<Fault>),
}

impl ConfigError {
    /// What counters call it.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Faults(_) => "faults",
        }
    }
}

fn lines(faults: &[Fault]) -> String {
    let plural = if faults.len() == 1 { "" } else { "s" };
    let listed: String = faults.iter().map(|fault| format!("\n  {fault}")).collect();
    format!("the configuration has {} fault{plural}:{listed}", faults.len())
}

/// A secret: never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Warning,
    Error,
}

/// Whether the connection to the database is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DbTls {
    /// No.
    Off,
    /// Yes, with any certificate.
    On,
    /// Yes, and the certificate must fit the host and lead to a trusted authority.
    Verify,
}

/// What a log line looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// A line for people.
    Text,
    /// A JSON object.
    Json,
}

/// Where and how to log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// How much.
    pub level: LogLevel,
    /// In which shape.
    pub format: LogFormat,
    /// To this file; `None`: to standard output.
    pub file: Option<PathBuf>,
}

/// Where clients and backends come in, and who may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// Address or host name to listen on.
    pub host: String,
    /// Port; 0: any free one.
    pub port: u16,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Origins of web pages that may connect, in ASCII form; empty: any.
    pub allowed_origins: Vec<String>,
    /// Who may post events; empty: anyone.
    pub events_from: Vec<IpNet>,
}

/// What guards the ops port and what it shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ops {
    /// Password, by HTTP Basic.
    pub password: Option<Secret>,
    /// Bearer token.
    pub token: Option<Secret>,
    /// Certificate and key, PEM files; `None`: no TLS.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Whether the live tail may show payloads.
    pub payloads: bool,
}

/// Where traces go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Otlp {
    /// A collector.
    pub endpoint: Url,
    /// How many of a hundred events are traced.
    pub percent: u8,
}

/// What tokens are signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// The key in use.
    pub current: Secret,
    /// The one before, while keys change.
    pub previous: Option<Secret>,
}

/// Where the database of group members is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Groups {
    /// Host name or address, or the absolute path of a socket.
    pub host: String,
    /// Port; unused on a socket.
    pub port: u16,
    /// User.
    pub user: String,
    /// Password; empty where there is none.
    pub password: Secret,
    /// Database.
    pub ccnet_db: String,
    /// Whether to encrypt.
    pub tls: DbTls,
    /// PEM file of authorities to trust instead of the public ones.
    pub ca: Option<PathBuf>,
}

/// Where Redis is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisSettings {
    /// One URL a shard, passwords inside.
    pub shards: Vec<Server>,
    /// What keys and channels begin with.
    pub prefix: String,
}

/// What may wait for a Redis that is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Events at most.
    pub events: usize,
    /// Bytes at most.
    pub bytes: usize,
    /// How long at most.
    pub age: Duration,
}

/// What peers may take. 0 and `None` mean: no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections of this node; 0: any number.
    pub connections: usize,
    /// Connections of one address; 0: any number.
    pub connections_per_address: usize,
    /// Subscriptions of one connection.
    pub subscriptions: usize,
    /// Bytes of a client's message.
    pub message_bytes: usize,
    /// Bytes of a posted event.
    pub event_bytes: usize,
    /// Messages waiting for one client.
    pub outbox_messages: usize,
    /// Bytes waiting for one client.
    pub outbox_bytes: usize,
    /// Time for the head of a request.
    pub handshake: Duration,
    /// Time for the body of a request.
    pub request: Duration,
    /// Time without a good subscription; `None`: for ever.
    pub unauthenticated: Option<Duration>,
    /// Handshakes a second; 0: any number.
    pub handshake_rate: u32,
    /// Requests and handshakes in progress.
    pub handshake_concurrency: usize,
}

/// The whole configuration of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Logging.
    pub log: Log,
    /// The client port.
    pub http: Http,
    /// The ops port.
    pub ops_addr: SocketAddr,
    /// What guards it.
    pub ops: Ops,
    /// What the node is called; `None`: host name and port.
    pub node_name: Option<String>,
    /// Where traces go; `None`: there are none.
    pub otlp: Option<Otlp>,
    /// Token keys.
    pub keys: Keys,
    /// Group members; `None`: no database.
    pub groups: Option<Groups>,
    /// Redis; `None`: the memory broker.
    pub redis: Option<RedisSettings>,
    /// Number of partitions.
    pub partitions: u32,
    /// How far back a new subscriber is served; zero: not at all.
    pub replay: Duration,
    /// What may wait for Redis.
    pub waiting: Waiting,
    /// Over how long closes for a resync are spread.
    pub resync_window: Duration,
    /// How long a node that ends still takes connections.
    pub settle: Duration,
    /// Over how long it then closes them.
    pub drain: Duration,
    /// How often a silent client is pinged.
    pub ping: Duration,
    /// Limits.
    pub limits: Limits,
    /// What works and yet may be a mistake: to be logged as warnings at the start.
    pub notices: Vec<String>,
}

impl Config {
    /// Eight hex digits that are equal for nodes that are set up alike: what differs between nodes by its nature
    /// (addresses, names, files, logs) and secrets do not count.
    pub fn fingerprint(&self) -> String {
        let mut alike = self.clone();
        (alike.http.host, alike.http.port, alike.node_name) = (String::new(), 0, None);
        (alike.ops_addr, alike.ops) = (SocketAddr::from(([0; 4], 0)), Ops::default());
        alike.keys = Keys { current: Secret(String::new()), previous: None };
        alike.log = Log { level: LogLevel::Info, format: LogFormat::Text, file: None };
        alike.notices.clear();
        let hash = crate::broker::partition::fnv1a64(format!("{alike:?}").as_bytes());
        format!("{:08x}", (hash >> 32) as u32 ^ hash as u32)
    }
}

#[cfg(test)]
mod tests;
