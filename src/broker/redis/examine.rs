//! A look at one shard from outside, for administrators: can it be reached, and is it fit to carry events?
//!
//! Invariant: it writes nothing, and it ends within the time limits of every other command.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use fred::error::{Error, ErrorKind};
use fred::interfaces::ClientLike;

use super::client;
use super::config::{Layout, Server};

/// What a shard says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examined {
    /// How long a PING took.
    pub round_trip: Duration,
    /// Major and minor version.
    pub version: (u32, u32),
    /// Whether writes are taken: not by a replica.
    pub writable: bool,
    /// The policy by which it forgets keys when its memory is full; `None` where its memory has no limit.
    pub evicts: Option<String>,
}

/// Why there is nothing to say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExamineError {
    /// User or password are wrong, or one is missing.
    #[error("it refuses user or password: {0}")]
    Login(String),
    /// It cannot be reached.
    #[error("{0}")]
    Unreachable(String),
    /// It does not answer what it must.
    #[error("it does not answer {0}: {1}")]
    Command(&'static str, String),
}

impl ExamineError {
    /// The error's short name.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Login(_) => "login",
            Self::Unreachable(_) => "unreachable",
            Self::Command(..) => "command",
        }
    }
}

impl Server {
    /// The oldest version that has all that is needed here: sharded PUB/SUB in a Cluster came later.
    pub fn oldest(&self) -> (u32, u32) {
        if self.layout == Layout::Cluster { (7, 0) } else { (6, 2) }
    }
}

/// Connects to `server` (in a Cluster: to any of its servers) and asks.
///
/// # Errors
/// [`ExamineError`], after some seconds at most.
pub async fn examine(server: &Server) -> Result<Examined, ExamineError> {
    let connected = client::connect(server, true).await.map_err(|error| refused(&error))?;
    let client = &connected.client;
    let started = Instant::now();
    let failed = |command| move |error: Error| command_failed(command, &error);
    client.ping::<String>(None).await.map_err(failed("PING"))?;
    let round_trip = started.elapsed();
    let info: String = client.info(None).await.map_err(failed("INFO"))?;
    Ok(read(round_trip, &info))
}

fn refused(error: &Error) -> ExamineError {
    match error.kind() {
        ErrorKind::Auth => ExamineError::Login(error.details().to_owned()),
        _ => ExamineError::Unreachable(error.details().to_owned()),
    }
}

fn command_failed(command: &'static str, error: &Error) -> ExamineError {
    let details = error.details().to_owned();
    if *error.kind() == ErrorKind::Auth || details.starts_with("NOAUTH") {
        return ExamineError::Login(details);
    }
    ExamineError::Command(command, details)
}

/// Reads the answer to INFO.
fn read(round_trip: Duration, info: &str) -> Examined {
    let fields: HashMap<&str, &str> = info.lines().filter_map(|line| line.trim_end().split_once(':')).collect();
    let field = |name| fields.get(name).copied().unwrap_or_default();
    let mut numbers = field("redis_version").split('.').map(|part| part.parse().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let limited = !matches!(field("maxmemory"), "" | "0");
    let policy = field("maxmemory_policy");
    let evicts = (limited && policy != "noeviction").then(|| policy.to_owned());
    Examined { round_trip, version, writable: field("role") != "slave", evicts }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_is_read() {
        let info = "# Server\r\nredis_version:7.0.15\r\n# Memory\r\nmaxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n\
                    # Replication\r\nrole:master\r\n";
        let seen = read(Duration::ZERO, info);
        assert_eq!((seen.version, seen.writable, seen.evicts), ((7, 0), true, None));
        let full = info.replace("maxmemory:0", "maxmemory:1048576").replace("role:master", "role:slave");
        let seen = read(Duration::ZERO, &full);
        assert_eq!((seen.writable, seen.evicts.as_deref()), (false, Some("allkeys-lru")));
        let keeps = full.replace("allkeys-lru", "noeviction");
        assert_eq!(read(Duration::ZERO, &keeps).evicts, None);
        assert_eq!(read(Duration::ZERO, "").version, (0, 0));
    }
}
