//! What `check-config` says of WebSockets and brokers.

use crate::common::node::foghorn;

fn checked(settings: &[(&str, &str)]) -> (bool, String) {
    let mut check = foghorn(&["check-config"]);
    check
        .env("FOGHORN_DIALECTS", "inbox")
        .envs(settings.iter().copied());
    let output = check.output().expect("it starts");
    (
        output.status.success(),
        String::from_utf8([output.stdout, output.stderr].concat()).expect("text"),
    )
}

#[test]
fn what_is_of_no_use_or_open_to_others_is_noted() {
    for (settings, said) in [
        (
            &[("FOGHORN_INBOX_CLIENT_ID", "x")][..],
            "FOGHORN_INBOX_CLIENT_ID is of no use without FOGHORN_INBOX_BROKER_URL",
        ),
        (
            &[("FOGHORN_INBOX_ADDR", "0.0.0.0:3131")],
            "FOGHORN_INBOX_ADDR is of no use without FOGHORN_INBOX_SESSION_REDIS_URL or",
        ),
        (
            &[("FOGHORN_INBOX_SESSION_COOKIE", "sid")],
            "FOGHORN_INBOX_SESSION_COOKIE is of no use without FOGHORN_INBOX_SESSION",
        ),
        (
            &[("FOGHORN_INBOX_BROKER_URL", "mqtt://u:p@broker.example.com")],
            "sends its password over mqtt://",
        ),
    ] {
        let (good, text) = checked(settings);
        assert!(good && text.contains(said), "{said:?} is not in {text}");
    }
    let fine = [
        ("FOGHORN_INBOX_BROKER_URL", "mqtts://u:p@broker.example.com"),
        ("FOGHORN_INBOX_CLIENT_ID", "x"),
    ];
    let (good, text) = checked(&fine);
    assert!(
        good && !text.contains("of no use") && !text.contains("mqtt://"),
        "{text}"
    );
}

#[test]
fn what_cannot_be_is_a_fault_that_shows_no_password() {
    for (name, value) in [
        ("FOGHORN_INBOX_BROKER_URL", "mqtt://u:hunter2hunter2/x@h"),
        ("FOGHORN_INBOX_BROKER_URL", "amqp://u:hunter2hunter2@h"),
        (
            "FOGHORN_INBOX_SESSION_REDIS_URL",
            "redis://:hunter2hunter2@a,redis://b",
        ),
        (
            "FOGHORN_INBOX_SESSION_REDIS_URL",
            "http://:hunter2hunter2@a",
        ),
        ("FOGHORN_INBOX_TOPIC", "notification"),
        ("FOGHORN_INBOX_TOPIC", "notification{id}/#"),
        ("FOGHORN_INBOX_PAYLOAD", "json"),
        ("FOGHORN_INBOX_SESSION_COOKIE", "a=b"),
        ("FOGHORN_INBOX_SESSION_RECHECK_SECONDS", "1m"),
    ] {
        let (good, text) = checked(&[(name, value)]);
        assert!(
            !good && text.contains(&format!("{name}: ")),
            "{name}={value}: {text}"
        );
        assert!(!text.contains("hunter2"), "{text}");
    }
}
