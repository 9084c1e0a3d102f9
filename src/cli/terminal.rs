//! What every command does at a terminal: print, say what failed, and wait for a server.
//!
//! Invariant: output goes to standard output, complaints go to standard error.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use tokio::runtime::{Builder, Runtime};

/// Writes to standard output. Whoever reads it may have gone, as `head` does: then there is nothing left to say.
pub(super) fn print(text: &str) {
    let _ = io::stdout().lock().write_all(text.as_bytes());
}

/// Says what went wrong.
pub(super) fn fail(error: &dyn Display) -> ExitCode {
    eprintln!("foghorn: {error}");
    ExitCode::FAILURE
}

/// A small runtime for commands that talk to a server.
pub(super) fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}
