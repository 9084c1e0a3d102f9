//! Reads settings one by one, from the nearest source that has them ([`Source`] lists them in order).
//!
//! Invariant: each read leaves one [`Entry`], and whatever is wrong leaves a [`Fault`] and never stops the reading, so that
//! an administrator hears of every fault at once. No secret is in an entry, a fault, a note or `Debug` output.

mod given;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use super::doubts::doubts;
use super::files::{Files, small_text};
use super::mask;
use super::parse::Wrong;
use super::predecessor::StandIns;
use super::settings::{Mask, Row, Setting};
pub use super::source::Source;
pub use super::sources::Sources;

/// Keyed anew in each process, so that a mark says nothing about a secret to anybody else.
static MARKS: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// A secret that is shorter may be a word that stands in other values by chance.
const TELLING: usize = 8;

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
pub struct Reader<'a> {
    sources: &'a Sources,
    files: Files,
    /// What stands in for settings that are set nowhere else.
    pub stand_ins: StandIns,
    /// Keys of predecessors' configurations that were given by variables, by dialect.
    pub(super) variables_of: BTreeMap<&'static str, BTreeMap<String, String>>,
    /// Whether a Redis was named for this node, rightly or wrongly, when it was read where that is.
    pub names_redis: bool,
    /// The secrets that were given anywhere: no other value that holds one is shown.
    secrets: Vec<String>,
    /// What was read so far.
    pub entries: Vec<Entry>,
    /// What was wrong so far.
    pub(super) faults: Vec<Fault>,
    /// What works and yet may be a mistake.
    pub notices: Vec<String>,
}

impl<'a> Reader<'a> {
    /// A reader that has opened the files that settings may come from, if there are such.
    pub fn new(sources: &'a Sources) -> Self {
        let (mut faults, mut notices) = (Vec::new(), Vec::new());
        let files = Files::open(sources, &mut faults, &mut notices);
        let mut reader = Self {
            sources,
            files,
            stand_ins: StandIns::new(),
            variables_of: BTreeMap::new(),
            names_redis: false,
            secrets: Vec::new(),
            entries: Vec::new(),
            faults,
            notices,
        };
        reader.ask_predecessors();
        let masked = sources.rows().filter(|row| row.mask == Mask::Secret);
        let given = masked.filter_map(|row| reader.given(row)?.0.into_string().ok());
        reader.secrets = given.filter(|secret| secret.len() >= TELLING).collect();
        reader.judge_names();
        reader
    }

    /// Remembers a fault.
    pub fn fault(&mut self, name: &str, message: impl Into<String>) {
        self.faults.push(Fault {
            name: name.to_owned(),
            message: message.into(),
        });
    }

    /// Notes what may be wrong with a secret. `signs`: tokens are signed with it.
    pub fn doubt(&mut self, name: &str, secret: &str, signs: bool) {
        self.notices.extend(doubts(name, secret, signs));
    }

    /// Whether a setting that was read was given at all, rightly or wrongly.
    pub fn is_set(&self, row: &Row) -> bool {
        let found = self.entries.iter().find(|entry| entry.row.name == row.name);
        found.is_some_and(|entry| !matches!(entry.source, Source::Unset | Source::Default))
    }

    /// Where the value of a setting that was read came from.
    pub fn source(&self, row: &Row) -> Source {
        let found = self.entries.iter().find(|entry| entry.row.name == row.name);
        found.map_or(Source::Unset, |entry| entry.source.clone())
    }

    /// The text in the file that a setting names, without one line end behind it.
    pub fn contents(&mut self, setting: &'static Setting<PathBuf>) -> Option<String> {
        let path = self.optional(setting)?;
        self.text_in(&setting.row, &path)
    }

