//! `nodes`: all nodes of the cluster, and what is wrong with it.

use std::fmt::Write;
use std::process::ExitCode;

use clap::Args;

use super::client::ops::{NodeChoice, OpsAddress};
use super::terminal::{fail, print};
use crate::cluster::view::{ClusterView, NodeView};
use crate::config::Sources;
use crate::event::now_ms;
use crate::metrics::incidents::Incidents;

const EXAMPLE: &str = "\
Examples:
  foghorn nodes
  foghorn nodes --json

DROPS, REFUSALS and RESYNCS are of the last 15 minutes, or since the node started; -: its version does not tell.

The password is FOGHORN_OPS_PASSWORD or FOGHORN_OPS_TOKEN of the environment, where the node has one.
Exit code: 0 where nothing is warned of and no node is lost, 1 otherwise.";

/// List all nodes of the cluster, and what is wrong with it
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Arguments {
    #[command(flatten)]
    which: NodeChoice,
    /// As the API gives it
    #[arg(long)]
    json: bool,
}

/// Asks, and prints the answer.
pub fn run(arguments: &Arguments, sources: &Sources) -> ExitCode {
    let cluster: Result<ClusterView, _> =
        OpsAddress::find(&arguments.which, sources).and_then(|ops| ops.json("/nodes", None));
    let cluster = match cluster {
        Ok(cluster) => cluster,
        Err(error) => return fail(&error),
    };
    match serde_json::to_string_pretty(&cluster) {
        Ok(json) if arguments.json => print(&(json + "\n")),
        _ => print(&table(&cluster)),
    }
    if cluster.warnings.is_empty() && cluster.lost.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The nodes as a table for people, and the warnings under it.
pub fn table(cluster: &ClusterView) -> String {
    let head = [
        "NODE", "ADDRESS", "VERSION", "PHASE", "UP", "CLIENTS", "SUBSCR.", "EVENTS/s", "DELIV./s",
        "DROPS", "REFUSALS", "RESYNCS", "REDIS",
    ];
    let mut rows = vec![head.map(ToOwned::to_owned)];
    rows.extend(cluster.nodes.iter().map(row));
    rows.extend(cluster.lost.iter().map(lost));
    let mut text = aligned(&rows);
    for warning in &cluster.warnings {
        // Writing to a string does not fail.
        let _ = write!(text, "\nwarning: {}", warning.text);
    }
    if !cluster.warnings.is_empty() {
        text.push('\n');
    }
    text
}

fn row(node: &NodeView) -> [String; 13] {
    let up = node.shards.iter().filter(|shard| shard.up).count();
    let redis = if node.shards.is_empty() {
        "-".to_owned()
    } else {
        format!("{up}/{} up", node.shards.len())
    };
    let lately = |count: fn(Incidents) -> u64| {
        node.lately
            .map_or_else(|| "-".to_owned(), |lately| count(lately).to_string())
    };
    [
        node.name.clone(),
        node.address.clone(),
        node.version.clone(),
        node.phase.clone(),
        duration(now_ms().saturating_sub(node.started_ms) / 1_000),
        node.connections.to_string(),
        node.subscriptions.to_string(),
        format!("{:.1}", node.events_per_second),
        format!("{:.1}", node.deliveries_per_second),
        lately(|lately| lately.drops),
        lately(|lately| lately.refusals),
        lately(|lately| lately.resyncs),
        redis,
    ]
}

/// Its figures were those of its last moment: they count no more.
fn lost(node: &NodeView) -> [String; 13] {
    let since = now_ms().saturating_sub(node.lost_ms.unwrap_or(node.seen_ms)) / 1_000;
    let mut cells = row(node);
    cells[3] = format!("LOST {} ago", duration(since));
    cells[4..].fill("-".to_owned());
    cells
}

/// Seconds as people say them.
pub(super) fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// Columns two blanks apart.
pub(super) fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in rows {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        for (seconds, text) in [(5, "5s"), (61, "1m"), (3_661, "1h01m"), (90_000, "1d01h")] {
            assert_eq!(duration(seconds), text);
        }
    }
}
