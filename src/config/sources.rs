//! Where settings may come from, and which there are.
//!
//! Invariant: nothing of the environment is in `Debug` output, since secrets stand there.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use super::predecessor::Predecessor;
use super::settings::{Row, TABLE};
use crate::dialect::{self, Descriptor};

/// Where settings may come from.
#[derive(Clone)]
pub struct Sources {
    /// `-c DIR`.
    pub config_dir: Option<PathBuf>,
    /// `-l FILE`.
    pub log_file: Option<PathBuf>,
    /// The environment.
    pub env: BTreeMap<OsString, OsString>,
    /// The dialects that can be switched on, whose settings are known.
    pub dialects: Vec<&'static Descriptor>,
    /// The program was started by a predecessor's name, whose defaults hold then.
    pub in_place: Option<InPlace>,
}

/// What is peculiar to a start by a predecessor's name.
#[derive(Clone, Debug)]
pub struct InPlace {
    /// The dialect that takes its place.
    pub dialect: &'static str,
    /// The configuration file that is read where none is named.
    pub file: Option<String>,
}

impl Default for Sources {
    fn default() -> Self {
        Self {
            config_dir: None,
            log_file: None,
            env: BTreeMap::new(),
            dialects: dialect::ALL.to_vec(),
            in_place: None,
        }
    }
}

impl Sources {
    /// The flags given, and this process' environment.
    pub fn process(config_dir: Option<PathBuf>, log_file: Option<PathBuf>) -> Self {
        Self {
            config_dir,
            log_file,
            env: std::env::vars_os().collect(),
            ..Self::default()
        }
    }

    /// Every setting that there may be: the core's, then each dialect's.
    pub fn rows(&self) -> impl Iterator<Item = &'static Row> + use<> {
        let of_dialects = self
            .dialects
            .clone()
            .into_iter()
            .flat_map(|dialect| dialect.settings);
        TABLE.iter().chain(of_dialects).copied()
    }

    /// The name of every variable that is read: the settings', and those that stand in for one.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        let settings = self.rows().map(|row| row.name);
        let stand_ins = self.predecessors().flat_map(|(_, one)| one.variables);
        settings
            .filter(|name| !name.starts_with('-'))
            .chain(stand_ins.map(|(_, variable)| *variable))
    }

    /// The programs whose places dialects take, each with its dialect.
    pub(super) fn predecessors(
        &self,
    ) -> impl Iterator<Item = (&'static Descriptor, &'static Predecessor)> + use<> {
        let dialects = self.dialects.clone().into_iter();
        dialects.filter_map(|dialect| Some((dialect, dialect.predecessor?)))
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("config_dir", &self.config_dir)
            .field("log_file", &self.log_file)
            .finish_non_exhaustive()
    }
}
