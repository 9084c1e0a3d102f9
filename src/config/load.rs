//! Reads every setting into the [`Config`], and checks what only shows when settings are seen together.
//!
//! Invariant: the settings are read in the order of the table, each once, whatever is wrong with those before it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::dialects::{dialects, of_dialects};
use super::fingerprint;
use super::otel::otlp;
use super::reader::{Entry, Fault, Reader, Sources};
use super::redis::redis;
use super::secrets::filled;
use super::settings::{self as s, Row};
use super::together::cross_check;
use super::values::Values;
use super::{Config, ConfigError, Http, Limits, Log, Ops, Waiting};

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
        if self.faults.is_empty() {
            Ok(self.config)
        } else {
            Err(ConfigError::Faults(self.faults))
        }
    }

    /// What could be read, with defaults in the place of what is wrong: for looking, never for serving.
    pub fn so_far(&self) -> &Config {
        &self.config
    }

    /// What works and yet may be a mistake.
    pub fn notices(&self) -> &[String] {
        &self.config.notices
    }

    /// Counts what is only noted as wrong.
    pub fn notices_are_faults(&mut self) {
        let noted = self.config.notices.drain(..);
        self.faults.extend(noted.map(|message| Fault {
            name: "noted".to_owned(),
            message,
        }));
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
    let ops = ops(&mut r);
    let node_name = r
        .optional(&s::NODE_NAME)
        .filter(|name| is_no_secret(&mut r, name));
    let dialects = dialects(&mut r, sources);
    let log = log(&mut r, config_dir, log_file);
    let otlp = otlp(&mut r);
    let told = r.faults.len();
    let (redis, broker) = redis(&mut r);
    r.names_redis = redis.is_some() || r.faults.len() > told;
    let mut config = Config {
        log,
        http,
        ops_addr,
        ops,
        dialects,
        node_name,
        otlp,
        redis,
        broker,
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
        values: Values::default(),
        ports: Vec::new(),
        notices: Vec::new(),
        changed: BTreeMap::new(),
    };
    of_dialects(&mut r, sources, &mut config);
    cross_check(&mut r, &config);
    config.notices = r.notices;
    config.changed = fingerprint::changed(&r.entries, &config.ports);
    Report {
        entries: r.entries,
        faults: r.faults,
        config,
    }
}

/// A node's name is shown everywhere.
fn is_no_secret(r: &mut Reader, name: &str) -> bool {
    let secret = r.tells(name);
    if secret {
        r.fault(
            s::NODE_NAME.row.name,
            "holds what a password or key is set to, and a node's name is shown everywhere",
        );
    }
    !secret
}

fn ops(r: &mut Reader) -> Ops {
    let password = filled(r, &s::OPS_PASSWORD, &s::OPS_PASSWORD_FILE);
    let token = filled(r, &s::OPS_TOKEN, &s::OPS_TOKEN_FILE);
    if token
        .as_ref()
        .is_some_and(|token| !token.0.bytes().all(|byte| byte.is_ascii_graphic()))
    {
        let row = if r.is_set(&s::OPS_TOKEN.row) {
            &s::OPS_TOKEN.row
        } else {
            &s::OPS_TOKEN_FILE.row
        };
        r.fault(
            row.name,
            "has a blank or a letter beyond ASCII in it, which no header can carry",
        );
    }
    let (cert, key) = (r.optional(&s::OPS_TLS_CERT), r.optional(&s::OPS_TLS_KEY));
    for (one, other) in [
        (&s::OPS_TLS_CERT.row, &s::OPS_TLS_KEY.row),
        (&s::OPS_TLS_KEY.row, &s::OPS_TLS_CERT.row),
    ] {
        if r.is_set(one) && !r.is_set(other) {
            r.fault(
                other.name,
                format!("is missing: {} is of no use without it", one.name),
            );
        }
    }
    Ops {
        password,
        token,
        tls: cert.zip(key),
        payloads: r.value(&s::OPS_PAYLOADS),
    }
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
    Log {
        level,
        format,
        file,
    }
}

fn limits(r: &mut Reader) -> Limits {
    Limits {
        connections: r.value(&s::MAX_CONNECTIONS) as usize,
        connections_per_address: r.value(&s::MAX_CONNECTIONS_PER_ADDRESS) as usize,
        message_bytes: r.value(&s::MAX_MESSAGE_BYTES) as usize,
        event_bytes: r.value(&s::MAX_EVENT_BYTES) as usize,
        outbox_messages: r.value(&s::OUTBOX_MESSAGES) as usize,
        outbox_bytes: r.value(&s::OUTBOX_BYTES) as usize,
        handshake: r.value(&s::HANDSHAKE),
        request: r.value(&s::REQUEST),
        unfinished_bytes: r.value(&s::UNFINISHED_BYTES) as usize,
        idle: r.value(&s::IDLE),
        idle_connections: r.value(&s::IDLE_CONNECTIONS) as usize,
        idle_connections_per_address: r.value(&s::IDLE_CONNECTIONS_PER_ADDRESS) as usize,
        memory_percent: r.value(&s::MEMORY_PERCENT) as u8,
        cgroup: r.value(&s::CGROUP),
        unauthenticated: Some(r.value(&s::UNAUTHENTICATED)).filter(|time| !time.is_zero()),
        handshake_rate: r.value(&s::HANDSHAKE_RATE) as u32,
        handshake_concurrency: r.value(&s::HANDSHAKE_CONCURRENCY) as usize,
    }
}

/// A variable that is no setting of a node, from where settings come from; `None`: it is not set, or empty.
pub fn variable(sources: &Sources, name: &str) -> Option<String> {
    Reader::new(sources)
        .variable(name)
        .filter(|value| !value.trim().is_empty())
}

/// Just what these settings are set to, for commands that need nothing else.
///
/// # Errors
/// One of them is wrong, or `-c` is.
pub fn only(
    sources: &Sources,
    rows: &[&'static Row],
    check: fn(&Values, &mut Reader),
) -> Result<Values, ConfigError> {
    let mut r = Reader::new(sources);
    r.optional(&s::CONFIG_DIR);
    r.optional(&s::ENV_FILE);
    let values = Values::read(&mut r, rows);
    check(&values, &mut r);
    if r.faults.is_empty() {
        Ok(values)
    } else {
        Err(ConfigError::Faults(r.faults))
    }
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
    if r.faults.is_empty() {
        Ok((address, ops))
    } else {
        Err(ConfigError::Faults(r.faults))
    }
}
