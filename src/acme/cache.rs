//! What outlives the process: the account, and each host's certificate with its key, as files of one folder. Their names and
//! form are those of Go's `autocert`, so certificates that a predecessor has left there are taken.
//!
//! Invariant: nobody but this user may read a file, and each is there as a whole or not at all.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::AcmeError;
use crate::files;

/// See the module.
#[derive(Clone)]
pub(super) struct Cache {
    folder: Option<PathBuf>,
}

impl Cache {
    /// Makes the folder where it is missing, and sees that it can be written to.
    ///
    /// # Errors
    /// [`AcmeError::Cache`].
    pub(super) fn open(folder: Option<PathBuf>) -> Result<Self, AcmeError> {
        if let Some(folder) = &folder {
            let mut builder = DirBuilder::new();
            builder
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(|error| failed(folder, error))?;
            examine(folder)?;
        }
        Ok(Self { folder })
    }

    /// What is kept by this name. This blocks as a file does.
    ///
    /// # Errors
    /// [`AcmeError::Cache`].
    pub(super) fn load(&self, name: &str) -> Result<Option<Vec<u8>>, AcmeError> {
        let Some(folder) = &self.folder else {
            return Ok(None);
        };
        let path = folder.join(name);
        match files::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(&path, error)),
        }
    }

    /// Keeps `bytes` by this name. This blocks as a file does.
    ///
    /// # Errors
    /// [`AcmeError::Cache`].
    pub(super) fn store(&self, name: &str, bytes: &[u8]) -> Result<(), AcmeError> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        let path = folder.join(name);
        // Another node may write to the same folder.
        let new = folder.join(format!(".{name}.{:016x}", rand::random::<u64>()));
        write(&new, bytes)
            .and_then(|()| std::fs::rename(&new, &path))
            .map_err(|error| {
                let _ = std::fs::remove_file(&new);
                failed(&path, error)
            })
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Whether `folder` can be written to, or made.
///
/// # Errors
/// [`AcmeError::Cache`].
pub(super) fn examine(folder: &Path) -> Result<(), AcmeError> {
    let there = folder.ancestors().find(|folder| folder.exists());
    let Some(there) = there.filter(|there| !there.as_os_str().is_empty()) else {
        return Ok(());
    };
    if !there.is_dir() {
        let error = io::Error::new(io::ErrorKind::NotADirectory, "it is no folder");
        return Err(failed(there, error));
    }
    access(there, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| failed(there, error.into()))
}

fn failed(path: &Path, source: io::Error) -> AcmeError {
    AcmeError::Cache {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_kept_is_this_users_alone_and_replaced_as_a_whole() {
        let outside = tempfile::tempdir().expect("a folder");
        let folder = outside.path().join("a/b");
        assert!(examine(&folder).is_ok(), "it can be made");
        let cache = Cache::open(Some(folder.clone())).expect("a cache");
        assert!(cache.load("host").expect("looked").is_none());
        for text in [&b"one"[..], b"two"] {
            cache.store("host", text).expect("stored");
            assert_eq!(cache.load("host").expect("looked").expect("there"), text);
        }
        let mode = |path: &Path| path.metadata().expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&folder.join("host"))), (0o700, 0o600));
        let left: Vec<_> = std::fs::read_dir(&folder).expect("a folder").collect();
        assert_eq!(left.len(), 1, "nothing is left behind");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_told() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let told = examine(&file.path().join("below")).expect_err("it is no folder");
        assert_eq!(told.label(), "cache");
        assert!(Cache::open(Some(file.path().join("below"))).is_err());
    }

    #[test]
    fn without_a_folder_nothing_is_kept() {
        let cache = Cache::open(None).expect("a cache");
        cache.store("host", b"one").expect("passed over");
        assert!(cache.load("host").expect("looked").is_none());
    }
}
