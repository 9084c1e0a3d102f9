//! Reads settings one by one: flag, then environment, then `seafile.conf`, then default.
//!
//! Invariant: each read leaves one [`Entry`], and whatever is wrong leaves a [`Fault`] and never stops the reading, so that
//! an administrator hears of every fault at once.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use super::env_file;
use super::parse;
use super::seafile_conf;
use super::settings::{CONFIG_DIR, ENV_FILE, LOG_FILE, Mask, Row, Setting, TABLE};

/// Keyed anew in each process, so that a mark says nothing about a secret to anybody else.
static MARKS: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// Where settings may come from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `-c DIR`.
    pub config_dir: Option<PathBuf>,
    /// `-l FILE`.
    pub log_file: Option<PathBuf>,
    /// The environment.
    pub env: BTreeMap<OsString, OsString>,
}

impl Sources {
    /// The flags given, and this process' environment.
    pub fn process(config_dir: Option<PathBuf>, log_file: Option<PathBuf>) -> Self {
        Self { config_dir, log_file, env: std::env::vars_os().collect() }
    }
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The command line.
    Flag,
    /// An environment variable.
    Environment,
    /// The file that `FOGHORN_ENV_FILE` names.
    EnvFile,
    /// This key of `seafile.conf`.
    SeafileConf(&'static str),
    /// The default.
    Default,
    /// Nowhere: it has no value.
    Unset,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("command line"),
            Self::Environment => f.write_str("environment"),
            Self::EnvFile => f.write_str("settings file"),
            Self::SeafileConf(key) => write!(f, "seafile.conf, {key}"),
            Self::Default => f.write_str("default"),
            Self::Unset => f.write_str("not set"),
        }
    }
}

/// One setting as it was found.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Which.
    pub row: &'static Row,
    /// Its value, as far as it may be shown.
    pub shown: String,
    /// Where it came from.
    pub source: Source,
    /// Differs where values do, as far as they are given at all: what changed between two readings shows by it.
    pub mark: u64,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The setting to change.
    pub name: String,
    /// What is wrong and what it should be.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.message)
    }
}

/// Reads settings and remembers what it saw.
#[derive(Debug)]
pub struct Reader<'a> {
    sources: &'a Sources,
    file: BTreeMap<String, String>,
    conf: BTreeMap<String, String>,
    /// What was read so far.
    pub entries: Vec<Entry>,
    /// What was wrong so far.
    pub faults: Vec<Fault>,
    /// What works and yet may be a mistake.
    pub notices: Vec<String>,
}

impl<'a> Reader<'a> {
    /// A reader that has opened `seafile.conf`, if there is one.
    pub fn new(sources: &'a Sources) -> Self {
        let mut reader = Self {
            sources,
            file: BTreeMap::new(),
            conf: BTreeMap::new(),
            entries: Vec::new(),
            faults: Vec::new(),
            notices: Vec::new(),
        };
        reader.open_file();
        reader.open_conf();
        reader.notice_unknown_names();
        reader
    }

    fn open_file(&mut self) {
        let name = ENV_FILE.row.name;
        let Some(path) = self.sources.env.get(OsStr::new(name)).filter(|path| !path.is_empty()) else { return };
        match std::fs::read(path) {
            Ok(bytes) => self.file = env_file::variables(&String::from_utf8_lossy(&bytes)),
            // A file that is not there is told of when the setting itself is read.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => self.fault(name, format!("cannot be read: {error}")),
        }
    }

