//! Configuration: what its page says, what the shipped files assume, and what dialects bring.

use std::path::PathBuf;

use super::*;

mod dialects;

/// What these variables alone make.
pub(crate) fn load_env(pairs: &[(&str, &str)]) -> Report {
    let env = pairs
        .iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    load(&Sources {
        env,
        ..Sources::default()
    })
}

/// A key that nothing is to be noted about.
pub(crate) const KEY: &str = "mQ2vT8kLp0Zr5Xw9Bn3Yc7Hd1Gf6Js4A";

/// The settings that have a fault.
pub(crate) fn names(report: &Report) -> Vec<&str> {
    report
        .faults
        .iter()
        .map(|fault| fault.name.as_str())
        .collect()
}

#[test]
fn the_reference_page_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/CONFIGURATION.md");
    let page = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        page == reference::markdown(),
        "run: cargo run -- check-config --reference > docs/CONFIGURATION.md"
    );
}

#[test]
fn the_proxies_that_are_shipped_wait_as_long_as_is_assumed() {
    let text = |path: &str| {
        std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    };
    let seconds = together::PROXY_TIMEOUT.as_secs();
    for (path, word) in [
        ("haproxy/haproxy.cfg", "timeout tunnel"),
        ("haproxy/inbox.cfg", "timeout client "),
        ("haproxy/inbox.cfg", "timeout server "),
        ("haproxy/inbox.cfg", "timeout tunnel "),
        ("deploy/nginx/foghorn.conf", "proxy_read_timeout"),
    ] {
        let text = text(path);
        let line = text
            .lines()
            .find(|line| line.trim_start().starts_with(word))
            .unwrap_or_else(|| panic!("{path}: {word}"));
        assert!(line.contains(&format!(" {seconds}s")), "{path}: {line}");
    }
}

#[test]
fn the_units_that_are_shipped_wait_as_long_as_is_assumed() {
    let wanted = format!("\nTimeoutStopSec={}\n", together::STOP_TIMEOUT.as_secs());
    for unit in ["foghorn.service", "foghorn@.service"] {
        let path = format!("{}/deploy/systemd/{unit}", env!("CARGO_MANIFEST_DIR"));
        assert!(
            std::fs::read_to_string(&path).unwrap().contains(&wanted),
            "{unit}"
        );
    }
}
