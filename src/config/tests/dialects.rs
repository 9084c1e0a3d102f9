//! Settings and ports of dialects: read where the dialect is switched on, judged together with the core's.

use std::net::SocketAddr;

use super::*;
use crate::config::parse;
use crate::dialect::Certificate;

crate::settings! {
    "Echo" {
        ADDR: SocketAddr = "FOGHORN_ECHO_ADDR"
            "127.0.0.1:3000", parse::address, "an IP address and a port",
            "Where it answers.";
        CERT: PathBuf = "FOGHORN_ECHO_TLS_CERT"
            "", parse::file, "a PEM file that exists",
            "Its certificate.";
        KEY_OF_CERT: PathBuf = "FOGHORN_ECHO_TLS_KEY"
            "", parse::file, "a PEM file that exists",
            "Its key.";
        SECRET: String = "FOGHORN_ECHO_SECRET" [mask Secret] [on HUP]
            "", parse::filled, "a secret",
            "Its secret.";
        SECRET_FILE: PathBuf = "FOGHORN_ECHO_SECRET_FILE" [mask File] [on HUP]
            "", parse::file, "a file that exists",
            "File with its secret, instead.";
        TIMES: u64 = "FOGHORN_ECHO_TIMES"
            "3", parse::number::<1, 9>, "a number from 1 to 9",
            "How often it says everything.";
        LOG: String = "FOGHORN_ECHO_LOG" [per node]
            "", parse::text, "a path",
            "Where it writes what it has said.";
    }
}

static ECHO: Descriptor = Descriptor {
    name: "echo",
    about: "says everything again",
    settings: TABLE,
    predecessor: None,
    check: |_, _| {},
    metrics: &[],
    ports: |values| {
        let address = values.get(&ADDR);
        let tls = values.optional(&CERT).zip(values.optional(&KEY_OF_CERT));
        let tls = tls.map(|(chain, key)| Certificate::Files(chain, key));
        let (host, port) = (address.ip().to_string(), address.port());
        vec![Port {
            name: "echo",
            setting: ADDR.row.name,
            host,
            port,
            tls,
        }]
    },
    start: |_, _| Err("only its settings are looked at".into()),
};

fn load_echo(pairs: &[(&str, &str)]) -> Report {
    let env = pairs
        .iter()
        .chain(&[("JWT_PRIVATE_KEY", KEY)])
        .map(|(name, value)| (name.into(), value.into()));
    let mut sources = Sources {
        env: env.collect(),
        ..Sources::default()
    };
    sources.dialects.push(&ECHO);
    load(&sources)
}

const ON: (&str, &str) = ("FOGHORN_DIALECTS", "echo");

#[test]
fn what_a_dialect_is_told_is_read_where_it_is_switched_on() {
    let config = load_echo(&[ON, ("FOGHORN_ECHO_TIMES", "7")])
        .into_config()
        .unwrap();
    assert_eq!(
        (config.values.get(&TIMES), config.values.optional(&SECRET)),
        (7, None)
    );
    assert_eq!((config.ports[0].0, config.ports[0].1.port), ("echo", 3000));
    assert_eq!(
        load_echo(&[ON]).into_config().unwrap().values.get(&TIMES),
        3
    );
    let report = load_echo(&[ON, ("FOGHORN_ECHO_TIMES", "70")]);
    assert_eq!(names(&report), ["FOGHORN_ECHO_TIMES"]);
    assert!(
        report
            .entries
            .iter()
            .any(|entry| entry.row.name == "FOGHORN_ECHO_TIMES")
    );

    let off = load_echo(&[("FOGHORN_ECHO_TIMES", "70")]);
    assert!(
        off.faults.is_empty() && off.notices()[0].contains("does not name echo"),
        "{:?}",
        off.notices()
    );
    assert_eq!(
        names(&load_echo(&[ON, ("FOGHORN_ECHO_TIME", "7")])),
        ["FOGHORN_ECHO_TIME"],
        "a near miss"
    );
    let unknown = load_env(&[("JWT_PRIVATE_KEY", KEY), ON]);
    assert!(
        unknown.faults[0]
            .message
            .contains("\"echo\", which is no dialect"),
        "{:?}",
        unknown.faults
    );
}

