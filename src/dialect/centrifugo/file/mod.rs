//! The configuration that Centrifugo v1 reads: its file in JSON, YAML or TOML, and variables that win over it.
//!
//! Invariants: every key is honoured or noted, or the configuration is refused and the key is named; all that is wrong is told
//! at once; no value is ever shown, since some are secrets.

mod autocert;
mod fault;
mod formats;
mod kinds;
pub mod node;
mod options;
mod redis;
pub mod stand_ins;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value};

pub use self::fault::FileFault;
use self::formats::Format;
use self::kinds::{Bad, level, maybe_text, number, prefix, seconds, switch, text};
use self::node::{NodeKeys, list_count};
use self::options::{Kept, namespaces, option};
use super::admin::Admin;
use super::admin::tokens::Tokens;
use super::rules::Rules;
use super::signing_key::SigningKey;
use super::{honoured, refused};
use crate::connection::websocket::deflate::Effort;
use crate::connection::websocket::deflate::codec::Level;

/// Keys that win over those of the file, in small letters.
pub type Variables = BTreeMap<String, String>;

/// What holds for as long as the node runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// The longest message of a client, bytes.
    pub(super) request_bytes: usize,
    /// Bytes that may wait for a client.
    pub(super) queue_bytes: usize,
    /// How often clients are pinged.
    pub(super) ping: Duration,
    /// What is compressed for those who offer it; `None`: nothing.
    pub(super) compression: Option<Effort>,
    /// Over how long the figures of `stats` are counted.
    pub(super) metrics: Duration,
    /// Whether there is an admin socket.
    pub(super) admin: bool,
    /// Whether there is a page for it.
    pub(super) web: bool,
    /// Lists in Redis that commands are taken from.
    pub(super) lists: Vec<String>,
    /// What all paths begin with; empty, or it begins with a slash and does not end with one.
    pub(super) prefix: String,
    /// Where browsers get SockJS's client from.
    pub(super) sockjs_url: String,
    /// How often SockJS's clients are told that the server is there; `None`: never.
    pub(super) heartbeat: Option<Duration>,
}

/// All that the file says.
pub struct V1 {
    /// What SIGHUP changes.
    pub(super) rules: Rules,
    /// What it does not.
    pub(super) fixed: Fixed,
    /// What is said of the whole process.
    pub node: NodeKeys,
    /// What the signing key is made of, to be judged and forgotten.
    pub(super) secret: Option<String>,
}

/// What is put together when all keys are known.
#[derive(Default)]
struct Parts {
    kept: Kept,
    admin_secret: Option<String>,
    redis_api_shards: u64,
    compression: bool,
    level: Option<i8>,
    passed_bytes: usize,
}

impl V1 {
    /// Reads a file, where one is named, and what wins over it.
    ///
    /// # Errors
    /// [`FileFault`]
    pub fn load(path: Option<&Path>, variables: &Variables) -> Result<Self, FileFault> {
        let mut keys = match path {
            Some(path) => {
                Format::of(path).read(&fs::read_to_string(path).map_err(FileFault::Read)?)?
            }
            None if variables.is_empty() => return Err(FileFault::None),
            None => Map::new(),
        };
        // What has no meaning may be meant for another program.
        let (known, strange): (Vec<_>, Vec<_>) =
            variables.iter().partition(|(key, _)| is_known(key));
        keys.extend(
            known
                .into_iter()
                .map(|(key, value)| (key.clone(), Value::from(value.as_str()))),
        );
        let mut v1 = Self::of(&keys)?;
        let note = |key: &String| {
            format!(
                "CENTRIFUGO_{} is set, and Centrifugo v1 has no such key",
                key.to_ascii_uppercase()
            )
        };
        v1.node
            .notes
            .extend(strange.into_iter().map(|(key, _)| note(key)));
        Ok(v1)
    }

    /// Reads what a file in JSON says.
    ///
    /// # Errors
    /// [`FileFault`]
    pub fn read(text: &str) -> Result<Self, FileFault> {
        Self::of(&Format::Json.read(text)?)
    }

    fn of(keys: &Map<String, Value>) -> Result<Self, FileFault> {
        let (mut v1, mut parts, mut bad) = (Self::default(), Parts::default(), Vec::new());
        for (key, value) in keys {
            let taken = option(&mut v1.rules.default, &mut parts.kept, key, value);
            let taken = taken.or_else(|| v1.node.take(key, value));
            let taken = taken.unwrap_or_else(|| v1.take(&mut parts, key, value));
            bad.extend(taken.err());
        }
        bad.extend(v1.put_together(parts).err());
        let open = v1.rules.insecure && v1.rules.insecure_api;
        if v1.rules.secret.is_none() && !open && !keys.contains_key("secret") {
            bad.push("secret: it has to be there, since tokens and signs are made with it".into());
        }
        if bad.is_empty() {
            Ok(v1)
        } else {
            Err(FileFault::Keys(bad))
        }
    }

