//! Secrets: where they may come from, and that none is shown.

use super::*;

#[test]
fn an_empty_file_is_no_password() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        std::fs::write(dir.path().join(name), text).unwrap();
        dir.path().join(name).display().to_string()
    };
    let (empty, good, odd) = (
        file("empty", "\n"),
        file("good", "secret\n"),
        file("odd", "se cret"),
    );
    let load = |pairs: &[(&str, &str)]| load_env(&[&[("JWT_PRIVATE_KEY", "k")], pairs].concat());
    let ops = load(&[
        ("FOGHORN_OPS_PASSWORD_FILE", &good),
        ("FOGHORN_OPS_TOKEN_FILE", &good),
    ])
    .into_config()
    .unwrap()
    .ops;
    assert_eq!(
        (ops.password, ops.token),
        (Some(Secret("secret".into())), Some(Secret("secret".into())))
    );
    for (name, path) in [
        ("FOGHORN_OPS_PASSWORD_FILE", &empty),
        ("FOGHORN_OPS_TOKEN_FILE", &empty),
        ("FOGHORN_OPS_TOKEN_FILE", &odd),
    ] {
        assert_eq!(names(&load(&[(name, path)])), [name]);
    }
    assert_eq!(
        names(&load(&[("FOGHORN_OPS_TOKEN", "tökén")])),
        ["FOGHORN_OPS_TOKEN"]
    );
}

#[test]
fn every_secret_may_come_from_a_file_or_from_systemd() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        std::fs::write(dir.path().join(name), text).unwrap();
        dir.path().join(name).display().to_string()
    };
    for row in s::TABLE
        .iter()
        .filter(|row| matches!(row.mask, s::Mask::Secret | s::Mask::Urls))
    {
        let name = format!("{}_FILE", row.name);
        assert!(
            s::TABLE
                .iter()
                .any(|row| row.name == name && row.mask == s::Mask::File),
            "{name} is no setting"
        );
    }
    let (urls, password) = (
        file("urls", "redis://:a@h1\n# comment\nredis://:b@h2\n"),
        file("password", "p w\n"),
    );
    let common = [
        ("JWT_PRIVATE_KEY", KEY),
        ("SEAFILE_MYSQL_DB_HOST", "db"),
        ("SEAFILE_MYSQL_DB_USER", "u"),
    ];
    let files = [
        ("FOGHORN_REDIS_URLS_FILE", urls.as_str()),
        ("SEAFILE_MYSQL_DB_PASSWORD_FILE", password.as_str()),
    ];
    let config = load_env(&[&common[..], &files].concat())
        .into_config()
        .unwrap();
    assert_eq!(
        (
            config.redis.unwrap().shards.len(),
            groups(&config.values).unwrap().password.as_str()
        ),
        (2, "p w")
    );
    let redis = [
        ("REDIS_HOST", "h"),
        ("REDIS_PASSWORD_FILE", password.as_str()),
    ];
    let config = load_env(&[&common[..1], &redis].concat())
        .into_config()
        .unwrap();
    assert_eq!(
        config.redis.unwrap().shards[0].password.as_deref(),
        Some("p w")
    );

    file("JWT_PRIVATE_KEY", "from-systemd-0123456789-0123456789\n");
    file("FOGHORN_REDIS_URLS", "redis://:hunter2@h\n");
    let credentials = dir.path().display().to_string();
    let report = load_env(&[("CREDENTIALS_DIRECTORY", &credentials)]);
    let shown: String = report
        .entries
        .iter()
        .map(|entry| entry.shown.as_str())
        .collect();
    assert!(
        !shown.contains("hunter2") && !shown.contains("from-systemd"),
        "{shown}"
    );
    let config = report.into_config().unwrap();
    assert_eq!(
        Secrets::of(&config.values).current,
        "from-systemd-0123456789-0123456789"
    );
    assert_eq!(
        config.redis.unwrap().shards[0].password.as_deref(),
        Some("hunter2")
    );
}

#[test]
fn a_secret_in_the_wrong_setting_is_shown_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let key = ("JWT_PRIVATE_KEY", "hunter2-hunter2-hunter2-hunter2-x");
    for (name, value) in [
        ("REDIS_HOST", "redis://:hunter2@h"),
        ("REDIS_HOST", ":hunter2@h"),
        ("REDIS_PORT", "tcp://:hunter2@h:1"),
        ("SEAFILE_MYSQL_DB_HOST", "mysql://u:hunter2@h"),
        ("FOGHORN_OTLP_ENDPOINT", "http://u:hunter2@h"),
        ("FOGHORN_OTLP_ENDPOINT", "ftp://h/?key=hunter2"),
        ("FOGHORN_REDIS_URLS", "redis://hunter2@h"),
        ("FOGHORN_REDIS_URLS", "redis://:hunt#hunter2@h"),
        ("FOGHORN_ALLOWED_ORIGINS", "https://u:hunter2@h"),
        ("FOGHORN_TRUSTED_PROXIES", "10.0.0.0/8,u:hunter2@h"),
        ("NOTIFICATION_SERVER_LOG_LEVEL", key.1),
        ("FOGHORN_NODE_NAME", key.1),
        ("JWT_PRIVATE_KEY_FILE", "hunter2"),
        ("FOGHORN_OPS_PASSWORD_FILE", "/hunter2/of/no/folder"),
        (
            "FOGHORN_OPS_TLS_KEY",
            "-----BEGIN PRIVATE KEY-----\nhunter2",
        ),
        ("FOGHORN_REDIS_CA", "-----BEGIN CERTIFICATE-----\nhunter2"),
    ] {
        let env = [key, (name, value)]
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        let sources = Sources {
            env,
            ..Sources::default()
        };
        let report = load(&sources);
        let shown: String = report
            .entries
            .iter()
            .map(|entry| format!("{entry:?}\n"))
            .collect();
        let faults: String = report
            .faults
            .iter()
            .map(|fault| format!("{fault} {fault:?}\n"))
            .collect();
        let all = format!("{shown}{faults}{:?}{sources:?}{report:?}", report.notices());
        assert!(!all.contains("hunter2"), "{name}={value}: {all}");
    }
    let fault = |name: &str, value: &str| load_env(&[key, (name, value)]).faults[0].to_string();
    assert!(fault("REDIS_HOST", "redis://:hunter2@h").contains("FOGHORN_REDIS_URLS takes a URL"));
    assert!(fault("REDIS_HOST", "redis://:hunter2@h").contains("is \"redis://***@h\""));
    assert!(
        fault("SEAFILE_MYSQL_DB_HOST", "mysql://u:hunter2@h")
            .contains("SEAFILE_MYSQL_DB_HOST, _PORT, _USER")
    );
    drop(dir);
}
