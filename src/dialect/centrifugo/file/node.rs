//! v1's keys about the whole process: where it listens, its log, its Redis; and which of Foghorn's settings they stand in for.
//!
//! Invariant: pure. What is of no use here is noted by its name, and never passed over.

use std::path::PathBuf;

use serde_json::Value;
use url::Url;

use super::autocert::Autocert;
use super::kinds::{Bad, maybe_text, number, port, switch};
use super::redis::RedisKeys;
use crate::config::settings::{HOST, LOG_FILE, LOG_LEVEL, PORT, REDIS_PREFIX, REDIS_URLS};
use crate::dialect::Certificate;

/// Keys that change nothing here, and why that is no loss.
pub const NOTED: &[(&str, &str)] = &[
    (
        "redis_pool",
        "one connection to each shard carries everything",
    ),
    (
        "gomaxprocs",
        "TOKIO_WORKER_THREADS says how many threads there are",
    ),
    (
        "node_ping_interval",
        "nodes announce themselves once a second",
    ),
    (
        "presence_ping_interval",
        "entries are renewed three times within presence_expire_interval",
    ),
    (
        "websocket_read_buffer_size",
        "buffers belong to no connection",
    ),
    (
        "websocket_write_buffer_size",
        "buffers belong to no connection",
    ),
];

/// Where v1 listens unless it is told: at all addresses, by IPv6 and IPv4.
pub(in crate::dialect::centrifugo) const ALL: &str = "::";

/// See the module.
#[derive(Default)]
pub struct NodeKeys {
    /// Where clients come in; none: at [`ALL`].
    pub(in crate::dialect::centrifugo) address: Option<String>,
    /// The port there.
    pub(super) port: Option<u16>,
    /// A port that operators have to themselves.
    admin_port: Option<u16>,
    /// A port that backends have to themselves.
    pub(in crate::dialect::centrifugo) api_port: Option<u16>,
    /// Where the number of this process is written to.
    pub(in crate::dialect::centrifugo) pid_file: Option<PathBuf>,
    ssl: bool,
    certificate: (Option<String>, Option<String>),
    /// Certificates that are ordered.
    pub(in crate::dialect::centrifugo) autocert: Autocert,
    log_level: Option<&'static str>,
    log_file: Option<String>,
    /// Where Redis is.
    redis: RedisKeys,
    shards: Option<String>,
    /// What is said of keys that change nothing here.
    pub notes: Vec<String>,
}

/// Foghorn's settings, and the keys that stand in for them.
pub const KEYS: &[(&str, &str)] = &[
    (HOST.row.name, "address"),
    (PORT.row.name, "port"),
    (LOG_LEVEL.row.name, "log_level"),
    (LOG_FILE.row.name, "log_file"),
    (REDIS_URLS.row.name, "engine"),
    (REDIS_PREFIX.row.name, "redis_prefix"),
];

impl NodeKeys {
    /// Takes a key about the whole process; `None`: it is no such key.
    pub fn take(&mut self, key: &str, value: &Value) -> Option<Result<(), Bad>> {
        if let Some((_, why)) = NOTED.iter().find(|(noted, _)| *noted == key) {
            self.notes
                .push(format!("{key} changes nothing here: {why}"));
            return Some(Ok(()));
        }
        Some(match key {
            "address" => maybe_text(key, value).map(|text| self.address = text),
            "port" => port(key, value).map(|port| self.port = port),
            "admin_port" => port(key, value).map(|port| self.admin_port = port),
            "api_port" => port(key, value).map(|port| self.api_port = port),
            "pid_file" => {
                maybe_text(key, value).map(|text| self.pid_file = text.map(PathBuf::from))
            }
            "ssl" => switch(key, value).map(|on| self.ssl = on),
            "ssl_cert" => maybe_text(key, value).map(|text| self.certificate.0 = text),
            "ssl_key" => maybe_text(key, value).map(|text| self.certificate.1 = text),
            "log_level" => self.take_level(value),
            "log_file" => maybe_text(key, value).map(|text| self.log_file = text),
            "debug" => switch(key, value).and_then(|on| match on {
                true => Err("debug: profiles are not served; log_level debug is the log's".into()),
                false => Ok(()),
            }),
            _ => {
                let taken = self.autocert.take(key, value);
                return taken.or_else(|| self.redis.take(key, value));
            }
        })
    }

