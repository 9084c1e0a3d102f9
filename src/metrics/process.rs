//! Figures of the process and of its runtime, read anew for each scrape.
//!
//! Invariant: what cannot be read here (another system than Linux) is left out, never made up.

use std::fmt::Write;
use std::fs;

use rustix::process::{Resource, getrlimit};
use tokio::runtime::Handle;

use crate::metrics::{self as table, MetricKind, TABLE};

/// `/proc` counts CPU time and start times in these, on every architecture Linux shows to programs.
const TICKS_PER_SECOND: f64 = 100.0;

/// Adds all figures to `page`, in Prometheus' text format.
pub fn render(page: &mut String) {
    let mut figures = process();
    figures.extend(runtime());
    for (name, value) in figures {
        let Some(metric) = TABLE.iter().find(|metric| metric.name == name) else {
            continue;
        };
        let kind = if metric.kind == MetricKind::Counter {
            "counter"
        } else {
            "gauge"
        };
        // Writing to a string does not fail.
        let _ = write!(
            page,
            "# HELP {name} {}\n# TYPE {name} {kind}\n{name} {value}\n\n",
            metric.help
        );
    }
}

/// The memory resident now, in bytes.
pub fn resident_bytes() -> Option<f64> {
    status_kib(&read("/proc/self/status")?, "VmRSS:")
}

/// CPU time that the process has used, in seconds.
pub fn cpu_seconds() -> Option<f64> {
    let stat = read("/proc/self/stat")?;
    Some((field(&stat, 14)? + field(&stat, 15)?) / TICKS_PER_SECOND)
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

fn process() -> Vec<(&'static str, f64)> {
    let status = read("/proc/self/status").unwrap_or_default();
    let stat = read("/proc/self/stat").unwrap_or_default();
    let booted = read("/proc/stat")
        .and_then(|text| number(text.lines().find_map(|line| line.strip_prefix("btime "))?));
    let started = field(&stat, 22)
        .zip(booted)
        .map(|(ticks, booted)| booted + ticks / TICKS_PER_SECOND);
    [
        (table::PROCESS_RESIDENT_BYTES, status_kib(&status, "VmRSS:")),
        (table::PROCESS_VIRTUAL_BYTES, status_kib(&status, "VmSize:")),
        (table::PROCESS_CPU_SECONDS, cpu_seconds()),
        (table::PROCESS_OPEN_FDS, open_files()),
        (table::PROCESS_MAX_FDS, max_files()),
        (table::PROCESS_THREADS, field(&stat, 20)),
        (table::START_TIME, started),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}

fn runtime() -> Vec<(&'static str, f64)> {
    let Ok(handle) = Handle::try_current() else {
        return Vec::new();
    };
    let metrics = handle.metrics();
    let busy: f64 = (0..metrics.num_workers())
        .map(|n| metrics.worker_total_busy_duration(n).as_secs_f64())
        .sum();
    vec![
        (table::RUNTIME_WORKERS, metrics.num_workers() as f64),
        (table::RUNTIME_TASKS, metrics.num_alive_tasks() as f64),
        (table::RUNTIME_QUEUE, metrics.global_queue_depth() as f64),
        (table::RUNTIME_BUSY_SECONDS, busy),
    ]
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok()
}

/// A value of `/proc/self/status`, in bytes.
fn status_kib(status: &str, name: &str) -> Option<f64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(number(rest.trim().strip_suffix("kB")?)? * 1024.0)
}

/// Field `n` of `/proc/self/stat`, counted from 1 as in proc(5); the second may hold blanks and brackets.
fn field(stat: &str, n: usize) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    number(rest.split_whitespace().nth(n.checked_sub(3)?)?)
}

/// Linux 6.2 and later tell the number as the folder's size; before, the entries have to be counted.
fn open_files() -> Option<f64> {
    let size = fs::metadata("/proc/self/fd").ok()?.len();
    if size > 0 {
        return Some(size as f64);
    }
    // One of them is the folder itself, opened to be counted.
    Some(
        fs::read_dir("/proc/self/fd")
            .ok()?
            .count()
            .saturating_sub(1) as f64,
    )
}

fn max_files() -> Option<f64> {
    Some(getrlimit(Resource::Nofile).current? as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_can_be_read_on_linux() {
        let figures = process();
        assert_eq!(figures.len(), 7, "{figures:?}");
        assert!(
            figures.iter().all(|(_, value)| *value >= 0.0),
            "{figures:?}"
        );
        let now = crate::event::now_ms() as f64 / 1_000.0;
        let started = figures.last().expect("a start time").1;
        assert!(
            started <= now + 1.0 && started > now - 86_400.0,
            "{started} {now}"
        );
    }

    #[test]
    fn a_program_name_with_brackets_does_not_shift_the_fields() {
        assert_eq!(field("7 (a ) b) S 1 2", 4), Some(1.0));
    }
}
