//! Reads every setting into the [`Config`], and checks what only shows when settings are seen together.
//!
//! Invariant: the settings are read in the order of the table, each once, whatever is wrong with those before it.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::reader::{Entry, Fault, Reader, Sources};
use super::settings::{self as s, Setting};
use super::{Config, ConfigError, DbTls, Groups, Http, Keys, Limits, Log, Ops, Otlp, RedisSettings, Secret, Waiting};
use crate::broker::redis::Server;

/// Everything that reading the configuration brought to light.
#[derive(Debug)]
pub struct Report {
    /// Each setting, in the table's order.
    pub entries: Vec<Entry>,
    /// What is wrong.
    pub faults: Vec<Fault>,
    config: Config,
}

impl Report {
    /// The configuration, if nothing is wrong with it.
    ///
    /// # Errors
    /// Every fault.
    pub fn into_config(self) -> Result<Config, ConfigError> {
        if self.faults.is_empty() { Ok(self.config) } else { Err(ConfigError::Faults(self.faults)) }
    }

    /// What could be read, with defaults in the place of what is wrong: for looking, never for serving.
    pub fn so_far(&self) -> &Config {
        &self.config
    }

    /// What works and yet may be a mistake.
    pub fn notices(&self) -> &[String] {
        &self.config.notices
    }
}

/// Reads the whole configuration. `-c` and `-l` are in `sources` as well.
pub fn load(sources: &Sources) -> Report {
    let mut r = Reader::new(sources);
    let (config_dir, log_file) = (r.optional(&s::CONFIG_DIR), r.optional(&s::LOG_FILE));
    r.optional(&s::ENV_FILE);
    let (host, port, ops_addr) = (r.value(&s::HOST), r.value(&s::PORT), r.value(&s::OPS_ADDR));
    let http = Http {
        host,
        port,
        trusted_proxies: r.value(&s::TRUSTED_PROXIES),
        allowed_origins: r.value(&s::ALLOWED_ORIGINS),
        events_from: r.value(&s::EVENTS_FROM),
    };
    let (ops, node_name) = (ops(&mut r), r.optional(&s::NODE_NAME));
    let keys = keys(&mut r);
    let log = log(&mut r, config_dir, log_file);
    let otlp = otlp(&mut r);
    let groups = groups(&mut r);
    let redis = redis(&mut r);
    let mut config = Config {
        log,
        http,
        ops_addr,
        ops,
        node_name,
        otlp,
        keys,
        groups,
        redis,
        partitions: r.value(&s::PARTITIONS) as u32,
        replay: r.value(&s::REPLAY),
        waiting: Waiting {
            events: r.value(&s::WAITING_EVENTS) as usize,
            bytes: r.value(&s::WAITING_BYTES) as usize,
            age: r.value(&s::WAITING_SECONDS),
        },
        resync_window: r.value(&s::RESYNC_WINDOW),
        settle: r.value(&s::SETTLE),
        drain: r.value(&s::DRAIN),
        ping: r.value(&s::PING),
        limits: limits(&mut r),
        notices: Vec::new(),
    };
    cross_check(&mut r, &config);
    config.notices = r.notices;
    Report { entries: r.entries, faults: r.faults, config }
}

fn ops(r: &mut Reader) -> Ops {
    let password = filled(r, &s::OPS_PASSWORD, &s::OPS_PASSWORD_FILE);
    let token = filled(r, &s::OPS_TOKEN, &s::OPS_TOKEN_FILE);
    if token.as_ref().is_some_and(|token| !token.0.bytes().all(|byte| byte.is_ascii_graphic())) {
        let row = if r.is_set(&s::OPS_TOKEN.row) { &s::OPS_TOKEN.row } else { &s::OPS_TOKEN_FILE.row };
        r.fault(row.name, "has a blank or a letter beyond ASCII in it, which no header can carry");
    }
    let (cert, key) = (r.optional(&s::OPS_TLS_CERT), r.optional(&s::OPS_TLS_KEY));
    for (one, other) in [(&s::OPS_TLS_CERT.row, &s::OPS_TLS_KEY.row), (&s::OPS_TLS_KEY.row, &s::OPS_TLS_CERT.row)] {
        if r.is_set(one) && !r.is_set(other) {
            r.fault(other.name, format!("is missing: {} is of no use without it", one.name));
        }
    }
    Ops { password, token, tls: cert.zip(key), payloads: r.value(&s::OPS_PAYLOADS) }
}

