//! A log file that can be swapped for a new one of the same name while lines are written.
//!
//! Invariant: it is opened for appending only, so several processes and a rotation tool may share it.

use std::fs::{File, OpenOptions};
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::RwLock;

use super::LogError;

/// An open log file, shared.
#[derive(Clone)]
pub struct LogFile {
    path: Arc<PathBuf>,
    current: Arc<RwLock<Arc<File>>>,
}

impl LogFile {
    /// Opens or makes the file. A relative name is taken from the folder the process is in now.
    ///
    /// # Errors
    /// It can be neither opened nor made.
    pub fn open(path: PathBuf) -> Result<Self, LogError> {
        let path = std::path::absolute(&path).unwrap_or(path);
        let file = append_to(&path)?;
        Ok(Self { path: Arc::new(path), current: Arc::new(RwLock::new(file)) })
    }

    /// The file open now.
    pub fn current(&self) -> Arc<File> {
        Arc::clone(&self.current.read())
    }

    /// Opens the file by its name again; lines go there from now on.
    ///
    /// # Errors
    /// It can be neither opened nor made; the old one stays in use.
    pub fn reopen(&self) -> Result<(), LogError> {
        let file = append_to(&self.path)?;
        *self.current.write() = file;
        Ok(())
    }
}

fn append_to(path: &PathBuf) -> Result<Arc<File>, LogError> {
    let opened = OpenOptions::new().append(true).create(true).open(path);
    opened.map(Arc::new).map_err(|source| LogError::Open { path: path.clone(), source })
}
