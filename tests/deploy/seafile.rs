//! `deploy/seafile/notification-server.yml` goes with what Seafile's manual tells people to have: its compose files of 12,
//! 13 and 14, a database or a Redis elsewhere, and a host of its own. Resolved by Docker Compose 2's own library.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::common::node::foghorn;
use crate::compose::without_null;
use crate::support::{fetched, root, run};

const KEY: &str = "JWT_PRIVATE_KEY='mQ2vT8kLp0Zr5Xw9Bn3Yc7Hd1Gf6Js4A'\n";
/// As the manual's `.env` of all versions has them.
const COMMON: &str = "COMPOSE_FILE='seafile-server.yml,caddy.yml,seadoc.yml,notification-server.yml'\nCOMPOSE_PATH_SEPARATOR=','\n\
    BASIC_STORAGE_PATH=/opt\nSEAFILE_VOLUME=$BASIC_STORAGE_PATH/seafile-data\nSEAFILE_SERVER_HOSTNAME=seafile.example.com\n\
    SEAFILE_SERVER_PROTOCOL=https\nTIME_ZONE=Etc/UTC\n\
    SEAFILE_MYSQL_DB_USER=seafile\nSEAFILE_MYSQL_DB_PASSWORD='pa$$ #word'\nSEAFILE_MYSQL_DB_CCNET_DB_NAME=ccnet_db\n";
const REDIS: &str = "CACHE_PROVIDER=redis # or memcached\nREDIS_HOST=redis\nREDIS_PORT=6379\nREDIS_PASSWORD=\nMEMCACHED_HOST=memcached\n";

/// The service as Compose sees it, with these files of Seafile's beside ours and this `.env`; or what Compose says.
fn service(beside: &[&str], env: &str) -> Result<Value, String> {
    let dir = TempDir::new().unwrap();
    let copy = |from: PathBuf, name: &str| {
        std::fs::copy(&from, dir.path().join(name))
            .unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        dir.path().join(name)
    };
    std::fs::write(dir.path().join(".env"), env).unwrap();
    let mut files: Vec<PathBuf> = Vec::new();
    for name in beside {
        files.push(copy(root().join("tests/deploy/seafile").join(name), name));
    }
    files.push(copy(
        root().join("deploy/seafile/notification-server.yml"),
        "notification-server.yml",
    ));
    let mut compose = Command::new(fetched("get-compose-config.sh", &[]));
    let path = std::env::var_os("PATH").unwrap_or_default();
    compose
        .env_clear()
        .env("PATH", path)
        .arg(dir.path().join(".env"))
        .args(&files)
        .current_dir(dir.path());
    let (good, text) = run(&mut compose);
    if !good {
        return Err(text);
    }
    let start = text.find('{').expect("JSON");
    let project: Value =
        serde_json::from_str(&text[start..]).unwrap_or_else(|error| panic!("{error}: {text}"));
    Ok(project["services"]["notification-server"].clone())
}

/// What the program says to the environment that the service would have.
fn check(service: &Value) -> (bool, String) {
    let mut check = foghorn(&["check-config", "--changed"]);
    for (name, value) in without_null(service["environment"].as_object().expect("an environment")) {
        check.env(name, value);
    }
    run(&mut check)
}

#[test]
#[ignore = "needs go"]
fn it_takes_the_place_of_seafiles_own_in_every_version() {
    for (version, files, cache, broker) in [
        ("12.0", "12.yml", "", "broker: memory"),
        (
            "13.0",
            "13.yml",
            REDIS,
            "broker: Redis, 1 shard (redis:6379), named by REDIS_HOST",
        ),
        (
            "14.0",
            "13.yml",
            REDIS,
            "broker: Redis, 1 shard (redis:6379), named by REDIS_HOST",
        ),
        (
            "13.0",
            "13.yml",
            "CACHE_PROVIDER=memcached\nREDIS_HOST=redis\n",
            "CACHE_PROVIDER is memcached",
        ),
        (
            "13.0",
            "13.yml",
            "FOGHORN_REDIS_URLS=redis://:s@other:6379\n",
            "(other:6379), named by FOGHORN_REDIS_URLS",
        ),
    ] {
        let env = format!(
            "{COMMON}{KEY}SEAFILE_MYSQL_DB_HOST=db\nSEAFILE_IMAGE=seafileltd/seafile-mc:{version}-latest\n{cache}"
        );
        let service = service(&[files], &env).unwrap_or_else(|error| panic!("{version}: {error}"));
        let environment = &service["environment"];
        assert_eq!(
            environment["SEAFILE_MYSQL_DB_PASSWORD"], "pa$$ #word",
            "{version}"
        );
        assert_eq!(
            environment["JWT_PRIVATE_KEY"], "mQ2vT8kLp0Zr5Xw9Bn3Yc7Hd1Gf6Js4A",
            "{version}"
        );
        assert_eq!(service["labels"]["caddy"], "https://seafile.example.com");
        let (good, text) = check(&service);
        assert!(good && text.contains(broker), "{version}: {text}");
    }
}

