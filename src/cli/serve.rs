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
use super::reload::Reload;
use crate::app;
use crate::config::{Config, Sources, load};
use crate::drain::Tasks;
use crate::logging::{self, Logging};
use crate::ops;

const EXAMPLE: &str = "\
Examples:
  JWT_PRIVATE_KEY=… foghorn serve
  foghorn serve -c /opt/seafile/conf -l /opt/seafile/logs/notification-server.log

Signals: TERM and INT drain and end, a second one ends at once; HUP reads the files of keys and passwords, FOGHORN_ENV_FILE and
seafile.conf again, puts into force what can change and says what needs a restart; USR1 reopens the log file.";

/// Run a node (this is what happens without a subcommand)
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {}

/// Serves until SIGTERM or SIGINT, then drains.
pub fn run(sources: &Sources) -> ExitCode {
    let report = load(sources);
    let entries = report.entries.clone();
    let config = match report.into_config() {
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
    match runtime.block_on(serve(config, &logging, Reload::new(sources, entries))) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            tracing::error!("{error}");
            fail(&error)
        }
    }
}

/// Returns whether all was done by the deadline.
async fn serve(config: Config, logging: &Logging, mut reload: Reload<'_>) -> Result<bool, Box<dyn std::error::Error>> {
    let tasks = Tasks::new();
    logging.spawn(&tasks)?;
    let mut signals = Signals::listen()?;
    let recorder = ops::install_recorder()?;
    let running = app::start(&config, None, recorder).await?;
    tokio::select! {
        () = signals.ended_or(|| reload.again(&running, logging)) => {}
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
    async fn ended_or(&mut self, mut reload: impl FnMut()) {
        loop {
            tokio::select! {
                _ = self.term.recv() => return,
                _ = self.int.recv() => return,
                _ = self.hup.recv() => reload(),
            }
        }
    }
}
