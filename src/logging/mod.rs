//! Logs: lines for people or JSON, to standard output or to a file that SIGUSR1 reopens, as upstream's is.
//!
//! Invariant: a line is written whole, to the file that is open at that moment; no task waits for the log but to write.

mod file;
mod filter;

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;

use crate::config::{Log, LogFormat, LogLevel};
use crate::drain::Tasks;
pub use file::LogFile;
pub use filter::Volume;

/// Logging cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file cannot be opened.
    #[error("cannot open the log file {path} (from -l, or the folder of -c): {source}")]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another subscriber is there already.
    #[error("logging is already set up")]
    Twice,
}

impl LogError {
    /// What counters call it.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Open { .. } => "open",
            Self::Twice => "twice",
        }
    }
}

/// The running log: what can be changed about it.
#[derive(Clone)]
pub struct Logging {
    file: Option<LogFile>,
    volume: Arc<Volume>,
}

/// Sets up the log of this process. From here on panics are logged too.
///
/// # Errors
/// The file cannot be opened, or the process has a log already.
pub fn start(log: &Log) -> Result<Logging, LogError> {
    let file = log.file.clone().map(LogFile::open).transpose()?;
    let volume = Arc::new(Volume::new(log.level));
    let writer = Target(file.clone());
    let ansi = file.is_none() && io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let layer = lines(log.format, writer, ansi).with_filter(filter::Shared(Arc::clone(&volume)));
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::Twice)?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(Logging { file, volume })
}

impl Logging {
    /// Opens the log file anew by its name, where there is one: after it was moved away.
    ///
    /// # Errors
    /// It cannot be opened; the old one stays in use.
    pub fn reopen(&self) -> Result<(), LogError> {
        self.file.as_ref().map_or(Ok(()), LogFile::reopen)
    }

    /// Changes how much is logged.
    pub fn set_level(&self, level: LogLevel) {
        self.volume.set_level(level);
    }

    /// Reopens the file on SIGUSR1 and sums up repeated lines, until the tasks are told to stop.
    ///
    /// # Errors
    /// The signal cannot be listened to.
    pub fn spawn(&self, tasks: &Tasks) -> io::Result<()> {
        let mut reopen = signal(SignalKind::user_defined1())?;
        let (logging, stop) = (self.clone(), tasks.clone());
        tasks.spawn("log", async move {
            let mut window = tokio::time::interval(filter::WINDOW);
            loop {
                tokio::select! {
                    _ = window.tick() => logging.volume.sum_up(),
                    Some(()) = reopen.recv() => logging.reopen_and_say_so(),
                    () = stop.stopped() => return logging.volume.sum_up(),
                }
            }
        });
        Ok(())
    }

    fn reopen_and_say_so(&self) {
        match self.reopen() {
            Ok(()) => tracing::info!("log file reopened"),
            Err(error) => tracing::error!("{error}; the old one stays in use"),
        }
    }
}

fn lines<S, W>(format: LogFormat, writer: W, ansi: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_target(false).log_internal_errors(false);
    match format {
        LogFormat::Text => layer.with_ansi(ansi).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_span_list(false).boxed(),
    }
}

fn log_panic(info: &PanicHookInfo<'_>) {
    let at = info.location().map(ToString::to_string).unwrap_or_default();
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("for an unknown reason");
    tracing::error!(at, "a task panicked, which is a fault of the program: {text}");
    // Whoever looks at the process' own output should see it too.
    eprintln!("panicked at {at}: {text}");
}

/// Where lines go.
struct Target(Option<LogFile>);

impl<'a> MakeWriter<'a> for Target {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        self.0.as_ref().map_or(Line::Stdout, |file| Line::File(file.current()))
    }
}

/// Writes one line.
enum Line {
    Stdout,
    File(Arc<File>),
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout => io::stdout().lock().write_all(bytes).map(|()| bytes.len()),
            Self::File(file) => (&**file).write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
