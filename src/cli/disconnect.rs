//! `disconnect`: ends one client's connection, or all of a user's.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::client::ops::{NodeChoice, OpsAddress};
use super::terminal::{fail, print};
use crate::config::Sources;

const EXAMPLE: &str = "\
Examples:
  foghorn disconnect --user a@example.com
  foghorn disconnect --node node-a --client 17

`foghorn lookup` shows nodes and client numbers. A desktop client comes back after 60 s, a web page at once.
Exit code: 0 where somebody was disconnected, 1 otherwise.";

/// End one client's connection, or all of a user's
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Arguments {
    #[command(flatten)]
    which: NodeChoice,
    /// Every connection that has a subscription of this user
    #[arg(long, value_name = "EMAIL", conflicts_with_all = ["node", "client"], required_unless_present = "client")]
    user: Option<String>,
    /// The node that the client is connected to
    #[arg(long, value_name = "NAME", requires = "client")]
    node: Option<String>,
    /// The client's number on that node
    #[arg(long, value_name = "NUMBER", requires = "node")]
    client: Option<u64>,
}

/// Asks for it, and prints how many there were.
pub fn run(arguments: &Arguments, sources: &Sources) -> ExitCode {
    let whom = match &arguments.user {
        Some(user) => json!({"user": user}),
        None => json!({"node": arguments.node, "id": arguments.client}),
    };
    let done: Result<Value, _> = OpsAddress::find(&arguments.which, sources)
        .and_then(|ops| ops.json("/api/v1/disconnect", Some(&whom)));
    match done {
        Ok(done) => {
            let count = done["disconnected"].as_u64().unwrap_or(0);
            print(&format!("disconnected: {count}\n"));
            if count > 0 {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => fail(&error),
    }
}