    /// The text in the file that a setting that was read names, likewise.
    pub(super) fn text_in(&mut self, row: &Row, path: &Path) -> Option<String> {
        match small_text(path) {
            Ok(text) => {
                // The file keeps its name when what is in it changes.
                if let Some(entry) = self
                    .entries
                    .iter_mut()
                    .rfind(|entry| entry.row.name == row.name)
                {
                    entry.mark = mark(&text);
                }
                Some(
                    text.strip_suffix('\n')
                        .map(|t| t.strip_suffix('\r').unwrap_or(t))
                        .unwrap_or(&text)
                        .to_owned(),
                )
            }
            Err(error) => {
                self.fault(row.name, format!("cannot be read: {error}"));
                None
            }
        }
    }

    /// Where settings may come from.
    pub fn sources(&self) -> &'a Sources {
        self.sources
    }

    /// The value of a setting that has a default. Where the value given is wrong, the default stands in.
    pub fn value<T>(&mut self, setting: &'static Setting<T>) -> T {
        self.optional(setting)
            .unwrap_or_else(|| match (setting.parse)(setting.row.default) {
                Ok(value) => value,
                Err(_) => unreachable!("a test reads every default"),
            })
    }

    /// The value of a setting, if it has one and it is right.
    pub fn optional<T>(&mut self, setting: &'static Setting<T>) -> Option<T> {
        self.read(&setting.row, setting.parse)
    }

    /// The text of a setting, likewise; where it has none, its default's.
    pub fn text(&mut self, row: &'static Row) -> Option<String> {
        self.read(row, |text| (row.check)(text).map(|()| text.to_owned()))
    }

    fn read<T>(
        &mut self,
        row: &'static Row,
        parse: impl FnOnce(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        let (text, source) = self.find(row)?;
        let mark = mark(&text);
        match parse(&text) {
            Ok(value) => {
                self.entries.push(Entry {
                    row,
                    shown: self.shown(row, &text),
                    source,
                    mark,
                });
                Some(value)
            }
            Err(wrong) => {
                let shown = self.shown(row, &text);
                // By the setting's name alone nobody would find what stands in for it.
                let by = match &source {
                    Source::Predecessor(..) => format!(" ({source})"),
                    _ => String::new(),
                };
                let is = match row.mask {
                    Mask::Open if shown != "***" => format!("is {shown:?}{by}; it "),
                    Mask::File if shown != "***" => format!("is {shown:?}{by}; it "),
                    Mask::File => "should name a file, and what it is set to is shown nowhere, since it may be the secret itself; it ".into(),
                    _ => String::new(),
                };
                // A hint may quote a piece of the value.
                let hint = wrong.hint.filter(|hint| !self.tells(hint));
                let hint = hint
                    .map(|hint| format!(". {}", hint.trim_end_matches('.')))
                    .unwrap_or_default();
                self.fault(row.name, format!("{is}should be {}{hint}", row.shape));
                self.entries.push(Entry {
                    row,
                    shown: format!("{shown} (wrong)"),
                    source,
                    mark,
                });
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
            self.entries.push(Entry {
                row,
                shown: String::new(),
                source,
                mark: 0,
            });
            return None;
        };
        match given.into_string() {
            Ok(text) => Some((text, source)),
            Err(_) => {
                self.fault(row.name, "is not valid UTF-8 text");
                self.entries.push(Entry {
                    row,
                    shown: "(not text)".into(),
                    source,
                    mark: 0,
                });
                None
            }
        }
    }

    /// Whether a text has a secret in it that was given anywhere.
    pub fn tells(&self, text: &str) -> bool {
        self.secrets
            .iter()
            .any(|secret| text.contains(secret.as_str()))
    }

    fn shown(&self, row: &Row, text: &str) -> String {
        match row.mask {
            Mask::Secret => "***".to_owned(),
            _ if self.tells(text) => "***".to_owned(),
            Mask::Open => mask::open(text.trim()),
            Mask::File => mask::file(text),
            Mask::Urls => mask::urls(text),
        }
    }
}

fn mark(text: &str) -> u64 {
    MARKS.hash_one(text)
}
