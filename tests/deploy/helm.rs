//! The Helm chart: rendered by the real helm over a matrix of values and compared with reviewed snapshots, valid for
//! Kubernetes, and in agreement with the program it installs.
//!
//! To look at a change: `UPDATE_SNAPSHOTS=1 cargo test --test deploy -- --ignored helm`, then `git diff tests/helm charts`.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::common::node::{Node, foghorn};
use crate::common::token;
use crate::helm_dialects::centrifugo;
use crate::support::{fetched, program, pypi, read, root, run, yaml};

/// Kubernetes versions whose schemas every manifest must meet.
const KUBERNETES: [&str; 3] = ["1.35.0", "1.36.0", "1.37.0"];
/// Values that it is rendered with, each a file.
pub const CASES: [&str; 5] = [
    "trial",
    "single",
    "beside-seafile",
    "beside-seafile-12",
    "everything",
];

/// Runs helm: whether it went well, and what it said.
pub fn helm(arguments: &[&str]) -> (bool, String) {
    run(Command::new(fetched("get-helm.sh", &[]))
        .args(arguments)
        .current_dir(root()))
}

pub fn values(case: &str) -> String {
    format!("tests/helm/values/{case}.yaml")
}

/// The case's manifests. Its first line names the Kubernetes that is asked for.
pub fn render(case: &str, more: &[&str]) -> String {
    let file = values(case);
    let text = read(&file);
    let version = text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("# kube-version: "))
        .expect("the first line");
    let arguments = [
        "template",
        "seafile",
        "charts/foghorn",
        "--namespace",
        "files",
        "--kube-version",
        version,
        "-f",
        &file,
    ];
    let (good, text) = helm(&[&arguments[..], more].concat());
    assert!(good, "{case}: {text}");
    text
}

