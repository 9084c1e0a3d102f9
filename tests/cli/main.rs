//! What the command line promises: every fault at once, no secret shown, a message for each mistake, exit codes that
//! scripts can rely on.

#[path = "../common/mod.rs"]
mod common;
mod events;
mod life;

use std::process::{Command, Output, Stdio};

use common::node::foghorn;
use common::token;

/// Runs `command` to its end: exit code, standard output, standard error.
fn run(command: &mut Command) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .stdin(Stdio::null())
        .output()
        .expect("foghorn starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (
        status.code().expect("an exit code"),
        text(stdout),
        text(stderr),
    )
}

#[test]
fn every_fault_is_told_at_once_and_no_secret_is() {
    let mut command = foghorn(&["check-config", "-c", "/nowhere"]);
    command.envs([
        ("NOTIFICATION_SERVER_PORT", "eighty"),
        ("NOTIFICATION_SERVER_LOG_LEVEL", "loud"),
        ("SEAFILE_MYSQL_DB_HOST", "db"),
        ("SEAFILE_MYSQL_DB_PASSWORD", "hunter2"),
        (
            "FOGHORN_REDIS_URLS",
            "redis://:hunter2@10.0.0.5:6379,http://:hunter2@h",
        ),
        ("FOGHORN_OUTBOX_BYTES", "1MiB"),
    ]);
    let (code, stdout, stderr) = run(&mut command);
    assert_eq!(code, 1);
    for name in [
        "-c: is \"/nowhere\"; it should be a folder that exists",
        "NOTIFICATION_SERVER_PORT: is \"eighty\"; it should be a port from 0 to 65535",
        "JWT_PRIVATE_KEY: is not set: give it the same value as",
        "NOTIFICATION_SERVER_LOG_LEVEL: is \"loud\"; it should be one of debug, info, warning, error",
        "SEAFILE_MYSQL_DB_USER: is missing, and group members are to be looked up since SEAFILE_MYSQL_DB_HOST and",
        "FOGHORN_REDIS_URLS: should be URLs",
        "FOGHORN_OUTBOX_BYTES: should be at least",
    ] {
        assert!(stderr.contains(name), "{name} in {stderr}");
    }
    assert!(
        stderr.contains("7 faults") && !stderr.contains("hunter2") && !stdout.contains("hunter2"),
        "{stdout}{stderr}"
    );
}

#[test]
fn settings_are_shown_with_where_they_came_from() {
    let folder = tempfile::tempdir().expect("a folder");
    let conf = "[notification]\nenabled = true\nport = 9083\njwt_private_key = hunter2\n";
    std::fs::write(folder.path().join("seafile.conf"), conf).expect("writing");
    let mut command = foghorn(&["check-config", "-l", "-"]);
    command
        .arg("-c")
        .arg(folder.path())
        .env("REDIS_HOST", "redis")
        .env("REDIS_PASSWORD", "hunter2");
    let (code, stdout, stderr) = run(&mut command);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let shown = |name: &str| {
        let line = stdout
            .lines()
            .find(|line| line.split_whitespace().next() == Some(name))
            .unwrap_or_default();
        line.split_whitespace()
            .skip(1)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        shown("NOTIFICATION_SERVER_PORT"),
        "9083 (seafile.conf, port)"
    );
    assert_eq!(
        shown("JWT_PRIVATE_KEY"),
        "*** (seafile.conf, jwt_private_key)"
    );
    assert_eq!(shown("REDIS_HOST"), "redis (environment)");
    assert_eq!(shown("REDIS_PASSWORD"), "*** (environment)");
    assert_eq!(shown("-l"), "- (command line)");
    assert_eq!(shown("FOGHORN_PARTITIONS"), "64 (default)");
    assert!(!stdout.contains("hunter2"), "{stdout}");
}

#[test]
fn a_command_line_not_understood_is_2() {
    for args in [
        &["--no-such-flag"][..],
        &["no-such-command"],
        &["token"],
        &["tail"],
        &["token", "--repo", "r", "--ttl", "0"],
        &["tail", "--count", "0", "r"],
        &["token", "--events", "-l", "x"],
        &["-c", "/", "demo"],
        &["status", "--local", "--json"],
    ] {
        let (code, stdout, stderr) = run(&mut foghorn(args));
        assert_eq!((code, stdout.as_str()), (2, ""), "{args:?}: {stderr}");
    }
}

#[test]
fn what_is_set_is_told_to_programs_too() {
    let mut command = foghorn(&["check-config", "--json"]);
    let (code, stdout, _) = run(command
        .env("NOTIFICATION_SERVER_PORT", "eighty")
        .env("JWT_PRIVATE_KEY", "hunter2"));
    let report: serde_json::Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!((code, &report["ok"]), (1, &false.into()));
    assert_eq!(
        report["faults"][0]["name"], "NOTIFICATION_SERVER_PORT",
        "{report:#}"
    );
    let settings = report["settings"].as_array().expect("settings");
    let key = settings
        .iter()
        .find(|setting| setting["name"] == "JWT_PRIVATE_KEY")
        .expect("the key");
    assert_eq!(
        (&key["value"], &key["source"]),
        (&"***".into(), &"environment".into())
    );
    assert!(!stdout.contains("hunter2"), "{stdout}");
}

#[test]
fn strict_counts_notes_and_changed_shows_only_what_differs() {
    let key = ("JWT_PRIVATE_KEY", token::KEY);
    let check = |arguments: &[&str], more: &[(&str, &str)]| {
        let mut command = foghorn(&[&["check-config"], arguments].concat());
        run(command.envs([key]).envs(more.iter().copied()))
    };
    let doubtful = [("FOGHORN_PING_SECONDS", "120")];
    let (code, stdout, _) = check(&[], &doubtful);
    assert_eq!(code, 0);
    assert!(
        stdout.contains("note: FOGHORN_PING_SECONDS is 120"),
        "{stdout}"
    );
    assert!(
        stdout.contains("broker: memory, this node stands alone"),
        "{stdout}"
    );
    let (code, _, stderr) = check(&["--strict"], &doubtful);
    assert!(
        code == 1 && stderr.contains("FOGHORN_PING_SECONDS is 120"),
        "{stderr}"
    );
    assert_eq!(check(&["--strict"], &[]).0, 0);
    let (code, stdout, _) = check(
        &["--changed"],
        &[
            ("FOGHORN_PARTITIONS", "32"),
            ("FOGHORN_REPLAY_SECONDS", "10"),
        ],
    );
    let names: Vec<_> = stdout
        .lines()
        .filter_map(|line| line.split("  ").next())
        .collect();
    assert!(
        code == 0
            && names.contains(&"FOGHORN_PARTITIONS")
            && names.iter().any(|n| n.trim() == "JWT_PRIVATE_KEY"),
        "{stdout}"
    );
    assert!(
        !stdout.contains("FOGHORN_REPLAY_SECONDS") && !stdout.contains("(default)"),
        "{stdout}"
    );
}