#[test]
#[ignore = "needs go"]
fn it_stands_alone_on_a_host_of_its_own_and_beside_outside_services() {
    let env = format!(
        "{COMMON}{KEY}SEAFILE_MYSQL_DB_HOST=192.168.0.2\nFOGHORN_PUBLISH=8083\nFOGHORN_PUBLISH_OPS=192.168.0.3:9084\n"
    );
    for beside in [&[][..], &["outside.yml"]] {
        let service = service(beside, &env).unwrap_or_else(|error| panic!("{beside:?}: {error}"));
        assert_eq!(
            (
                &service["ports"][0]["published"],
                &service["ports"][0]["target"]
            ),
            (&"8083".into(), &8083.into())
        );
        assert_eq!(
            (
                &service["ports"][1]["published"],
                &service["ports"][1]["host_ip"]
            ),
            (&"9084".into(), &"192.168.0.3".into())
        );
        let (good, text) = check(&service);
        assert!(good, "{text}");
    }
    let quiet = service(&[], &format!("{COMMON}{KEY}")).unwrap();
    assert!(
        quiet["ports"]
            .as_array()
            .unwrap()
            .iter()
            .all(|port| port["host_ip"] == "127.0.0.1"),
        "{quiet}"
    );
}

#[test]
#[ignore = "needs go"]
fn several_nodes_without_a_redis_refuse_to_start() {
    let env = format!("{COMMON}{KEY}NOTIFICATION_SERVER_REPLICAS=3\n");
    let service_of = |more: &str| service(&[], &format!("{env}{more}")).unwrap();
    let (good, text) = check(&service_of(""));
    assert!(
        !good && text.contains("FOGHORN_REDIS_REQUIRED: is true"),
        "{text}"
    );
    let (good, text) = check(&service_of("REDIS_HOST=r\n"));
    assert!(good, "{text}");
    assert_eq!(service_of("")["deploy"]["replicas"], 3);
}

#[test]
#[ignore = "needs go"]
fn limits_and_settings_are_passed_on() {
    let more = "FOGHORN_NOFILE=4096\nFOGHORN_CPUS=2\nFOGHORN_MEMORY=1G\nFOGHORN_OPS_PASSWORD=hunter2\nFOGHORN_PARTITIONS=32\n";
    let service = service(&[], &format!("{COMMON}{KEY}{more}")).unwrap();
    assert_eq!(
        service["ulimits"]["nofile"],
        serde_json::json!({"soft": 4096, "hard": 4096})
    );
    let limits = &service["deploy"]["resources"]["limits"];
    assert_eq!(
        (&limits["cpus"], &limits["memory"]),
        (&2.into(), &"1073741824".into())
    );
    assert_eq!(service["environment"]["FOGHORN_OPS_PASSWORD"], "hunter2");
    assert_eq!(service["environment"]["FOGHORN_PARTITIONS"], "32");
}

#[test]
#[ignore = "needs go"]
fn the_shipped_stack_is_taken_by_compose_2_too() {
    let dir = TempDir::new().unwrap();
    let env = dir.path().join("env");
    std::fs::write(
        &env,
        "JWT_PRIVATE_KEY=k\nGRAFANA_PASSWORD=g\nFOGHORN_OPS_PASSWORD=o\n",
    )
    .unwrap();
    let mut compose = Command::new(fetched("get-compose-config.sh", &[]));
    let (good, text) = run(compose
        .arg(&env)
        .arg(Path::new(&root()).join("docker-compose.yml")));
    assert!(
        good && text.contains("\"FOGHORN_OPS_PASSWORD\": \"o\""),
        "{text}"
    );
}
