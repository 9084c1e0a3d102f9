//! `status`: how a node is, and the cluster as it sees it.
//!
//! Invariant: `--local` needs nothing but the ops address, no key and no shell, so that a container's health check can
//! be this.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::client::ops::{OpsAddress, Which};
use super::nodes::table;
use super::{fail, print};
use crate::config::Sources;
use crate::ops::view::ClusterView;

const EXAMPLE: &str = "\
Examples:
  foghorn status
  foghorn status --local
  FOGHORN_OPS_PASSWORD=… foghorn status --url https://10.0.0.11:8084

Exit code: 0 where the node is ready (--local: where it lives), 1 otherwise.";

/// Show how a node is, and the cluster as it sees it
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    #[command(flatten)]
    which: Which,
    /// Ask only whether this machine's node lives, not whether it is ready for clients: for health checks
    #[arg(long, conflicts_with = "url")]
    local: bool,
}

/// Asks, and prints the answer.
pub fn run(arguments: &Arguments, sources: &Sources) -> ExitCode {
    let asked = OpsAddress::find(&arguments.which, sources)
        .and_then(|ops| if arguments.local { lives(&ops) } else { status(&ops) });
    match asked {
        Ok(good) => good,
        Err(error) => fail(&error),
    }
}

fn lives(ops: &OpsAddress) -> Result<ExitCode, String> {
    let answer = ops.ask("/livez", None)?;
    if answer.status != 200 {
        return Err(format!("{}/livez answered {}", ops.authority(), answer.status));
    }
    print(&answer.body);
    Ok(ExitCode::SUCCESS)
}

fn status(ops: &OpsAddress) -> Result<ExitCode, String> {
    let answer = ops.ask("/readyz", None)?;
    let checks: Value = serde_json::from_str(&answer.body)
        .map_err(|_| format!("{}/readyz answered {}: no node's answer", ops.authority(), answer.status))?;
    let ready = answer.status == 200;
    let text = |name: &str| checks[name].as_str().unwrap_or_default().to_owned();
    let alone = checks["checks"]["not_alone_without_shards"] == false;
    let why = match ready {
        true => "ready",
        false if alone => "not ready: it alone has lost a Redis shard",
        false => "not ready",
    };
    print(&format!("{}: {why} ({})\n", text("node"), text("phase")));
    // The rest needs a password; who has none learns at least this much.
    match ops.json::<ClusterView>("/nodes", None) {
        Ok(cluster) => print(&format!("\n{}", table(&cluster))),
        Err(error) => print(&format!("the cluster is not shown: {error}\n")),
    }
    Ok(if ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
