//! Redis and the ccnet database, as the node itself would use them, where the settings say that there are any.
//!
//! Invariant: nothing is written to either, and no password is shown.

use super::report::Check;
use crate::app;
use crate::broker::redis::{ExamineError, Examined, Server, examine};
use crate::config::{self, Groups, Sources};
use crate::dialect::seafile::groups::{self, GroupError};

/// The settings found here, then each shard and the database.
pub async fn check(sources: &Sources) -> Vec<Check> {
    let report = config::load(sources);
    // A key is looked at where tokens are made; without one, all else can still be checked.
    let faults = report.faults.iter().filter(|fault| fault.name != "JWT_PRIVATE_KEY");
    let mut checks: Vec<Check> = faults
        .map(|fault| {
            let mend = vec!["foghorn check-config    # shows every setting and where it came from".to_owned()];
            Check::fail("here", "settings", fault.to_string(), mend)
        })
        .collect();
    let config = report.so_far();
    match &config.redis {
        Some(settings) => {
            for server in &settings.shards {
                checks.extend(shard(server, examine(server).await));
            }
        }
        None => checks.push(Check::skipped("redis", "connect", "not set here (FOGHORN_REDIS_URLS, REDIS_HOST)")),
    }
    match &config.groups {
        Some(settings) => checks.push(database(settings, groups::examine(&app::groups_config(settings)).await)),
        None => checks.push(Check::skipped("database", "GroupUser", "not set here (SEAFILE_MYSQL_DB_HOST)")),
    }
    checks
}

fn shard(server: &Server, seen: Result<Examined, ExamineError>) -> Vec<Check> {
    let name = server.name();
    let seen = match seen {
        Ok(seen) => seen,
        Err(error) => {
            let mend = match &error {
                ExamineError::Login(_) => {
                    vec![format!("FOGHORN_REDIS_URLS=redis://USER:PASSWORD@{name}    # or REDIS_PASSWORD, with REDIS_HOST")]
                }
                ExamineError::Unreachable(_) => vec![
                    format!("FOGHORN_REDIS_URLS=redis://{name}    # is this the address, and rediss:// if it wants TLS?"),
                    "bind 0.0.0.0    # in redis.conf, if Redis listens on its own machine only; keep it behind a firewall".into(),
                ],
                ExamineError::Command(..) => {
                    vec!["ACL SETUSER USER +@connection +info    # for the user in the URL".into()]
                }
            };
            return vec![Check::fail("redis", "connect", format!("{name}: {error}"), mend)];
        }
    };
    let ms = seen.round_trip.as_secs_f64() * 1_000.0;
    let ((major, minor), (least, least_minor)) = (seen.version, server.oldest());
    let mut checks = vec![Check::ok("redis", "connect", format!("{name} answers PING in {ms:.1} ms"))];
    checks.push(if (major, minor) >= (least, least_minor) {
        Check::ok("redis", "version", format!("{name} is Redis {major}.{minor}"))
    } else {
        let what = format!("{name} is Redis {major}.{minor}; {least}.{least_minor} is needed");
        Check::fail("redis", "version", what, vec!["install a newer Redis: Debian 12 has 7.0".into()])
    });
    if !seen.writable {
        let what = format!("{name} is a replica: it takes no events");
        let mend = "FOGHORN_REDIS_URLS=redis-sentinel://HOST:26379/MASTER    # or the address of the master".into();
        checks.push(Check::fail("redis", "role", what, vec![mend]));
    }
    checks.push(match &seen.evicts {
        None => Check::ok("redis", "memory", format!("{name} forgets nothing before its time")),
        Some(policy) => {
            let what =
                format!("{name} forgets keys when its memory is full ({policy}): lost events could not be read back");
            Check::warn("redis", "memory", what, vec!["maxmemory-policy noeviction    # in redis.conf".into()])
        }
    });
    checks
}

fn database(settings: &Groups, seen: Result<u64, GroupError>) -> Check {
    let Groups { host, port, user, ccnet_db, .. } = settings;
    let error = match seen {
        Ok(0) => {
            let mend = vec![
                "SEAFILE_MYSQL_DB_CCNET_DB_NAME=…    # Seafile's ccnet database; right if it has no groups".into(),
            ];
            return Check::warn(
                "database",
                "GroupUser",
                format!("{ccnet_db}.GroupUser can be read, but is empty"),
                mend,
            );
        }
        Ok(rows) => {
            return Check::ok(
                "database",
                "GroupUser",
                format!("{ccnet_db}.GroupUser can be read ({rows} memberships)"),
            );
        }
        Err(error) => error,
    };
    let text = error.to_string();
    let grant = format!("GRANT SELECT ON {ccnet_db}.GroupUser TO '{user}'@'ADDRESS-OF-THE-NODE';    # in the database");
    let mend = if text.contains("command denied") || text.contains("to database") {
        vec![grant]
    } else if text.contains("Access denied") {
        vec!["SEAFILE_MYSQL_DB_USER=…, SEAFILE_MYSQL_DB_PASSWORD=…    # as in Seafile's environment".into(), grant]
    } else if text.contains("doesn't exist") || text.contains("Unknown database") {
        vec!["SEAFILE_MYSQL_DB_CCNET_DB_NAME=…    # the database that has Seafile's table GroupUser".into()]
    } else {
        vec![
            format!("SEAFILE_MYSQL_DB_HOST={host}, SEAFILE_MYSQL_DB_PORT={port}    # is this the address?"),
            "bind-address = 0.0.0.0    # in the database's configuration, if it listens on its own machine only".into(),
        ]
    };
    Check::fail("database", "GroupUser", text, mend)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::report::Outcome;
    use super::*;

    #[test]
    fn an_old_redis_is_named() {
        let seen = |version| {
            let seen = Examined { round_trip: Duration::ZERO, version, writable: true, evicts: None };
            shard(&Server::single("r", 6379), Ok(seen))[1].clone()
        };
        assert_eq!(seen((6, 2)).outcome, Outcome::Ok);
        let old = seen((6, 0));
        assert!(old.outcome == Outcome::Fail && old.what.contains("Redis 6.0; 6.2 is needed"), "{old:?}");
        let cluster = Server::parse("redis-cluster://r:6379").expect("a URL");
        assert_eq!(cluster.oldest(), (7, 0));
    }
}
