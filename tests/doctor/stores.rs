//! What the database has wrong, and the settings.

use super::common::mariadb::MariaDb;
use super::common::node::Node;
use super::common::ports::free_port;
use super::common::token;
use super::{Report, doctor, run};

/// One report with these settings in its environment.
async fn with_settings(port: u16, settings: &[(&str, &str)]) -> Report {
    let mut command = doctor(None, Some(port), token::KEY);
    command.arg("--json").envs(settings.iter().copied());
    let (code, text) = run(command).await;
    let report =
        Report(serde_json::from_str(&text).unwrap_or_else(|e| panic!("not JSON ({e}): {text}")));
    assert_eq!(code, if report.healthy() { 0 } else { 1 }, "{text}");
    assert!(!text.contains("-secret"), "a password is shown: {text}");
    report
}

#[tokio::test]
async fn a_setting_that_is_wrong_is_named() {
    let said = with_settings(free_port(), &[("FOGHORN_REDIS_URLS", "http://x")])
        .await
        .expect("here", "settings", "fail");
    assert!(
        said.contains("FOGHORN_REDIS_URLS") && said.contains("check-config"),
        "{said}"
    );
}

#[tokio::test]
#[ignore = "needs mariadb"]
async fn a_database_as_it_should_be_and_as_it_should_not() {
    let node = Node::start().await;
    let database = MariaDb::start().await;
    let settings = database.env();
    let with = |name: &'static str, value: &'static str| {
        let changed = settings
            .iter()
            .map(move |(n, v)| (*n, if *n == name { value } else { v.as_str() }));
        changed.collect::<Vec<_>>()
    };
    let report = with_settings(node.port(), &with("", "")).await;
    assert!(
        report
            .expect("database", "GroupUser", "ok")
            .contains("2 memberships")
    );
    for (name, value, mend) in [
        (
            "SEAFILE_MYSQL_DB_PASSWORD",
            "wrong-secret",
            "SEAFILE_MYSQL_DB_PASSWORD=",
        ),
        (
            "SEAFILE_MYSQL_DB_CCNET_DB_NAME",
            "mysql",
            "GRANT SELECT ON mysql.GroupUser",
        ),
        ("SEAFILE_MYSQL_DB_PORT", "1", "SEAFILE_MYSQL_DB_HOST="),
    ] {
        let said = with_settings(node.port(), &with(name, value)).await.expect(
            "database",
            "GroupUser",
            "fail",
        );
        assert!(said.contains(mend), "{said}");
    }
    database.sql("DROP TABLE ccnet_db.GroupUser");
    let said =
        with_settings(node.port(), &with("", ""))
            .await
            .expect("database", "GroupUser", "fail");
    assert!(said.contains("SEAFILE_MYSQL_DB_CCNET_DB_NAME="), "{said}");
}
