//! Each Redis shard as a node uses it, and for each thing that hinders a node what mends just that ([`mend`]).
//!
//! Invariant: nothing is called well that a node cannot use.

mod mend;

pub use self::mend::mend;
use self::mend::{needless_password, url};
use super::report::Check;
use crate::broker::redis::{ExamineError, Examined, Note, Server, examine};

/// The setting that a shard comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// `FOGHORN_REDIS_URLS`.
    Urls,
    /// `REDIS_HOST`, `REDIS_PORT`, `REDIS_PASSWORD`.
    Host,
}

/// Does what a node does on `server`.
pub async fn check(server: &Server, prefix: &str, given: Given) -> Vec<Check> {
    match examine(server, prefix).await {
        Ok(seen) => works(server, &seen, given),
        Err(error) => vec![Check::fail(
            "redis",
            name(&error),
            error.to_string(),
            mend(server, &error, given),
        )],
    }
}

/// The check that an error belongs to.
fn name(error: &ExamineError) -> &'static str {
    match error {
        ExamineError::Rights { .. } => "rights",
        ExamineError::Replica { .. } => "role",
        ExamineError::Deaf { .. } => "events",
        ExamineError::Old { .. } => "version",
        _ => "connect",
    }
}

fn works(server: &Server, seen: &Examined, given: Given) -> Vec<Check> {
    let ms = seen.round_trip.as_secs_f64() * 1_000.0;
    let version = if seen.version.is_empty() {
        String::new()
    } else {
        format!(" ({})", seen.version)
    };
    let mut checks = vec![
        Check::ok(
            "redis",
            "connect",
            format!("{} takes this user{version}", seen.address),
        ),
        Check::ok("redis", "rights", "all that a node does there is allowed"),
        Check::ok(
            "redis",
            "events",
            format!(
                "what is published at {} is heard, in {ms:.1} ms",
                seen.address
            ),
        ),
    ];
    for note in &seen.notes {
        checks.push(match note {
            Note::Host(error) => {
                Check::warn("redis", "hosts", format!("one of several: {error}"), mend(server, error, given))
            }
            Note::NeedlessPassword => {
                let what = format!("{} has no password, and one is given: anybody who reaches it may use it", seen.address);
                Check::warn("redis", "password", what, needless_password(server, given))
            }
            Note::ClusterServer => {
                let what = format!(
                    "{} is a server of a Redis Cluster and is used as if it stood alone: every event goes to all servers of \
                     the Cluster, and when this one is away the others are of no use",
                    seen.address
                );
                let line = format!("FOGHORN_REDIS_URLS={}    # on all nodes", url(server, "cluster", &seen.address, ""));
                Check::warn("redis", "role", what, vec![line])
            }
        });
    }
    checks
}

#[cfg(test)]
mod tests;
