//! How the cluster is, in a word, and what is wrong: since when, whom it hurts, what to do.
//!
//! Invariant: pure but for remembering since when; whatever is wrong is said with what mends it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::view::{NodeView, Warning};

/// A node has this long to reach its shards after its start, in milliseconds, before that is a problem.
const STARTING_MS: u64 = 10_000;

/// The cluster's condition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Condition {
    /// `well` or `degraded`.
    state: String,
    /// Since when it is degraded: the oldest problem's beginning, Unix milliseconds.
    since_ms: Option<u64>,
    /// What is wrong, the worst first.
    pub problems: Vec<Problem>,
}

impl Condition {
    /// Whether nothing is wrong.
    pub fn is_well(&self) -> bool {
        self.problems.is_empty()
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Problem {
    /// A word for programs.
    code: String,
    /// When it was first seen here, Unix milliseconds.
    since_ms: u64,
    /// What is wrong, and where.
    pub what: String,
    /// Whom it hurts, and how.
    pub whom: String,
    /// What to do.
    pub mend: String,
}

/// Since when each problem is there, as this node has seen it.
#[derive(Debug, Default)]
pub struct Beginnings(BTreeMap<String, u64>);

impl Beginnings {
    /// Puts the beginnings in. What is no longer wrong is forgotten.
    pub fn condition(&mut self, mut problems: Vec<Problem>, now_ms: u64) -> Condition {
        let key = |problem: &Problem| format!("{} {}", problem.code, problem.since_ms);
        let keys: Vec<String> = problems
            .iter()
            .map(|problem| {
                if problem.since_ms == 0 {
                    problem.code.clone()
                } else {
                    key(problem)
                }
            })
            .collect();
        self.0.retain(|known, _| keys.contains(known));
        for (problem, key) in problems.iter_mut().zip(keys) {
            let first = if problem.since_ms == 0 {
                now_ms
            } else {
                problem.since_ms
            };
            problem.since_ms = *self.0.entry(key).or_insert(first);
        }
        let since_ms = problems.iter().map(|problem| problem.since_ms).min();
        let state = if problems.is_empty() {
            "well"
        } else {
            "degraded"
        };
        Condition {
            state: state.to_owned(),
            since_ms,
            problems,
        }
    }
}

/// What is wrong. A `since_ms` of 0 is for [`Beginnings`] to fill in.
pub fn problems(nodes: &[NodeView], lost: &[NodeView], warnings: &[Warning]) -> Vec<Problem> {
    let mut found: Vec<Problem> = away(nodes).into_iter().collect();
    found.extend(nodes.iter().filter_map(misfit));
    found.extend(lost.iter().map(gone));
    // A shard that is away has been told of, better.
    found.extend(
        warnings
            .iter()
            .filter(|warning| warning.code != "deaf")
            .map(warned),
    );
    found
}

/// Redis shards that nodes do not have.
fn away(nodes: &[NodeView]) -> Option<Problem> {
    // A node that starts has had no time to reach any.
    let young = |node: &NodeView| {
        node.phase == "starting" && node.seen_ms.saturating_sub(node.started_ms) < STARTING_MS
    };
    // And one that stays out uses none, whatever Redis does.
    let down = |node: &&NodeView| {
        !young(node) && node.misfit.is_none() && node.shards.iter().any(|shard| !shard.up)
    };
    let without: Vec<&NodeView> = nodes.iter().filter(down).collect();
    let mut shards: Vec<&str> = without
        .iter()
        .flat_map(|node| node.shards.iter().filter(|shard| !shard.up))
        .map(|shard| shard.name.as_str())
        .collect();
    shards.sort_unstable();
    shards.dedup();
    let names: Vec<&str> = without.iter().map(|node| node.name.as_str()).collect();
    let waiting: u64 = without.iter().map(|node| node.waiting).sum();
    let left = without
        .iter()
        .filter_map(|node| node.waiting_left_seconds)
        .min_by(f64::total_cmp);
    let (shards, names) = (shards.join(", "), names.join(", "));
    let late = match (waiting, left) {
        (0, _) => "Clients of other nodes get new events late; nothing is lost so far.".to_owned(),
        (_, Some(left)) if left >= 1.0 => format!(
            "{waiting} events wait for it; clients of other nodes get them late. The oldest are given up in {left:.0} s (FOGHORN_WAITING_SECONDS)."
        ),
        (_, Some(_)) => format!(
            "{waiting} events wait for it, and the oldest are given up now (FOGHORN_WAITING_SECONDS): clients of other nodes do not get them."
        ),
        (_, None) => format!("{waiting} events wait for it; clients of other nodes get them late."),
    };
    (!without.is_empty()).then(|| Problem {
        code: "redis".to_owned(),
        since_ms: 0,
        what: format!("Redis at {shards} is away for {names}."),
        whom: late,
        mend: if without.len() == nodes.len() {
            format!("Is Redis at {shards} running? `foghorn doctor` on a node says what it meets there.")
        } else {
            format!("Other nodes have it: `foghorn doctor` on {names} says what is in the way (network, firewall, password).")
        },
    })
}

/// A node whose settings keep it out of the cluster.
fn misfit(node: &NodeView) -> Option<Problem> {
    let why = node.misfit.as_ref()?;
    Some(Problem {
        code: "misfit".to_owned(),
        since_ms: 0,
        what: format!("{} stays out of the cluster: {why}", node.name),
        whom: "Nobody, as long as other nodes take the clients: it is not ready, so proxies send it none.".to_owned(),
        mend: format!("Set alike what differs, on {} or on the others, and restart it.", node.name),
    })
}

/// A node that ended without a word.
fn gone(node: &NodeView) -> Problem {
    let clients = match node.connections {
        0 => "It had no clients.".to_owned(),
        1 => "It had 1 client, which connects to another node: desktop clients within a minute."
            .to_owned(),
        many => format!(
            "It had {many} clients, which connect to other nodes: desktop clients within a minute."
        ),
    };
    Problem {
        code: "lost".to_owned(),
        since_ms: node.lost_ms.unwrap_or(node.seen_ms).max(1),
        what: format!(
            "{} ({}) ended without a word, or cannot be heard.",
            node.name, node.address
        ),
        whom: clients,
        mend: format!(
            "Look at its log on its machine (`journalctl -u foghorn -n 50`) and start it. A node that is not to come back is forgotten here {} minutes after it was lost.",
            super::lost::FORGOTTEN_MS / 60_000
        ),
    }
}

fn warned(warning: &Warning) -> Problem {
    let (whom, mend) = match warning.code.as_str() {
        "keys" => (
            "Clients and backends whose token is of another key are refused by some nodes.",
            "Set JWT_PRIVATE_KEY alike on all, and restart the one that differs.",
        ),
        "clocks" => (
            "Tokens run out early, or are good for too long, on one of them.",
            "Set the clocks by NTP: `timedatectl set-ntp true`.",
        ),
        "partitions" => (
            "Events do not reach clients of the node that differs.",
            "Set FOGHORN_PARTITIONS alike on all.",
        ),
        "versions" => (
            "Nobody: versions get along while you upgrade.",
            "Finish the upgrade.",
        ),
        "configuration" => (
            "Clients may meet other limits on other nodes.",
            "Compare what `foghorn check-config --changed` shows on them.",
        ),
        "names" => (
            "Nobody; but logs and this page cannot tell them apart.",
            "Give each a FOGHORN_NODE_NAME of its own.",
        ),
        _ => ("", "`foghorn doctor` on each node says more."),
    };
    Problem {
        code: warning.code.clone(),
        since_ms: 0,
        what: warning.text.clone(),
        whom: whom.to_owned(),
        mend: mend.to_owned(),
    }
}

#[cfg(test)]
mod tests;
