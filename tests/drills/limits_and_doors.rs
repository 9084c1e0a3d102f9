//! Promise 10: each limit has a setting, a default, an answer and a counter. What the peer gets is tried in tests/limits.rs
//! and tests/slow_reader.rs; here docs/LIMITS.md is held against the settings and the metrics, and the doors of the ops
//! address are tried.

use foghorn::config::Sources;

use crate::common::http;
use crate::common::node::Node;

fn page() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/LIMITS.md"))
        .expect("docs/LIMITS.md is there")
}

/// The cells of the page's tables, by row.
fn rows(page: &str) -> Vec<Vec<String>> {
    let lines = page
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| ---"));
    lines
        .map(|line| {
            line.trim()
                .trim_matches('|')
                .split('|')
                .map(|cell| cell.trim().to_owned())
                .collect()
        })
        .collect()
}

fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_page_names_every_limit_with_its_default_and_its_counter() {
    let sources = Sources::default();
    let page = page();
    let (rows, mut named) = (rows(&page), Vec::new());
    for row in rows
        .iter()
        .filter(|row| row[1] != "setting" && row.len() >= 5)
    {
        let Some(name) = quoted(&row[1]).first().copied() else {
            continue;
        };
        let setting = sources.rows().find(|setting| setting.name == name);
        let setting = setting.unwrap_or_else(|| panic!("{name} is no setting"));
        let default = quoted(&row[2]).join(",");
        assert_eq!(default, setting.default, "{name}");
        for counter in quoted(&row[4]) {
            let metric = counter.split('{').next().unwrap_or_default();
            assert!(
                foghorn::dialect::metrics().any(|known| known.name == metric),
                "{metric} is no metric"
            );
        }
        named.push(name);
    }
    let limits = sources
        .rows()
        .filter(|setting| setting.area == "Limits")
        .map(|setting| setting.name);
    for name in limits.chain([
        "FOGHORN_TRUSTED_PROXIES",
        "FOGHORN_ALLOWED_ORIGINS",
        "FOGHORN_EVENTS_FROM",
    ]) {
        assert!(named.contains(&name), "{name} is not on the page");
    }
}

#[tokio::test]
#[ignore = "one of the drills"]
async fn pages_carry_security_headers() {
    let node = Node::start().await;
    for path in [
        "/console", "/nodes", "/livez", "/readyz", "/metrics", "/nothing",
    ] {
        let answer = http::get(node.ops(), path).await;
        let has = |name: &str| {
            answer
                .headers
                .get(name)
                .map(String::as_str)
                .unwrap_or_default()
        };
        assert_eq!(
            has("x-content-type-options"),
            "nosniff",
            "{path}: {:?}",
            answer.headers
        );
        let framed = has("x-frame-options") == "DENY"
            || has("content-security-policy").contains("frame-ancestors 'none'");
        assert!(
            framed && has("referrer-policy") == "no-referrer",
            "{path}: {:?}",
            answer.headers
        );
        assert!(
            has("content-security-policy").contains("default-src 'none'"),
            "{path}: {:?}",
            answer.headers
        );
    }
}
