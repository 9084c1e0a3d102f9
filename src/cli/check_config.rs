//! `check-config`: every setting, where it came from, and everything that is wrong, at once.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::terminal::print;
use crate::config::{self, Entry, Fault, Report, Source, Sources};

const EXAMPLE: &str = "\
Examples:
  foghorn check-config -c /opt/seafile/conf
  foghorn check-config --changed --strict
  foghorn check-config --reference > CONFIGURATION.md
  foghorn check-config --json

Exit code: 0 where everything is right, 1 otherwise; notes do not count, unless --strict is given.";

/// Show every setting, where it came from, and everything that is wrong
#[derive(Debug, Default, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Arguments {
    /// Print the documentation of all settings instead
    #[arg(long, conflicts_with_all = ["strict", "changed"])]
    reference: bool,
    /// Print the report as JSON
    #[arg(long, conflicts_with = "reference")]
    json: bool,
    /// Count what is only noted as wrong
    #[arg(long)]
    strict: bool,
    /// Show only the settings that differ from their defaults
    #[arg(long)]
    changed: bool,
}

/// Prints the report.
pub fn run(arguments: &Arguments, sources: &Sources) -> ExitCode {
    if arguments.reference {
        print(&config::reference::markdown());
        return ExitCode::SUCCESS;
    }
    let mut report = config::load(sources);
    if arguments.strict {
        report.notices_are_faults();
    }
    if arguments.json {
        print(&format!("{:#}\n", as_json(&report, arguments.changed)));
        return if report.faults.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
    }
    let mut page = Vec::new();
    // Writing to memory does not fail.
    let _ = write_report(&mut page, &report, arguments.changed);
    print(&String::from_utf8_lossy(&page));
    match report.into_config() {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("foghorn: {error}");
            ExitCode::FAILURE
        }
    }
}

fn as_json(report: &Report, changed: bool) -> Value {
    let setting = |entry: &Entry| {
        let value = Some(&entry.shown).filter(|shown| !shown.is_empty());
        json!({"name": entry.row.name, "area": entry.row.area, "value": value, "source": entry.source.to_string()})
    };
    let fault = |fault: &Fault| json!({"name": fault.name, "text": fault.message});
    json!({
        "ok": report.faults.is_empty(),
        "settings": report.entries.iter().filter(|entry| !changed || differs(entry)).map(setting).collect::<Vec<_>>(),
        "notes": report.notices(),
        "faults": report.faults.iter().map(fault).collect::<Vec<_>>(),
    })
}

fn write_report(out: &mut dyn Write, report: &Report, changed: bool) -> io::Result<()> {
    let is_shown = |entry: &&Entry| !changed || differs(entry);
    let widest = report
        .entries
        .iter()
        .filter(is_shown)
        .map(|entry| entry.row.name.len())
        .max()
        .unwrap_or(0);
    let mut area = "";
    for entry in report.entries.iter().filter(is_shown) {
        if entry.row.area != area {
            area = entry.row.area;
            writeln!(out, "# {area}")?;
        }
        let value = if entry.shown.is_empty() {
            "-"
        } else {
            &entry.shown
        };
        writeln!(
            out,
            "{:widest$}  {value}  ({})",
            entry.row.name, entry.source
        )?;
    }
    if report
        .faults
        .iter()
        .all(|fault| fault.name != "FOGHORN_REDIS_REQUIRED")
    {
        writeln!(out, "{}", report.so_far().broker)?;
    }
    for notice in report.notices() {
        writeln!(out, "note: {notice}")?;
    }
    if report.faults.is_empty() {
        writeln!(out, "ok: nothing is wrong")?;
    }
    Ok(())
}

/// Whether somebody gave it another value than its default.
fn differs(entry: &Entry) -> bool {
    !matches!(entry.source, Source::Default | Source::Unset) && entry.shown != entry.row.default
}
