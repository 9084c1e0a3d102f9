//! A release of the chart can be upgraded: what Kubernetes does not let change stays as it was.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::helm::{CASES, documents, helm, values};
use crate::support::read;

/// What Kubernetes refuses to change in an object that exists.
fn unchangeable(documents: &[Value]) -> Vec<String> {
    let mut found: Vec<_> = documents
        .iter()
        .filter(|document| document["metadata"]["annotations"]["helm.sh/hook"].is_null())
        .map(|document| {
            let (kind, spec) = (
                document["kind"].as_str().expect("a kind"),
                &document["spec"],
            );
            let fixed = match kind {
                "Deployment" => spec["selector"].to_string(),
                "Service" => format!("{} {}", spec["clusterIP"], spec["selector"]),
                _ => String::new(),
            };
            format!("{kind} {} {fixed}", document["metadata"]["name"])
        })
        .collect();
    found.sort();
    found
}

/// Packages the chart as another version and renders it.
fn rendered_as(version: &str, case: &str, dir: &Path) -> Vec<Value> {
    let to = dir.display().to_string();
    let (good, text) = helm(&[
        "package",
        "charts/foghorn",
        "--version",
        version,
        "--app-version",
        version,
        "-d",
        &to,
    ]);
    assert!(good, "{text}");
    let package = format!("{to}/foghorn-{version}.tgz");
    let (good, text) = helm(&[
        "template",
        "seafile",
        &package,
        "--is-upgrade",
        "--namespace",
        "files",
        "--kube-version",
        "1.33",
        "-f",
        &values(case),
    ]);
    assert!(good, "{text}");
    documents(&text)
}

#[test]
#[ignore = "needs helm"]
fn an_upgrade_changes_nothing_that_cannot_be_changed() {
    let dir = TempDir::new().unwrap();
    for case in CASES {
        let (old, new) = (
            rendered_as("0.1.0", case, dir.path()),
            rendered_as("9.8.7", case, dir.path()),
        );
        assert_eq!(unchangeable(&old), unchangeable(&new), "{case}");
        let deployment = new
            .iter()
            .find(|document| document["kind"] == "Deployment")
            .expect("a deployment");
        if deployment["metadata"]["name"] != "seafile-foghorn-redis" {
            let strategy = &deployment["spec"]["strategy"]["rollingUpdate"];
            let surge = if case == "everything" {
                Value::from("100%")
            } else {
                1.into()
            };
            assert_eq!(
                (&strategy["maxUnavailable"], &strategy["maxSurge"]),
                (&0.into(), &surge)
            );
        }
        // What the first release made, kept as it was.
        let released = documents(&read(&format!("tests/helm/released/0.1.0-{case}.yaml")));
        let now = unchangeable(&new);
        for object in unchangeable(&released) {
            assert!(
                now.contains(&object),
                "{case}, from the released 0.1.0: {object} is gone or another in {now:?}"
            );
        }
    }
}
