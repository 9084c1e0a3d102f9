//! SIGHUP: the configuration is read again, what can change while a node runs is put into force, and what cannot is named.
//!
//! Invariant: a configuration with a fault changes nothing; no value is logged, only names; a file that hangs holds up
//! nothing, not even the signal that ends the node.

use std::time::Duration;

use tokio::sync::oneshot;

use crate::app::Running;
use crate::config::settings::Row;
use crate::config::{Entry, Report, Sources, load};
use crate::drain;
use crate::logging::Logging;

/// How long reading all of it may take.
const WITHIN: Duration = Duration::from_secs(60);
/// Settings that hold logins beside what cannot change.
const LOGINS: [&str; 2] = ["FOGHORN_REDIS_URLS", "FOGHORN_REDIS_URLS_FILE"];

/// What was read so far.
pub(super) struct Reload<'a> {
    sources: &'a Sources,
    /// As the node was started.
    started: Vec<Entry>,
    /// As it was read last.
    last: Vec<Entry>,
}

impl<'a> Reload<'a> {
    /// `entries` is what the node starts with.
    pub fn new(sources: &'a Sources, entries: Vec<Entry>) -> Self {
        Self {
            sources,
            started: entries.clone(),
            last: entries,
        }
    }

    /// Reads all of it again.
    pub async fn again(&mut self, running: &Running, logging: &Logging) {
        let Some(report) = read(self.sources.clone()).await else {
            return tracing::error!(
                "not read again: the files did not answer within {} s",
                WITHIN.as_secs()
            );
        };
        let entries = report.entries.clone();
        let config = match report.into_config() {
            Ok(config) => config,
            Err(error) => return tracing::error!("not read again: {error}"),
        };
        running.reload(&config);
        logging.set_level(config.log.level);
        // Of URLs the logins can change, the servers cannot.
        let same_redis = running.has_the_redis_of(&config);
        let live = |row: &&Row| row.live || (same_redis && LOGINS.contains(&row.name));
        let names = |rows: Vec<&'static Row>| {
            rows.into_iter()
                .map(|row| row.name)
                .collect::<Vec<_>>()
                .join(", ")
        };
        let changed = names(
            differing(&self.last, &entries)
                .into_iter()
                .filter(live)
                .collect(),
        );
        let stale = names(
            differing(&self.started, &entries)
                .into_iter()
                .filter(|row| !live(row))
                .collect(),
        );
        let changed = if changed.is_empty() {
            "nothing".to_owned()
        } else {
            changed
        };
        tracing::info!(
            changed,
            "configuration read again: keys, passwords, log level, and who may come in, are in force"
        );
        if !stale.is_empty() {
            tracing::warn!(changed = stale, "this needs a restart to take effect");
        }
        self.last = entries;
    }
}

/// Reads the configuration on a thread of its own: its files may lie on a disk that does not answer.
async fn read(sources: Sources) -> Option<Report> {
    let (done, answer) = oneshot::channel();
    drain::aside("reload", move || drop(done.send(load(&sources)))).ok()?;
    tokio::time::timeout(WITHIN, answer).await.ok()?.ok()
}

/// The settings whose values differ, those that were not read the first time among them.
fn differing(one: &[Entry], other: &[Entry]) -> Vec<&'static Row> {
    let before = |row: &Row| {
        one.iter()
            .find(|entry| entry.row.name == row.name)
            .map_or(0, |entry| entry.mark)
    };
    other
        .iter()
        .filter(|entry| entry.mark != before(entry.row))
        .map(|entry| entry.row)
        .collect()
}
