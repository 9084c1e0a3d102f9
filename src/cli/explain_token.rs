//! `explain-token`: what a token says, whether it is good, for what, and why not.
//!
//! Invariant: the token comes by standard input only and is not printed.

use std::io::{self, Read};
use std::process::ExitCode;

use clap::Args;

use super::nodes::duration;
use super::terminal::{fail, print};
use crate::config::Sources;
use crate::dialect::seafile::auth::explain::Explained;
use crate::dialect::seafile::settings::secrets;
use crate::event::now_ms;

const EXAMPLE: &str = "\
Examples:
  cat token.txt | JWT_PRIVATE_KEY=… foghorn explain-token
  foghorn token --events | foghorn explain-token -c /opt/seafile/conf --json

The key is JWT_PRIVATE_KEY of the environment, else jwt_private_key of the seafile.conf in the -c folder. No node is asked.
Exit code: 0 where the token is good, 1 otherwise.";

/// More than this is no token.
const MOST: u64 = 64 * 1024;

/// Explain a token, read from standard input
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Arguments {
    /// As the API gives it
    #[arg(long)]
    json: bool,
}

/// Reads the token and prints what there is to say.
pub fn run(arguments: &Arguments, sources: &Sources) -> ExitCode {
    let keys = match secrets(sources) {
        Ok(secrets) => secrets.keys(),
        Err(error) => return fail(&error),
    };
    let mut token = String::new();
    if let Err(error) = io::stdin().take(MOST).read_to_string(&mut token) {
        return fail(&format!("cannot read standard input: {error}"));
    }
    let said = keys.explain(token.trim(), (now_ms() / 1_000) as i64);
    match serde_json::to_string_pretty(&said) {
        Ok(json) if arguments.json => print(&(json + "\n")),
        _ => print(&text(&said)),
    }
    if said.valid {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn text(said: &Explained) -> String {
    let expires = match said.expires_in_seconds {
        Some(left) if left > 0 => format!("in {}", duration(left.unsigned_abs())),
        Some(left) => format!("{} ago", duration(left.unsigned_abs())),
        None => "it does not say when".to_owned(),
    };
    format!(
        "{}\nheader   {}\nclaims   {}\nexpires  {expires}\n",
        said.text, said.header, said.claims
    )
}
