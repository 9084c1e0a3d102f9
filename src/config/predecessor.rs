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
    /// How variables of that program begin of which some are settings here; empty: none are.
    pub family: &'static str,
    /// Variables that begin so and that only that program reads.
    pub unread: &'static [&'static str],
    /// Reads it.
    pub read: fn(&Reader) -> Found,
}

impl Predecessor {
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
pub struct Found {
    /// What stands in for settings that are not set.
    pub stand_ins: StandIns,
    /// Keys that were given by variables, for the dialect itself ([`Values::variables`](super::Values::variables)).
    pub variables: BTreeMap<String, String>,
    /// What is wrong.
    pub faults: Vec<Fault>,
    /// What works and yet may be a mistake.
    pub notices: Vec<String>,
}
