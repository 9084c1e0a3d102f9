//! What is going on, on stderr: one line that changes on a terminal, one line a step elsewhere.
//!
//! Invariant: stdout belongs to the result.

use std::io::{IsTerminal, Write};

/// A passing remark: shown on terminals only.
pub fn passing(text: &str) {
    let mut err = std::io::stderr().lock();
    if err.is_terminal() {
        let _ = write!(err, "\r\x1b[2K{text}").and_then(|()| err.flush());
    }
}

/// A step that is worth a line of its own.
pub fn step(text: &str) {
    let mut err = std::io::stderr().lock();
    let wipe = if err.is_terminal() { "\r\x1b[2K" } else { "" };
    let _ = writeln!(err, "{wipe}{text}");
}
