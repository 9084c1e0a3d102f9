//! What the log's lines are written to: standard output, or a file that can be opened anew by its name.
//!
//! Invariant: a file is opened for appending only, so several processes and a rotation tool may share it. A line is
//! written whole; where a write breaks off inside one, the next line begins on a line of its own.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use super::LogError;

/// Bytes that go out in one write, where lines are shorter: so many reach a pipe in one piece.
const PIECE: usize = 4_096;
/// How long a pipe that does not block and is full is left alone.
const FULL_PIPE: Duration = Duration::from_millis(20);

/// A log's file.
#[derive(Clone, Debug)]
pub struct LogFile {
    /// Where it is.
    pub path: PathBuf,
    /// What says so: a setting or an option.
    pub named_by: &'static str,
}

/// See the module's description. Opening it and writing to it may block for as long as the system likes.
pub struct Output {
    file: File,
    /// `None`: standard output, which stays what it is.
    named: Option<LogFile>,
    /// The last write broke off inside a line.
    cut: bool,
}

impl Output {
    /// Opens or makes the file, where there is one.
    ///
    /// # Errors
    /// It can be neither opened nor made.
    pub fn open(named: Option<LogFile>) -> Result<Self, LogError> {
        let file = match &named {
            Some(named) => append_to(named)?,
            None => File::from(
                io::stdout()
                    .as_fd()
                    .try_clone_to_owned()
                    .map_err(LogError::Stdout)?,
            ),
        };
        Ok(Self {
            file,
            named,
            cut: false,
        })
    }

    /// Opens the file by its name again; lines go there from now on.
    ///
    /// # Errors
    /// It can be neither opened nor made; the old one stays in use.
    pub(super) fn reopen(&mut self) -> Result<(), LogError> {
        if let Some(named) = &self.named {
            self.file = append_to(named)?;
            self.cut = false;
        }
        Ok(())
    }

    /// Writes whole lines. Gives how many of them were not written, and why the last of these was not.
    pub fn write(&mut self, lines: &[u8]) -> (u64, Option<io::Error>) {
        let (mut lost, mut why) = (0, None);
        for piece in Pieces(lines) {
            if let Err(error) = self.write_piece(piece) {
                lost += piece.iter().filter(|byte| **byte == b'\n').count() as u64;
                why = Some(error);
            }
        }
        (lost, why)
    }

    fn write_piece(&mut self, piece: &[u8]) -> io::Result<()> {
        if self.cut {
            self.put(b"\n")?;
            self.cut = false;
        }
        self.put(piece)
    }

    fn put(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.file.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.cut = bytes[count - 1] != b'\n';
                    bytes = &bytes[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    std::thread::sleep(FULL_PIPE)
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn append_to(LogFile { path, named_by }: &LogFile) -> Result<File, LogError> {
    let opened = OpenOptions::new().append(true).create(true).open(path);
    opened.map_err(|source| LogError::Open {
        path: path.clone(),
        named_by,
        source,
    })
}

/// Whole lines in pieces of [`PIECE`] bytes; a longer line is a piece by itself.
struct Pieces<'a>(&'a [u8]);

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.0;
        if rest.is_empty() {
            return None;
        }
        let end = |line_end: usize| line_end + 1;
        let within = rest[..rest.len().min(PIECE)]
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map(end);
        let first = || {
            rest.iter()
                .position(|byte| *byte == b'\n')
                .map_or(rest.len(), end)
        };
        let (piece, rest) = rest.split_at(within.unwrap_or_else(first));
        self.0 = rest;
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(path: impl Into<PathBuf>) -> LogFile {
        LogFile {
            path: path.into(),
            named_by: "a test",
        }
    }

    #[test]
    fn pieces_end_where_lines_end() {
        let long = "x".repeat(3 * PIECE);
        let text = format!("{}{long}\nlast", "a line\n".repeat(1_000));
        let pieces: Vec<&[u8]> = Pieces(text.as_bytes()).collect();
        assert_eq!(pieces.concat(), text.as_bytes());
        let (last, whole) = pieces.split_last().expect("pieces");
        assert_eq!(*last, b"last");
        assert!(whole.iter().all(|piece| piece.ends_with(b"\n")));
        assert!(
            whole
                .iter()
                .all(|piece| piece.len() <= PIECE || piece.len() == long.len() + 1)
        );
    }

    #[test]
    fn a_full_disk_loses_lines_and_counts_them() {
        let mut output = Output::open(Some(named("/dev/full"))).expect("it can be opened");
        let (lost, why) = output.write(b"one\ntwo\n");
        assert_eq!(
            (lost, why.map(|why| why.kind())),
            (2, Some(io::ErrorKind::StorageFull))
        );
    }

    #[test]
    fn after_a_line_that_broke_off_the_next_one_begins_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let mut output = Output::open(Some(named(&path))).expect("it can be opened");
        output.put(b"half a li").expect("written");
        assert!(output.cut);
        output.write(b"next\n");
        assert_eq!(
            std::fs::read_to_string(path).expect("text"),
            "half a li\nnext\n"
        );
    }
}
