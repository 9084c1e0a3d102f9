//! What is wrong with a cluster, seen from what its nodes say.
//!
//! Invariant: pure; each warning names the nodes it is about and says what to do.

use std::collections::{BTreeMap, BTreeSet};

use super::view::{NodeView, Warning};

/// Clocks that are further apart than this, in milliseconds, make tokens good on one node and run out on another.
const CLOCKS_APART_MS: i64 = 1_000;

/// What was heard of within so many milliseconds is there for certain.
const FRESH_MS: u64 = 5_000;

/// Every code there is.
pub(super) const CODES: [&str; 7] = [
    "partitions",
    "keys",
    "clocks",
    "versions",
    "configuration",
    "deaf",
    "names",
];

/// Looks at all nodes.
pub fn of(nodes: &[NodeView]) -> Vec<Warning> {
    let mut found = Vec::new();
    let mut warn = |code: &str, text: String| {
        found.push(Warning {
            code: code.to_owned(),
            text,
        })
    };
    if let Some(differ) = differ(nodes, |node| node.partitions.to_string()) {
        warn(
            "partitions",
            format!(
                "Nodes divide channels differently: {differ}. Set FOGHORN_PARTITIONS alike on all."
            ),
        );
    }
    if let Some(differ) = differ(nodes, |node| node.key.clone()) {
        warn(
            "keys",
            format!(
                "Nodes have different keys (fingerprints): {differ}. Set JWT_PRIVATE_KEY alike on all."
            ),
        );
    }
    if let Some(text) = clocks(nodes) {
        warn("clocks", text);
    }
    if let Some(differ) = differ(nodes, |node| node.version.clone()) {
        warn(
            "versions",
            format!(
                "Nodes run different versions: {differ}. Bring all to one; meanwhile they get along."
            ),
        );
    } else if let Some(differ) = differ(nodes, |node| node.configuration.clone()) {
        let text = match settings(nodes) {
            Some(settings) => format!("Nodes are configured differently: {settings}."),
            None => format!("Nodes are configured differently (fingerprints): {differ}."),
        };
        warn("configuration", text);
    }
    deaf(nodes).for_each(|text| warn("deaf", text));
    for (name, count) in called_alike(nodes) {
        warn(
            "names",
            format!("{count} nodes are called {name}: give each a FOGHORN_NODE_NAME of its own."),
        );
    }
    found
}

/// Who does not hear from Redis. A node that stays out uses no shard: it is told what differs.
fn deaf(nodes: &[NodeView]) -> impl Iterator<Item = String> {
    nodes
        .iter()
        .filter(|node| node.misfit.is_none())
        .filter_map(|node| {
            let down = node.shards.iter().filter(|shard| !shard.up);
            let down: Vec<&str> = down.map(|shard| shard.name.as_str()).collect();
            let (name, places) = (&node.name, down.join(", "));
            (!down.is_empty()).then(|| {
                format!(
                    "{name} does not hear from Redis at {places}: is it there, and can the node reach it?"
                )
            })
        })
}

/// Names that several nodes have. A node that was killed and is started again is called as it was before, which has not been
/// silent for long enough yet.
fn called_alike(nodes: &[NodeView]) -> impl Iterator<Item = (&str, usize)> {
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    let newest = nodes.iter().map(|node| node.seen_ms).max().unwrap_or(0);
    let there = nodes
        .iter()
        .filter(|node| newest.saturating_sub(node.seen_ms) <= FRESH_MS);
    there.for_each(|node| *names.entry(&node.name).or_default() += 1);
    names.into_iter().filter(|(_, count)| *count > 1)
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

/// Which settings differ, and between whom: `FOGHORN_PING_SECONDS (a, b against c)`. `None`: a node does not tell, or
/// none that is told of differs.
fn settings(nodes: &[NodeView]) -> Option<String> {
    let told: Option<Vec<_>> = nodes
        .iter()
        .map(|node| Some((&node.name, node.settings.as_ref()?)))
        .collect();
    let told = told?;
    let names: BTreeSet<&String> = told.iter().flat_map(|(_, marks)| marks.keys()).collect();
    let apart = names.into_iter().filter_map(|setting| {
        let mut sides: BTreeMap<Option<&String>, Vec<&str>> = BTreeMap::new();
        for (node, marks) in &told {
            sides.entry(marks.get(setting)).or_default().push(node);
        }
        let mut sides: Vec<String> = sides.values().map(|nodes| nodes.join(", ")).collect();
        sides.sort();
        (sides.len() > 1).then(|| format!("{setting} ({})", sides.join(" against ")))
    });
    Some(apart.collect::<Vec<_>>().join("; ")).filter(|text| !text.is_empty())
}

fn clocks(nodes: &[NodeView]) -> Option<String> {
    let known = || {
        nodes
            .iter()
            .filter_map(|node| Some((node.clock_offset_ms?, &node.name)))
    };
    let (first, last) = (known().min()?, known().max()?);
    let apart = last.0 - first.0;
    (apart > CLOCKS_APART_MS).then(|| {
        format!(
            "The clock of {} is {:.1} s ahead of that of {}: set both by NTP.",
            last.1,
            apart as f64 / 1e3,
            first.1
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::view::ShardView;

    fn node(name: &str) -> NodeView {
        let shards = vec![ShardView {
            name: "redis:6379".into(),
            up: true,
            round_trip_seconds: None,
        }];
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
        assert!(
            code == "partitions" && text.contains("32 (c), 64 (a, b)"),
            "{text}"
        );
        assert_eq!(other(&|node| node.key = "x".into()).0, "keys");
        assert_eq!(other(&|node| node.version = "2".into()).0, "versions");
        assert_eq!(
            other(&|node| node.configuration = "2".into()).0,
            "configuration"
        );
        let set = |node: &mut NodeView, mark: &str| {
            let ping = ("FOGHORN_PING_SECONDS".to_owned(), mark.to_owned());
            node.settings = Some(BTreeMap::from([ping]));
        };
        let mut nodes = [node("a"), node("b"), node("c")];
        nodes
            .iter_mut()
            .for_each(|node| node.settings = Some(BTreeMap::new()));
        nodes[1].configuration = "2".into();
        set(&mut nodes[1], "x");
        let text = of(&nodes)[0].text.clone();
        assert!(
            text.ends_with("differently: FOGHORN_PING_SECONDS (a, c against b)."),
            "{text}"
        );
        // A node that does not tell: whose fingerprints differ is all there is.
        nodes[0].settings = None;
        let text = of(&nodes)[0].text.clone();
        assert!(text.contains("(fingerprints): "), "{text}");
        let (code, text) = other(&|node| node.shards[0].up = false);
        assert!(
            code == "deaf" && text.starts_with("c ") && text.contains("redis:6379"),
            "{text}"
        );
        assert_eq!(other(&|node| node.name = "b".into()).0, "names");
        let (code, text) = other(&|node| {
            node.key = "x".into();
            node.misfit = Some("JWT_PRIVATE_KEY: another one here than at a".into());
            node.shards[0].up = false;
        });
        assert!(code == "keys" && text.contains("x (c)"), "{text}");
    }

    #[test]
    fn clocks_may_be_a_little_apart() {
        let at = |name, offset| NodeView {
            clock_offset_ms: offset,
            ..node(name)
        };
        assert_eq!(
            codes(&[at("a", Some(-400)), at("b", Some(600)), at("c", None)]),
            Vec::<String>::new()
        );
        assert_eq!(
            codes(&[at("a", Some(-400)), at("b", Some(601))]),
            ["clocks"]
        );
    }
}
