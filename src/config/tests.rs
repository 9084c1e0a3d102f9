//! Configuration: what is read from where, and every fault at once.

use std::path::PathBuf;

use super::settings as s;
use super::*;

fn load_env(pairs: &[(&str, &str)]) -> Report {
    let env = pairs.iter().map(|(name, value)| (name.into(), value.into())).collect();
    load(&Sources { env, ..Sources::default() })
}

fn names(report: &Report) -> Vec<&str> {
    report.faults.iter().map(|fault| fault.name.as_str()).collect()
}

#[test]
fn each_setting_of_the_table_is_read_once_and_in_its_order() {
    let read: Vec<&str> = load_env(&[]).entries.iter().map(|entry| entry.row.name).collect();
    let table: Vec<&str> = s::TABLE.iter().map(|row| row.name).collect();
    assert_eq!(read, table);
}

#[test]
fn a_key_is_all_that_is_needed() {
    let config = load_env(&[("JWT_PRIVATE_KEY", "k")]).into_config().unwrap();
    assert_eq!((config.http.host.as_str(), config.http.port), ("0.0.0.0", 8083));
    assert_eq!((config.partitions, config.replay.as_secs(), config.ping.as_secs()), (64, 10, 25));
    assert_eq!((config.groups, config.redis, config.log.file), (None, None, None));
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
        "JWT_PRIVATE_KEY",
        "SEAFILE_MYSQL_DB_USER",
        "SEAFILE_MYSQL_DB_PASSWORD",
        "FOGHORN_REDIS_URLS",
        "FOGHORN_PARTITIONS",
        "FOGHORN_OUTBOX_BYTES",
    ];
    assert_eq!(names(&report), expected);
    let text = report.into_config().unwrap_err().to_string();
    assert!(text.contains("7 faults") && text.contains("Kubernetes") && !text.contains("hunter2"), "{text}");
}

