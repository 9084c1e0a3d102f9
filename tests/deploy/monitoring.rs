//! Rules, alerts and the dashboard: sound, tested, and made of metrics that exist and of alerts that a page explains.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::support::{program, read, root, run};

const RULES: &[&str] = &[
    "deploy/prometheus/foghorn.rules.yml",
    "deploy/prometheus/foghorn.alerts.yml",
];

/// Every word of `text` that begins as a metric of ours, without the suffixes of histograms.
fn metrics(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    let ours = words.filter(|word| word.starts_with("foghorn_") || word.starts_with("process_"));
    ours.map(|word| word.strip_suffix("_bucket").unwrap_or(word).to_owned())
        .collect()
}

/// What rules record, `foghorn:…`, defined or used.
fn records(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    words
        .map(|word| word.trim_end_matches(':'))
        .filter(|word| word.starts_with("foghorn:"))
        .map(str::to_owned)
        .collect()
}

fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                match inner {
                    Value::String(text) if key == "expr" || key == "query" => {
                        found.push(text.clone())
                    }
                    _ => expressions(inner, found),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|inner| expressions(inner, found)),
        _ => {}
    }
}

fn dashboard() -> Value {
    serde_json::from_str(&read("deploy/grafana/foghorn.json")).expect("JSON")
}

#[test]
fn rules_and_dashboard_use_only_metrics_that_exist() {
    let known: BTreeSet<_> = foghorn::dialect::metrics()
        .map(|metric| metric.name.to_owned())
        .collect();
    let mut texts: Vec<_> = RULES.iter().map(|path| read(path)).collect();
    let mut shown = Vec::new();
    expressions(&dashboard(), &mut shown);
    texts.push(shown.join("\n"));
    for text in &texts {
        let unknown: Vec<_> = metrics(text)
            .into_iter()
            .filter(|name| !known.contains(name))
            .collect();
        assert_eq!(unknown, Vec::<String>::new());
    }
    let recorded: BTreeSet<_> = texts[0]
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("- record: "))
        .map(str::to_owned)
        .collect();
    for text in &texts {
        let unknown: Vec<_> = records(text)
            .into_iter()
            .filter(|name| !recorded.contains(name))
            .collect();
        assert_eq!(unknown, Vec::<String>::new(), "used and not recorded");
    }
    let unseen: Vec<_> = known
        .into_iter()
        .filter(|name| !metrics(&texts[2]).contains(name))
        .collect();
    assert_eq!(unseen, Vec::<String>::new(), "no panel shows these");
}

#[test]
fn every_alert_is_tested_and_explained() {
    let alerts = read(RULES[1]);
    let (tests, page) = (
        read("deploy/prometheus/foghorn.test.yml"),
        read("docs/OPERATIONS.md"),
    );
    let names: Vec<_> = alerts
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("- alert: "))
        .collect();
    assert!(names.len() > 10);
    for name in &names {
        assert!(
            tests.contains(&format!("alertname: {name}\n        exp_alerts:\n")),
            "{name}: nothing shows that it fires"
        );
        assert!(
            page.contains(&format!("\n### {name}\n")),
            "{name}: docs/OPERATIONS.md does not say what to do"
        );
    }
    let explained = page
        .lines()
        .filter_map(|line| line.strip_prefix("### Foghorn"));
    assert_eq!(
        explained.count(),
        names.len(),
        "the page explains alerts that are gone"
    );
}

#[test]
fn panels_lie_beside_each_other_and_have_their_own_ids() {
    let board = dashboard();
    let panels = board["panels"].as_array().expect("panels");
    let mut ids = BTreeSet::new();
    let mut cells = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64()), "{}", panel["id"]);
        let at = |key: &str| panel["gridPos"][key].as_u64().expect("a number");
        for x in at("x")..at("x") + at("w") {
            assert!(x < 24);
            for y in at("y")..at("y") + at("h") {
                assert!(cells.insert((x, y)), "{} lies over another", panel["title"]);
            }
        }
    }
}

#[test]
#[ignore = "needs promtool"]
fn promtool_takes_the_rules_and_their_tests_pass() {
    let promtool = |arguments: &[&str]| {
        let mut command: Command = program("promtool", "prometheus");
        let (good, text) = run(command.args(arguments).current_dir(root()));
        assert!(good, "{text}");
    };
    promtool(&["check", "rules", RULES[0], RULES[1]]);
    promtool(&["check", "config", "deploy/prometheus/prometheus.yml"]);
    promtool(&["test", "rules", "deploy/prometheus/foghorn.test.yml"]);
}

#[test]
#[ignore = "needs promtool"]
fn the_dashboard_counts_every_lost_event() {
    let board = dashboard();
    let panel = board["panels"]
        .as_array()
        .unwrap()
        .iter()
        .find(|panel| panel["title"] == "Events lost")
        .unwrap();
    let query = panel["targets"][0]["expr"]
        .as_str()
        .unwrap()
        .replace("$instance", ".*")
        .replace("$__range", "1h");
    // A counter is not there before it counts for the first time, and a node may lose in one way and not in the other.
    let lost = |series: Value, total: u32| {
        serde_json::json!({"interval": "1m", "input_series": series, "promql_expr_test": [
            {"expr": query, "eval_time": "90m", "exp_samples": [{"labels": "{}", "value": total}]}]})
    };
    let dropped = |values: &str| serde_json::json!({"series": "foghorn_waiting_dropped_total{instance='a'}", "values": values});
    let holes = |values: &str| serde_json::json!({"series": "foghorn_gaps_lost_total{instance='b'}", "values": values});
    let cases = serde_json::json!({"tests": [
        lost(serde_json::json!([]), 0),
        lost(serde_json::json!([dropped("_x60 3x60")]), 3),
        lost(serde_json::json!([holes("_x60 2x60")]), 2),
        lost(serde_json::json!([dropped("3x120"), holes("_x60 2x60")]), 2),
        lost(serde_json::json!([dropped("3x40 7x80")]), 4),
    ]});
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), cases.to_string()).unwrap();
    let (good, text) = run(program("promtool", "prometheus")
        .args(["test", "rules"])
        .arg(file.path()));
    assert!(good, "{text}");
}