    fn open_conf(&mut self) {
        let Some(path) = self.sources.config_dir.as_ref().map(|dir| dir.join("seafile.conf")) else { return };
        match std::fs::read(&path) {
            Ok(bytes) => self.conf = seafile_conf::notification(&String::from_utf8_lossy(&bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            // A folder that is not there is told of when -c itself is read.
            Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {}
            Err(error) => self.fault("-c", format!("cannot read {}: {error}", path.display())),
        }
        if self.conf.get("enabled").is_some_and(|value| value.eq_ignore_ascii_case("false")) {
            self.notices.push("seafile.conf says [notification] enabled = false: Seafile will send no events".into());
        }
    }

    /// Names that begin like ours and are not: most likely misspelled. Kubernetes makes some of its own for a Service.
    fn notice_unknown_names(&mut self) {
        let names =
            self.sources.env.keys().filter_map(|name| name.to_str()).chain(self.file.keys().map(String::as_str));
        let ours = names.filter(|name| name.starts_with("FOGHORN_"));
        let unknown = ours.filter(|name| !name.starts_with("FOGHORN_SERVICE_") && !name.starts_with("FOGHORN_PORT"));
        for name in unknown.filter(|name| TABLE.iter().all(|row| row.name != *name)) {
            self.notices.push(format!("{name} is set, but there is no such setting"));
        }
    }

    /// Remembers a fault.
    pub fn fault(&mut self, name: &str, message: impl Into<String>) {
        self.faults.push(Fault { name: name.to_owned(), message: message.into() });
    }

    /// Whether a setting that was read was given at all, rightly or wrongly.
    pub fn is_set(&self, row: &Row) -> bool {
        let found = self.entries.iter().find(|entry| entry.row.name == row.name);
        found.is_some_and(|entry| !matches!(entry.source, Source::Unset | Source::Default))
    }

    /// The text in the file that a setting names, without one line end behind it.
    pub fn contents(&mut self, setting: &'static Setting<PathBuf>) -> Option<String> {
        let path = self.optional(setting)?;
        match std::fs::read_to_string(Path::new(&path)) {
            Ok(text) => {
                // The file keeps its name when what is in it changes.
                if let Some(entry) = self.entries.last_mut() {
                    entry.mark = mark(&text);
                }
                Some(text.strip_suffix('\n').map(|t| t.strip_suffix('\r').unwrap_or(t)).unwrap_or(&text).to_owned())
            }
            Err(error) => {
                self.fault(setting.row.name, format!("cannot be read: {error}"));
                None
            }
        }
    }

    /// The value of a setting that has a default. Where the value given is wrong, the default stands in.
    pub fn value<T>(&mut self, setting: &'static Setting<T>) -> T {
        self.optional(setting).unwrap_or_else(|| match (setting.parse)(setting.row.default) {
            Ok(value) => value,
            Err(_) => unreachable!("a test reads every default"),
        })
    }

    /// The value of a setting, if it has one and it is right.
    pub fn optional<T>(&mut self, setting: &'static Setting<T>) -> Option<T> {
        let row = &setting.row;
        let (text, source) = self.find(row)?;
        let mark = mark(&text);
        match (setting.parse)(&text) {
            Ok(value) => {
                self.entries.push(Entry { row, shown: shown(row, &text), source, mark });
                Some(value)
            }
            Err(wrong) => {
                let is = match row.mask {
                    Mask::Open => format!("is {text:?}; it "),
                    Mask::Secret | Mask::Urls => String::new(),
                };
                let hint = wrong.hint.map(|hint| format!(". {}", hint.trim_end_matches('.'))).unwrap_or_default();
                self.fault(row.name, format!("{is}should be {}{hint}", row.shape));
                self.entries.push(Entry { row, shown: format!("{} (wrong)", shown(row, &text)), source, mark });
                None
            }
        }
    }

    /// The text of a setting; where there is none, that is recorded here.
    fn find(&mut self, row: &'static Row) -> Option<(String, Source)> {
        let (given, source) = match self.given(row) {
            Some((text, source)) => (Some(text), source),
            None if row.default.is_empty() => (None, Source::Unset),
            None => (Some(OsString::from(row.default)), Source::Default),
        };
        let Some(given) = given else {
            self.entries.push(Entry { row, shown: String::new(), source, mark: 0 });
            return None;
        };
        match given.into_string() {
            Ok(text) => Some((text, source)),
            Err(_) => {
                self.fault(row.name, "is not valid UTF-8 text");
                self.entries.push(Entry { row, shown: "(not text)".into(), source, mark: 0 });
                None
            }
        }
    }

    /// An empty value counts as none, as it does upstream.
    fn given(&self, row: &'static Row) -> Option<(OsString, Source)> {
        let flag = if row.name == CONFIG_DIR.row.name {
            self.sources.config_dir.as_ref()
        } else if row.name == LOG_FILE.row.name {
            self.sources.log_file.as_ref()
        } else {
            None
        };
        let flag = flag.map(|path| (path.clone().into_os_string(), Source::Flag));
        let env = || Some((self.sources.env.get(OsStr::new(row.name))?.clone(), Source::Environment));
        // The settings file cannot name another one.
        let file = || {
            let value = self.file.get(row.name).filter(|_| row.name != ENV_FILE.row.name)?;
            Some((OsString::from(value), Source::EnvFile))
        };
        let conf = || {
            let key = row.conf?;
            Some((OsString::from(self.conf.get(key)?), Source::SeafileConf(key)))
        };
        let filled = |found: &(OsString, Source)| !found.0.is_empty();
        flag.filter(filled)
            .or_else(|| env().filter(filled))
            .or_else(|| file().filter(filled))
            .or_else(|| conf().filter(filled))
    }
}

fn mark(text: &str) -> u64 {
    MARKS.hash_one(text)
}

fn shown(row: &Row, text: &str) -> String {
    match row.mask {
        Mask::Open => text.trim().to_owned(),
        Mask::Secret => "***".to_owned(),
        Mask::Urls => parse::mask_urls(text),
    }
}
