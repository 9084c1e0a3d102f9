//! What the database has wrong, and the settings.

use super::common::mariadb::MariaDb;
use super::common::node::Node;
use super::common::ports::free_port;
use super::common::redis::Redis;
use super::common::token;
use super::{Report, acl_line, doctor, run};

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

/// One report on the backend's sessions alone.
async fn with_sessions(url: &str) -> Report {
    let settings = [
        ("FOGHORN_DIALECTS", "inbox"),
        ("FOGHORN_INBOX_SESSION_REDIS_URL", url),
    ];
    with_settings(free_port(), &settings).await
}

#[tokio::test]
#[ignore = "needs redis"]
async fn the_backends_redis_is_asked_as_a_node_asks_and_each_right_that_is_missing_is_named() {
    let redis = Redis::with(&["--requirepass", "redis-secret"]).await;
    let at = format!("127.0.0.1:{}", redis.port());
    with_sessions(&format!("redis://:redis-secret@{at}/3"))
        .await
        .expect("sessions", "rights", "ok");
    for (url, parts) in [
        (
            format!("redis://:other-secret@{at}"),
            "refuses the password of user default",
        ),
        (
            format!("redis://{at}"),
            "wants a password, and none is given",
        ),
        (format!("redis://:redis-secret@{at}/99"), "SELECT"),
    ] {
        let said = with_sessions(&url)
            .await
            .expect("sessions", "connect", "fail");
        assert!(said.contains(parts), "{said}");
        assert!(!said.contains("FOGHORN_REDIS_URLS"), "{said}");
    }
    let away = format!("redis://127.0.0.1:{}", free_port());
    let said = with_sessions(&away)
        .await
        .expect("sessions", "connect", "fail");
    assert!(
        said.contains("cannot connect") && said.contains("FOGHORN_INBOX_SESSION_REDIS_URL="),
        "{said}"
    );
}

#[tokio::test]
#[ignore = "needs redis"]
async fn a_right_that_is_missing_at_the_backends_redis_is_given_by_the_line_that_is_printed() {
    let redis = Redis::start().await;
    let made = ["ACL", "SETUSER", "fog", "reset", "on", ">rights-secret"];
    redis.command(&made).await;
    let url = format!("redis://fog:rights-secret@127.0.0.1:{}", redis.port());
    // The command, and when that is there, the keys.
    for missing in ["+get", "~*"] {
        let said = with_sessions(&url)
            .await
            .expect("sessions", "rights", "fail");
        let words = acl_line(&said);
        assert_eq!(words[3..], [missing], "{said}");
        assert_eq!(redis.command(&words).await, "+OK\r\n");
    }
    with_sessions(&url).await.expect("sessions", "rights", "ok");
    // Now and again a database of its own: the right to go there is one more.
    let said = with_sessions(&format!("{url}/3"))
        .await
        .expect("sessions", "rights", "fail");
    assert!(said.contains("ACL SETUSER fog +select"), "{said}");
}

#[tokio::test]
async fn a_file_with_a_secret_that_everybody_can_read_is_named() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("password");
    std::fs::write(&file, "a-password-of-the-test").expect("written");
    let path = file.display().to_string();
    for (mode, outcome) in [(0o644, "warn"), (0o640, "ok")] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("set");
        let settings = [("FOGHORN_OPS_PASSWORD_FILE", &*path)];
        let report = with_settings(free_port(), &settings).await;
        let said = report.expect("here", "files", outcome);
        assert_eq!(said.contains("chmod o-r "), outcome == "warn", "{said}");
    }
}
