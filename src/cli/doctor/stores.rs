//! Redis, the ccnet database, the backend's sessions and the MQTT broker, as the node itself would use them, where the settings say that there are any.
//!
//! Invariant: nothing is left behind in any of them, and no password is shown.

use super::redis::{self, Given};
use super::report::Check;
use super::{files, mqtt, sessions};
use crate::config::{self, Report, Source, Sources};
use crate::dialect::seafile::groups::{self, Config as Groups, GroupError, Tls};
use crate::dialect::seafile::{DESCRIPTOR as SEAFILE, settings};
use crate::fault::quoted;

/// The settings found here, then each shard and the database.
pub async fn check(sources: &Sources) -> Vec<Check> {
    let report = config::load(sources);
    // A key is looked at where tokens are made; without one, all else can still be checked.
    let faults = report
        .faults
        .iter()
        .filter(|fault| fault.name != "JWT_PRIVATE_KEY");
    let mut checks: Vec<Check> = faults
        .map(|fault| {
            let mend = vec![
                "foghorn check-config    # shows every setting and where it came from".to_owned(),
            ];
            Check::fail("here", "settings", fault.to_string(), mend)
        })
        .collect();
    let (given, config) = (given(&report), report.so_far());
    match &config.redis {
        Some(settings) => {
            for server in &settings.shards {
                checks.extend(redis::check(server, &settings.prefix, given).await);
            }
        }
        None => checks.push(Check::skipped(
            "redis",
            "connect",
            "not set here (FOGHORN_REDIS_URLS, REDIS_HOST)",
        )),
    }
    match settings::groups(&config.values) {
        Some(settings) => checks.push(database(&settings, groups::examine(&settings).await)),
        None if !config.dialects.contains(&&SEAFILE) => {}
        None => checks.push(Check::skipped(
            "database",
            "GroupUser",
            "not set here (SEAFILE_MYSQL_DB_HOST)",
        )),
    }
    checks.extend(sessions::check(config).await);
    checks.extend(mqtt::check(config).await);
    checks.extend(files::check(&report, config));
    checks
}

/// Where the shards come from.
fn given(report: &Report) -> Given {
    let set = |name: &str| {
        report.entries.iter().any(|entry| {
            entry.row.name == name && !matches!(entry.source, Source::Unset | Source::Default)
        })
    };
    if set("FOGHORN_REDIS_URLS") || set("FOGHORN_REDIS_URLS_FILE") {
        Given::Urls
    } else {
        Given::Host
    }
}

fn database(settings: &Groups, seen: Result<u64, GroupError>) -> Check {
    let Groups {
        host,
        port,
        database: ccnet_db,
        ..
    } = settings;
    match seen {
        Ok(0) => {
            let mend = vec![
                "SEAFILE_MYSQL_DB_CCNET_DB_NAME=…    # Seafile's ccnet database; right if it has no groups".into(),
            ];
            let what = format!("{ccnet_db}.GroupUser can be read, but is empty");
            Check::warn("database", "GroupUser", what, mend)
        }
        Ok(rows) => {
            let what = format!("{ccnet_db}.GroupUser can be read ({rows} memberships)");
            Check::ok("database", "GroupUser", what)
        }
        Err(error) => {
            let place = if host.starts_with('/') {
                host.clone()
            } else {
                format!("{host}:{port}")
            };
            let text = match &error {
                GroupError::Connect(text) | GroupError::Query(text) => text.clone(),
                other => other.to_string(),
            };
            let said = quoted(&text);
            Check::fail(
                "database",
                "GroupUser",
                format!("{place}: {said}"),
                mend(settings, &text),
            )
        }
    }
}

