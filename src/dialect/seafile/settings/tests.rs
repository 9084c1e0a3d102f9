//! A node's configuration as it is at a site of Seafile's: what is read from where, and every fault at once.

use std::path::PathBuf;

use super::{Secrets, TABLE, groups};
use crate::config::settings as s;
use crate::config::tests::{KEY, load_env, names};
use crate::config::{LogLevel, Report, Secret, Source, Sources, load};

mod files;
mod secrets;

/// A folder of Seafile's configuration with these files.
fn seafile(files: &[(&str, &str)]) -> (tempfile::TempDir, Sources) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let sources = Sources {
        config_dir: Some(dir.path().into()),
        ..Sources::default()
    };
    (dir, sources)
}
fn with(mut sources: Sources, pairs: &[(&str, &str)]) -> Report {
    sources.env = pairs
        .iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    load(&sources)
}

#[test]
fn each_setting_of_the_table_is_read_once_and_in_its_order() {
    let read: Vec<&str> = load_env(&[])
        .entries
        .iter()
        .map(|entry| entry.row.name)
        .collect();
    let table: Vec<&str> = s::TABLE.iter().chain(TABLE).map(|row| row.name).collect();
    assert_eq!(read, table);
}

#[test]
fn a_key_is_all_that_is_needed() {
    let config = load_env(&[("JWT_PRIVATE_KEY", KEY)]).into_config().unwrap();
    assert_eq!(
        (config.http.host.as_str(), config.http.port),
        ("0.0.0.0", 8083)
    );
    assert_eq!(
        (
            config.partitions,
            config.replay.as_secs(),
            config.ping.as_secs()
        ),
        (64, 10, 25)
    );
    assert_eq!(
        (groups(&config.values), config.redis, config.log.file),
        (None, None, None)
    );
    assert!(config.notices.is_empty() && config.limits.unauthenticated.is_none());
}

#[test]
fn all_faults_are_told_at_once_and_secrets_are_not() {
    let report = load_env(&[
        ("NOTIFICATION_SERVER_PORT", "tcp://10.0.0.1:8083"),
        ("FOGHORN_PARTITIONS", "0"),
        ("FOGHORN_REDIS_URLS", "http://:hunter2@h"),
        ("SEAFILE_MYSQL_DB_HOST", "db"),
        ("FOGHORN_OUTBOX_BYTES", "1MiB"),
    ]);
    let expected = [
        "NOTIFICATION_SERVER_PORT",
        "FOGHORN_REDIS_URLS",
        "FOGHORN_PARTITIONS",
        "JWT_PRIVATE_KEY",
        "SEAFILE_MYSQL_DB_USER",
        "SEAFILE_MYSQL_DB_PASSWORD",
        "FOGHORN_OUTBOX_BYTES",
    ];
    assert_eq!(names(&report), expected);
    let text = report.into_config().unwrap_err().to_string();
    assert!(
        text.contains("7 faults") && text.contains("Kubernetes") && !text.contains("hunter2"),
        "{text}"
    );
}

#[test]
fn seafiles_redis_is_used_where_no_urls_are_given() {
    let seafile = [
        ("JWT_PRIVATE_KEY", "k"),
        ("REDIS_HOST", "::1"),
        ("REDIS_PASSWORD", "p@ss:/w"),
    ];
    let redis = load_env(&seafile).into_config().unwrap().redis.unwrap();
    assert_eq!(redis.shards[0].password.as_deref(), Some("p@ss:/w"));
    assert_eq!(redis.shards[0].hosts, [("::1".to_owned(), 6379)]);
    assert!(!format!("{redis:?}").contains("p%40ss"));
    let mut own = seafile.to_vec();
    own.push(("FOGHORN_REDIS_URLS", "redis://a, redis-cluster://b"));
    let shards = load_env(&own).into_config().unwrap().redis.unwrap().shards;
    assert_eq!(
        shards
            .iter()
            .map(|s| s.hosts[0].0.as_str())
            .collect::<Vec<_>>(),
        ["a", "b"]
    );
}

#[test]
fn a_socket_needs_no_password() {
    let on = [
        ("SEAFILE_MYSQL_DB_HOST", "/run/mysqld/mysqld.sock"),
        ("SEAFILE_MYSQL_DB_USER", "u"),
        ("JWT_PRIVATE_KEY", "k"),
    ];
    let groups = groups(&load_env(&on).into_config().unwrap().values).unwrap();
    assert_eq!(
        (groups.host.as_str(), groups.database.as_str()),
        ("/run/mysqld/mysqld.sock", "ccnet_db")
    );
}

