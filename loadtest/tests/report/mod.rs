//! The generator's program, and what its reports say.

use serde_json::Value;
use std::process::Command;

/// The generator's program.
pub const LOAD: &str = env!("CARGO_BIN_EXE_foghorn-load");

/// Runs a scenario against the server at `url` and gives its JSON.
pub fn load_at(url: &str, args: &[&str]) -> Value {
    let name: String = args
        .join("-")
        .chars()
        .filter(|c| c.is_ascii_alphanumeric())
        .collect();
    let file = std::env::temp_dir().join(format!(
        "foghorn-load-test-{}-{name}.json",
        std::process::id()
    ));
    let out = Command::new(LOAD)
        .args(args)
        .args(["--url", url, "--rounds", "1", "--timeout", "60", "--json"])
        .arg(&file)
        .output()
        .expect("it runs");
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let text = std::fs::read_to_string(&file).expect("written");
    let _ = std::fs::remove_file(&file);
    serde_json::from_str(&text).expect("JSON")
}

/// The median of a metric.
pub fn value(report: &Value, metric: &str, system: &str) -> f64 {
    let all = report["values"].as_array().expect("a list");
    let found = all
        .iter()
        .find(|v| v["metric"] == metric && v["system"] == system);
    found.unwrap_or_else(|| panic!("no {metric} of {system} in {report:#}"))["summary"]["median"]
        .as_f64()
        .expect("a number")
}

/// How many times are in a distribution.
pub fn count(report: &Value, what: &str, system: &str) -> u64 {
    let all = report["distributions"].as_array().expect("a list");
    let found = all
        .iter()
        .find(|v| v["what"] == what && v["system"] == system);
    found
        .and_then(|v| v["count"].as_u64())
        .unwrap_or_else(|| panic!("no {what} of {system}"))
}
