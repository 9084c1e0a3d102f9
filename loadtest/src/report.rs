//! What a run found: values by metric, size, system and round; printed as a table, written as JSON, drawn as SVG.
//!
//! Invariant: a ratio is taken round by round between a system and the floor's turn in the same round, then the middle of
//! those ratios is given with their spread.

use crate::plot::{self, Chart};
use crate::stage::{Common, FLOOR};
use crate::stats::{Spread, Times, spread};
use serde_json::{Value, json};
use std::fmt::Write;

/// All values of one metric, at one size, for one system: one a round.
struct Series {
    metric: &'static str,
    size: u64,
    system: String,
    values: Vec<f64>,
}

/// A distribution kept for the plot.
struct Curve {
    what: &'static str,
    size: u64,
    system: String,
    times: Times,
}

/// The result of a scenario.
pub struct Report {
    scenario: &'static str,
    size_name: &'static str,
    series: Vec<Series>,
    curves: Vec<Curve>,
    notes: Vec<String>,
}

/// Why a result was not written.
#[derive(Debug, thiserror::Error)]
#[error("{0}: {1}")]
pub struct Unwritten(String, std::io::Error);

impl Report {
    /// Nothing yet. `size_name` says what sizes count.
    pub fn new(scenario: &'static str, size_name: &'static str) -> Self {
        Self {
            scenario,
            size_name,
            series: Vec::new(),
            curves: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Adds a round's value. A metric's name ends with its unit: "time to the last, ms".
    pub fn add(&mut self, metric: &'static str, size: u64, system: &str, value: f64) {
        let known = |s: &&mut Series| s.metric == metric && s.size == size && s.system == system;
        match self.series.iter_mut().find(known) {
            Some(s) => s.values.push(value),
            None => self.series.push(Series {
                metric,
                size,
                system: system.into(),
                values: vec![value],
            }),
        }
    }

    /// Adds a round's distribution to its plot.
    pub fn add_times(&mut self, what: &'static str, size: u64, system: &str, times: &Times) {
        let known = |c: &&mut Curve| c.what == what && c.size == size && c.system == system;
        match self.curves.iter_mut().find(known) {
            Some(c) => c.times.add(&times.pack()),
            None => self.curves.push(Curve {
                what,
                size,
                system: system.into(),
                times: times.clone(),
            }),
        }
    }

    /// Says something below the table.
    pub fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }

    fn distinct<T: PartialEq + Clone>(&self, of: impl Fn(&Series) -> T) -> Vec<T> {
        let mut out = Vec::new();
        for s in &self.series {
            let v = of(s);
            if !out.contains(&v) {
                out.push(v);
            }
        }
        out
    }

    fn values(&self, metric: &str, size: u64, system: &str) -> &[f64] {
        let found = self
            .series
            .iter()
            .find(|s| s.metric == metric && s.size == size && s.system == system);
        found.map_or(&[], |s| &s.values)
    }

    /// A system's middle value of a metric.
    pub fn median(&self, metric: &str, size: u64, system: &str) -> Option<f64> {
        spread(self.values(metric, size, system)).map(|s| s.median)
    }

    /// How many times the floor's, round by round.
    fn ratio(&self, metric: &str, size: u64, system: &str) -> Option<Spread> {
        let (mine, floor) = (
            self.values(metric, size, system),
            self.values(metric, size, FLOOR),
        );
        let ratios: Vec<f64> = mine
            .iter()
            .zip(floor)
            .filter(|(_, f)| **f > 0.0)
            .map(|(m, f)| m / f)
            .collect();
        spread(&ratios).filter(|_| system != FLOOR)
    }

    /// The table.
    pub fn table(&self) -> String {
        let systems = self.distinct(|s| s.system.clone());
        let mut out = String::new();
        for size in self.distinct(|s| s.size) {
            let mut rows = vec![vec![format!("{} {}", thousands(size), self.size_name)]];
            for s in &systems {
                rows[0].push(s.clone());
                if s != FLOOR && systems.iter().any(|s| s == FLOOR) {
                    rows[0].push("× floor".into());
                }
            }
            for metric in self.distinct(|s| s.metric) {
                let mut row = vec![metric.to_owned()];
                for s in &systems {
                    row.push(spread(self.values(metric, size, s)).map_or("–".into(), with_spread));
                    if s != FLOOR && systems.iter().any(|s| s == FLOOR) {
                        row.push(
                            self.ratio(metric, size, s)
                                .map_or(String::new(), with_spread),
                        );
                    }
                }
                if row[1..].iter().any(|c| c != "–" && !c.is_empty()) {
                    rows.push(row);
                }
            }
            write!(out, "\n{}: {}", self.scenario, align(&rows)).expect("a string takes all");
        }
        for n in &self.notes {
            write!(out, "\n* {n}").expect("a string takes all");
        }
        out
    }

    /// Everything, with the single rounds.
    pub fn json(&self, common: &Common) -> Value {
        let series: Vec<Value> = self
            .series
            .iter()
            .map(|s| {
                json!({
                    "metric": s.metric, self.size_name: s.size, "system": s.system, "rounds": s.values,
                    "summary": spread(&s.values), "ratio_to_floor": self.ratio(s.metric, s.size, &s.system),
                })
            })
            .collect();
        let curves: Vec<Value> = self
            .curves
            .iter()
            .map(|c| {
                let t = &c.times;
                json!({
                    "what": c.what, self.size_name: c.size, "system": c.system, "count": t.count(),
                    "p50_ms": t.ms(50.0), "p90_ms": t.ms(90.0), "p99_ms": t.ms(99.0), "p999_ms": t.ms(99.9),
                    "max_ms": t.max_ms(),
                })
            })
            .collect();
        json!({
            "scenario": self.scenario, "machine": machine(), "as": common.manner, "rounds": common.rounds,
            "values": series, "distributions": curves, "notes": self.notes,
        })
    }

    fn charts(&self) -> Vec<Chart> {
        let mut out = Vec::new();
        let mut kinds: Vec<(&str, u64)> = Vec::new();
        for c in &self.curves {
            if !kinds.contains(&(c.what, c.size)) {
                kinds.push((c.what, c.size));
            }
        }
        for (what, size) in kinds {
            let lines = self
                .curves
                .iter()
                .filter(|c| c.what == what && c.size == size);
            out.push(Chart {
                title: format!(
                    "{}: {what}, {} {}",
                    self.scenario,
                    thousands(size),
                    self.size_name
                ),
                x: "share of all that took longer".into(),
                y: "ms".into(),
                flip_x: true,
                lines: lines.map(|c| (c.system.clone(), c.times.curve())).collect(),
            });
        }
        if self.distinct(|s| s.size).len() > 1 {
            out.extend(
                self.distinct(|s| s.metric)
                    .into_iter()
                    .map(|m| self.chart_by_size(m)),
            );
        }
        out
    }

    /// One metric against size, a line for each system.
    fn chart_by_size(&self, metric: &'static str) -> Chart {
        let line = |system: &String| {
            let sizes = self.distinct(|s| s.size);
            let points = sizes
                .iter()
                .filter_map(|n| Some((*n as f64, self.median(metric, *n, system)?)))
                .collect();
            (system.clone(), points)
        };
        Chart {
            title: format!("{}: {metric}", self.scenario),
            x: self.size_name.into(),
            y: metric.rsplit(", ").next().unwrap_or_default().into(),
            flip_x: false,
            lines: self
                .distinct(|s| s.system.clone())
                .iter()
                .map(line)
                .collect(),
        }
    }

    /// Prints the table and writes the files that were asked for.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn publish(&self, common: &Common) -> Result<(), Unwritten> {
        println!("{}", self.table());
        let files = [
            (&common.json, format!("{:#}\n", self.json(common))),
            (&common.plot, plot::svg(&self.charts())),
        ];
        for (path, text) in files {
            if let Some(p) = path {
                std::fs::write(p, text).map_err(|e| Unwritten(p.display().to_string(), e))?;
            }
        }
        Ok(())
    }
}