#[test]
fn the_log_goes_where_upstream_would_send_it() {
    let file = |log_file: Option<&str>, stdout: &str| {
        let env = [("SEAFILE_LOG_TO_STDOUT", stdout), ("JWT_PRIVATE_KEY", "k")]
            .iter()
            .map(|(n, v)| (n.into(), v.into()))
            .collect();
        load(&Sources {
            log_file: log_file.map(PathBuf::from),
            env,
            ..Sources::default()
        })
        .into_config()
        .unwrap()
        .log
        .file
    };
    assert_eq!(file(Some("/x/y.log"), "false"), Some("/x/y.log".into()));
    assert_eq!(file(Some("/x/y.log"), "true"), None);
    assert_eq!((file(Some("-"), ""), file(None, "")), (None, None));
}

#[test]
fn upstreams_word_for_the_log_holds_whatever_dialects_run_and_the_nodes_own_comes_first() {
    let report = |pairs: &[(&str, &str)]| {
        let env = pairs.iter().map(|(n, v)| (n.into(), v.into())).collect();
        load(&Sources {
            log_file: Some("/x/y.log".into()),
            env,
            ..Sources::default()
        })
    };
    let inbox = [
        ("FOGHORN_DIALECTS", "inbox"),
        ("FOGHORN_INBOX_ORIGINS", "https://example.org"),
    ];
    let file = |pairs: &[(&str, &str)]| report(&[&inbox, pairs].concat()).so_far().log.file.clone();
    let upstreams = ("SEAFILE_LOG_TO_STDOUT", "true");
    assert_eq!(file(&[]), Some("/x/y.log".into()));
    assert_eq!(file(&[upstreams]), None);
    assert_eq!(file(&[("FOGHORN_LOG_TO_STDOUT", "true")]), None);
    let own = ("FOGHORN_LOG_TO_STDOUT", "false");
    assert_eq!(file(&[upstreams, own]), Some("/x/y.log".into()));
    let wrong = report(&[("SEAFILE_LOG_TO_STDOUT", "loud"), ("JWT_PRIVATE_KEY", KEY)]);
    assert_eq!(
        wrong.faults[0].to_string(),
        "FOGHORN_LOG_TO_STDOUT: is \"loud\" (variable, SEAFILE_LOG_TO_STDOUT); it should be true or false"
    );
    let misspelled = report(&[("SEAFILE_LOG_TO_STDOT", "true"), ("JWT_PRIVATE_KEY", KEY)]);
    assert_eq!(names(&misspelled), ["SEAFILE_LOG_TO_STDOT"]);
}

#[test]
fn which_broker_and_why_is_always_said() {
    let broker = |pairs: &[(&str, &str)]| {
        load_env(&[&[("JWT_PRIVATE_KEY", KEY)], pairs].concat())
            .into_config()
            .map(|config| config.broker)
    };
    let said = |pairs: &[(&str, &str)]| broker(pairs).unwrap();
    assert!(said(&[]).contains(
        "memory, this node stands alone (FOGHORN_REDIS_URLS is not set, REDIS_HOST is not set)"
    ));
    assert!(said(&[("REDIS_HOST", "")]).contains("REDIS_HOST is empty"));
    let memcached = said(&[("CACHE_PROVIDER", "memcached"), ("REDIS_HOST", "redis")]);
    assert!(
        memcached.contains("memory") && memcached.contains("CACHE_PROVIDER is memcached"),
        "{memcached}"
    );
    let redis = said(&[
        ("FOGHORN_REDIS_URLS", "redis://:hunter2@a,redis://b"),
        ("REDIS_HOST", "c"),
    ]);
    assert_eq!(
        redis,
        "broker: Redis, 2 shards (a:6379, b:6379), named by FOGHORN_REDIS_URLS (environment)"
    );
    assert!(said(&[("REDIS_HOST", "c")]).contains("named by REDIS_HOST (environment)"));
    for alone in [
        &[][..],
        &[("REDIS_HOST", "")],
        &[("CACHE_PROVIDER", "memcached"), ("REDIS_HOST", "redis")],
    ] {
        let refused = broker(&[&[("FOGHORN_REDIS_REQUIRED", "true")], alone].concat())
            .unwrap_err()
            .to_string();
        assert!(
            refused.contains("FOGHORN_REDIS_REQUIRED: is true, and this node is told of no Redis"),
            "{refused}"
        );
    }
    assert!(broker(&[("FOGHORN_REDIS_REQUIRED", "true"), ("REDIS_HOST", "c")]).is_ok());
}

#[test]
fn nearly_right_names_are_faults_wherever_they_stand() {
    let (dir, sources) = seafile(&[(".env", "JWT_PRIVATE_KEY=k\nFOGHORN_REDIS_URL=redis://h\n")]);
    assert_eq!(names(&with(sources, &[])), ["FOGHORN_REDIS_URL"]);
    assert_eq!(
        names(&load_env(&[
            ("JWT_PRIVATE_KEY", "k"),
            ("foghorn_partitions", "32")
        ])),
        ["foghorn_partitions"]
    );
    drop(dir);
}

