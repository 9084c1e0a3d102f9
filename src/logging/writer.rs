//! The log's own thread: lines wait for it in one bounded buffer, and it alone writes them.
//!
//! Invariant: whoever logs never waits for what takes the lines, be it a pipe that nobody reads, a full disk or a file
//! system that hangs. A line that does not fit is dropped and counted, and that is said as soon as lines can be written
//! again.

use std::io;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use ::metrics::counter;
use parking_lot::{Condvar, Mutex};
use tokio::signal::unix::{SignalKind, signal};

use super::output::{LogFile, Output};
use super::{LogError, shout};
use crate::drain::Tasks;
use crate::{drain, metrics};

/// Bytes of lines that may wait. As many again may be on their way out.
const MOST_BYTES: usize = 4 << 20;
/// How long the start waits for the file to open. A pipe opens when somebody reads it.
const OPENING: Duration = Duration::from_secs(2);
/// A failing log is told of on standard error once in this time.
const COMPLAIN: Duration = Duration::from_secs(60);

#[derive(Default)]
struct State {
    /// Whole lines.
    waiting: Vec<u8>,
    /// Lines dropped since that was last said.
    dropped: u64,
    /// The file is to be opened anew.
    reopen: bool,
    /// The thread has nothing to do.
    idle: bool,
}

#[derive(Default)]
struct Shared {
    /// Where the lines go, in words.
    name: String,
    state: Mutex<State>,
    changed: Condvar,
}

/// Takes lines for the thread. Clones share it.
#[derive(Clone, Default)]
pub struct Writer(Arc<Shared>);

impl Writer {
    /// Starts the thread. A file that takes longer than two seconds to open is opened in the background.
    ///
    /// # Errors
    /// The file can be neither opened nor made.
    pub fn start(file: Option<LogFile>) -> Result<Self, LogError> {
        let file = file.map(|LogFile { path, named_by }| LogFile {
            path: std::path::absolute(&path).unwrap_or(path),
            named_by,
        });
        let name = file.as_ref().map_or_else(
            || "standard output".to_owned(),
            |file| file.path.display().to_string(),
        );
        let writer = Self(Arc::new(Shared {
            name: name.clone(),
            ..Shared::default()
        }));
        let (opened, answer) = mpsc::sync_channel(1);
        let shared = Arc::clone(&writer.0);
        drain::aside("log", move || {
            let mut output = match Output::open(file) {
                Ok(output) => output,
                Err(error) => {
                    if let Err(mpsc::SendError(Err(late))) = opened.send(Err(error)) {
                        shout(format!("{late}: there is no such log"));
                    }
                    return;
                }
            };
            // The start may have given up waiting.
            let _ = opened.send(Ok(()));
            shared.run(&mut output);
        })
        .map_err(LogError::Thread)?;
        match answer.recv_timeout(OPENING) {
            Ok(Err(error)) => return Err(error),
            Ok(Ok(())) => {}
            Err(_) => {
                shout(format!(
                    "the log file {name} does not open: is it a pipe that nobody reads? Lines wait for it, then are dropped"
                ));
            }
        }
        Ok(writer)
    }

    /// Takes one line, or drops it.
    pub fn push(&self, line: &[u8]) {
        let mut state = self.0.state.lock();
        if state.waiting.len() + line.len() > MOST_BYTES {
            state.dropped += 1;
            drop(state);
            return counter!(metrics::LOG_LINES_DROPPED, "reason" => "full").increment(1);
        }
        state.waiting.extend_from_slice(line);
        if state.idle {
            state.idle = false;
            self.0.changed.notify_all();
        }
    }

    /// Has the file opened anew by its name once the lines taken so far are written. The log says what came of it.
    pub(super) fn reopen(&self) {
        let mut state = self.0.state.lock();
        state.reopen = true;
        state.idle = false;
        self.0.changed.notify_all();
    }