fn otlp(r: &mut Reader) -> Option<Otlp> {
    let (endpoint, percent) = (r.optional(&s::OTLP_ENDPOINT), r.value(&s::OTLP_PERCENT));
    endpoint.map(|endpoint| Otlp { endpoint, percent: percent as u8 })
}

fn keys(r: &mut Reader) -> Keys {
    let current = one_of(r, &s::KEY, &s::KEY_FILE);
    let previous = one_of(r, &s::KEY_PREVIOUS, &s::KEY_PREVIOUS_FILE).filter(|key| !key.is_empty());
    match &current {
        Some(key) if key.is_empty() => r.fault(s::KEY_FILE.row.name, "is a file with nothing in it"),
        None if !r.is_set(&s::KEY.row) && !r.is_set(&s::KEY_FILE.row) => r.fault(
            s::KEY.row.name,
            "is not set: give it the same value as JWT_PRIVATE_KEY has in Seafile's own environment (its .env file)",
        ),
        Some(key) if key.trim() != key => {
            r.notices.push("JWT_PRIVATE_KEY begins or ends with a blank; it counts as part of the key".into());
        }
        _ => {}
    }
    if current.is_some() && current == previous {
        r.notices.push("JWT_PRIVATE_KEY_PREVIOUS is the same as JWT_PRIVATE_KEY and changes nothing".into());
    }
    Keys { current: Secret(current.unwrap_or_default()), previous: previous.map(Secret) }
}

/// A secret by itself or in a file.
fn one_of(r: &mut Reader, plain: &'static Setting<String>, file: &'static Setting<PathBuf>) -> Option<String> {
    let (given, contents) = (r.optional(plain), r.contents(file));
    if given.is_some() && contents.is_some() {
        r.fault(file.row.name, format!("and {} are both set: give one of them", plain.row.name));
    }
    contents.or(given)
}

/// Likewise, but a file with nothing in it is wrong: it would leave open what somebody meant to guard.
fn filled(r: &mut Reader, plain: &'static Setting<String>, file: &'static Setting<PathBuf>) -> Option<Secret> {
    let secret = one_of(r, plain, file);
    if secret.as_ref().is_some_and(String::is_empty) {
        r.fault(file.row.name, "is a file with nothing in it");
    }
    secret.map(Secret)
}

fn log(r: &mut Reader, config_dir: Option<PathBuf>, log_file: Option<String>) -> Log {
    let level = r.value(&s::LOG_LEVEL);
    let to_stdout = r.value(&s::LOG_TO_STDOUT);
    let format = r.value(&s::LOG_FORMAT);
    let file = match log_file.as_deref() {
        _ if to_stdout => None,
        Some("-") => None,
        Some(file) => Some(PathBuf::from(file)),
        None => config_dir.map(|dir| dir.join("notification-server.log")),
    };
    Log { level, format, file }
}

fn groups(r: &mut Reader) -> Option<Groups> {
    let host = r.optional(&s::DB_HOST);
    let port = r.value(&s::DB_PORT);
    let user = r.optional(&s::DB_USER);
    let password = r.optional(&s::DB_PASSWORD);
    let ccnet_db = r.value(&s::DB_NAME);
    let tls = r.value(&s::DB_TLS);
    let ca = r.optional(&s::DB_CA);
    let wanted = [&s::DB_HOST.row, &s::DB_USER.row, &s::DB_PASSWORD.row];
    if wanted.iter().all(|row| !r.is_set(row)) {
        return None;
    }
    let socket = host.as_deref().is_some_and(|host| host.starts_with('/'));
    for row in wanted.iter().filter(|row| !(socket && row.name == s::DB_PASSWORD.row.name)) {
        if !r.is_set(row) {
            let set: Vec<&str> = wanted.iter().filter(|row| r.is_set(row)).map(|row| row.name).collect();
            let set = set.join(" and ");
            r.fault(row.name, format!("is missing, and group members are to be looked up since {set} is set: set it too, or unset the others"));
        }
    }
    if ca.is_some() && tls != DbTls::Verify {
        r.fault(s::DB_CA.row.name, "is of no use without FOGHORN_DB_TLS=verify");
    }
    Some(Groups { host: host?, port, user: user?, password: Secret(password.unwrap_or_default()), ccnet_db, tls, ca })
}