    fn take_level(&mut self, value: &Value) -> Result<(), Bad> {
        let level = value.as_str().map(str::to_ascii_lowercase);
        self.log_level =
            Some(match level.as_deref() {
                Some("trace") => "trace",
                Some("debug") => "debug",
                Some("" | "info") => "info",
                Some("warn" | "warning") => "warning",
                Some("error" | "critical" | "fatal" | "none") => "error",
                _ => return Err(
                    "log_level: it should be trace, debug, info, error, critical, fatal or none"
                        .into(),
                ),
            });
        Ok(())
    }

    /// Does what takes several keys.
    ///
    /// # Errors
    /// They do not fit each other.
    pub(super) fn put_together(&mut self) -> Result<(), Bad> {
        self.shards = self.redis.shards()?;
        let (certificate, key) = &self.certificate;
        if self.autocert.on && (certificate.is_some() || key.is_some()) {
            return Err("ssl_autocert: it orders certificates, and ssl_cert and ssl_key name one: leave out the one or the others".into());
        }
        if !self.autocert.on && self.ssl && (certificate.is_none() || key.is_none()) {
            return Err("ssl: it needs ssl_cert and ssl_key".into());
        }
        self.autocert.put_together()?;
        // What has no port of its own is where clients are, as far as that is known: a port that is no client's is not lost.
        let clients = self.port.or(self.is_encrypted().then_some(DEFAULT_PORT));
        for own in [&mut self.admin_port, &mut self.api_port] {
            *own = own.filter(|own| Some(*own) != clients);
        }
        Ok(())
    }

    /// Whether clients speak TLS.
    pub fn is_encrypted(&self) -> bool {
        self.ssl || self.autocert.on
    }

    /// Where the certificate comes from, where clients speak TLS. One that is ordered is ordered from this directory.
    pub fn tls(&self, directory: Url, trusted: Option<PathBuf>) -> Option<Certificate> {
        let (certificate, key) = &self.certificate;
        let files = certificate.as_ref().zip(key.as_ref());
        let files = files.map(|(one, other)| Certificate::Files(one.into(), other.into()));
        let ordered = self.autocert.wanted(directory, trusted);
        ordered
            .map(Certificate::Ordered)
            .or(files.filter(|_| self.ssl))
    }

    /// What stands in for Foghorn's settings ([`KEYS`]), where these are not set.
    pub fn stand_ins(&self) -> Vec<(&'static str, String)> {
        // With TLS clients have a port of the dialect's own.
        let plain = !self.is_encrypted();
        let prefix = &self.redis.prefix;
        let said = [
            ("address", self.address.clone().filter(|_| plain)),
            (
                "port",
                self.port.filter(|_| plain).map(|port| port.to_string()),
            ),
            ("log_level", self.log_level.map(str::to_owned)),
            ("log_file", self.log_file.clone()),
            ("engine", self.shards.clone()),
            (
                "redis_prefix",
                prefix.clone().filter(|_| self.shards.is_some()),
            ),
        ];
        let said = said.into_iter();
        said.filter_map(|(key, value)| Some((key, value?)))
            .collect()
    }

    /// The lists that are taken from, so many beside the first.
    pub fn lists(&self, more: u64) -> Vec<String> {
        let first = format!(
            "{}.api",
            self.redis.prefix.as_deref().unwrap_or("centrifugo")
        );
        let more = (0..more).map(|number| format!("{first}.{number}"));
        if self.redis.api {
            [first.clone()].into_iter().chain(more).collect()
        } else {
            Vec::new()
        }
    }

    /// The ports that the dialect has to itself, by what answers there.
    pub(in crate::dialect::centrifugo) fn own_ports(&self) -> Vec<(OwnPort, u16)> {
        let clients = self
            .is_encrypted()
            .then(|| (OwnPort::Clients, self.port.unwrap_or(DEFAULT_PORT)));
        let api = self.api_port.map(|port| (OwnPort::Api, port));
        let admin = self
            .admin_port
            .filter(|port| Some(*port) != self.api_port)
            .map(|port| (OwnPort::Admin, port));
        [clients, api, admin].into_iter().flatten().collect()
    }

    /// Where operators come in; `None`: where clients do.
    pub(in crate::dialect::centrifugo) fn place_of_admin(&self) -> Option<OwnPort> {
        let with_api = self.admin_port.is_some() && self.admin_port == self.api_port;
        let place = if with_api {
            OwnPort::Api
        } else {
            OwnPort::Admin
        };
        self.admin_port.map(|_| place)
    }
}

/// v1's own port.
pub(super) const DEFAULT_PORT: u16 = 8_000;

/// A port that the dialect has to itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum OwnPort {
    /// Clients', with TLS; and that of others who have none.
    Clients,
    /// Backends'.
    Api,
    /// Operators'.
    Admin,
}

