//! `serve`: one node, until it is told to end.
//!
//! Invariant: a signal that ends the node is heard from before it listens until it has drained; a second one ends it at once.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::fail;
use crate::app::{self, Running};
use crate::config::{Config, Sources, load};
use crate::drain::Tasks;
use crate::logging::{self, Logging};
use crate::ops;

const EXAMPLE: &str = "\
Examples:
  JWT_PRIVATE_KEY=… foghorn serve
  foghorn serve -c /opt/seafile/conf -l /opt/seafile/logs/notification-server.log

Signals: TERM and INT drain and end, a second one ends at once; HUP reads the key and the log level of seafile.conf
again; USR1 reopens the log file.";

/// Run a node (this is what happens without a subcommand)
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {}

/// Serves until SIGTERM or SIGINT, then drains.
pub fn run(sources: &Sources) -> ExitCode {
    let config = match load(sources).into_config() {
        Ok(config) => config,
        Err(error) => return fail(&error),
    };
    let logging = match logging::start(&config.log) {
        Ok(logging) => logging,
        Err(error) => return fail(&error),
    };
    for notice in &config.notices {
        tracing::warn!("{notice}");
    }
    let runtime = match Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    match runtime.block_on(serve(config, &logging, sources)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            tracing::error!("{error}");
            fail(&error)
        }
    }
}

/// Returns whether all was done by the deadline.
async fn serve(config: Config, logging: &Logging, sources: &Sources) -> Result<bool, Box<dyn std::error::Error>> {
    let tasks = Tasks::new();
    logging.spawn(&tasks)?;
    let mut signals = Signals::listen()?;
    let recorder = ops::install_recorder()?;
    let running = app::start(&config, None, recorder).await?;
    tokio::select! {
        () = signals.ended_or(|| reload(&config, sources, &running, logging)) => {}
        fatal = running.fatal() => {
            running.stop().await;
            return Err(fatal.into());
        }
    }
    let clean = tokio::select! {
        clean = running.drain() => clean,
        () = signals.ended_or(|| {}) => {
            tracing::warn!("asked a second time: ending at once");
            false
        }
    };
    tasks.stop();
    tasks.finish(Duration::from_secs(1)).await;
    Ok(clean)
}

/// The signals a node heeds.
struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits until the node is to end, and calls `reload` whenever the configuration is to be read again.
    async fn ended_or(&mut self, reload: impl Fn()) {
        loop {
            tokio::select! {
                _ = self.term.recv() => return,
                _ = self.int.recv() => return,
                _ = self.hup.recv() => reload(),
            }
        }
    }
}

/// Puts into force what of the configuration can change while the node runs: the keys and the log level.
fn reload(before: &Config, sources: &Sources, running: &Running, logging: &Logging) {
    let config = match load(sources).into_config() {
        Ok(config) => config,
        Err(error) => return tracing::error!("not read again: {error}"),
    };
    let previous = config.keys.previous.as_ref().map(|key| key.0.as_str());
    running.keys.replace(&config.keys.current.0, previous);
    logging.set_level(config.log.level);
    tracing::info!("configuration read again: keys and log level are in force");
    let mut rest = config;
    (rest.keys, rest.log.level, rest.notices) = (before.keys.clone(), before.log.level, before.notices.clone());
    if rest != *before {
        tracing::warn!("what else has changed in the configuration needs a restart");
    }
}
