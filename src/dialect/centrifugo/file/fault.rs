//! Why the configuration that Centrifugo v1 reads cannot be used.
//!
//! Invariant: no value is shown, since some are secrets.

use std::io;

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum FileFault {
    /// There is none.
    #[error("FOGHORN_CENTRIFUGO_CONFIG has to name Centrifugo's configuration file")]
    None,
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Read(io::Error),
    /// It is no object.
    #[error("it is no {format} object, from line {line}, column {column} on")]
    Form {
        /// What it should be written in.
        format: &'static str,
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// There are lists to take from, and no Redis.
    #[error(
        "redis_api: there is no Redis whose lists could be taken from; FOGHORN_REDIS_URLS says where it is"
    )]
    NoRedis,
    /// The number of this process cannot be written down.
    #[error("pid_file: it cannot be written: {0}")]
    PidFile(io::Error),
    /// Keys that cannot be honoured.
    #[error("{}", .0.join("; "))]
    Keys(Vec<String>),
}

impl FileFault {
    /// A word for it.
    pub fn label(&self) -> &'static str {
        self.into()
    }
}
