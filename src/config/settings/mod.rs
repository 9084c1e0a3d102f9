//! What a setting is made of, and the [`table`] of all there are: parsing, `check-config` and `docs/CONFIGURATION.md` all
//! come from it.
//!
//! Invariant: a setting that is not in [`TABLE`] does not exist, and each one in it is read exactly once.

mod table;

use super::parse::Wrong;

pub use table::*;

/// What of a setting's value may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// All of it.
    Open,
    /// Nothing.
    Secret,
    /// All but the passwords in its URLs.
    Urls,
}

/// One setting, without its type.
#[derive(Debug)]
pub struct Row {
    /// The part of the program it belongs to, as the documentation groups them.
    pub area: &'static str,
    /// The environment variable, or the flag where there is no variable.
    pub name: &'static str,
    /// The key in the `[notification]` section of `seafile.conf` that stands in for it.
    pub conf: Option<&'static str>,
    /// What holds where nobody sets it; empty: nothing.
    pub default: &'static str,
    /// What a value looks like, as the end of "should be …".
    pub shape: &'static str,
    /// What of it may be shown.
    pub mask: Mask,
    /// What it does.
    pub help: &'static str,
}

/// One setting whose values are of type `T`.
#[derive(Debug)]
pub struct Setting<T: 'static> {
    /// What it is called and means.
    pub row: Row,
    /// Reads a value.
    pub parse: fn(&str) -> Result<T, Wrong>,
}

/// What SIGHUP puts into force; everything else needs a restart.
pub static LIVE: &[&str] = &[
    "JWT_PRIVATE_KEY",
    "JWT_PRIVATE_KEY_FILE",
    "JWT_PRIVATE_KEY_PREVIOUS",
    "JWT_PRIVATE_KEY_PREVIOUS_FILE",
    "FOGHORN_OPS_PASSWORD",
    "FOGHORN_OPS_PASSWORD_FILE",
    "FOGHORN_OPS_TOKEN",
    "FOGHORN_OPS_TOKEN_FILE",
    "NOTIFICATION_SERVER_LOG_LEVEL",
    "FOGHORN_TRUSTED_PROXIES",
    "FOGHORN_ALLOWED_ORIGINS",
    "FOGHORN_EVENTS_FROM",
    "FOGHORN_MAX_CONNECTIONS",
    "FOGHORN_MAX_CONNECTIONS_PER_ADDRESS",
    "FOGHORN_HANDSHAKE_RATE",
    "FOGHORN_HANDSHAKE_CONCURRENCY",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_sentences_end() {
        let mut seen = std::collections::HashSet::new();
        for row in TABLE {
            assert!(seen.insert(row.name), "{} twice", row.name);
            assert!(row.help.ends_with('.') && !row.shape.ends_with('.'), "{}", row.name);
        }
        assert!(LIVE.iter().all(|name| seen.contains(name)));
    }
}
