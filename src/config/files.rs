//! The files that settings may come from: systemd's credentials, the settings file, and the `.env` in the `-c` folder.
//!
//! Invariant: each is read in bounded time and up to a bounded size, so that a pipe or a device never holds up the start.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use super::env_file::{self, EnvFile};
use super::reader::{Fault, Source, Sources};
use super::settings::{ENV_FILE, Mask, Row};
use crate::files;

/// Bytes of a file at most.
const LARGEST: usize = 1 << 20;

/// Their variables, by where they come from.
#[derive(Default)]
pub struct Files {
    credentials: Option<PathBuf>,
    named: BTreeMap<String, String>,
    folder: BTreeMap<String, String>,
}

impl Files {
    /// Reads what there is. A file that is not there is no fault.
    pub fn open(sources: &Sources, faults: &mut Vec<Fault>, notices: &mut Vec<String>) -> Self {
        let variable = |name: &str| {
            sources
                .env
                .get(OsStr::new(name))
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let mut files = Self {
            credentials: variable("CREDENTIALS_DIRECTORY"),
            ..Self::default()
        };
        let outer = |name: &str| {
            sources
                .env
                .get(OsStr::new(name))?
                .to_str()
                .map(ToOwned::to_owned)
        };
        // A settings file that is not there is told of when the setting itself is read.
        if let Some(text) =
            variable(ENV_FILE.row.name).and_then(|path| text(&path, ENV_FILE.row.name, faults))
        {
            let file = env_file::read(&text, &outer);
            notices.extend(undefined(sources, &file, ENV_FILE.row.name));
            let fault = |(line, why)| Fault {
                name: ENV_FILE.row.name.into(),
                message: format!("line {line} cannot be read: {why}"),
            };
            faults.extend(file.faults.into_iter().map(fault));
            files.named = file.values;
        }
        let Some(dir) = &sources.config_dir else {
            return files;
        };
        if let Some(text) = text(&dir.join(".env"), "-c", faults) {
            let name = dir.join(".env").display().to_string();
            let file = env_file::read(&text, &outer);
            notices.extend(undefined(sources, &file, &name));
            // The scripts that it was written for may read what Compose would not.
            notices.extend(
                file.faults
                    .iter()
                    .map(|(line, why)| format!("{name}: line {line} is left out: {why}")),
            );
            files.folder = file.values;
        }
        files
    }

    /// The variables of the files that may name any, the nearest first.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.named
            .iter()
            .chain(&self.folder)
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of a setting, from the nearest file that has one.
    pub fn given(&self, row: &Row) -> Option<(OsString, Source)> {
        let filled = |value: &&String| !value.is_empty();
        // A settings file cannot name another one.
        let named = self
            .named
            .get(row.name)
            .filter(|_| row.name != ENV_FILE.row.name)
            .filter(filled);
        let folder = self
            .folder
            .get(row.name)
            .filter(|_| row.name != ENV_FILE.row.name)
            .filter(filled);
        let found = named.map(|value| (value, Source::EnvFile));
        let found = found.or_else(|| Some((folder?, Source::FolderEnv)));
        self.credential(row)
            .or_else(|| found.map(|(value, source)| (OsString::from(value), source)))
    }

    /// A secret that systemd hands over, in a file that has the setting's name.
    fn credential(&self, row: &Row) -> Option<(OsString, Source)> {
        let dir = self
            .credentials
            .as_ref()
            .filter(|_| matches!(row.mask, Mask::Secret | Mask::Urls))?;
        let text = small_text(&dir.join(row.name))
            .ok()
            .filter(|text| !text.trim().is_empty())?;
        let text = text
            .strip_suffix('\n')
            .map(|text| text.strip_suffix('\r').unwrap_or(text))
            .unwrap_or(&text);
        Some((OsString::from(text), Source::Credential))
    }
}

/// Variables of ours whose value refers to one that is not set.
fn undefined(sources: &Sources, file: &EnvFile, source: &str) -> Vec<String> {
    let mut names: Vec<&str> = file
        .undefined
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    names.dedup();
    let ours = names
        .into_iter()
        .filter(|name| sources.names().any(|known| known == *name));
    let note = "has a $ in it and behind it a name that is not set, which counts as empty: $$ or single quotes keep the sign";
    ours.map(|name| format!("{source}: {name} {note}"))
        .collect()
}

/// The text of a small file that may be there; what keeps it from being read is `setting`'s fault.
pub fn text(path: &Path, setting: &str, faults: &mut Vec<Fault>) -> Option<String> {
    match small_text(path) {
        Ok(text) => Some(text),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            None
        }
        Err(error) => {
            let message = format!("cannot read {}: {error}", path.display());
            faults.push(Fault {
                name: setting.to_owned(),
                message,
            });
            None
        }
    }
}

/// The text of a small file, which may be a pipe. It takes a few seconds at most.
///
/// # Errors
/// The system's, or it did not come in time, is too large, or no text.
pub(super) fn small_text(path: &Path) -> io::Result<String> {
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let bytes = files::read(path)?;
    if bytes.len() > LARGEST {
        return Err(wrong("it is larger than 1 MiB"));
    }
    String::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8 text"))
}
