//! What is going on, on stderr: a bar on a terminal, one line a step elsewhere.
//!
//! Invariant: stdout belongs to the result.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar, for as long as it lives; off terminals there is none.
pub struct Bar(ProgressBar);

impl Bar {
    /// Nothing is done yet of `of`.
    pub fn new(of: u64) -> Self {
        let style =
            ProgressStyle::with_template("{wide_bar} {pos}/{len}  {msg}").expect("a test draws it");
        Self(ProgressBar::new(of).with_style(style))
    }

    /// So much is done.
    pub fn at(&self, done: u64, text: &str) {
        self.0.set_message(text.to_owned());
        self.0.set_position(done);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A step that is worth a line of its own.
pub fn step(text: &str) {
    // A bar that is drawn meanwhile goes out of the way, and comes back with its next step.
    let wipe = if std::io::stderr().is_terminal() {
        "\r\x1b[2K"
    } else {
        ""
    };
    eprintln!("{wipe}{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_can_be_drawn() {
        let bar = Bar::new(3);
        bar.at(2, "two of three");
        assert_eq!(
            (bar.0.position(), bar.0.length(), bar.0.message()),
            (2, Some(3), "two of three".to_owned())
        );
    }
}
