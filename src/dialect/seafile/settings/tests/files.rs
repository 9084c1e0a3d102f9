//! Values that come from files: the nearest one counts, and each is read by its own rules.

use super::*;

#[test]
fn the_environment_wins_over_seafile_conf_and_empty_is_not_set() {
    let dir = tempfile::tempdir().unwrap();
    let conf = "[notification]\nenabled = false\nhost = 127.0.0.1\nport = 9000\nlog_level = warning\njwt_private_key = from-file-0123456789-0123456789-x\n";
    std::fs::write(dir.path().join("seafile.conf"), conf).unwrap();
    let env = [
        ("NOTIFICATION_SERVER_PORT", "9001"),
        ("NOTIFICATION_SERVER_HOST", ""),
        ("FOGHORN_HORN", "1"),
    ];
    let env = env
        .iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    let report = load(&Sources {
        config_dir: Some(dir.path().into()),
        env,
        ..Sources::default()
    });
    let host = report
        .entries
        .iter()
        .find(|entry| entry.row.name == "NOTIFICATION_SERVER_HOST")
        .unwrap();
    assert_eq!(host.source, Source::Predecessor("seafile.conf", "host"));
    let config = report.into_config().unwrap();
    assert_eq!(
        (config.http.host.as_str(), config.http.port),
        ("127.0.0.1", 9001)
    );
    assert_eq!(
        (
            config.log.level,
            Secrets::of(&config.values).current.as_str()
        ),
        (LogLevel::Warning, "from-file-0123456789-0123456789-x")
    );
    assert_eq!(
        config.log.file,
        Some(dir.path().join("notification-server.log"))
    );
    assert_eq!(config.notices.len(), 2, "{:?}", config.notices);
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
    let (empty, both) = (
        path("empty", "\n"),
        [
            ("JWT_PRIVATE_KEY", "k"),
            ("JWT_PRIVATE_KEY_FILE", key.as_str()),
        ],
    );
    let files = [
        ("JWT_PRIVATE_KEY_FILE", key.as_str()),
        ("JWT_PRIVATE_KEY_PREVIOUS_FILE", previous.as_str()),
    ];
    let keys = Secrets::of(&load_env(&files).into_config().unwrap().values);
    assert_eq!(
        (keys.current.as_str(), keys.previous.as_deref().unwrap()),
        (" k\n", "old")
    );
    assert_eq!(names(&load_env(&both)), ["JWT_PRIVATE_KEY_FILE"]);
    assert_eq!(
        names(&load_env(&[("JWT_PRIVATE_KEY_FILE", &empty)])),
        ["JWT_PRIVATE_KEY_FILE"]
    );
    let gone = [
        ("JWT_PRIVATE_KEY", "k"),
        ("JWT_PRIVATE_KEY_PREVIOUS_FILE", empty.as_str()),
    ];
    assert!(
        Secrets::of(&load_env(&gone).into_config().unwrap().values)
            .previous
            .is_none()
    );
    let report = load_env(&[("JWT_PRIVATE_KEY_FILE", "/nowhere/key")]);
    assert_eq!(
        names(&report),
        ["JWT_PRIVATE_KEY_FILE"],
        "no further fault beside it"
    );
}

#[test]
fn a_settings_file_stands_in_for_the_environment() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("foghorn.env");
    std::fs::write(
        &file,
        format!("JWT_PRIVATE_KEY={KEY} # mine\nFOGHORN_PARTITIONS=32\nFOGHORN_REPLAY_SECONDS=\nFOGHORN_NONE=1\n"),
    )
    .unwrap();
    let file = file.display().to_string();
    let report = load_env(&[("FOGHORN_ENV_FILE", &file), ("FOGHORN_PARTITIONS", "16")]);
    let key = report
        .entries
        .iter()
        .find(|entry| entry.row.name == "JWT_PRIVATE_KEY")
        .unwrap();
    assert_eq!(
        (key.source.clone(), key.shown.as_str()),
        (Source::EnvFile, "***")
    );
    let config = report.into_config().unwrap();
    assert_eq!(
        (
            config.partitions,
            config.replay.as_secs(),
            config.notices.len()
        ),
        (16, 10, 1)
    );
}

