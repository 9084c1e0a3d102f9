//! One status, told four ways.
//!
//! Invariant: each format has its own exit codes, which the help page says.

use std::process::ExitCode;

use serde_json::json;

use super::{DEGRADED, Format, Status, Verdict};
use crate::cli::nodes::table;
use crate::cli::terminal::{fail, print};

/// Prints it.
pub fn tell(format: Format, status: &Status) -> ExitCode {
    let verdict = status.verdict();
    match format {
        Format::Text => print(&text(status)),
        Format::Json => print(&json(status)),
        Format::Nagios => {
            print(&nagios(status));
            return ExitCode::from(match verdict {
                Verdict::Well => 0,
                Verdict::Degraded => 1,
                Verdict::NotReady => 2,
            });
        }
        Format::Prometheus => {
            print(&prometheus(status));
            return ExitCode::SUCCESS;
        }
    }
    match verdict {
        Verdict::Well => ExitCode::SUCCESS,
        Verdict::Degraded => ExitCode::from(DEGRADED),
        Verdict::NotReady => ExitCode::FAILURE,
    }
}

/// The node does not answer.
pub fn silent(format: Format, error: &str) -> ExitCode {
    match format {
        Format::Text => fail(&error),
        Format::Json => {
            print(&format!(
                "{:#}\n",
                json!({"state": "silent", "ready": false, "error": error})
            ));
            fail(&error)
        }
        Format::Nagios => {
            print(&format!("FOGHORN CRITICAL - {}\n", one_line(error)));
            ExitCode::from(2)
        }
        Format::Prometheus => {
            print(&metric(
                "foghorn_status_up",
                "Whether the node answered.",
                "",
                0.0,
            ));
            ExitCode::SUCCESS
        }
    }
}

/// It cannot be asked as the settings are.
pub fn unknown(format: Format, error: &str) -> ExitCode {
    if format == Format::Nagios {
        print(&format!("FOGHORN UNKNOWN - {}\n", one_line(error)));
        return ExitCode::from(3);
    }
    fail(&error)
}

fn text(status: &Status) -> String {
    let mut text = format!(
        "{}: {} ({})\n",
        status.ready.node,
        status.why(),
        status.ready.phase
    );
    for problem in status.problems() {
        text += &format!("degraded: {problem}\n");
    }
    match &status.cluster {
        Ok(cluster) => text += &format!("\n{}", table(cluster)),
        Err(error) => text += &format!("the cluster is not shown: {error}\n"),
    }
    text
}

fn json(status: &Status) -> String {
    let state = match status.verdict() {
        Verdict::Well => "well",
        Verdict::Degraded => "degraded",
        Verdict::NotReady => "not_ready",
    };
    let shards = status
        .ready
        .shards
        .iter()
        .map(|shard| json!({"name": shard.name, "up": shard.up}));
    let answer = json!({
        "state": state,
        "ready": status.ready.ready,
        "node": status.ready.node,
        "phase": status.ready.phase,
        "waiting": status.ready.waiting,
        "waiting_left_seconds": status.ready.waiting_left_seconds,
        "shards": shards.collect::<Vec<_>>(),
        "problems": status.problems(),
        "cluster": status.cluster.as_ref().ok(),
        "cluster_unknown": status.cluster.as_ref().err(),
    });
    format!("{answer:#}\n")
}

fn nagios(status: &Status) -> String {
    let word = match status.verdict() {
        Verdict::Well => "OK",
        Verdict::Degraded => "WARNING",
        Verdict::NotReady => "CRITICAL",
    };
    let problems = status.problems();
    let what = if problems.is_empty() {
        String::new()
    } else {
        format!("; {}", one_line(&problems.join(" ")))
    };
    let mut figures = vec![
        format!("waiting={}", status.ready.waiting),
        format!("shards_away={}", status.away().len()),
    ];
    if let Ok(cluster) = &status.cluster {
        let sum = |of: fn(&crate::cluster::view::NodeView) -> u64| {
            cluster.nodes.iter().map(of).sum::<u64>()
        };
        figures.push(format!("nodes={}", cluster.nodes.len()));
        figures.push(format!("lost={}", cluster.lost.len()));
        figures.push(format!("connections={}", sum(|node| node.connections)));
        figures.push(format!("subscriptions={}", sum(|node| node.subscriptions)));
    }
    let (node, why) = (&status.ready.node, status.why());
    format!(
        "FOGHORN {word} - {node}: {why} ({}){what} | {}\n",
        status.ready.phase,
        figures.join(" ")
    )
}

fn prometheus(status: &Status) -> String {
    let flag = |value: bool| f64::from(u8::from(value));
    let label = format!("{{node=\"{}\"}}", escaped(&status.ready.node));
    let mut text = metric(
        "foghorn_status_up",
        "Whether the node answered.",
        &label,
        1.0,
    );
    text += &metric(
        "foghorn_status_ready",
        "Whether the node is ready for clients.",
        &label,
        flag(status.ready.ready),
    );
    text += &metric(
        "foghorn_status_degraded",
        "Whether something is wrong though it is ready.",
        &label,
        flag(status.verdict() == Verdict::Degraded),
    );
    text += &metric(
        "foghorn_status_waiting_events",
        "Events that wait for Redis.",
        &label,
        status.ready.waiting as f64,
    );
    if let Some(left) = status.ready.waiting_left_seconds {
        text += &metric(
            "foghorn_status_waiting_left_seconds",
            "Until the oldest of them are given up.",
            &label,
            left,
        );
    }
    text += &metric(
        "foghorn_status_shards_away",
        "Redis shards that the node does not have.",
        &label,
        status.away().len() as f64,
    );
    if let Ok(cluster) = &status.cluster {
        text += &metric(
            "foghorn_status_nodes",
            "Nodes of the cluster.",
            &label,
            cluster.nodes.len() as f64,
        );
        text += &metric(
            "foghorn_status_nodes_lost",
            "Nodes that ended without a word.",
            &label,
            cluster.lost.len() as f64,
        );
        text += &metric(
            "foghorn_status_problems",
            "Things that are wrong.",
            &label,
            cluster.condition.problems.len() as f64,
        );
    }
    text
}

fn metric(name: &str, help: &str, label: &str, value: f64) -> String {
    format!("# HELP {name} {help}\n# TYPE {name} gauge\n{name}{label} {value}\n")
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', " ")
}

/// On one line, without what stands between text and figures there.
fn one_line(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "/")
}
