//! `check-config`: every setting, where it came from, and everything that is wrong, at once.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;

use super::print;
use crate::config::{self, Report, Sources};

const EXAMPLE: &str = "\
Examples:
  foghorn check-config -c /opt/seafile/conf
  foghorn check-config --reference > CONFIGURATION.md

Exit code: 0 where everything is right, 1 otherwise.";

/// Show every setting, where it came from, and everything that is wrong
#[derive(Debug, Default, Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// Print the documentation of all settings instead
    #[arg(long)]
    reference: bool,
}

/// Prints the report.
pub fn run(arguments: &Arguments, sources: &Sources) -> ExitCode {
    if arguments.reference {
        print(&config::reference::markdown());
        return ExitCode::SUCCESS;
    }
    let report = config::load(sources);
    let mut page = Vec::new();
    // Writing to memory does not fail.
    let _ = write_report(&mut page, &report);
    print(&String::from_utf8_lossy(&page));
    match report.into_config() {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("foghorn: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write_report(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    let widest = report.entries.iter().map(|entry| entry.row.name.len()).max().unwrap_or(0);
    let mut area = "";
    for entry in &report.entries {
        if entry.row.area != area {
            area = entry.row.area;
            writeln!(out, "# {area}")?;
        }
        let value = if entry.shown.is_empty() { "-" } else { &entry.shown };
        writeln!(out, "{:widest$}  {value}  ({})", entry.row.name, entry.source)?;
    }
    for notice in report.notices() {
        writeln!(out, "note: {notice}")?;
    }
    if report.faults.is_empty() {
        writeln!(out, "ok: nothing is wrong")?;
    }
    Ok(())
}