/// What this machine is.
pub fn machine() -> Value {
    let read = |p: &str| std::fs::read_to_string(p).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu
        .lines()
        .find_map(|l| l.strip_prefix("model name")?.split_once(':'))
        .map(|(_, m)| m.trim());
    json!({
        "cores": std::thread::available_parallelism().map_or(0, |n| n.get()),
        "cpu": model, "kernel": read("/proc/sys/kernel/osrelease").trim(),
    })
}

/// Three digits that mean something.
pub fn digits(x: f64) -> String {
    match x.abs() {
        a if a.fract() == 0.0 && a < 1000.0 => format!("{x}"),
        a if a >= 1000.0 => thousands(x.round() as u64),
        a if a >= 100.0 => format!("{x:.0}"),
        a if a >= 10.0 => format!("{x:.1}"),
        a if a >= 0.1 => format!("{x:.2}"),
        _ => format!("{x:.4}"),
    }
}

fn with_spread(s: Spread) -> String {
    if s.rounds == 1 || s.min == s.max {
        return digits(s.median);
    }
    format!("{} ({}–{})", digits(s.median), digits(s.min), digits(s.max))
}

pub fn thousands(n: u64) -> String {
    let text = n.to_string();
    let mut out = String::new();
    for (i, c) in text.chars().enumerate() {
        if i > 0 && (text.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

fn align(rows: &[Vec<String>]) -> String {
    let width = |col: usize| {
        rows.iter()
            .filter_map(|r| r.get(col))
            .map(|c| c.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let mut out = String::new();
    for row in rows {
        for (col, cell) in row.iter().enumerate() {
            let gap = widths[col] - cell.chars().count();
            let (before, after) = if col == 0 { (0, gap) } else { (gap + 2, 0) };
            write!(out, "{:before$}{cell}{:after$}", "", "").expect("a string takes all");
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_round_by_round() {
        let mut r = Report::new("fanout", "subscribers");
        for (mine, floor) in [(2.0, 1.0), (30.0, 10.0), (8.0, 2.0)] {
            r.add("time to the last, ms", 10_000, "server", mine);
            r.add("time to the last, ms", 10_000, FLOOR, floor);
        }
        let s = r.ratio("time to the last, ms", 10_000, "server").unwrap();
        assert_eq!((s.median, s.min, s.max), (3.0, 2.0, 4.0));
        let t = r.table();
        assert!(
            t.contains("10,000 subscribers") && t.contains("3 (2–4)"),
            "{t}"
        );
    }

    #[test]
    fn numbers_are_short() {
        let all = [0.0, 0.0123, 0.5, 12.345, 123.45, 1234.5].map(digits);
        assert_eq!(all, ["0", "0.0123", "0.50", "12.3", "123", "1,235"]);
    }
}
