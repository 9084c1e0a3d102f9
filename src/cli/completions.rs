//! `completions`: what lets a shell complete Foghorn's command line.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate, generate_to};

use super::Cli;
use super::terminal::{fail, print};

const EXAMPLE: &str = "\
Examples:
  foghorn completions bash > /etc/bash_completion.d/foghorn
  foghorn completions zsh > /usr/local/share/zsh/site-functions/_foghorn
  foghorn completions --dir completions

The packages install these files for bash, zsh and fish.";

/// Those that a package installs.
const PACKAGED: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

/// Print the file that lets a shell complete this program's command line
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Arguments {
    /// The shell
    #[arg(value_name = "SHELL", required_unless_present = "dir")]
    shell: Option<Shell>,
    /// Write the files for bash, zsh and fish into this folder instead
    #[arg(long, value_name = "DIR", conflicts_with = "shell")]
    dir: Option<PathBuf>,
}

/// Prints the file, or writes all.
pub fn run(arguments: &Arguments) -> ExitCode {
    match (&arguments.dir, arguments.shell) {
        (Some(dir), _) => match write(dir) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&format!(
                "cannot write the completions into {}: {error}",
                dir.display()
            )),
        },
        (None, shell) => {
            let mut text = Vec::new();
            generate(
                shell.unwrap_or(Shell::Bash),
                &mut Cli::command(),
                "foghorn",
                &mut text,
            );
            print(&String::from_utf8_lossy(&text));
            ExitCode::SUCCESS
        }
    }
}

fn write(dir: &PathBuf) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    for shell in PACKAGED {
        generate_to(shell, &mut Cli::command(), "foghorn", dir)?;
    }
    Ok(())
}
