//! Where the value of a setting came from.
//!
//! Invariant: in their order, a nearer one is less than a farther one.

use std::fmt;

/// Where a value came from, the nearest first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The command line.
    Flag,
    /// An environment variable.
    Environment,
    /// One of systemd's credentials.
    Credential,
    /// The file that `FOGHORN_ENV_FILE` names.
    EnvFile,
    /// The `.env` in the `-c` folder.
    FolderEnv,
    /// The configuration of the program whose place a dialect takes, and the key in it.
    Predecessor(&'static str, &'static str),
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
            Self::Credential => f.write_str("credential"),
            Self::EnvFile => f.write_str("settings file"),
            Self::FolderEnv => f.write_str(".env in the -c folder"),
            Self::Predecessor(file, key) => write!(f, "{file}, {key}"),
            Self::Default => f.write_str("default"),
            Self::Unset => f.write_str("not set"),
        }
    }
}