    /// Takes a key that holds for the whole server.
    fn take(&mut self, parts: &mut Parts, key: &str, value: &Value) -> Result<(), Bad> {
        let Self { rules, fixed, .. } = self;
        match key {
            "secret" => {
                let secret = text(key, value)?;
                rules.secret = Some(SigningKey::new(&secret));
                self.secret = Some(secret);
            }
            "insecure" => rules.insecure = switch(key, value)?,
            "insecure_api" => rules.insecure_api = switch(key, value)?,
            "admin" => fixed.admin |= switch(key, value)?,
            "web" => fixed.web = switch(key, value)?,
            "insecure_admin" => rules.admin.insecure = switch(key, value)?,
            "admin_password" => rules.admin.password = maybe_text(key, value)?,
            "admin_secret" => parts.admin_secret = maybe_text(key, value)?,
            "redis_api_num_shards" => parts.redis_api_shards = list_count(key, value)?,
            "name" => rules.name = maybe_text(key, value)?,
            "connection_lifetime" => rules.lifetime_s = number(key, value, 0)?,
            "expired_connection_close_delay" => rules.expired_delay_s = number(key, value, 0)?,
            "stale_connection_close_delay" => rules.stale_delay_s = number(key, value, 0)?,
            "max_channel_length" => rules.max_channel = number(key, value, 1)? as usize,
            "client_channel_limit" => rules.channels = number(key, value, 1)? as usize,
            "user_connection_limit" => rules.connections = number(key, value, 0)? as usize,
            "presence_expire_interval" => rules.presence = seconds(key, value)?,
            "namespaces" => rules.namespaces = namespaces(value)?,
            "client_request_max_size" => fixed.request_bytes = number(key, value, 1)? as usize,
            "client_queue_max_size" => fixed.queue_bytes = number(key, value, 1)? as usize,
            "ping_interval" => fixed.ping = seconds(key, value)?,
            "websocket_compression" => parts.compression = switch(key, value)?,
            "websocket_compression_level" => parts.level = Some(level(key, value)?),
            "websocket_compression_min_size" => {
                parts.passed_bytes = number(key, value, 0)? as usize
            }
            "node_metrics_interval" => fixed.metrics = seconds(key, value)?,
            "sockjs_url" => fixed.sockjs_url = text(key, value)?,
            "sockjs_heartbeat_delay" => {
                let seconds = number(key, value, 0)?;
                fixed.heartbeat = (seconds > 0).then(|| Duration::from_secs(seconds));
            }
            "http_prefix" => fixed.prefix = prefix(&maybe_text(key, value)?.unwrap_or_default())?,
            "private_channel_prefix" => rules.separators.private = text(key, value)?,
            "namespace_channel_boundary" => rules.separators.namespace = text(key, value)?,
            "user_channel_boundary" => rules.separators.users = text(key, value)?,
            "user_channel_separator" => rules.separators.user = text(key, value)?,
            "client_channel_boundary" => rules.separators.client = text(key, value)?,
            // What is switched off, or empty, asks for nothing.
            _ if refused::reason(key).is_some() && switch(key, value) == Ok(false) => {}
            _ => return Err(unknown(key)),
        }
        Ok(())
    }

    /// Does what takes several keys.
    fn put_together(&mut self, parts: Parts) -> Result<(), Bad> {
        let Self {
            rules, fixed, node, ..
        } = self;
        rules.default.keep = parts.kept.keep();
        fixed.compression = parts.compression.then_some(Effort {
            level: match parts.level.unwrap_or(1) {
                -2 => Level::Huffman,
                -1 => Level::Search(6),
                level => Level::Search(level.unsigned_abs()),
            },
            passed_bytes: parts.passed_bytes,
        });
        node.put_together()?;
        fixed.lists = node.lists(parts.redis_api_shards);
        let Admin {
            insecure,
            password,
            tokens,
        } = &mut rules.admin;
        *tokens = password
            .as_ref()
            .zip(parts.admin_secret)
            .map(|(password, secret)| Tokens::new(&secret, password));
        let asked = if fixed.admin { "admin" } else { "web" };
        // The page is of no use without the socket.
        fixed.admin |= fixed.web;
        if fixed.admin && !*insecure && tokens.is_none() {
            return Err(format!("{asked}: it needs admin_password and admin_secret"));
        }
        Ok(())
    }
}

impl Default for V1 {
    fn default() -> Self {
        let (ping, metrics) = (Duration::from_secs(25), Duration::from_secs(60));
        let fixed = Fixed {
            request_bytes: 65_536,
            queue_bytes: 10_485_760,
            ping,
            compression: None,
            metrics,
            admin: false,
            web: false,
            lists: Vec::new(),
            prefix: String::new(),
            sockjs_url: "//cdn.jsdelivr.net/sockjs/1.1/sockjs.min.js".to_owned(),
            heartbeat: Some(Duration::from_secs(25)),
        };
        Self {
            rules: Rules::default(),
            fixed,
            node: NodeKeys::default(),
            secret: None,
        }
    }
}

/// Whether it is a key of v1.
fn is_known(key: &str) -> bool {
    let is_honoured = honoured::KEYS.iter().any(|(known, ..)| *known == key);
    is_honoured
        || refused::reason(key).is_some()
        || node::NOTED.iter().any(|(known, _)| *known == key)
}

fn unknown(key: &str) -> Bad {
    match refused::reason(key) {
        Some(why) => format!("{key}: it is not honoured here, take it out: {why}"),
        None => format!("{key}: Centrifugo v1 has no such key"),
    }
}

#[cfg(test)]
mod tests;