fn redis(r: &mut Reader) -> Option<RedisSettings> {
    let shards = r.value(&s::REDIS_URLS);
    let host = r.optional(&s::REDIS_HOST);
    let port = r.value(&s::REDIS_PORT);
    let password = r.optional(&s::REDIS_PASSWORD);
    let prefix = r.value(&s::REDIS_PREFIX);
    if !shards.is_empty() {
        return Some(RedisSettings { shards, prefix });
    }
    let Some(host) = host else {
        if password.is_some() && !r.is_set(&s::REDIS_HOST.row) {
            r.notices.push("REDIS_PASSWORD is set and REDIS_HOST is not: this node uses no Redis".into());
        }
        return None;
    };
    let server = Server { password, ..Server::single(&host, port) };
    Some(RedisSettings { shards: vec![server], prefix })
}

fn limits(r: &mut Reader) -> Limits {
    Limits {
        connections: r.value(&s::MAX_CONNECTIONS) as usize,
        connections_per_address: r.value(&s::MAX_CONNECTIONS_PER_ADDRESS) as usize,
        subscriptions: r.value(&s::MAX_SUBSCRIPTIONS) as usize,
        message_bytes: r.value(&s::MAX_MESSAGE_BYTES) as usize,
        event_bytes: r.value(&s::MAX_EVENT_BYTES) as usize,
        outbox_messages: r.value(&s::OUTBOX_MESSAGES) as usize,
        outbox_bytes: r.value(&s::OUTBOX_BYTES) as usize,
        handshake: r.value(&s::HANDSHAKE),
        request: r.value(&s::REQUEST),
        unauthenticated: Some(r.value(&s::UNAUTHENTICATED)).filter(|time| !time.is_zero()),
        handshake_rate: r.value(&s::HANDSHAKE_RATE) as u32,
        handshake_concurrency: r.value(&s::HANDSHAKE_CONCURRENCY) as usize,
    }
}

/// What an event's envelope and frame add to it at the very most, bytes.
const ENVELOPE: usize = 64 << 10;

/// Settings that are right by themselves and wrong together.
fn cross_check(r: &mut Reader, config: &Config) {
    let (limits, event) = (&config.limits, config.limits.event_bytes);
    if limits.outbox_bytes < event + ENVELOPE {
        let least = event + ENVELOPE;
        r.fault(
            s::OUTBOX_BYTES.row.name,
            format!("should be at least {least}: FOGHORN_MAX_EVENT_BYTES ({event}) and 64KiB, or the largest event closes every client"),
        );
    }
    if config.redis.is_some() && config.waiting.bytes < event {
        r.fault(s::WAITING_BYTES.row.name, format!("should be at least FOGHORN_MAX_EVENT_BYTES ({event})"));
    }
    if limits.connections != 0 && limits.connections_per_address > limits.connections {
        let total = limits.connections;
        r.fault(s::MAX_CONNECTIONS_PER_ADDRESS.row.name, format!("is more than FOGHORN_MAX_CONNECTIONS ({total})"));
    }
    let same_host = config.http.host == config.ops_addr.ip().to_string();
    if same_host && config.ops_addr.port() != 0 && config.ops_addr.port() == config.http.port {
        r.fault(s::OPS_ADDR.row.name, "is the address clients connect to: give it a port of its own");
    }
}

/// Just the key, for commands that need nothing else.
///
/// # Errors
/// There is none, or `-c` is wrong.
pub fn key(sources: &Sources) -> Result<Secret, ConfigError> {
    let mut r = Reader::new(sources);
    r.optional(&s::CONFIG_DIR);
    r.optional(&s::ENV_FILE);
    let key = keys(&mut r).current;
    if r.faults.is_empty() { Ok(key) } else { Err(ConfigError::Faults(r.faults)) }
}

/// The key and, where there is one, the key before, likewise.
///
/// # Errors
/// There is none, or `-c` is wrong.
pub fn all_keys(sources: &Sources) -> Result<Keys, ConfigError> {
    let mut r = Reader::new(sources);
    r.optional(&s::CONFIG_DIR);
    r.optional(&s::ENV_FILE);
    let keys = keys(&mut r);
    if r.faults.is_empty() { Ok(keys) } else { Err(ConfigError::Faults(r.faults)) }
}

/// Just the ops address and what guards it, likewise.
///
/// # Errors
/// One of its settings is wrong, or `-c` is.
pub fn ops_access(sources: &Sources) -> Result<(SocketAddr, Ops), ConfigError> {
    let mut r = Reader::new(sources);
    r.optional(&s::CONFIG_DIR);
    r.optional(&s::ENV_FILE);
    let (address, ops) = (r.value(&s::OPS_ADDR), ops(&mut r));
    if r.faults.is_empty() { Ok((address, ops)) } else { Err(ConfigError::Faults(r.faults)) }
}
