//! `token`: mints what Seafile mints, a subscription token or one for posting events.

use std::process::ExitCode;

use clap::Args;

use super::Mint;
use super::terminal::{fail, print};
use crate::config::Sources;

const EXAMPLE: &str = "\
Examples:
  JWT_PRIVATE_KEY=… foghorn token --user a@example.com --ttl 300 \\
      --repo 5a6bcd0e-7a3c-4c1e-9c4b-1f2d3e4a5b6c
  JWT_PRIVATE_KEY=… foghorn token --events

The key is JWT_PRIVATE_KEY of the environment, else jwt_private_key of the seafile.conf in the -c folder.";

/// Mint a token: for subscribing to a library, or for posting events
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Arguments {
    /// Library the token is for
    #[arg(long, value_name = "ID", required_unless_present = "events")]
    repo: Option<String>,
    /// User the token is for
    #[arg(long, value_name = "EMAIL", default_value = "")]
    user: String,
    /// A token for posting events, as seaf-server makes it
    #[arg(long, conflicts_with_all = ["repo", "user"])]
    events: bool,
    /// Seconds the token is good for
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u32).range(1..))]
    ttl: u32,
}

/// Prints the token.
pub fn run(arguments: &Arguments, sources: &Sources) -> ExitCode {
    let mint = match Mint::from(sources) {
        Ok(mint) => mint,
        Err(error) => return fail(&error),
    };
    let token = match &arguments.repo {
        Some(repo) => mint.subscription(repo, &arguments.user, arguments.ttl),
        None => mint.events(arguments.ttl),
    };
    print(&format!("{token}\n"));
    ExitCode::SUCCESS
}
