//! The file with the number of this process, for whoever sends it signals.
//!
//! Invariant: it is gone when the node has ended in good order, unless another process has written it anew.

use std::path::PathBuf;
use std::{fs, io, process};

use crate::drain::Tasks;

/// Writes it; it is taken away when the node ends.
///
/// # Errors
/// The system's.
pub fn write(path: PathBuf, tasks: &Tasks) -> io::Result<()> {
    let number = process::id().to_string();
    fs::write(&path, &number)?;
    let stop = tasks.clone();
    tasks.spawn("centrifugo-pid", async move {
        stop.stopped().await;
        let ours = fs::read_to_string(&path).is_ok_and(|text| text == number);
        if ours && let Err(error) = fs::remove_file(&path) {
            tracing::debug!(%error, "pid_file cannot be taken away");
        }
    });
    Ok(())
}
