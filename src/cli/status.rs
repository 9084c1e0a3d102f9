//! `status`: how a node is, and the cluster as it sees it, for people, programs and monitoring.
//!
//! Invariant: `--local` needs nothing but the ops address, no key and no shell, so that a container's health check can
//! be this. A node that is ready and yet without Redis is never told of as well.

mod formats;

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde::Deserialize;

use super::client::ops::{NodeChoice, OpsAddress};
use super::terminal::{fail, print};
use crate::cluster::view::ClusterView;
use crate::config::Sources;

const EXAMPLE: &str = "\
Examples:
  foghorn status
  foghorn status --local
  foghorn status --json
  foghorn status --format nagios
  FOGHORN_OPS_PASSWORD=… foghorn status --url https://10.0.0.11:8084 --format prometheus

Exit code: 0 where the node is ready and nothing is wrong, 1 where it is not ready or does not answer, 3 where it is ready
and something is wrong: Redis away, a lost node, nodes that differ (--local: 0 where it lives, 1 otherwise).
--format nagios: 0 OK, 1 WARNING (ready, and something is wrong), 2 CRITICAL (not ready, or no answer), 3 UNKNOWN (it cannot
be asked as the settings are). --format prometheus: 0 once the figures are printed, whatever they say.";

/// Ready, and yet something is wrong.
const DEGRADED: u8 = 3;

/// Show how a node is, and the cluster as it sees it
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Arguments {
    #[command(flatten)]
    which: NodeChoice,
    /// Ask only whether this machine's node lives, not whether it is ready for clients: for health checks
    #[arg(long, conflicts_with_all = ["url", "json", "format"])]
    local: bool,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// For whom it is printed
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

/// For whom it is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// People
    Text,
    /// Programs
    Json,
    /// Nagios and its kin: one line and figures
    Nagios,
    /// Prometheus' text format, as for node_exporter's textfile collector
    Prometheus,
}

/// What `/readyz` answers.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Ready {
    ready: bool,
    node: String,
    phase: String,
    waiting: u64,
    waiting_left_seconds: Option<f64>,
    checks: Checks,
    /// Why it stays out of the cluster.
    misfit: Option<String>,
    shards: Vec<Shard>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Checks {
    not_alone_without_shards: Option<bool>,
    fits_in: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Shard {
    name: String,
    up: bool,
}

/// All that was learnt.
struct Status {
    ready: Ready,
    /// The cluster, or why it is not shown: the rest needs a password, and who has none learns at least the node's own state.
    cluster: Result<ClusterView, String>,
}

/// What it comes down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Well,
    Degraded,
    NotReady,
}

impl Status {
    fn verdict(&self) -> Verdict {
        let cluster = self
            .cluster
            .as_ref()
            .is_ok_and(|cluster| !cluster.condition.is_well());
        match (self.ready.ready, cluster || !self.away().is_empty()) {
            (false, _) => Verdict::NotReady,
            (true, true) => Verdict::Degraded,
            (true, false) => Verdict::Well,
        }
    }

    /// The shards that the node itself does not have.
    fn away(&self) -> Vec<&str> {
        self.ready
            .shards
            .iter()
            .filter(|shard| !shard.up)
            .map(|shard| shard.name.as_str())
            .collect()
    }

    /// What is wrong, a sentence each.
    fn problems(&self) -> Vec<String> {
        match &self.cluster {
            Ok(cluster) => {
                let problems = cluster.condition.problems.iter();
                problems
                    .map(|problem| format!("{} {} {}", problem.what, problem.whom, problem.mend))
                    .collect()
            }
            Err(_) if self.away().is_empty() => self.ready.misfit.clone().into_iter().collect(),
            Err(_) => {
                let left = self
                    .ready
                    .waiting_left_seconds
                    .map(|left| format!(", the oldest for {left:.0} s more"));
                let (shards, waiting) = (self.away().join(", "), self.ready.waiting);
                vec![format!(
                    "Redis at {shards} is away. {waiting} events wait for it{}.",
                    left.unwrap_or_default()
                )]
            }
        }
    }

    /// Whether it is ready, in words.
    fn why(&self) -> &'static str {
        match (self.verdict(), self.ready.checks.not_alone_without_shards) {
            (Verdict::Well, _) => "ready",
            (Verdict::Degraded, _) => "ready, but degraded",
            (Verdict::NotReady, _) if self.ready.checks.fits_in == Some(false) => {
                "not ready: it does not fit the others"
            }
            (Verdict::NotReady, Some(false)) => "not ready: it alone has lost a Redis shard",
            (Verdict::NotReady, _) => "not ready",
        }
    }
}

/// Asks, and prints the answer.
pub fn run(arguments: &Arguments, sources: &Sources) -> ExitCode {
    let format = if arguments.json {
        Format::Json
    } else {
        arguments.format
    };
    let ops = match OpsAddress::find(&arguments.which, sources) {
        Ok(ops) => ops,
        Err(error) => return formats::unknown(format, &error),
    };
    if arguments.local {
        return lives(&ops).unwrap_or_else(|error| fail(&error));
    }
    match ask(&ops) {
        Ok(status) => formats::tell(format, &status),
        Err(error) => formats::silent(format, &error),
    }
}

fn lives(ops: &OpsAddress) -> Result<ExitCode, String> {
    let answer = ops.ask("/livez", None)?;
    if answer.status != 200 {
        return Err(format!(
            "{}/livez answered {}",
            ops.authority(),
            answer.status
        ));
    }
    print(&answer.body);
    Ok(ExitCode::SUCCESS)
}

fn ask(ops: &OpsAddress) -> Result<Status, String> {
    let answer = ops.ask("/readyz", None)?;
    let ready: Ready = serde_json::from_str(&answer.body).unwrap_or_default();
    if ready.node.is_empty() {
        return Err(format!(
            "{}/readyz answered {}: is that a node's ops address (FOGHORN_OPS_ADDR)?",
            ops.authority(),
            answer.status
        ));
    }
    Ok(Status {
        ready,
        cluster: ops.json("/nodes", None),
    })
}
