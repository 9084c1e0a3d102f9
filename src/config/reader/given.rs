//! What is given, whether it is read or not: where a setting's value comes from, which variables are set, and what
//! predecessors' configurations stand in for.
//!
//! Invariant: an empty value counts as none, as it does upstream.

use std::ffi::{OsStr, OsString};

use super::{Fault, Reader};
use crate::config::names::{Names, Verdict};
use crate::config::settings::{CONFIG_DIR, LOG_FILE, Row};
use crate::config::source::Source;

impl Reader<'_> {
    /// Whether a setting is given anywhere, read or not.
    pub fn is_given(&self, row: &'static Row) -> bool {
        self.given(row).is_some()
    }

    /// What a setting is given as, and where, likewise.
    pub fn given(&self, row: &'static Row) -> Option<(OsString, Source)> {
        let flag = if row.name == CONFIG_DIR.row.name {
            self.sources.config_dir.as_ref()
        } else if row.name == LOG_FILE.row.name {
            self.sources.log_file.as_ref()
        } else {
            None
        };
        let flag = flag.map(|path| (path.clone().into_os_string(), Source::Flag));
        let env = || {
            Some((
                self.sources.env.get(OsStr::new(row.name))?.clone(),
                Source::Environment,
            ))
        };
        let filled = |found: &(OsString, Source)| !found.0.is_empty();
        let own = flag
            .filter(filled)
            .or_else(|| env().filter(filled))
            .or_else(|| self.files.given(row).filter(filled));
        own.or_else(|| {
            let (value, source) = self.stand_ins.get(row.name)?;
            Some((value.into(), source.clone()))
        })
    }

    /// Whether a setting is there and empty, which counts as not set and may not be meant so.
    pub fn is_empty(&self, row: &Row) -> bool {
        let here = self
            .sources
            .env
            .get(OsStr::new(row.name))
            .is_some_and(|value| value.is_empty());
        here || self
            .files
            .variables()
            .any(|(name, value)| name == row.name && value.is_empty())
    }

    /// Every variable that is set, the nearest first.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        let own = self
            .sources
            .env
            .iter()
            .filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)));
        own.chain(self.files.variables())
    }

    /// A variable that is no setting and not empty, from the environment or a settings file.
    pub fn variable(&self, name: &str) -> Option<String> {
        let env = self
            .sources
            .env
            .get(OsStr::new(name))
            .and_then(|value| value.to_str())
            .map(str::to_owned);
        env.filter(|value| !value.is_empty()).or_else(|| {
            let mut filled = self
                .files
                .variables()
                .filter(|(_, value)| !value.is_empty());
            let found = filled.find(|(given, _)| *given == name);
            found.map(|(_, value)| value.to_owned())
        })
    }

    pub(super) fn ask_predecessors(&mut self) {
        for (dialect, predecessor) in self.sources.predecessors() {
            let found = (predecessor.read)(self);
            let variables = predecessor.by_variables(|name| self.variable(name));
            for (setting, value) in variables.chain(found.stand_ins).collect::<Vec<_>>() {
                self.stand_ins.entry(setting).or_insert(value);
            }
            self.variables_of.insert(dialect.name, found.variables);
            self.faults.extend(found.faults);
            self.notices.extend(found.notices);
        }
    }

    /// Names that are nearly ours are faults; names that begin like ours and are not are noted.
    pub(super) fn judge_names(&mut self) {
        let own = self
            .sources
            .env
            .iter()
            .filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?, false)));
        let set: Vec<(&str, &str, bool)> = own
            .chain(
                self.files
                    .variables()
                    .map(|(name, value)| (name, value, true)),
            )
            .collect();
        let is_set = |name: &str| {
            set.iter()
                .any(|(set, value, _)| *set == name && !value.is_empty())
        };
        let (mut faults, mut notices) = (Vec::new(), Vec::new());
        let names = Names::of(self.sources);
        for (name, value, in_file) in &set {
            match names.judge(name, value, *in_file, &is_set) {
                Some(Verdict::Wrong(message)) => faults.push(Fault {
                    name: format!("{}", name.escape_debug()),
                    message,
                }),
                Some(Verdict::Doubtful(message)) => notices.push(format!("{name} {message}")),
                None => {}
            }
        }
        self.faults.append(&mut faults);
        self.notices.append(&mut notices);
    }
}
