//! Where these sources come from: the commit, and the day it was made.
//!
//! Looked for, in this order: the environment (`FOGHORN_COMMIT`, `SOURCE_DATE_EPOCH`), `build/archived.txt` (which
//! `git archive` fills in), `.cargo_vcs_info.json` (which `cargo publish` adds), the Git repository of this folder.
//!
//! Invariant: the clock is never asked, and a repository that merely contains this folder is not taken for its own.

use std::path::Path;
use std::process::Command;

/// What may be said from outside.
pub const VARIABLES: [&str; 2] = ["FOGHORN_COMMIT", "SOURCE_DATE_EPOCH"];

/// How much of a commit's name is shown.
const SHOWN: usize = 12;

/// What is known.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The first 12 digits of the commit, with `-modified` behind them where files differ from it.
    pub commit: Option<String>,
    /// Seconds since 1970.
    pub time: Option<u64>,
}

impl Origin {
    /// Looks in the environment first, then in the files of `root`, then in its repository if `with_git`.
    pub fn find(root: &Path, variable: impl Fn(&str) -> Option<String>, with_git: bool) -> Origin {
        let variable = |name| {
            variable(name)
                .map(|text| text.trim().to_owned())
                .filter(|text| !text.is_empty())
        };
        let said = Origin {
            commit: variable(VARIABLES[0]).map(|commit| shortened(&commit)),
            time: variable(VARIABLES[1]).and_then(|text| text.parse().ok()),
        };
        let found = said.or(|| from_archive(root)).or(|| from_crate(root));
        if with_git {
            found.or(|| from_git(root))
        } else {
            found
        }
    }

    /// The commit, or the word `unknown`.
    pub fn commit_or_unknown(&self) -> &str {
        self.commit.as_deref().unwrap_or("unknown")
    }

    /// The day as `2026-11-21` in UTC, or the word `unknown`.
    pub fn date_or_unknown(&self) -> String {
        self.time.map_or_else(|| "unknown".to_owned(), date)
    }

    /// Fills in what is missing. Nobody is asked where nothing is.
    fn or(self, other: impl FnOnce() -> Option<Origin>) -> Origin {
        if self.commit.is_some() && self.time.is_some() {
            return self;
        }
        let other = other().unwrap_or_default();
        Origin {
            commit: self.commit.or(other.commit),
            time: self.time.or(other.time),
        }
    }
}

/// What to look at again before the next build: Git writes there with every commit and checkout.
pub fn watched(root: &Path) -> Vec<String> {
    let of_git = ["HEAD", "logs/HEAD"]
        .into_iter()
        .filter_map(|name| git(root, &["rev-parse", "--git-path", name]));
    let files = ["src", "Cargo.toml", "Cargo.lock"]
        .into_iter()
        .map(str::to_owned);
    of_git
        .chain(files)
        .filter(|path| root.join(path).exists())
        .collect()
}

/// `git archive` writes `COMMIT SECONDS` there; in a repository the file holds placeholders.
fn from_archive(root: &Path) -> Option<Origin> {
    let text = std::fs::read_to_string(root.join("build/archived.txt")).ok()?;
    let (commit, time) = text.lines().last()?.split_once(' ')?;
    let is_name = commit.len() >= SHOWN && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_name.then(|| Origin {
        commit: Some(shortened(commit)),
        time: time.trim().parse().ok(),
    })
}

/// `{"git": {"sha1": "…"}, …}`, without a date.
fn from_crate(root: &Path) -> Option<Origin> {
    let text = std::fs::read_to_string(root.join(".cargo_vcs_info.json")).ok()?;
    let (_, behind) = text.split_once("\"sha1\"")?;
    let commit = behind.split('"').nth(1)?;
    Some(Origin {
        commit: Some(shortened(commit)),
        time: None,
    })
}

fn from_git(root: &Path) -> Option<Origin> {
    // A file in a work tree, a folder otherwise.
    root.join(".git").exists().then_some(())?;
    let shown = git(root, &["show", "--no-patch", "--format=%H %ct", "HEAD"])?;
    let (commit, time) = shown.split_once(' ')?;
    let changed = git(root, &["status", "--porcelain", "--untracked-files=no"])?;
    let mark = if changed.is_empty() { "" } else { "-modified" };
    Some(Origin {
        commit: Some(shortened(commit) + mark),
        time: time.parse().ok(),
    })
}

/// What Git prints; `None` where it is not there or does not want to.
fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let done = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(arguments)
        .output()
        .ok()?;
    let text = String::from_utf8(done.stdout).ok()?;
    done.status.success().then(|| text.trim().to_owned())
}

fn shortened(commit: &str) -> String {
    commit.chars().take(SHOWN).collect()
}

/// The day of a Unix time, by the calendar's 400-year cycle, whose years are counted from March.
fn date(seconds: u64) -> String {
    const DAYS_BEFORE_1970: u64 = 719_468;
    const CYCLE: u64 = 146_097;
    let days = seconds / 86_400 + DAYS_BEFORE_1970;
    let (cycle, day) = (days / CYCLE, days % CYCLE);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    format!("{:04}-{month:02}-{of_month:02}", cycle * 400 + year + later)
}