    /// Opens the file anew on every SIGUSR1, until the tasks are told to stop; `name` is the task's.
    ///
    /// # Errors
    /// [`LogError::Signal`]
    pub fn reopened_on_usr1(&self, name: &'static str, tasks: &Tasks) -> Result<(), LogError> {
        let mut asked = signal(SignalKind::user_defined1()).map_err(LogError::Signal)?;
        let (writer, stop) = (self.clone(), tasks.clone());
        tasks.spawn(name, async move {
            loop {
                tokio::select! {
                    Some(()) = asked.recv() => writer.reopen(),
                    () = stop.stopped() => return,
                }
            }
        });
        Ok(())
    }

    /// Waits until all lines taken so far are written, `within` at most. Returns whether they are.
    pub fn flush(&self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        let mut state = self.0.state.lock();
        while !state.idle {
            if self.0.changed.wait_until(&mut state, deadline).timed_out() {
                return state.idle;
            }
        }
        true
    }
}

impl Shared {
    fn run(&self, output: &mut Output) {
        let mut complained: Option<Instant> = None;
        loop {
            let (lines, reopen) = self.next();
            let (lost, why) = output.write(&lines);
            if let Some(why) = why {
                counter!(metrics::LOG_LINES_DROPPED, "reason" => "error").increment(lost);
                self.state.lock().dropped += lost;
                if complained.is_none_or(|at| at.elapsed() >= COMPLAIN) {
                    complained = Some(Instant::now());
                    shout(format!("the log {} cannot be written: {why}", self.name));
                }
            } else if !lines.is_empty() {
                self.say_what_was_dropped();
            }
            if reopen {
                reopened(&self.name, output.reopen());
            }
        }
    }

    /// Waits for something to do: lines to write, and whether to open the file anew behind them.
    fn next(&self) -> (Vec<u8>, bool) {
        let mut state = self.state.lock();
        while state.waiting.is_empty() && !state.reopen {
            state.idle = true;
            self.changed.notify_all();
            self.changed.wait(&mut state);
        }
        state.idle = false;
        (
            std::mem::take(&mut state.waiting),
            std::mem::take(&mut state.reopen),
        )
    }

    /// Lines can be written again.
    fn say_what_was_dropped(&self) {
        let lines = std::mem::take(&mut self.state.lock().dropped);
        if lines > 0 {
            tracing::error!(
                lines,
                log = self.name,
                "lines of this log were dropped: what takes it was too slow or failed; is a pipe read, a disk full, the level debug?"
            );
        }
    }
}

fn reopened(log: &str, result: Result<(), LogError>) {
    match result {
        Ok(()) => tracing::info!(log, "log file reopened"),
        Err(error) => tracing::error!("{error}; the old one stays in use"),
    }
}

/// Takes the lines that the layer makes, each in one call.
impl io::Write for Writer {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_takes_is_bounded_and_counted() {
        // No thread takes anything: as if the pipe were full.
        let writer = Writer::default();
        let line = [b'x'; 1_024];
        for _ in 0..3 * MOST_BYTES / line.len() {
            writer.push(&line);
        }
        let state = writer.0.state.lock();
        assert_eq!(state.waiting.len(), MOST_BYTES);
        assert_eq!(state.dropped as usize, 2 * MOST_BYTES / line.len());
    }

    #[test]
    fn a_flush_that_cannot_be_done_does_not_wait_for_ever() {
        let writer = Writer::default();
        writer.push(b"a line\n");
        assert!(!writer.flush(Duration::from_millis(1)));
    }

    #[test]
    fn lines_are_written_in_order_and_to_the_file_of_their_moment() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, moved) = (folder.path().join("log"), folder.path().join("log.1"));
        let file = LogFile {
            path: path.clone(),
            named_by: "a test",
        };
        let writer = Writer::start(Some(file)).expect("it starts");
        writer.push(b"one\n");
        writer.push(b"two\n");
        assert!(writer.flush(Duration::from_secs(60)));
        std::fs::rename(&path, &moved).expect("renamed");
        writer.push(b"three\n");
        writer.reopen();
        assert!(writer.flush(Duration::from_secs(60)));
        writer.push(b"four\n");
        assert!(writer.flush(Duration::from_secs(60)));
        assert_eq!(
            std::fs::read_to_string(moved).expect("text"),
            "one\ntwo\nthree\n"
        );
        assert_eq!(std::fs::read_to_string(path).expect("text"), "four\n");
    }
}
