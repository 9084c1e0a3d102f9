//! What tells nodes apart that are set up differently.
//!
//! Invariant: what differs between nodes by its nature, and secrets, do not count.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::reader::{Entry, Source};
use super::settings::{Mask, Row};
use super::{Config, Log, LogFormat, LogLevel, Ops};
use crate::broker::partition::fnv1a64;
use crate::dialect::Port;

impl Config {
    /// Eight hex digits that are equal for nodes that are set up alike: what differs between nodes by its nature
    /// (addresses, names, files, logs) and secrets do not count.
    pub fn fingerprint(&self) -> String {
        let mut alike = self.clone();
        (alike.http.host, alike.http.port, alike.node_name) = (String::new(), 0, None);
        (alike.ops_addr, alike.ops) = (SocketAddr::from(([0; 4], 0)), Ops::default());
        alike.log = Log {
            level: LogLevel::Info,
            format: LogFormat::Text,
            file: None,
        };
        alike.limits.cgroup = PathBuf::new();
        let apart: Vec<&str> = self.ports.iter().map(|(_, port)| port.setting).collect();
        alike.values = self.values.alike(&apart);
        alike.ports.clear();
        alike.notices.clear();
        alike.broker.clear();
        alike.changed.clear();
        digits(&format!("{alike:?}"))
    }
}

/// Eight hex digits.
fn digits(text: &str) -> String {
    let hash = fnv1a64(text.as_bytes());
    format!("{:08x}", (hash >> 32) as u32 ^ hash as u32)
}

/// See [`Config::changed`]. Nothing that is not shown to everybody tells its value by its mark.
pub(super) fn changed(
    entries: &[Entry],
    ports: &[(&'static str, Port)],
) -> BTreeMap<String, String> {
    let of_a_node = |row: &Row| {
        row.per_node
            || row.name.starts_with("FOGHORN_OPS_")
            || ports.iter().any(|(_, port)| port.setting == row.name)
    };
    let is_set = |entry: &&Entry| {
        !matches!(entry.source, Source::Default | Source::Unset) && entry.shown != entry.row.default
    };
    entries
        .iter()
        .filter(is_set)
        .filter(|entry| matches!(entry.row.mask, Mask::Open | Mask::Urls) && !of_a_node(entry.row))
        .map(|entry| (entry.row.name.to_owned(), digits(&entry.shown)))
        .collect()
}