#[test]
fn certificates_for_redis_need_tls_and_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let pem = dir.path().join("ca.pem");
    std::fs::write(&pem, "no certificate\n").unwrap();
    let pem = pem.display().to_string();
    let load = |pairs: &[(&str, &str)]| load_env(&[&[("JWT_PRIVATE_KEY", KEY)], pairs].concat());
    let tls = ("FOGHORN_REDIS_URLS", "rediss://h");
    assert_eq!(
        names(&load(&[tls, ("FOGHORN_REDIS_CA", &pem)])),
        ["FOGHORN_REDIS_CA"]
    );
    assert!(
        load(&[tls, ("FOGHORN_REDIS_CA", &pem)]).faults[0]
            .message
            .contains("no certificate in it")
    );
    assert_eq!(
        names(&load(&[tls, ("FOGHORN_REDIS_CERT", &pem)])),
        ["FOGHORN_REDIS_KEY"]
    );
    let plain = load(&[("REDIS_HOST", "h"), ("FOGHORN_REDIS_CA", &pem)]);
    assert!(
        plain.faults[0].message.contains("rediss://"),
        "{:?}",
        plain.faults
    );
}

#[test]
fn what_cannot_work_together_is_found() {
    let load = |pairs: &[(&str, &str)]| load_env(&[&[("JWT_PRIVATE_KEY", KEY)], pairs].concat());
    assert!(load(&[("FOGHORN_PING_SECONDS", "25")]).notices().is_empty());
    assert!(load(&[("FOGHORN_PING_SECONDS", "120")]).notices()[0].contains("shipped proxy files"));
    assert!(load(&[("FOGHORN_DRAIN_SECONDS", "90")]).notices()[0].contains("TimeoutStopSec"));
    let written = load(&[(
        "FOGHORN_REDIS_URLS",
        "redis://:<password>@a,rediss://:${REDIS_PASSWORD}@b",
    )]);
    assert_eq!(
        written.notices(),
        ["a password in FOGHORN_REDIS_URLS looks like a placeholder that was never filled in"]
    );
    assert!(
        load(&[("JWT_PRIVATE_KEY_PREVIOUS", "short")]).notices()[0]
            .contains("JWT_PRIVATE_KEY_PREVIOUS has fewer")
    );
    let mut strict = load(&[("FOGHORN_PING_SECONDS", "120")]);
    strict.notices_are_faults();
    assert!(strict.into_config().is_err());
    assert_eq!(
        names(&load(&[("FOGHORN_OPS_ADDR", "127.0.0.1:8083")])),
        ["FOGHORN_OPS_ADDR"]
    );
}

#[test]
fn what_is_needed_is_asked_for_only_where_the_dialect_is_spoken() {
    let load = |dialects: &str| load_env(&[("FOGHORN_DIALECTS", dialects)]);
    assert_eq!(names(&load("inbox")), [""; 0]);
    assert_eq!(names(&load("inbox,seafile")), ["JWT_PRIVATE_KEY"]);
    let open = load("inbox").notices().join("\n");
    for name in ["FOGHORN_SSE_COOKIE_SECRET", "FOGHORN_SSE_SECRET"] {
        assert!(open.contains(name), "{open}");
    }
}

#[test]
fn of_the_databases_names_near_misses_are_found_too() {
    let load = |name| load_env(&[("JWT_PRIVATE_KEY", KEY), (name, "x")]);
    let slip = load("SEAFILE_MYSQL_DB_PASSWD");
    assert_eq!(names(&slip), ["SEAFILE_MYSQL_DB_PASSWD"]);
    assert!(slip.faults[0].message.contains("SEAFILE_MYSQL_DB_PASSWORD"));
    for (name, right) in [
        ("SEAFILE_MYSQL_DB_PASS", "_PASSWORD"),
        ("SEAFILE_MYSQL_DB_USERNAME", "_USER"),
    ] {
        let noted = load(name);
        assert_eq!(names(&noted), [""; 0], "{name}");
        assert!(noted.notices()[0].contains(right), "{:?}", noted.notices());
    }
    for name in [
        "SEAFILE_MYSQL_DB_SEAHUB_DB_NAME",
        "SEAFILE_MYSQL_DB_SEAFILE_DB_NAME",
        "SEAFILE_SERVER_HOSTNAME",
    ] {
        let known = load(name);
        assert!(
            known.faults.is_empty() && known.notices().is_empty(),
            "{name}"
        );
    }
}