#[test]
fn a_dialects_secret_may_be_in_a_file_and_is_shown_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let (path, long) = (dir.path().join("secret"), "correct horse battery staple");
    std::fs::write(&path, format!("{long}\n")).unwrap();
    let file = ("FOGHORN_ECHO_SECRET_FILE", path.to_str().unwrap());
    let report = load_echo(&[ON, file]);
    let shown = format!("{:?}", report.entries);
    let config = report.into_config().unwrap();
    assert_eq!(config.values.optional(&SECRET).as_deref(), Some(long));
    assert!(!format!("{config:?}{shown}").contains(long));
    assert_eq!(
        names(&load_echo(&[ON, file, ("FOGHORN_ECHO_SECRET", long)])),
        ["FOGHORN_ECHO_SECRET_FILE"],
        "both"
    );
    std::fs::write(&path, "\n").unwrap();
    assert_eq!(
        names(&load_echo(&[ON, file])),
        ["FOGHORN_ECHO_SECRET_FILE"],
        "nothing in it"
    );
}

#[test]
fn nodes_that_differ_in_secrets_and_addresses_alone_are_set_up_alike() {
    let print = |pairs: &[_]| load_echo(pairs).into_config().unwrap().fingerprint();
    let one = print(&[ON]);
    assert_eq!(
        one,
        print(&[
            ON,
            ("FOGHORN_ECHO_SECRET", "hunter2hunter2"),
            ("FOGHORN_ECHO_ADDR", "127.0.0.1:4000"),
            ("FOGHORN_ECHO_LOG", "/var/log/echo"),
        ])
    );
    assert_ne!(one, print(&[ON, ("FOGHORN_ECHO_TIMES", "5")]));
    let changed = |pairs: &[_]| -> Vec<String> {
        let config = load_echo(pairs).into_config().unwrap();
        config.changed.into_keys().collect()
    };
    let of_a_node = [
        ON,
        ("FOGHORN_ECHO_SECRET", "hunter2hunter2"),
        ("FOGHORN_ECHO_ADDR", "127.0.0.1:4000"),
        ("FOGHORN_ECHO_LOG", "/var/log/echo"),
        ("NOTIFICATION_SERVER_HOST", "127.0.0.1"),
        ("NOTIFICATION_SERVER_PORT", "8090"),
        ("FOGHORN_OPS_ADDR", "127.0.0.1:8091"),
        ("FOGHORN_OPS_PASSWORD", "hunter2hunter2"),
        ("FOGHORN_NODE_NAME", "a"),
        ("NOTIFICATION_SERVER_LOG_LEVEL", "debug"),
    ];
    assert_eq!(changed(&of_a_node), ["FOGHORN_DIALECTS"]);
    assert_eq!(
        changed(&[ON, ("FOGHORN_ECHO_TIMES", "5")]),
        ["FOGHORN_DIALECTS", "FOGHORN_ECHO_TIMES"]
    );
    assert_ne!(one, print(&[]));
}

#[test]
fn ports_that_meet_and_half_a_certificate_are_faults() {
    let faults = |pairs: &[(&'static str, &'static str)]| -> Vec<String> {
        let all: Vec<_> = pairs.iter().chain(&[ON]).copied().collect();
        names(&load_echo(&all))
            .into_iter()
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(
        faults(&[("FOGHORN_ECHO_ADDR", "0.0.0.0:8083")]),
        ["FOGHORN_ECHO_ADDR"]
    );
    assert_eq!(
        faults(&[("FOGHORN_ECHO_ADDR", "127.0.0.1:8084")]),
        ["FOGHORN_ECHO_ADDR"]
    );
    assert_eq!(
        faults(&[
            ("FOGHORN_ECHO_ADDR", "127.0.0.1:0"),
            ("NOTIFICATION_SERVER_PORT", "0")
        ]),
        [""; 0]
    );
    assert_eq!(
        faults(&[("FOGHORN_ECHO_TLS_CERT", "/etc/hostname")]),
        ["FOGHORN_ECHO_TLS_KEY"]
    );
}
