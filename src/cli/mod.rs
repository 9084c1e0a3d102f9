//! The command line: one file for each subcommand, none means `serve`.
//!
//! Invariant: nothing secret is ever an argument, since process lists show arguments; keys come from the environment or
//! `seafile.conf`. Exit codes: 0 done, 1 it failed, 2 the command line was not understood.

mod check_config;
mod client;
mod doctor;
mod mint;
mod publish;
mod serve;
mod tail;
mod token;

use std::fmt::Display;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};

use crate::config::Sources;
use mint::Mint;

const EXAMPLE: &str = "\
Examples:
  JWT_PRIVATE_KEY=… foghorn
  foghorn -c /opt/seafile/conf -l /opt/seafile/logs/notification-server.log
  foghorn check-config -c /opt/seafile/conf";

/// A clustered notification server, drop-in for Seafile's own. Its settings: foghorn check-config
#[derive(Debug, Parser)]
#[command(name = "foghorn", version, after_help = EXAMPLE)]
struct Cli {
    #[command(flatten)]
    files: Files,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What the upstream server takes, everywhere.
#[derive(Debug, Args)]
struct Files {
    /// Seafile's configuration folder; its seafile.conf stands in for variables that are not set
    #[arg(short = 'c', long = "config-dir", alias = "c", value_name = "DIR", global = true)]
    config_dir: Option<PathBuf>,
    /// Log file; - for standard output
    #[arg(short = 'l', long = "log-file", alias = "l", value_name = "FILE", global = true)]
    log_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    CheckConfig(check_config::Arguments),
    Token(token::Arguments),
    Publish(publish::Arguments),
    Tail(tail::Arguments),
    Doctor(doctor::Arguments),
}

/// Does what the command line says.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let sources = Sources::process(cli.files.config_dir, cli.files.log_file);
    match cli.command {
        Some(Command::CheckConfig(arguments)) => check_config::run(&arguments, &sources),
        Some(Command::Token(arguments)) => token::run(&arguments, &sources),
        Some(Command::Publish(arguments)) => publish::run(&arguments, &sources),
        Some(Command::Tail(arguments)) => tail::run(&arguments, &sources),
        Some(Command::Doctor(arguments)) => doctor::run(&arguments, &sources),
        None => serve::run(&sources),
    }
}

/// Writes to standard output. Whoever reads it may have gone, as `head` does: then there is nothing left to say.
fn print(text: &str) {
    let _ = io::stdout().lock().write_all(text.as_bytes());
}

/// Says what went wrong.
fn fail(error: &dyn Display) -> ExitCode {
    eprintln!("foghorn: {error}");
    ExitCode::FAILURE
}

/// A small runtime for commands that talk to a server.
fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}
