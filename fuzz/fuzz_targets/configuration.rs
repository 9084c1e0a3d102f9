//! Any environment and any `seafile.conf`: every fault is reported, nothing panics, and no secret is shown.
//!
//! The input's lines are `NAME=VALUE`; a line with just `[` begins the text of `seafile.conf`.

#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use foghorn::config::{Sources, load};
use foghorn::dialect::seafile::settings::Secrets;
use libfuzzer_sys::fuzz_target;

const SECRETS: [&str; 5] = [
    "JWT_PRIVATE_KEY",
    "JWT_PRIVATE_KEY_PREVIOUS",
    "FOGHORN_OPS_PASSWORD",
    "FOGHORN_OPS_TOKEN",
    "REDIS_PASSWORD",
];

/// The `-c` folder, which has nothing in it but a `seafile.conf`.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("foghorn-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    folder
});

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let (environment, conf) = text.split_once("\n[\n").unwrap_or((&text, ""));
    std::fs::write(FOLDER.join("seafile.conf"), conf).expect("a file can be written");
    let mut sources = Sources {
        config_dir: Some(FOLDER.clone()),
        ..Sources::default()
    };
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
