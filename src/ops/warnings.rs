//! What is wrong with a cluster, seen from what its nodes say.
//!
//! Invariant: pure; each warning names the nodes it is about and says what to do.

use std::collections::BTreeMap;

use super::view::{NodeView, Warning};

/// Clocks that are further apart than this, in milliseconds, make tokens good on one node and run out on another.
const CLOCKS_APART_MS: i64 = 1_000;

/// What was heard of within so many milliseconds is there for certain.
const FRESH_MS: u64 = 5_000;

/// Every code there is.
pub const CODES: [&str; 7] = ["partitions", "keys", "clocks", "versions", "configuration", "deaf", "names"];

/// Looks at all nodes.
pub fn of(nodes: &[NodeView]) -> Vec<Warning> {
    let mut found = Vec::new();
    let mut warn = |code: &str, text: String| found.push(Warning { code: code.to_owned(), text });
    if let Some(differ) = differ(nodes, |node| node.partitions.to_string()) {
        warn(
            "partitions",
            format!("Nodes divide channels differently: {differ}. Set FOGHORN_PARTITIONS alike on all."),
        );
    }
    if let Some(differ) = differ(nodes, |node| node.key.clone()) {
        warn("keys", format!("Nodes have different keys (fingerprints): {differ}. Set JWT_PRIVATE_KEY alike on all."));
    }
    if let Some(text) = clocks(nodes) {
        warn("clocks", text);
    }
    if let Some(differ) = differ(nodes, |node| node.version.clone()) {
        warn(
            "versions",
            format!("Nodes run different versions: {differ}. Bring all to one; meanwhile they get along."),
        );
    } else if let Some(differ) = differ(nodes, |node| node.configuration.clone()) {
        let advice = "Compare what `foghorn check-config` shows on them.";
        warn("configuration", format!("Nodes are configured differently (fingerprints): {differ}. {advice}"));
    }
    for node in nodes {
        let down: Vec<&str> = node.shards.iter().filter(|shard| !shard.up).map(|shard| shard.name.as_str()).collect();
        if !down.is_empty() {
            let down = down.join(", ");
            warn(
                "deaf",
                format!("{} does not hear from Redis at {down}: is it there, and can the node reach it?", node.name),
            );
        }
    }
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    // A node that was killed and is started again is called as it was before, whose lease has not run out yet.
    let newest = nodes.iter().map(|node| node.seen_ms).max().unwrap_or(0);
    let there = nodes.iter().filter(|node| newest.saturating_sub(node.seen_ms) <= FRESH_MS);
    there.for_each(|node| *names.entry(&node.name).or_default() += 1);
    for (name, count) in names.into_iter().filter(|(_, count)| *count > 1) {
        warn("names", format!("{count} nodes are called {name}: give each a FOGHORN_NODE_NAME of its own."));
    }
    found
}

/// Who has what, where not all have the same: `64 (a, b), 32 (c)`.
fn differ(nodes: &[NodeView], value: impl Fn(&NodeView) -> String) -> Option<String> {
    let mut values: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for node in nodes {
        values.entry(value(node)).or_default().push(&node.name);
    }
    let list = |(value, names): (&String, &Vec<&str>)| format!("{value} ({})", names.join(", "));
    (values.len() > 1).then(|| values.iter().map(list).collect::<Vec<_>>().join(", "))
}

fn clocks(nodes: &[NodeView]) -> Option<String> {
    let known = || nodes.iter().filter_map(|node| Some((node.clock_offset_ms?, &node.name)));
    let (first, last) = (known().min()?, known().max()?);
    let apart = last.0 - first.0;
    (apart > CLOCKS_APART_MS).then(|| {
        format!("The clock of {} is {:.1} s ahead of that of {}: set both by NTP.", last.1, apart as f64 / 1e3, first.1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::view::ShardView;

    fn node(name: &str) -> NodeView {
        let shards = vec![ShardView { name: "redis:6379".into(), up: true, round_trip_seconds: None }];
        NodeView {
            name: name.into(),
            partitions: 64,
            key: "k".into(),
            version: "1".into(),
            shards,
            ..NodeView::default()
        }
    }

    fn codes(nodes: &[NodeView]) -> Vec<String> {
        of(nodes).into_iter().map(|warning| warning.code).collect()
    }

    #[test]
    fn nothing_is_wrong_with_equal_nodes() {
        assert_eq!(of(&[node("a"), node("b"), node("c")]), []);
        assert_eq!(of(&[]), []);
    }

    #[test]
    fn each_fault_is_seen_and_names_who_has_it() {
        let other = |change: &dyn Fn(&mut NodeView)| {
            let mut nodes = [node("a"), node("b"), node("c")];
            change(&mut nodes[2]);
            let found = of(&nodes);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(CODES.contains(&found[0].code.as_str()));
            (found[0].code.clone(), found[0].text.clone())
        };
        let (code, text) = other(&|node| node.partitions = 32);
        assert!(code == "partitions" && text.contains("32 (c), 64 (a, b)"), "{text}");
        assert_eq!(other(&|node| node.key = "x".into()).0, "keys");
        assert_eq!(other(&|node| node.version = "2".into()).0, "versions");
        assert_eq!(other(&|node| node.configuration = "2".into()).0, "configuration");
        let (code, text) = other(&|node| node.shards[0].up = false);
        assert!(code == "deaf" && text.starts_with("c ") && text.contains("redis:6379"), "{text}");
        assert_eq!(other(&|node| node.name = "b".into()).0, "names");
    }

    #[test]
    fn clocks_may_be_a_little_apart() {
        let at = |name, offset| NodeView { clock_offset_ms: offset, ..node(name) };
        assert_eq!(codes(&[at("a", Some(-400)), at("b", Some(600)), at("c", None)]), Vec::<String>::new());
        assert_eq!(codes(&[at("a", Some(-400)), at("b", Some(601))]), ["clocks"]);
    }
}
