//! Centrifugo's configuration stands in for settings that are not set.

use crate::config::sources::InPlace;
use crate::config::{LogLevel, Report, Sources, load};
use crate::dialect::centrifugo::wire::DIALECT;

fn loaded(mut sources: Sources, pairs: &[(&str, &str)]) -> Report {
    let env = pairs
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()));
    sources.env = env.collect();
    load(&sources)
}

fn load_env(pairs: &[(&str, &str)]) -> Report {
    loaded(Sources::default(), pairs)
}

fn load_with(file: &str, pairs: &[(&str, &str)]) -> Report {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    std::fs::write(&path, file).unwrap();
    let own = [
        ("FOGHORN_DIALECTS", "centrifugo"),
        ("FOGHORN_CENTRIFUGO_CONFIG", path.to_str().unwrap()),
    ];
    load_env(&[&own, pairs].concat())
}

const FILE: &str = "secret = \"s\"\nport = 8001\nlog_level = \"debug\"\nengine = \"redis\"\nredis_host = \"10.0.0.5\"\nredis_password = \"hunter2hunter2\"\n";

#[test]
fn what_stands_in_for_a_setting_is_named_and_no_password_is_shown() {
    let report = load_with(
        FILE,
        &[
            ("CENTRIFUGO_PORT", "8002"),
            ("CENTRIFUGO_SERVICE_HOST", "10.1.1.1"),
        ],
    );
    let port = report
        .entries
        .iter()
        .find(|entry| entry.row.name == "NOTIFICATION_SERVER_PORT")
        .unwrap();
    assert_eq!(
        (port.shown.as_str(), port.source.to_string()),
        ("8002", "Centrifugo's configuration, port".to_owned())
    );
    assert!(!format!("{:?}", report.entries).contains("hunter2"));
    let config = report.into_config().unwrap();
    assert_eq!(
        (config.http.port, config.log.level),
        (8002, LogLevel::Debug)
    );
    let redis = config.redis.unwrap();
    assert_eq!(
        (
            redis.shards[0].name().as_str(),
            redis.shards[0].password.as_deref()
        ),
        ("10.0.0.5:6379", Some("hunter2hunter2"))
    );
    assert!(
        config.broker.contains("Centrifugo's configuration, engine"),
        "{}",
        config.broker
    );
}

#[test]
fn a_setting_by_our_name_comes_first_and_two_that_name_redis_are_a_fault() {
    let own = [
        ("NOTIFICATION_SERVER_PORT", "9000"),
        ("FOGHORN_REDIS_URLS", "redis://own"),
    ];
    let config = load_with(FILE, &own).into_config().unwrap();
    assert_eq!(
        (config.http.port, config.redis.unwrap().shards[0].name()),
        (9000, "own:6379".to_owned())
    );
    for key in ["`port`", "`engine`"] {
        assert!(
            config
                .notices
                .iter()
                .any(|note| note.contains(key) && note.contains("is not used")),
            "{key}"
        );
    }
    let told = load_with(FILE, &[("REDIS_HOST", "seafiles")])
        .into_config()
        .unwrap_err()
        .to_string();
    assert!(told.contains("REDIS_HOST: is set, and `engine`"), "{told}");
}

#[test]
fn a_key_that_changes_nothing_is_noted_and_one_that_cannot_be_honoured_is_a_fault_wherever_it_is_given()
 {
    let config = load_with(
        "secret = \"s\"\nredis_pool = 9\n",
        &[("CENTRIFUGO_COLOUR", "blue")],
    )
    .into_config()
    .unwrap();
    for word in [
        "redis_pool changes nothing here",
        "CENTRIFUGO_COLOUR is set",
    ] {
        assert!(
            config.notices.iter().any(|note| note.contains(word)),
            "{:?}",
            config.notices
        );
    }
    let told = load_with("secret = \"s\"\n", &[("CENTRIFUGO_WEB_PATH", "/x")])
        .into_config()
        .unwrap_err()
        .to_string();
    assert!(
        told.contains("FOGHORN_CENTRIFUGO_CONFIG: ")
            && told.contains("web_path: it is not honoured"),
        "{told}"
    );
    let alone = load_env(&[
        ("FOGHORN_DIALECTS", "centrifugo"),
        ("CENTRIFUGO_SECRET", "s"),
    ])
    .into_config();
    assert!(alone.is_ok(), "{alone:?}");
}