#[test]
fn seafiles_redis_is_used_where_no_urls_are_given() {
    let seafile = [("JWT_PRIVATE_KEY", "k"), ("REDIS_HOST", "::1"), ("REDIS_PASSWORD", "p@ss:/w")];
    let redis = load_env(&seafile).into_config().unwrap().redis.unwrap();
    assert_eq!(redis.shards[0].password.as_deref(), Some("p@ss:/w"));
    assert_eq!(redis.shards[0].hosts, [("::1".to_owned(), 6379)]);
    assert!(!format!("{redis:?}").contains("p%40ss"));
    let mut own = seafile.to_vec();
    own.push(("FOGHORN_REDIS_URLS", "redis://a, redis-cluster://b"));
    let shards = load_env(&own).into_config().unwrap().redis.unwrap().shards;
    assert_eq!(shards.iter().map(|s| s.hosts[0].0.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn a_socket_needs_no_password() {
    let on = [
        ("SEAFILE_MYSQL_DB_HOST", "/run/mysqld/mysqld.sock"),
        ("SEAFILE_MYSQL_DB_USER", "u"),
        ("JWT_PRIVATE_KEY", "k"),
    ];
    let groups = load_env(&on).into_config().unwrap().groups.unwrap();
    assert_eq!((groups.host.as_str(), groups.ccnet_db.as_str()), ("/run/mysqld/mysqld.sock", "ccnet_db"));
}

#[test]
fn the_environment_wins_over_seafile_conf_and_empty_is_not_set() {
    let dir = tempfile::tempdir().unwrap();
    let conf = "[notification]\nenabled = false\nhost = 127.0.0.1\nport = 9000\nlog_level = warning\njwt_private_key = from-file\n";
    std::fs::write(dir.path().join("seafile.conf"), conf).unwrap();
    let env = [("NOTIFICATION_SERVER_PORT", "9001"), ("NOTIFICATION_SERVER_HOST", ""), ("FOGHORN_REPLY_SECONDS", "1")];
    let env = env.iter().map(|(name, value)| (name.into(), value.into())).collect();
    let report = load(&Sources { config_dir: Some(dir.path().into()), log_file: None, env });
    let host = report.entries.iter().find(|entry| entry.row.name == "NOTIFICATION_SERVER_HOST").unwrap();
    assert_eq!(host.source, Source::SeafileConf("host"));
    let config = report.into_config().unwrap();
    assert_eq!((config.http.host.as_str(), config.http.port), ("127.0.0.1", 9001));
    assert_eq!((config.log.level, config.keys.current.0.as_str()), (LogLevel::Warning, "from-file"));
    assert_eq!(config.log.file, Some(dir.path().join("notification-server.log")));
    assert_eq!(config.notices.len(), 2, "{:?}", config.notices);
}

#[test]
fn the_log_goes_where_upstream_would_send_it() {
    let file = |log_file: Option<&str>, stdout: &str| {
        let env = [("SEAFILE_LOG_TO_STDOUT", stdout), ("JWT_PRIVATE_KEY", "k")]
            .iter()
            .map(|(n, v)| (n.into(), v.into()))
            .collect();
        load(&Sources { config_dir: None, log_file: log_file.map(PathBuf::from), env }).into_config().unwrap().log.file
    };
    assert_eq!(file(Some("/x/y.log"), "false"), Some("/x/y.log".into()));
    assert_eq!(file(Some("/x/y.log"), "true"), None);
    assert_eq!((file(Some("-"), ""), file(None, "")), (None, None));
}

#[test]
fn the_reference_page_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/CONFIGURATION.md");
    let page = std::fs::read_to_string(path).unwrap_or_default();
    assert!(page == reference::markdown(), "run: cargo run -- check-config --reference > docs/CONFIGURATION.md");
}

#[test]
fn keys_may_come_from_files_and_one_line_end_does_not_count() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (key, previous) = (path("key", " k\n\n"), path("previous", "old\r\n"));
    let (empty, both) = (path("empty", "\n"), [("JWT_PRIVATE_KEY", "k"), ("JWT_PRIVATE_KEY_FILE", key.as_str())]);
    let files = [("JWT_PRIVATE_KEY_FILE", key.as_str()), ("JWT_PRIVATE_KEY_PREVIOUS_FILE", previous.as_str())];
    let keys = load_env(&files).into_config().unwrap().keys;
    assert_eq!((keys.current.0.as_str(), keys.previous.unwrap().0.as_str()), (" k\n", "old"));
    assert_eq!(names(&load_env(&both)), ["JWT_PRIVATE_KEY_FILE"]);
    assert_eq!(names(&load_env(&[("JWT_PRIVATE_KEY_FILE", &empty)])), ["JWT_PRIVATE_KEY_FILE"]);
    let gone = [("JWT_PRIVATE_KEY", "k"), ("JWT_PRIVATE_KEY_PREVIOUS_FILE", empty.as_str())];
    assert!(load_env(&gone).into_config().unwrap().keys.previous.is_none());
    let report = load_env(&[("JWT_PRIVATE_KEY_FILE", "/nowhere/key")]);
    assert_eq!(names(&report), ["JWT_PRIVATE_KEY_FILE"], "no further fault beside it");
}

#[test]
fn a_settings_file_stands_in_for_the_environment() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("foghorn.env");
    std::fs::write(&file, "JWT_PRIVATE_KEY=k\nFOGHORN_PARTITIONS=32\nFOGHORN_REPLAY_SECONDS=\nFOGHORN_NONE=1\n")
        .unwrap();
    let file = file.display().to_string();
    let report = load_env(&[("FOGHORN_ENV_FILE", &file), ("FOGHORN_PARTITIONS", "16")]);
    let key = report.entries.iter().find(|entry| entry.row.name == "JWT_PRIVATE_KEY").unwrap();
    assert_eq!((key.source.clone(), key.shown.as_str()), (Source::EnvFile, "***"));
    let config = report.into_config().unwrap();
    assert_eq!((config.partitions, config.replay.as_secs(), config.notices.len()), (16, 10, 1));
}

#[test]
fn an_empty_file_is_no_password() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        std::fs::write(dir.path().join(name), text).unwrap();
        dir.path().join(name).display().to_string()
    };
    let (empty, good, odd) = (file("empty", "\n"), file("good", "secret\n"), file("odd", "se cret"));
    let load = |pairs: &[(&str, &str)]| load_env(&[&[("JWT_PRIVATE_KEY", "k")], pairs].concat());
    let ops =
        load(&[("FOGHORN_OPS_PASSWORD_FILE", &good), ("FOGHORN_OPS_TOKEN_FILE", &good)]).into_config().unwrap().ops;
    assert_eq!((ops.password, ops.token), (Some(Secret("secret".into())), Some(Secret("secret".into()))));
    for (name, path) in
        [("FOGHORN_OPS_PASSWORD_FILE", &empty), ("FOGHORN_OPS_TOKEN_FILE", &empty), ("FOGHORN_OPS_TOKEN_FILE", &odd)]
    {
        assert_eq!(names(&load(&[(name, path)])), [name]);
    }
    assert_eq!(names(&load(&[("FOGHORN_OPS_TOKEN", "tökén")])), ["FOGHORN_OPS_TOKEN"]);
}
