//! `lookup`: which clients hold a channel, or a user's subscriptions, on all nodes.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::client::ops::{NodeChoice, OpsAddress};
use super::nodes::{aligned, duration};
use super::terminal::{fail, print};
use crate::config::Sources;
use crate::dialect::seafile::message::CHANNEL_KIND;
use crate::event::now_ms;
use crate::ops::api::LookupAnswer;
use crate::ops::questions::ClientView;

const EXAMPLE: &str = "\
Examples:
  foghorn lookup --library 5a6bcd0e-7a3c-4c1e-9c4b-1f2d3e4a5b6c
  foghorn lookup --user a@example.com --json
  foghorn lookup --channel user/ann

The password is FOGHORN_OPS_PASSWORD or FOGHORN_OPS_TOKEN of the environment, where the node has one.";

/// Show which clients hold a library or another channel, or what a user is subscribed to
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Arguments {
    #[command(flatten)]
    which: NodeChoice,
    #[command(flatten)]
    whose: LookupTarget,
    /// As the API gives it
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct LookupTarget {
    /// Whoever is subscribed to this channel
    #[arg(long, value_name = "KIND/NAME")]
    channel: Option<String>,
    /// Whoever is subscribed to this library of Seafile's
    #[arg(long, value_name = "ID")]
    library: Option<String>,
    /// This user's subscriptions
    #[arg(long, value_name = "EMAIL")]
    user: Option<String>,
}

/// Asks, and prints the answer.
pub fn run(arguments: &Arguments, sources: &Sources) -> ExitCode {
    match OpsAddress::find(&arguments.which, sources).and_then(|ops| look_up(&ops, arguments)) {
        Ok(text) => {
            print(&text);
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error),
    }
}

fn look_up(ops: &OpsAddress, arguments: &Arguments) -> Result<String, String> {
    let whose = &arguments.whose;
    let (name, value) = match (&whose.channel, &whose.library, &whose.user) {
        (Some(channel), ..) => ("channel", channel.clone()),
        (None, Some(library), _) => ("channel", format!("{CHANNEL_KIND}/{library}")),
        (None, None, user) => (
            "user",
            user.clone().ok_or("give --channel, --library or --user")?,
        ),
    };
    let value: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
    let answer: Value = ops.json(&format!("/api/v1/lookup?{name}={value}"), None)?;
    if arguments.json {
        return Ok(format!("{answer:#}\n"));
    }
    let found: LookupAnswer =
        serde_json::from_value(answer).map_err(|_| "the answer is not understood here")?;
    Ok(table(&found))
}

fn table(found: &LookupAnswer) -> String {
    let head = [
        "NODE", "CLIENT", "ADDRESS", "KIND", "USER", "CHANNEL", "SINCE", "EXPIRES",
    ]
    .map(ToOwned::to_owned);
    let mut rows = vec![head];
    for node in &found.nodes {
        rows.extend(node.clients.iter().map(|client| row(&node.node, client)));
    }
    let rest = if found.truncated {
        ", not all of them shown"
    } else {
        ""
    };
    let what = if found.total == 1 {
        "subscription"
    } else {
        "subscriptions"
    };
    let count = format!("{} {what}{rest}\n", found.total);
    if found.total == 0 {
        count
    } else {
        aligned(&rows) + &count
    }
}

fn row(node: &str, client: &ClientView) -> [String; 8] {
    let now = now_ms();
    let expires = client.expires_ms.map_or("?".to_owned(), |at| {
        format!("in {}", duration(at.saturating_sub(now) / 1_000))
    });
    [
        node.to_owned(),
        client.id.to_string(),
        client.address.clone(),
        client.kind.clone(),
        client.user.clone(),
        client.channel.clone(),
        duration(now.saturating_sub(client.connected_ms) / 1_000),
        expires,
    ]
}