/// What mends it, by what the database, or the way there, says.
fn mend(settings: &Groups, text: &str) -> Vec<String> {
    let Groups {
        host,
        port,
        user,
        database: ccnet_db,
        ..
    } = settings;
    let grant = format!(
        "GRANT SELECT ON {ccnet_db}.GroupUser TO '{user}'@'ADDRESS-OF-THE-NODE';    # in the database"
    );
    let says = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
    if says(&[
        "insecure transport are prohibited",
        "require_secure_transport",
    ]) {
        return vec![
            "FOGHORN_DB_TLS=on    # it takes encrypted connections only; verify checks its certificate too".into(),
        ];
    }
    if says(&[
        "does not have this capability",
        "does not support TLS",
        "SSL",
    ]) && settings.tls != Tls::Off
    {
        return vec![
            "FOGHORN_DB_TLS=off    # this database does not encrypt; or give it a certificate (ssl_cert)".into(),
        ];
    }
    if says(&[
        "certificate",
        "UnknownIssuer",
        "NotValidForName",
        "tls error",
        "Tls",
    ]) {
        return vec![
            "FOGHORN_DB_TLS=verify, FOGHORN_DB_CA=/path/to/ca.pem    # the authority that signed the database's certificate".into(),
            "(its certificate must be for the name in SEAFILE_MYSQL_DB_HOST)".into(),
        ];
    }
    if says(&["command denied", "to database"]) {
        return vec![grant];
    }
    if says(&["is not allowed to connect", "(1130)"]) {
        return vec![
            format!(
                "CREATE USER '{user}'@'ADDRESS-OF-THE-NODE' IDENTIFIED BY '…';    # in the database"
            ),
            grant,
        ];
    }
    if says(&["Too many connections", "(1040)"]) {
        return vec![
            "max_connections    # in the database's configuration; a node takes 8 at most".into(),
        ];
    }
    if says(&["(1129)", "mysqladmin flush-hosts"]) {
        return vec!["FLUSH HOSTS;    # in the database, as it says itself".into()];
    }
    if says(&["Access denied"]) {
        let login =
            "SEAFILE_MYSQL_DB_USER=…, SEAFILE_MYSQL_DB_PASSWORD=…    # as in Seafile's environment"
                .into();
        return vec![login, grant];
    }
    if says(&["doesn't exist", "Unknown database"]) {
        return vec![
            "SEAFILE_MYSQL_DB_CCNET_DB_NAME=…    # the database that has Seafile's table GroupUser"
                .into(),
        ];
    }
    if host.starts_with('/') {
        return vec![format!(
            "SEAFILE_MYSQL_DB_HOST={host}    # is this the database's socket, and may this user open it?"
        )];
    }
    vec![
        format!(
            "SEAFILE_MYSQL_DB_HOST={host}, SEAFILE_MYSQL_DB_PORT={port}    # is this the address, as this machine knows it?"
        ),
        "(a database whose `bind-address` is 127.0.0.1, or a firewall, lets its own machine in only)".into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(tls: Tls, text: &str) -> String {
        let settings = Groups {
            host: "db".into(),
            port: 3306,
            user: "seafile".into(),
            password: "hush-secret".into(),
            database: "ccnet_db".into(),
            tls,
            ca: None,
        };
        let check = database(&settings, Err(GroupError::Query(text.into())));
        format!("{}\n{}", check.what, check.mend.join("\n"))
    }

    #[test]
    fn each_refusal_of_the_database_gets_its_own_advice() {
        for (tls, text, part) in [
            (
                Tls::Off,
                "ERROR 28000 (1045): Access denied for user 'x'@'h' (using password: YES)",
                "SEAFILE_MYSQL_DB_PASSWORD=",
            ),
            (
                Tls::Off,
                "ERROR 42000 (1044): Access denied for user 'x'@'%' to database 'ccnet_db'",
                "GRANT SELECT ON ccnet_db.GroupUser",
            ),
            (
                Tls::Off,
                "ERROR 42000 (1142): SELECT command denied to user 'x'@'h' for table `GroupUser`",
                "GRANT SELECT",
            ),
            (
                Tls::Off,
                "ERROR 42S02 (1146): Table 'x.GroupUser' doesn't exist",
                "SEAFILE_MYSQL_DB_CCNET_DB_NAME=",
            ),
            (
                Tls::Off,
                "ERROR 42000 (1049): Unknown database 'x'",
                "SEAFILE_MYSQL_DB_CCNET_DB_NAME=",
            ),
            (
                Tls::Off,
                "ERROR HY000 (1130): Host '10.0.0.1' is not allowed to connect to this MariaDB server",
                "CREATE USER 'seafile'@",
            ),
            (
                Tls::Off,
                "ERROR HY000 (1040): Too many connections",
                "max_connections",
            ),
            (
                Tls::Off,
                "ERROR HY000 (3159): Connections using insecure transport are prohibited",
                "FOGHORN_DB_TLS=on",
            ),
            (
                Tls::On,
                "Client asked for SSL but server does not have this capability",
                "FOGHORN_DB_TLS=off",
            ),
            (
                Tls::Verify,
                "TLS error: invalid peer certificate: UnknownIssuer",
                "FOGHORN_DB_CA=",
            ),
            (
                Tls::Off,
                "Input/output error: Connection refused (os error 111)",
                "SEAFILE_MYSQL_DB_HOST=db, SEAFILE_MYSQL_DB_PORT=3306",
            ),
            (
                Tls::Off,
                "Input/output error: failed to lookup address information: Name or service not known",
                "the name cannot be resolved",
            ),
        ] {
            let said = told(tls, text);
            assert!(
                said.starts_with("db:3306: ") && said.contains(part),
                "{part} in {said}"
            );
            assert_eq!(
                said.contains("_TLS=") || said.contains("certificate"),
                said.contains("FOGHORN_DB_TLS"),
                "{said}"
            );
            for not in ["hush-secret", "os error", "UnknownIssuer"] {
                assert!(!said.contains(not), "{not} in {said}");
            }
        }
    }
}
