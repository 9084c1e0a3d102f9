//! The command line: one file for each subcommand, none means `serve`.
//!
//! Invariant: nothing secret is ever an argument, since process lists show arguments; keys come from the environment or
//! `seafile.conf`. Exit codes: 0 done, 1 it failed, 2 the command line was not understood.

mod check_config;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::Sources;

const EXAMPLE: &str = "\
Examples:
  JWT_PRIVATE_KEY=… foghorn                              serve on 0.0.0.0:8083
  foghorn -c /opt/seafile/conf -l /opt/seafile/logs/notification-server.log
  foghorn check-config                                   show every setting and every fault";

/// A clustered notification server, drop-in for Seafile's own. Settings: foghorn check-config
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

impl Files {
    fn sources(self) -> Sources {
        Sources::process(self.config_dir, self.log_file)
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    CheckConfig(check_config::Arguments),
}

/// Does what the command line says.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        Some(Command::CheckConfig(arguments)) => check_config::run(&arguments, &cli.files.sources()),
        None => check_config::run(&check_config::Arguments::default(), &cli.files.sources()),
    }
}

/// Writes to standard output. Whoever reads it may have gone, as `head` does: then there is nothing left to say.
fn print(text: &str) {
    use std::io::Write;
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}
