//! Any environment and any `seafile.conf`: every fault is reported, nothing panics, and no secret is shown.
//!
//! The input's lines are `NAME=VALUE`; a line with just `[` begins the text of `seafile.conf`.

#![no_main]

use foghorn::config::{Sources, load, seafile_conf};
use foghorn::dialect::seafile::settings::Secrets;
use libfuzzer_sys::fuzz_target;

const SECRETS: [&str; 5] = [
    "JWT_PRIVATE_KEY",
    "JWT_PRIVATE_KEY_PREVIOUS",
    "FOGHORN_OPS_PASSWORD",
    "FOGHORN_OPS_TOKEN",
    "REDIS_PASSWORD",
];

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let (environment, conf) = text.split_once("\n[\n").unwrap_or((&text, ""));
    seafile_conf::notification(conf);
    let mut sources = Sources::default();
    // Files and folders are not the fuzzer's to name: it would wander about the machine's own.
    let pairs = environment
        .lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(name, _)| {
            !name.ends_with("_FILE") && !name.ends_with("_CERT") && !name.ends_with("_KEY")
                || *name == "JWT_PRIVATE_KEY"
        });
    for (name, value) in pairs {
        sources.env.insert(name.into(), value.into());
    }
    let report = load(&sources);
    let mut shown: String = report
        .entries
        .iter()
        .map(|entry| format!("{}={}\n", entry.row.name, entry.shown))
        .collect();
    shown.extend(report.faults.iter().map(|fault| format!("{fault}\n")));
    for secret in SECRETS {
        let row = shown
            .lines()
            .find(|line| line.starts_with(&format!("{secret}=")));
        assert!(
            row.is_none_or(|row| matches!(
                row.split_once('=').map(|(_, v)| v),
                Some("***" | "" | "*** (wrong)" | "(not text)")
            )),
            "{row:?}"
        );
    }
    if let Ok(config) = report.into_config() {
        let seafile = config
            .dialects
            .iter()
            .any(|dialect| dialect.name == "seafile");
        assert!(!seafile || !Secrets::of(&config.values).current.is_empty());
        assert_eq!(config.fingerprint(), config.clone().fingerprint());
    }
});
