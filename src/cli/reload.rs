//! SIGHUP: the configuration is read again, what can change while a node runs is put into force, and what cannot is named.
//!
//! Invariant: a configuration with a fault changes nothing; no value is logged, only names.

use crate::app::Running;
use crate::config::settings::LIVE;
use crate::config::{Entry, Sources, load};
use crate::logging::Logging;

/// What was read so far.
pub struct Reload<'a> {
    sources: &'a Sources,
    /// As the node was started.
    started: Vec<Entry>,
    /// As it was read last.
    last: Vec<Entry>,
}

impl<'a> Reload<'a> {
    /// `entries` is what the node starts with.
    pub fn new(sources: &'a Sources, entries: Vec<Entry>) -> Self {
        Self { sources, started: entries.clone(), last: entries }
    }

    /// Reads all of it again.
    pub fn again(&mut self, running: &Running, logging: &Logging) {
        let report = load(self.sources);
        let entries = report.entries.clone();
        let config = match report.into_config() {
            Ok(config) => config,
            Err(error) => return tracing::error!("not read again: {error}"),
        };
        running.reload(&config);
        logging.set_level(config.log.level);
        let mut changed: Vec<&str> = differing(&self.last, &entries);
        changed.retain(|name| LIVE.contains(name));
        let stale: Vec<&str> =
            differing(&self.started, &entries).into_iter().filter(|name| !LIVE.contains(name)).collect();
        let changed = if changed.is_empty() { "nothing".to_owned() } else { changed.join(", ") };
        tracing::info!(
            changed,
            "configuration read again: keys, passwords, log level, and who may come in, are in force"
        );
        if !stale.is_empty() {
            tracing::warn!(changed = stale.join(", "), "this needs a restart to take effect");
        }
        self.last = entries;
    }
}

/// The names of settings whose values differ.
fn differing(one: &[Entry], other: &[Entry]) -> Vec<&'static str> {
    let pairs = one.iter().zip(other);
    pairs.filter(|(one, other)| one.mark != other.mark).map(|(one, _)| one.row.name).collect()
}