/// As Seafile 13's own example has it, comments and all.
const SEAFILE_ENV: &str = "\
## Images
SEAFILE_IMAGE=seafileltd/seafile-mc:13.0-latest
BASIC_STORAGE_PATH=/opt
SEAFILE_VOLUME=$BASIC_STORAGE_PATH/seafile-data
JWT_PRIVATE_KEY='mQ2vT8kLp0Zr5Xw9Bn3Yc7Hd1Gf6Js4A'
## Database
SEAFILE_MYSQL_DB_HOST=db
SEAFILE_MYSQL_DB_USER=seafile
SEAFILE_MYSQL_DB_PASSWORD=\"pa#ss$$word\" # quoted
SEAFILE_MYSQL_DB_CCNET_DB_NAME=ccnet_db
SEAFILE_MYSQL_DB_SEAFILE_DB_NAME=seafile_db
## Cache
CACHE_PROVIDER=redis # or memcached
REDIS_HOST=redis
REDIS_PORT=6379
REDIS_PASSWORD=
MEMCACHED_HOST=memcached
NOTIFICATION_SERVER_URL=
";

#[test]
fn seafiles_own_env_file_is_read_from_its_folder() {
    let (_dir, sources) = seafile(&[
        (".env", SEAFILE_ENV),
        ("seafile.conf", "[notification]\nport = 9000\n"),
    ]);
    let report = with(sources.clone(), &[]);
    assert_eq!(names(&report), Vec::<&str>::new());
    assert_eq!(report.notices(), Vec::<String>::new());
    let key = report
        .entries
        .iter()
        .find(|entry| entry.row.name == "JWT_PRIVATE_KEY")
        .unwrap();
    assert_eq!(key.source, Source::FolderEnv);
    let config = report.into_config().unwrap();
    assert_eq!(
        (
            Secrets::of(&config.values).current.as_str(),
            config.http.port
        ),
        (KEY, 9000)
    );
    assert_eq!(groups(&config.values).unwrap().password, "pa#ss$word");
    assert_eq!(
        config.redis.unwrap().shards[0].hosts,
        [("redis".to_owned(), 6379)]
    );
    let near = with(
        sources,
        &[
            ("JWT_PRIVATE_KEY", "from-the-environment-0123456789-"),
            ("REDIS_HOST", "other"),
        ],
    );
    let config = near.into_config().unwrap();
    assert_eq!(
        Secrets::of(&config.values).current,
        "from-the-environment-0123456789-"
    );
    assert_eq!(config.redis.unwrap().shards[0].name(), "other:6379");
}

#[test]
fn a_file_with_the_key_wins_over_a_key_from_farther_away() {
    let (dir, sources) = seafile(&[
        (".env", SEAFILE_ENV),
        ("key", "from-a-file-0123456789-0123456789"),
    ]);
    let file = dir.path().join("key").display().to_string();
    let config = with(sources, &[("JWT_PRIVATE_KEY_FILE", &file)])
        .into_config()
        .unwrap();
    assert_eq!(
        Secrets::of(&config.values).current,
        "from-a-file-0123456789-0123456789"
    );
}

#[test]
fn a_line_that_cannot_be_read_is_told_of_and_the_others_hold() {
    let (_dir, sources) = seafile(&[(
        ".env",
        "JWT_PRIVATE_KEY=$PART-0123456789-0123456789-0123\nset -a\nREDIS_HOST=r\n",
    )]);
    let report = with(sources, &[]);
    let notices = report.notices().join("\n");
    assert!(
        notices.contains("line 2") && notices.contains("JWT_PRIVATE_KEY has a $ in it"),
        "{notices}"
    );
    assert_eq!(report.into_config().unwrap().redis.unwrap().shards.len(), 1);
    let (dir, _) = seafile(&[("foghorn.env", "JWT_PRIVATE_KEY=\"open\nREDIS_HOST=r\n")]);
    let file = dir.path().join("foghorn.env").display().to_string();
    assert!(names(&load_env(&[("FOGHORN_ENV_FILE", &file)])).contains(&"FOGHORN_ENV_FILE"));
}

#[test]
fn a_settings_file_that_is_no_file_holds_up_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let pipe = pipe.display().to_string();
    for name in ["FOGHORN_ENV_FILE", "JWT_PRIVATE_KEY_FILE"] {
        assert!(names(&load_env(&[(name, &pipe)])).contains(&name));
    }
    std::fs::rename(&pipe, dir.path().join(".env")).unwrap();
    let sources = Sources {
        config_dir: Some(dir.path().into()),
        ..Sources::default()
    };
    assert!(names(&load(&sources)).contains(&"-c"));
}
