//! The program whose place a dialect takes: what of that program's configuration stands in for settings here.
//!
//! Invariant: what is set by a name of ours comes first; of two such programs, that of the dialect that is listed first.

use std::collections::BTreeMap;

use super::reader::{Fault, Reader, Source};

/// How a dialect reads the configuration of the program whose place it takes.
pub struct Predecessor {
    /// What people call the program.
    pub name: &'static str,
    /// What its configuration is called where a key of it is named.
    pub file: &'static str,
    /// Where that is, as the end of "else from", for the page of all settings.
    pub place: &'static str,
    /// Settings, and the keys that stand in for them.
    pub keys: &'static [(&'static str, &'static str)],
    /// Settings, and variables of that program that stand in for them.
    pub variables: &'static [(&'static str, &'static str)],
    /// How variables of that program begin of which some are settings here; empty: none are.
    pub family: &'static str,
    /// Variables that are no settings and that may stand beside them: that program reads them, or the compose files do.
    pub unread: &'static [&'static str],
    /// Reads it.
    pub read: fn(&Reader) -> Readout,
}

/// What a variable is called where it is named as what stands in.
const VARIABLE: &str = "variable";

impl Predecessor {
    /// What its variables stand in for, as far as `given` knows them.
    pub(super) fn by_variables(
        &self,
        given: impl Fn(&str) -> Option<String>,
    ) -> impl Iterator<Item = (&'static str, (String, Source))> {
        self.variables.iter().filter_map(move |(setting, name)| {
            Some((
                *setting,
                (given(name)?, Source::Predecessor(VARIABLE, name)),
            ))
        })
    }

    /// What stands in for `setting`: what it is called where it is, and its name there.
    pub(super) fn keys_of(
        &self,
        setting: &str,
    ) -> impl Iterator<Item = (&'static str, &'static str)> {
        let variables = self.variables.iter().map(|pair| (VARIABLE, pair));
        let keys = self.keys.iter().map(|pair| (self.file, pair));
        let all = variables.chain(keys);
        all.filter_map(move |(place, (known, key))| (*known == setting).then_some((place, *key)))
    }

    /// Where a value comes from that `key` has there.
    pub const fn source(&self, key: &'static str) -> Source {
        Source::Predecessor(self.file, key)
    }

    /// The setting that `key` stands in for.
    pub fn setting(&self, key: &str) -> Option<&'static str> {
        let found = self.keys.iter().find(|(_, known)| *known == key);
        found.map(|(setting, _)| *setting)
    }
}

/// What stands in for settings, by their names.
pub type StandIns = BTreeMap<&'static str, (String, Source)>;

/// What such a configuration says.
#[derive(Default)]
pub struct Readout {
    /// What stands in for settings that are not set.
    pub stand_ins: StandIns,
    /// Keys that were given by variables, for the dialect itself ([`Values::variables`](super::Values::variables)).
    pub variables: BTreeMap<String, String>,
    /// What is wrong.
    pub faults: Vec<Fault>,
    /// What works and yet may be a mistake.
    pub notices: Vec<String>,
}
