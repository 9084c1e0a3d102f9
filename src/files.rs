//! Reading small files that may be pipes, or lie on a disk that does not answer.
//!
//! Invariant: it is over in the time given, whatever the file is; what hangs is left behind on a thread of its own.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use crate::drain;

/// How long reading one file may take. Whoever writes into a pipe has so long to begin and to end.
const WITHIN: Duration = Duration::from_secs(2);
/// Bytes of a file at most: keys, certificates and settings are far shorter.
const MOST: usize = 4 << 20;
const UNWRITTEN: &str = "nobody wrote into the pipe and closed it";
/// How often an empty pipe is looked into.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What is in the file. This blocks for three seconds at most, so it is not for a runtime's workers.
///
/// # Errors
/// It cannot be read, is longer than 4 MiB, or did not come in time.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let (done, answer) = mpsc::sync_channel(1);
    let name: PathBuf = path.to_owned();
    let is_pipe = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_pipe);
    // Opening and reading block where a disk does not answer, and nothing can end that.
    drain::aside("file", move || {
        drop(done.send(contents(&name, Instant::now() + WITHIN, &seen)))
    })?;
    // A little longer, so that a pipe is told apart from a disk.
    match answer.recv_timeout(WITHIN + Duration::from_secs(1)) {
        Ok(read) => read,
        // The machine stood still, and the thread has had no time to say so itself.
        Err(_) if is_pipe.load(Ordering::Acquire) => Err(late(UNWRITTEN)),
        Err(_) => Err(late("the disk it lies on does not answer")),
    }
}

/// Whether this can be read as a file: also a pipe is one, as shells and secret stores make them.
pub fn is_readable(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| !found.is_dir())
}

/// What is in the file; `seen` tells, from when it is open on, whether it is a pipe.
fn contents(path: &Path, deadline: Instant, seen: &AtomicBool) -> io::Result<Vec<u8>> {
    // Without it a pipe would not even open before somebody writes into it.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    let is_pipe = file.metadata()?.file_type().is_fifo();
    seen.store(is_pipe, Ordering::Release);
    let mut bytes = Vec::new();
    loop {
        match read_some(&mut file, &mut bytes) {
            // As long as nothing came nobody may have opened the pipe's other end.
            Ok(0) if !(is_pipe && bytes.is_empty()) => return Ok(bytes),
            Ok(0) => {}
            Ok(_) if bytes.len() > MOST => return Err(io::Error::other("it is longer than 4 MiB")),
            Ok(_) => continue,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) => {}
            Err(error) => return Err(error),
        }
        if Instant::now() >= deadline {
            return Err(late(UNWRITTEN));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn read_some(file: &mut File, bytes: &mut Vec<u8>) -> io::Result<usize> {
    let mut piece = [0; 8 * 1024];
    let count = file.read(&mut piece)?;
    bytes.extend_from_slice(&piece[..count]);
    Ok(count)
}

fn late(why: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        format!("{why} within {} s", WITHIN.as_secs()),
    )
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::Command;

    use super::*;

    fn pipe() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("pipe");
        assert!(
            Command::new("mkfifo")
                .arg(&path)
                .status()
                .expect("mkfifo runs")
                .success()
        );
        (folder, path)
    }

    #[test]
    fn files_are_read_and_failures_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        assert_eq!(
            read(&path).expect_err("it is not there").kind(),
            io::ErrorKind::NotFound
        );
        std::fs::write(&path, "secret\n").expect("written");
        assert_eq!(read(&path).expect("read"), b"secret\n");
        assert!(read(folder.path()).is_err() && !is_readable(folder.path()));
        std::fs::write(&path, vec![0; MOST + 1]).expect("written");
        assert!(
            read(&path)
                .expect_err("too long")
                .to_string()
                .contains("4 MiB")
        );
        std::fs::write(&path, "").expect("written");
        assert_eq!(read(&path).expect("read"), b"");
    }

    #[test]
    fn a_pipe_is_read_to_its_end_and_not_waited_for_without_one() {
        let (_folder, path) = pipe();
        assert!(is_readable(&path));
        let writer = std::thread::spawn({
            let path = path.clone();
            move || {
                OpenOptions::new()
                    .write(true)
                    .open(path)
                    .and_then(|mut pipe| pipe.write_all(b"secret"))
            }
        });
        assert_eq!(read(&path).expect("read"), b"secret");
        writer.join().expect("it ends").expect("written");
        let seen = AtomicBool::new(false);
        let nobody = contents(&path, Instant::now(), &seen).expect_err("nobody writes");
        assert_eq!(nobody.kind(), io::ErrorKind::TimedOut, "{nobody}");
        assert!(seen.load(Ordering::Acquire), "it is told from a disk");
    }
}
