//! `man`: the manual pages, made from the help pages.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_mangen::{Man, generate_to};

use super::Cli;
use super::terminal::{fail, print};
use crate::version::VERSION;

const EXAMPLE: &str = "\
Examples:
  foghorn man | man -l -
  foghorn man --dir /usr/local/share/man/man1

The packages install these pages: man foghorn, man foghorn-doctor.";

/// Print the manual page of this program
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Arguments {
    /// Write it and one page for each subcommand into this folder instead
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Prints the page, or writes all.
pub fn run(arguments: &Arguments) -> ExitCode {
    let done = match &arguments.dir {
        Some(dir) => write(dir)
            .map_err(|error| format!("cannot write the pages into {}: {error}", dir.display())),
        None => page()
            .map(|text| print(&text))
            .map_err(|error| error.to_string()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// What the pages are made of: the version without its commit, so that they differ only where the program does.
fn command() -> clap::Command {
    Cli::command()
        .version(VERSION)
        .disable_help_subcommand(true)
}

fn page() -> io::Result<String> {
    let mut text = Vec::new();
    Man::new(command()).render(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn write(dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    generate_to(command(), dir)
}
