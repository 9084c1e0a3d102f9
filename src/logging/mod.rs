//! Logs: lines for people or JSON, to standard output or to a file that SIGUSR1 reopens, as upstream's is.
//!
//! Invariant: a line is written whole, to the file that is open at that moment, by a thread of the log's own; nobody who
//! logs ever waits for it.

mod filter;
mod output;
mod writer;

use std::io::{self, IsTerminal};
use std::panic::PanicHookInfo;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;

use crate::config::{Log, LogFormat, LogLevel};
use crate::drain::{self, Tasks};
pub use filter::Volume;
pub use output::LogFile;
pub use writer::Writer;

/// Logging cannot be set up.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum LogError {
    /// The file cannot be opened.
    #[error("cannot open the log file {path} (from {named_by}): {source}")]
    Open {
        /// Which.
        path: PathBuf,
        /// What names it.
        named_by: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Standard output cannot be used.
    #[error("cannot log to standard output: {0}")]
    Stdout(io::Error),
    /// The log's thread cannot be started.
    #[error("cannot start the log's thread: {0}")]
    Thread(io::Error),
    /// The signal that has it opened anew cannot be listened to.
    #[error("cannot listen to SIGUSR1: {0}")]
    Signal(io::Error),
    /// Another subscriber is there already.
    #[error("logging is already set up")]
    Twice,
}

impl LogError {
    /// What counters call it.
    pub fn label(&self) -> &'static str {
        self.into()
    }
}

/// The running log: what can be changed about it.
#[derive(Clone)]
pub struct Logging {
    writer: Writer,
    volume: Arc<Volume>,
}

/// Sets up the log of this process. From here on panics are logged too.
///
/// # Errors
/// The file cannot be opened, or the process has a log already.
pub fn start(log: &Log) -> Result<Logging, LogError> {
    let file = log.file.clone().map(|path| LogFile {
        path,
        named_by: "-l, or the folder of -c",
    });
    let writer = Writer::start(file)?;
    let volume = Arc::new(Volume::new(log.level));
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    let ansi = log.file.is_none() && io::stdout().is_terminal() && wanted;
    let target = writer.clone();
    let layer = lines(log.format, move || target.clone(), ansi)
        .with_filter(filter::Shared(Arc::clone(&volume)));
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::Twice)?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(Logging { writer, volume })
}

impl Logging {
    /// Waits until all lines so far are written, `within` at most: before the process ends. Returns whether they are.
    pub fn flush(&self, within: Duration) -> bool {
        self.writer.flush(within)
    }

    /// Changes how much is logged.
    pub fn set_level(&self, level: LogLevel) {
        self.volume.set_level(level);
    }

    /// Reopens the file on SIGUSR1 and sums up repeated lines, until the tasks are told to stop.
    ///
    /// # Errors
    /// The signal cannot be listened to.
    pub fn spawn(&self, tasks: &Tasks) -> Result<(), LogError> {
        self.writer.reopened_on_usr1("log", tasks)?;
        let (logging, stop) = (self.clone(), tasks.clone());
        tasks.spawn("log-volume", async move {
            let mut window = tokio::time::interval(filter::WINDOW);
            loop {
                tokio::select! {
                    _ = window.tick() => logging.volume.sum_up(),
                    () = stop.stopped() => return logging.volume.sum_up(),
                }
            }
        });
        Ok(())
    }
}

fn lines<S, W>(format: LogFormat, writer: W, ansi: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_target(false)
        .log_internal_errors(false);
    match format {
        LogFormat::Text => layer.with_ansi(ansi).boxed(),
        LogFormat::Json => layer
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .boxed(),
    }
}

fn log_panic(info: &PanicHookInfo<'_>) {
    let at = info.location().map(ToString::to_string).unwrap_or_default();
    let payload = info.payload();
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or(payload.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("for an unknown reason");
    tracing::error!(
        at,
        "a task panicked, which is a fault of the program: {text}"
    );
    // Whoever looks at the process' own output should see it too.
    shout(format!("panicked at {at}: {text}"));
}

/// Says something on standard error, which may be a pipe that nobody reads: nobody waits for it.
pub fn shout(text: String) -> mpsc::Receiver<()> {
    let (said, answer) = mpsc::sync_channel(1);
    // Without a thread to be had, the log has it all the same.
    let _ = drain::aside("stderr", move || {
        eprintln!("{text}");
        // Whoever asked may have given up.
        let _ = said.send(());
    });
    answer
}
