//! What the node is told to be, by flags, environment and files, read into plain structs, one for each area.
//!
//! Invariant: a [`Config`] is only handed out where nothing is wrong; a [`Report`] tells of every setting and every fault.

mod dialects;
mod doubts;
pub mod env_file;
pub mod files;
mod fingerprint;
pub mod load;
mod mask;
pub mod names;
pub mod otel;
pub mod parse;
pub mod predecessor;
pub mod reader;
mod redis;
pub mod reference;
mod secrets;
pub mod settings;
pub mod source;
pub mod sources;
mod together;
mod values;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use ipnet::IpNet;
use url::Url;

use crate::broker::redis::Server;
use crate::credentials::Credentials;
use crate::dialect::{Descriptor, Port};

pub use load::{Report, load, only, ops_access, variable};
pub use reader::{Entry, Fault, Source, Sources};
pub use values::Values;

/// The configuration is wrong.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum ConfigError {
    /// Everything that is.
    #[error("{}", lines(.0))]
    Faults(Vec<Fault>),
}

impl ConfigError {
    /// What counters call it.
    pub fn label(&self) -> &'static str {
        self.into()
    }
}

fn lines(faults: &[Fault]) -> String {
    let plural = if faults.len() == 1 { "" } else { "s" };
    let listed: String = faults.iter().map(|fault| format!("\n  {fault}")).collect();
    format!(
        "the configuration has {} fault{plural}:{listed}",
        faults.len()
    )
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

impl Ops {
    /// What opens what is for operators.
    pub fn credentials(&self) -> Credentials {
        let text = |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.0.clone());
        Credentials {
            password: text(&self.password),
            token: text(&self.token),
        }
    }
}

/// Where traces go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Otlp {
    /// A collector, with its path.
    pub endpoint: Url,
    /// How many of a hundred events are traced; never 0.
    pub percent: u8,
    /// What is sent along, never shown.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What traces call this service.
    pub service: String,
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections of this node; 0: any number.
    pub connections: usize,
    /// Connections of one address; 0: any number.
    pub connections_per_address: usize,
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
    /// Bytes of all that has begun to come and is not whole.
    pub unfinished_bytes: usize,
    /// Time between two requests.
    pub idle: Duration,
    /// Connections between two requests; 0: any number.
    pub idle_connections: usize,
    /// The same of one address; 0: any number.
    pub idle_connections_per_address: usize,
    /// Percent of the container's memory limit from which on nobody is let in; 0: it is not looked at.
    pub memory_percent: u8,
    /// Where the hierarchy of cgroups is mounted.
    pub cgroup: PathBuf,
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
    /// The dialects that are spoken.
    pub dialects: Vec<&'static Descriptor>,
    /// What they are told.
    pub values: Values,
    /// The ports that they have to themselves, each with its dialect's name.
    pub ports: Vec<(&'static str, Port)>,
    /// What the node is called; `None`: host name and port.
    pub node_name: Option<String>,
    /// Where traces go; `None`: there are none.
    pub otlp: Option<Otlp>,
    /// Redis; `None`: the memory broker.
    pub redis: Option<RedisSettings>,
    /// Which of the two, and why: a line for the log.
    pub broker: String,
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
    /// The settings that are not as they are by default, each with a mark that is equal where its values are; without
    /// those that differ between nodes by their nature.
    pub changed: BTreeMap<String, String>,
}

#[cfg(test)]
pub(crate) mod tests;