/// A password that is made is another one each time.
fn without_password(text: &str) -> String {
    let line = |line: &str| match line.split_once("  FOGHORN_OPS_PASSWORD: ") {
        Some(("", _)) => "  FOGHORN_OPS_PASSWORD: …\n".to_owned(),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// The dashboard is compared with its source elsewhere.
fn without_dashboard(text: &str) -> String {
    match text.split_once("  foghorn.json: |\n") {
        None => text.to_owned(),
        Some((before, after)) => {
            let rest = after.find("\n---\n").map_or("", |at| &after[at..]);
            format!("{before}  foghorn.json: |\n    …{rest}")
        }
    }
}

fn update() -> bool {
    std::env::var_os("UPDATE_SNAPSHOTS").is_some()
}

/// Compares a file of the repository with what it should be, or makes it so.
pub fn check_file(path: &str, text: &str) {
    if update() {
        std::fs::write(root().join(path), text).unwrap();
    }
    let kept = std::fs::read_to_string(root().join(path)).unwrap_or_default();
    let differs = kept
        .lines()
        .zip(text.lines())
        .position(|(a, b)| a != b)
        .map(|line| line + 1);
    assert!(
        kept == text,
        "{path} differs from line {differs:?} on; UPDATE_SNAPSHOTS=1 writes it anew"
    );
}

pub fn documents(text: &str) -> Vec<Value> {
    yaml(text)
        .into_iter()
        .filter(|document| !document.is_null())
        .collect()
}

pub fn of_kind<'a>(documents: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = documents
        .iter()
        .find(|document| document["kind"] == kind && document["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}

#[test]
#[ignore = "needs helm"]
fn every_case_renders_as_reviewed() {
    for case in CASES {
        let (good, text) = helm(&[
            "lint",
            "--strict",
            "--kube-version",
            "1.33",
            "charts/foghorn",
            "-f",
            &values(case),
        ]);
        assert!(good, "{case}: {text}");
        check_file(
            &format!("tests/helm/snapshots/{case}.yaml"),
            &without_password(&without_dashboard(&render(case, &[]))),
        );
    }
}

#[test]
#[ignore = "needs helm and kubernetes-validate"]
fn every_manifest_is_valid_for_kubernetes() {
    let dir = TempDir::new().unwrap();
    let mut files: Vec<PathBuf> = Vec::new();
    let cases = CASES.map(|case| (case, documents(&render(case, &[]))));
    let centrifugo = (
        "centrifugo",
        centrifugo(&["--set", "centrifugo.env.CENTRIFUGO_SECRET=s"]),
    );
    for (case, documents) in cases.iter().chain([&centrifugo]) {
        for (number, document) in documents.iter().enumerate() {
            let group = document["apiVersion"].as_str().expect("an apiVersion");
            // Definitions that Kubernetes does not bring itself: their schemas are not in the package.
            if group.contains("monitoring.coreos.com") || group.contains("gateway.networking") {
                continue;
            }
            let file = dir.path().join(format!("{case}-{number}.yaml"));
            std::fs::write(&file, document.to_string()).unwrap();
            files.push(file);
        }
    }
    assert!(files.len() > 30);
    for version in KUBERNETES {
        let mut validate = Command::new(pypi("kubernetes-validate", "kubernetes-validate"));
        let (good, text) = run(validate.args(["--strict", "-k", version]).args(&files));
        assert!(good && !text.contains("WARN"), "{version}: {text}");
    }
}

#[test]
#[ignore = "needs helm"]
fn the_grace_period_covers_whatever_the_drain_settings_are() {
    for (settle, drain) in [(0, 0), (5, 30), (60, 3600)] {
        for by in ["auto", "process", "preStop"] {
            for version in ["1.29", "1.30"] {
                let set = format!(
                    "drain.settleSeconds={settle},drain.seconds={drain},drain.settleBy={by}"
                );
                let text = render("trial", &["--kube-version", version, "--set", &set]);
                let documents = documents(&text);
                let pod = &of_kind(&documents, "Deployment", "seafile-foghorn")["spec"]["template"]
                    ["spec"];
                let seconds = |name: &str| -> i64 {
                    environment(pod)[name].as_str().unwrap().parse().unwrap()
                };
                let sleep = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
                    .as_i64()
                    .unwrap_or(0);
                let own = (
                    seconds("FOGHORN_SETTLE_SECONDS"),
                    seconds("FOGHORN_DRAIN_SECONDS"),
                );
                assert_eq!(
                    (sleep + own.0, own.1),
                    (settle, drain),
                    "somebody settles, once: {set} {version}"
                );
                let grace = pod["terminationGracePeriodSeconds"].as_i64().unwrap();
                assert!(grace >= sleep + own.0 + own.1 + 10, "{set}: {grace}");
                let sleeps = by == "preStop" || (by == "auto" && version == "1.30");
                assert_eq!(sleep > 0, sleeps && settle > 0, "{set} {version}");
            }
        }
    }
}

/// A pod's environment: plain values as they are, references as "<ref>".
pub fn environment(pod: &Value) -> serde_json::Map<String, Value> {
    let list = pod["containers"][0]["env"]
        .as_array()
        .expect("an environment");
    let value = |entry: &Value| {
        entry
            .get("value")
            .cloned()
            .unwrap_or_else(|| "<ref>".into())
    };
    list.iter()
        .map(|entry| {
            (
                entry["name"].as_str().expect("a name").to_owned(),
                value(entry),
            )
        })
        .collect()
}

#[test]
#[ignore = "needs helm"]
fn the_program_understands_what_the_chart_tells_it() {
    for case in CASES {
        let documents = documents(&render(case, &[]));
        let pod = documents.iter().find(|document| {
            document["kind"] == "Deployment"
                && document["metadata"]["labels"]["app.kubernetes.io/component"].is_null()
        });
        let environment = environment(&pod.expect("the nodes")["spec"]["template"]["spec"]);
        let mut check = foghorn(&["check-config"]);
        // Files of a volume, which is not here.
        let mounted = |value: &Value| {
            value
                .as_str()
                .is_some_and(|value| value.starts_with("/etc/foghorn/"))
        };
        for (name, value) in environment.iter().filter(|(_, value)| !mounted(value)) {
            let value = match (name.as_str(), value.as_str().expect("text")) {
                ("FOGHORN_REDIS_URLS", "<ref>") => "redis://redis:6379",
                ("SEAFILE_MYSQL_DB_PORT" | "REDIS_PORT", "<ref>") => "1234",
                ("FOGHORN_PARTITIONS", "<ref>") => "64",
                ("JWT_PRIVATE_KEY_PREVIOUS", "<ref>") => "another-key-0123456789-0123456789",
                (_, "<ref>") => "some-text-0123456789-0123456789",
                (_, text) => text,
            };
            check.env(name, value);
        }
        let (good, text) = run(&mut check);
        assert!(good, "{case}: {text}");
        for name in environment.keys() {
            assert!(text.contains(name.as_str()), "{case}: {name} is no setting");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs helm"]
async fn helm_test_passes_with_the_right_key_only() {
    let documents = documents(&render("trial", &[]));
    let pod = of_kind(&documents, "Pod", "seafile-foghorn-test");
    let arguments = pod["spec"]["containers"][0]["args"]
        .as_array()
        .expect("arguments");
    let node = Node::start().await;
    let here = format!("http://127.0.0.1:{}", node.port());
    let there = "http://seafile-foghorn-events:8083";
    let arguments: Vec<_> = arguments
        .iter()
        .map(|word| word.as_str().unwrap().replace(there, &here))
        .collect();
    assert!(
        arguments.contains(&here),
        "the Service's name is not among {arguments:?}"
    );
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let publish = |key: &str| run(foghorn(&arguments).env("JWT_PRIVATE_KEY", key));
    let (good, text) = publish(token::KEY);
    assert!(good, "{text}");
    assert!(!publish("another-key-another-key-another-key").0);
}

#[test]
fn the_charts_files_are_the_shipped_ones() {
    for (copy, source) in [
        ("foghorn.rules.yml", "deploy/prometheus/foghorn.rules.yml"),
        ("foghorn.alerts.yml", "deploy/prometheus/foghorn.alerts.yml"),
        ("foghorn.json", "deploy/grafana/foghorn.json"),
    ] {
        check_file(&format!("charts/foghorn/files/{copy}"), &read(source));
    }
}

#[test]
#[ignore = "needs helm and promtool"]
fn the_rules_and_the_dashboard_survive_the_template() {
    let documents = documents(&render("everything", &[]));
    let rules = of_kind(&documents, "PrometheusRule", "notify")["spec"].to_string();
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("rules.yml"), rules).unwrap();
    let (good, text) = run(program("promtool", "prometheus")
        .args(["check", "rules"])
        .arg(dir.path().join("rules.yml")));
    let count: usize = ["rules", "alerts"]
        .map(|file| {
            let text = read(&format!("deploy/prometheus/foghorn.{file}.yml"));
            text.matches("- record: ").count() + text.matches("- alert: ").count()
        })
        .iter()
        .sum();
    assert!(
        good && text.contains(&format!("{count} rules found")),
        "{text}"
    );
    let board = of_kind(&documents, "ConfigMap", "notify-dashboard")["data"]["foghorn.json"]
        .as_str()
        .expect("text");
    let source: Value = serde_json::from_str(&read("deploy/grafana/foghorn.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(board).expect("JSON"), source);
}
