//! `serve`: one node, until it is told to end.
//!
//! Invariant: a signal that ends the node is heard from before it listens until it has drained; a second one ends it at once.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::reload::Reload;
use super::terminal::fail;
use crate::app;
use crate::config::{Config, Sources, load};
use crate::drain::Tasks;
use crate::headroom::descriptors;
use crate::logging::{self, Logging};
use crate::ops::recorder::Recorder;

const EXAMPLE: &str = "\
Examples:
  JWT_PRIVATE_KEY=… foghorn serve
  foghorn serve -c /opt/seafile/conf -l /opt/seafile/logs/notification-server.log

Signals: TERM and INT drain and end, a second one ends at once; HUP reads the files of keys and passwords, FOGHORN_ENV_FILE and
seafile.conf again, puts into force what can change and says what needs a restart; USR1 reopens the log file.";

/// How long the end of the process waits for what may never end: look-ups of names, reading of files, the log.
const FAREWELL: Duration = Duration::from_secs(1);

/// Run a node (this is what happens without a subcommand)
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Arguments {}

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
    descriptors::raise();
    for notice in &config.notices {
        tracing::warn!("{notice}");
    }
    let runtime = match Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let ended = runtime.block_on(serve(config, &logging, Reload::new(sources, entries)));
    // What still waits for a resolver or a disk is not waited for.
    runtime.shutdown_timeout(FAREWELL);
    if let Err(error) = &ended {
        tracing::error!("{error}");
        // Standard error may be a pipe that nobody reads.
        let _ = logging::shout(format!("foghorn: {error}")).recv_timeout(FAREWELL);
    }
    logging.flush(FAREWELL);
    if ended.is_ok_and(|clean| clean) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Returns whether all was done by the deadline.
async fn serve(
    config: Config,
    logging: &Logging,
    mut reload: Reload<'_>,
) -> Result<bool, Box<dyn std::error::Error>> {
    let tasks = Tasks::new();
    logging.spawn(&tasks)?;
    let mut signals = Signals::listen()?;
    let recorder = Recorder::install(&config.dialects)?;
    let running = app::start(&config, None, recorder).await?;
    signals
        .ended_or(async || reload.again(&running, logging).await)
        .await;
    let clean = tokio::select! {
        clean = running.drain() => clean,
        () = signals.ended_or(async || {}) => {
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
    async fn ended_or(&mut self, mut reload: impl AsyncFnMut()) {
        loop {
            tokio::select! {
                _ = self.term.recv() => return,
                _ = self.int.recv() => return,
                _ = self.hup.recv() => {}
            }
            tokio::select! {
                () = reload() => {}
                _ = self.term.recv() => return,
                _ = self.int.recv() => return,
            }
        }
    }
}
