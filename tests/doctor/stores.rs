//! What Redis and the database have wrong.

use super::common::mariadb::MariaDb;
use super::common::node::Node;
use super::common::ports::free_port;
use super::common::redis::Redis;
use super::common::token;
use super::{Report, doctor, run};

/// One report with these settings in its environment.
async fn with_settings(port: u16, settings: &[(&str, &str)]) -> Report {
    let mut command = doctor(None, Some(port), token::KEY);
    command.arg("--json").envs(settings.iter().copied());
    let (code, text) = run(command).await;
    let report = Report(serde_json::from_str(&text).unwrap_or_else(|e| panic!("not JSON ({e}): {text}")));
    assert_eq!(code, if report.healthy() { 0 } else { 1 }, "{text}");
    assert!(!text.contains("-secret"), "a password is shown: {text}");
    report
}

#[tokio::test]
#[ignore = "needs redis"]
async fn redis_as_it_should_be_and_as_it_should_not() {
    let node = Node::start().await;
    let redis = Redis::with(&["--requirepass", "redis-secret"]).await;
    let url = format!("redis://:redis-secret@127.0.0.1:{}", redis.port());
    let report = with_settings(node.port(), &[("FOGHORN_REDIS_URLS", &url)]).await;
    for check in ["connect", "version", "memory"] {
        report.expect("redis", check, "ok");
    }
    let wrong =
        [("REDIS_HOST", "127.0.0.1"), ("REDIS_PORT", &redis.port().to_string()), ("REDIS_PASSWORD", "not-secret")];
    let said = with_settings(node.port(), &wrong).await.expect("redis", "connect", "fail");
    assert!(said.contains("refuses user or password") && said.contains("REDIS_PASSWORD"), "{said}");
    let none = with_settings(node.port(), &[("FOGHORN_REDIS_URLS", &redis.url())]).await;
    assert!(none.expect("redis", "connect", "fail").contains("refuses user or password"));

    let forgetful = Redis::with(&["--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"]).await;
    let replica = Redis::with(&["--replicaof", "127.0.0.1", &forgetful.port().to_string()]).await;
    let urls = format!("{},{}", forgetful.url(), replica.url());
    let report = with_settings(node.port(), &[("FOGHORN_REDIS_URLS", &urls)]).await;
    assert!(report.expect("redis", "memory", "warn").contains("maxmemory-policy noeviction"));
    assert!(report.expect("redis", "role", "fail").contains("redis-sentinel://"));

    let gone = format!("redis://127.0.0.1:{}", free_port());
    let said = with_settings(node.port(), &[("FOGHORN_REDIS_URLS", &gone)]).await.expect("redis", "connect", "fail");
    assert!(said.contains("FOGHORN_REDIS_URLS="), "{said}");
    let said =
        with_settings(node.port(), &[("FOGHORN_REDIS_URLS", "http://x")]).await.expect("here", "settings", "fail");
    assert!(said.contains("FOGHORN_REDIS_URLS") && said.contains("check-config"), "{said}");
}

#[tokio::test]
#[ignore = "needs mariadb"]
async fn a_database_as_it_should_be_and_as_it_should_not() {
    let node = Node::start().await;
    let database = MariaDb::start().await;
    let settings = database.env();
    let with = |name: &'static str, value: &'static str| {
        let changed = settings.iter().map(move |(n, v)| (*n, if *n == name { value } else { v.as_str() }));
        changed.collect::<Vec<_>>()
    };
    let report = with_settings(node.port(), &with("", "")).await;
    assert!(report.expect("database", "GroupUser", "ok").contains("2 memberships"));
    for (name, value, mend) in [
        ("SEAFILE_MYSQL_DB_PASSWORD", "wrong-secret", "SEAFILE_MYSQL_DB_PASSWORD="),
        ("SEAFILE_MYSQL_DB_CCNET_DB_NAME", "mysql", "GRANT SELECT ON mysql.GroupUser"),
        ("SEAFILE_MYSQL_DB_PORT", "1", "SEAFILE_MYSQL_DB_HOST="),
    ] {
        let said = with_settings(node.port(), &with(name, value)).await.expect("database", "GroupUser", "fail");
        assert!(said.contains(mend), "{said}");
    }
    database.sql("DROP TABLE ccnet_db.GroupUser");
    let said = with_settings(node.port(), &with("", "")).await.expect("database", "GroupUser", "fail");
    assert!(said.contains("SEAFILE_MYSQL_DB_CCNET_DB_NAME="), "{said}");
}