/// As if started in Centrifugo's place, with these variables.
fn load_in_place(pairs: &[(&str, &str)]) -> Report {
    let place = InPlace {
        dialect: DIALECT,
        file: None,
    };
    let sources = Sources {
        in_place: Some(place),
        ..Sources::default()
    };
    loaded(sources, pairs)
}

#[test]
fn in_centrifugos_place_its_port_holds_where_nothing_says_another() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("settings");
    std::fs::write(
        &file,
        "CENTRIFUGO_SECRET=s\nNOTIFICATION_SERVER_PORT=9000\n",
    )
    .unwrap();
    let named = [("FOGHORN_ENV_FILE", file.to_str().unwrap())];
    let secret = [("CENTRIFUGO_SECRET", "s")];
    let port = |pairs: &[&[(&str, &str)]]| {
        let config = load_in_place(&pairs.concat()).into_config();
        let config = config.map_err(|error| error.to_string()).unwrap();
        assert_eq!(config.dialects[0].name, "centrifugo");
        config.http.port
    };
    assert_eq!(port(&[&secret]), 8_000);
    assert_eq!(port(&[&secret, &[("CENTRIFUGO_PORT", "8002")]]), 8_002);
    assert_eq!(port(&[&named]), 9_000);
    // What is empty, or made for a Service of that name, says nothing.
    for value in ["", "tcp://10.0.0.1:8000"] {
        assert_eq!(port(&[&secret, &[("CENTRIFUGO_PORT", value)]]), 8_000);
    }
}

#[test]
fn a_key_in_the_settings_file_wins_over_one_in_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("settings");
    std::fs::write(&file, "CENTRIFUGO_SECRET=s\nCENTRIFUGO_PORT=8002\n").unwrap();
    std::fs::write(dir.path().join(".env"), "CENTRIFUGO_PORT=8001\n").unwrap();
    let load = |pairs: &[(&str, &str)]| {
        let own = [
            ("FOGHORN_DIALECTS", "centrifugo"),
            ("FOGHORN_ENV_FILE", file.to_str().unwrap()),
        ];
        let sources = Sources {
            config_dir: Some(dir.path().into()),
            ..Sources::default()
        };
        let report = loaded(sources, &[&own, pairs].concat());
        report.into_config().unwrap().http.port
    };
    assert_eq!(load(&[]), 8_002);
    assert_eq!(load(&[("CENTRIFUGO_PORT", "8003")]), 8_003);
}

#[test]
fn a_port_for_backends_is_dropped_only_where_clients_really_are() {
    let ports = |file: &str, pairs: &[(&str, &str)]| {
        let config = load_with(file, pairs).into_config().unwrap();
        let ports = config.ports.iter().map(|(_, port)| port.port);
        ports.collect::<Vec<_>>()
    };
    let file = "secret = \"s\"\nport = 8001\napi_port = 8001\n";
    assert!(ports(file, &[]).is_empty());
    let elsewhere = [("NOTIFICATION_SERVER_PORT", "9000")];
    assert_eq!(ports(file, &elsewhere), [8_001]);
    let assumed = "secret = \"s\"\napi_port = 8000\n";
    assert_eq!(ports(assumed, &elsewhere), [8_000]);
    assert!(ports(assumed, &[("NOTIFICATION_SERVER_PORT", "8000")]).is_empty());
}

#[test]
fn lists_without_a_redis_are_a_fault_before_anything_starts() {
    let told = load_with("secret = \"s\"\nredis_api = true\n", &[]).into_config();
    let told = told.unwrap_err().to_string();
    assert!(told.contains("redis_api: there is no Redis"), "{told}");
    let file = "secret = \"s\"\nredis_api = true\nengine = \"redis\"\n";
    assert!(load_with(file, &[]).into_config().is_ok());
}