/// How many lists there are beside the first.
///
/// # Errors
/// There are more than are looked at.
pub(super) fn list_count(key: &str, value: &Value) -> Result<u64, Bad> {
    const MOST: u64 = 256;
    match number(key, value, 0)? {
        count if count <= MOST => Ok(count),
        _ => Err(format!(
            "{key}: it should be {MOST} or less, since each list is looked at ten times a second"
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn keys(given: Value) -> NodeKeys {
        let mut keys = NodeKeys::default();
        for (key, value) in given.as_object().expect("an object") {
            keys.take(key, value)
                .expect("such a key")
                .expect("a good value");
        }
        keys.put_together().expect("they fit");
        keys
    }

    #[test]
    fn v1s_keys_stand_in_for_settings() {
        let given = json!({"address": "127.0.0.1", "port": "8001", "log_level": "CRITICAL", "log_file": "/x.log",
            "engine": "redis", "redis_host": "r", "redis_prefix": "old", "api_port": 8001, "redis_pool": 256});
        let keys = keys(given);
        let wanted = [
            ("address", "127.0.0.1"),
            ("port", "8001"),
            ("log_level", "error"),
            ("log_file", "/x.log"),
            ("engine", "redis://r:6379"),
            ("redis_prefix", "old"),
        ];
        let wanted = wanted.map(|(key, value)| (key, value.to_owned()));
        assert_eq!(keys.stand_ins(), wanted);
        let known: Vec<&str> = KEYS.iter().map(|(_, key)| *key).collect();
        assert_eq!(known, wanted.map(|(key, _)| key));
        assert_eq!(
            (keys.api_port, keys.notes.len()),
            (None, 1),
            "the API is where clients are"
        );
    }

    #[test]
    fn backends_and_operators_may_have_ports_of_their_own_or_one() {
        let two = keys(json!({"api_port": "10001", "admin_port": "10000"}));
        assert_eq!(
            two.own_ports(),
            [(OwnPort::Api, 10_001), (OwnPort::Admin, 10_000)]
        );
        assert_eq!(two.place_of_admin(), Some(OwnPort::Admin));
        let one = keys(json!({"api_port": 10_001, "admin_port": 10_001}));
        assert_eq!(
            (one.own_ports(), one.place_of_admin()),
            (vec![(OwnPort::Api, 10_001)], Some(OwnPort::Api))
        );
        let beside = keys(json!({"admin_port": 8000, "port": 8000}));
        assert_eq!(beside.place_of_admin(), None);
        // Where clients come in is not said here, so it may be elsewhere.
        let unsaid = keys(json!({"admin_port": 8000}));
        assert_eq!(unsaid.place_of_admin(), Some(OwnPort::Admin));
    }

    #[test]
    fn with_tls_clients_have_a_port_of_the_dialects_own() {
        let given = json!({"ssl": true, "ssl_cert": "c", "ssl_key": "k", "port": 443, "address": "", "debug": false});
        let keys = keys(given);
        assert_eq!(
            (keys.stand_ins(), tls(&keys)),
            (vec![], Some(Certificate::Files("c".into(), "k".into())))
        );
        assert_eq!(keys.own_ports(), [(OwnPort::Clients, 443)]);
        let same = json!({"ssl": true, "ssl_cert": "c", "ssl_key": "k", "api_port": 8000});
        assert_eq!(self::keys(same).own_ports(), [(OwnPort::Clients, 8_000)]);
        let mut half = NodeKeys {
            ssl: true,
            ..NodeKeys::default()
        };
        assert!(half.put_together().is_err());
    }

    #[test]
    fn certificates_that_are_ordered_need_no_ssl_and_go_with_no_file() {
        let given = json!({"ssl_autocert": true, "ssl_autocert_host_whitelist": "a.example"});
        let keys = keys(given);
        assert!(
            matches!(tls(&keys), Some(Certificate::Ordered(wanted)) if wanted.hosts == ["a.example"])
        );
        assert_eq!(
            (keys.own_ports(), keys.stand_ins()),
            (vec![(OwnPort::Clients, 8_000)], vec![])
        );
        let mut both = NodeKeys::default();
        for key in ["ssl_autocert", "ssl_cert"] {
            let taken = both.take(key, &json!("true"));
            taken.expect("such a key").expect("a good value");
        }
        assert!(
            both.put_together()
                .is_err_and(|told| told.contains("ssl_cert"))
        );
    }

    fn tls(keys: &NodeKeys) -> Option<Certificate> {
        keys.tls("https://ca.example/directory".parse().expect("a URL"), None)
    }
}
