//! Files with keys and passwords in them, on this machine: whether everybody here can read them.
//!
//! Invariant: no file is opened; what is in one is nobody's business here.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::report::Check;
use crate::config::settings::Mask;
use crate::config::{Config, Report};
use crate::dialect::Certificate;

/// Everybody else than owner and group may read it.
const OTHERS_READ: u32 = 0o004;

/// One line for all that are as they should be, and one for each that is not; none where there are no such files.
pub fn check(report: &Report, config: &Config) -> Vec<Check> {
    let files = found(report, config);
    let (open, closed): (Vec<_>, Vec<_>) = files.iter().partition(|file| is_open(file));
    let mut checks = Vec::new();
    if !closed.is_empty() {
        let what = format!(
            "{} with keys or passwords, which not everybody on this machine can read",
            match closed.len() {
                1 => "one file".to_owned(),
                count => format!("{count} files"),
            }
        );
        checks.push(Check::ok("here", "files", what));
    }
    checks.extend(open.into_iter().map(|file| {
        let file = file.display();
        let what = format!("everybody on this machine can read {file}, in which a secret is");
        let lines = vec![format!(
            "chmod o-r {file}    # and chown it to the user that Foghorn runs as"
        )];
        Check::warn("here", "files", what, lines)
    }));
    checks
}

/// Keys of certificates, and files that stand for secrets.
fn found(report: &Report, config: &Config) -> Vec<PathBuf> {
    // What is ordered is kept in files that nobody else may read.
    let keys = config.ports.iter().filter_map(|(_, port)| match &port.tls {
        Some(Certificate::Files(_, key)) => Some(key.clone()),
        Some(Certificate::Ordered(_)) | None => None,
    });
    let keys = keys.chain(config.ops.tls.clone().map(|(_, key)| key));
    let secrets = report
        .entries
        .iter()
        .filter(|entry| entry.row.mask == Mask::File)
        .map(|entry| PathBuf::from(&entry.shown));
    let mut all: Vec<PathBuf> = keys.chain(secrets).filter(|path| path.is_file()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn is_open(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|about| about.mode() & OTHERS_READ != 0)
}
