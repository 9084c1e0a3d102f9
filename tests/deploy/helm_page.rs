//! The chart's page explains every value there is, in words that stand in `values.yaml`.

use serde_json::Value;

use crate::helm::{check_file, documents};
use crate::support::read;

/// The comments `# -- …` of values.yaml, each with the path of the value under it.
fn explained() -> Vec<(String, String)> {
    let text = read("charts/foghorn/values.yaml");
    let (mut path, mut comment, mut found) = (Vec::<(usize, String)>::new(), None, Vec::new());
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let (indent, word) = (line.len() - line.trim_start().len(), line.trim_start());
        if let Some(text) = word.strip_prefix("# -- ") {
            comment = Some(text.to_owned());
        } else if let Some((name, _)) = word.split_once(':').filter(|_| !word.starts_with('#')) {
            path.retain(|(depth, _)| *depth < indent);
            path.push((indent, name.to_owned()));
            if let Some(text) = comment.take() {
                let names: Vec<_> = path.iter().map(|(_, name)| name.as_str()).collect();
                found.push((names.join("."), text));
            }
        }
    }
    found
}

#[test]
#[ignore = "needs the YAML of kubernetes-validate"]
fn the_charts_page_is_made_from_its_values() {
    let values = documents(&read("charts/foghorn/values.yaml")).remove(0);
    let explained = explained();
    let mut table = String::from("| value | default | what it is |\n| --- | --- | --- |\n");
    for (path, text) in &explained {
        let default = path.split('.').fold(&values, |value, name| &value[name]);
        table.push_str(&format!(
            "| `{path}` | `{default}` | {} |\n",
            text.replace('|', "\\|")
        ));
    }
    let mut leaves = Vec::new();
    collect_leaves("", &values, &mut leaves);
    for leaf in leaves {
        let covered = explained
            .iter()
            .any(|(path, _)| leaf == *path || leaf.starts_with(&format!("{path}.")));
        assert!(covered, "values.yaml does not explain {leaf}");
    }
    let page = read("charts/foghorn/README.md");
    let (before, rest) = page.split_once("<!-- values -->\n").expect("the mark");
    let (_, after) = rest
        .split_once("<!-- end of values -->\n")
        .expect("the end");
    check_file(
        "charts/foghorn/README.md",
        &format!("{before}<!-- values -->\n{table}<!-- end of values -->\n{after}"),
    );
}

fn collect_leaves(path: &str, value: &Value, found: &mut Vec<String>) {
    match value.as_object().filter(|map| !map.is_empty()) {
        Some(map) => map.iter().for_each(|(name, inner)| {
            let path = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            collect_leaves(&path, inner, found);
        }),
        None => found.push(path.to_owned()),
    }
}
