//! The command line: one file for each subcommand, none means `serve`.
//!
//! Invariant: nothing secret is ever an argument, since process lists show arguments; keys come from the environment or
//! `seafile.conf`. Exit codes: 0 done, 1 it failed, 2 the command line was not understood.

mod centrifugo;
mod check_config;
mod client;
mod completions;
mod demo;
mod disconnect;
mod doctor;
mod explain_token;
mod given;
mod listen;
mod lookup;
mod man;
mod mint;
mod nodes;
mod notify;
mod publish;
mod reload;
mod serve;
mod status;
mod tail;
mod terminal;
mod token;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::config::Sources;
use mint::Mint;

const EXAMPLE: &str = "\
Examples:
  JWT_PRIVATE_KEY=… foghorn
  foghorn -c /opt/seafile/conf -l /opt/seafile/logs/notification-server.log
  foghorn check-config -c /opt/seafile/conf

Exit code: 0 done, 1 it failed or what was looked at is not well, 2 the command line was not understood;
`foghorn status` has more.
Colours: only on a terminal, and never where NO_COLOR is set.";

/// A clustered notification server, drop-in for Seafile's own. Its settings: foghorn check-config
#[derive(Debug, Parser)]
#[command(name = "foghorn", version = crate::version::LONG, after_help = EXAMPLE)]
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
    #[arg(
        short = 'c',
        long = "config-dir",
        alias = "c",
        value_name = "DIR",
        global = true
    )]
    config_dir: Option<PathBuf>,
    /// Log file; - for standard output
    #[arg(
        short = 'l',
        long = "log-file",
        alias = "l",
        value_name = "FILE",
        global = true
    )]
    log_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Arguments),
    Demo(demo::Arguments),
    CheckConfig(check_config::Arguments),
    Centrifugo(centrifugo::Arguments),
    Token(token::Arguments),
    Publish(publish::Arguments),
    Tail(tail::Arguments),
    Notify(notify::Arguments),
    Listen(listen::Arguments),
    Status(status::Arguments),
    Nodes(nodes::Arguments),
    Lookup(lookup::Arguments),
    Disconnect(disconnect::Arguments),
    ExplainToken(explain_token::Arguments),
    Doctor(doctor::Arguments),
    Completions(completions::Arguments),
    Man(man::Arguments),
}

impl Cli {
    /// What is wrong with an option that the command would not heed.
    fn misplaced(&self) -> Option<&'static str> {
        let logs = matches!(
            self.command,
            None | Some(Command::Serve(_) | Command::CheckConfig(_))
        );
        let reads = !matches!(
            self.command,
            Some(Command::Demo(_) | Command::Completions(_) | Command::Man(_))
        );
        if self.files.log_file.is_some() && !logs {
            return Some("-l is for `serve` and `check-config`: this command writes no log");
        }
        (self.files.config_dir.is_some() && !reads)
            .then_some("-c has no meaning here: this command reads no configuration")
    }
}

/// Does what the command line says.
pub fn main() -> ExitCode {
    let line: Vec<OsString> = std::env::args_os().collect();
    if let Some(arguments) = centrifugo::taken(&line) {
        return centrifugo::run(arguments);
    }
    let cli = Cli::parse_from(line);
    if let Some(wrong) = cli.misplaced() {
        Cli::command()
            .error(ErrorKind::ArgumentConflict, wrong)
            .exit();
    }
    let sources = Sources::process(cli.files.config_dir, cli.files.log_file);
    match cli.command {
        Some(Command::Demo(arguments)) => demo::run(&arguments),
        Some(Command::CheckConfig(arguments)) => check_config::run(&arguments, &sources),
        // Where options of this program's own stand before the word.
        Some(Command::Centrifugo(arguments)) => centrifugo::run(&arguments.arguments),
        Some(Command::Token(arguments)) => token::run(&arguments, &sources),
        Some(Command::Publish(arguments)) => publish::run(&arguments, &sources),
        Some(Command::Tail(arguments)) => tail::run(&arguments, &sources),
        Some(Command::Notify(arguments)) => notify::run(&arguments, &sources),
        Some(Command::Listen(arguments)) => listen::run(&arguments, &sources),
        Some(Command::Status(arguments)) => status::run(&arguments, &sources),
        Some(Command::Nodes(arguments)) => nodes::run(&arguments, &sources),
        Some(Command::Lookup(arguments)) => lookup::run(&arguments, &sources),
        Some(Command::Disconnect(arguments)) => disconnect::run(&arguments, &sources),
        Some(Command::ExplainToken(arguments)) => explain_token::run(&arguments, &sources),
        Some(Command::Doctor(arguments)) => doctor::run(&arguments, &sources),
        Some(Command::Completions(arguments)) => completions::run(&arguments),
        Some(Command::Man(arguments)) => man::run(&arguments),
        Some(Command::Serve(_)) | None => serve::run(&sources),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The command lines in a help page's examples, without what a shell would do with them.
    fn examples(help: &str) -> Vec<Vec<String>> {
        let (_, after) = help.split_once("Examples:\n").unwrap_or_default();
        let joined = after.replace("\\\n", " ").replace("|\n", "| ");
        let lines = joined.lines().take_while(|line| !line.is_empty());
        let words = |line: &str| {
            line.rsplit('|')
                .next()
                .unwrap_or(line)
                .split('>')
                .next()
                .unwrap_or(line)
                .to_owned()
        };
        let split = |line: &str| {
            words(line)
                .split_whitespace()
                .map(ToOwned::to_owned)
                .collect::<Vec<_>>()
        };
        lines
            .map(|line| {
                split(line)
                    .into_iter()
                    .skip_while(|word| word != "foghorn")
                    .collect()
            })
            .collect()
    }

    #[test]
    fn every_example_in_every_help_page_is_understood() {
        let mut command = Cli::command().term_width(0);
        command.build();
        let mut pages = vec![command.clone().render_long_help().to_string()];
        for sub in command
            .get_subcommands_mut()
            .filter(|sub| sub.get_name() != "help")
        {
            pages.push(sub.render_long_help().to_string());
        }
        for page in pages {
            let found = examples(&page);
            assert!(!found.is_empty(), "no example in:\n{page}");
            for words in found {
                assert!(Cli::try_parse_from(&words).is_ok(), "{words:?} in:\n{page}");
            }
        }
    }

    #[test]
    fn flags_are_taken_as_upstream_takes_them() {
        for line in [
            "-c /c -l /l",
            "--c /c --l /l",
            "-c=/c -l=/l",
            "--c=/c --l=/l",
            "serve -c /c -l /l",
        ] {
            let cli =
                Cli::try_parse_from(std::iter::once("foghorn").chain(line.split(' '))).unwrap();
            assert_eq!(cli.files.config_dir, Some("/c".into()), "{line}");
            assert_eq!(cli.files.log_file, Some("/l".into()), "{line}");
        }
    }

    #[test]
    fn no_argument_is_a_secret() {
        let mut command = Cli::command();
        command.build();
        for argument in command
            .get_subcommands()
            .flat_map(clap::Command::get_arguments)
        {
            let name = argument.get_id().as_str();
            assert!(
                !["key", "secret", "password"]
                    .iter()
                    .any(|word| name.contains(word)),
                "{name}"
            );
        }
    }
}
