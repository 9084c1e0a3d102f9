//! The readings, the coefficients and the forecast as Markdown tables.
//!
//! Invariant: a table is readable on a terminal as it is.

use super::measured::{Measured, Phase, Point, Round, observations};
use super::model::{Coefficients, Load, Resource};
use super::sweep::CHECK;
use crate::report::{digits, thousands};
use std::fmt::Write;

const KIB: f64 = 1024.0;
const MIB: f64 = 1_048_576.0;

/// Rows as a Markdown table; the first is its head. Columns but the first are set right.
pub fn markdown(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |col: usize| {
        rows.iter()
            .map(|r| r[col].chars().count())
            .max()
            .unwrap_or(0)
            .max(4)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    let mut line = |cells: &[String]| {
        for (col, cell) in cells.iter().enumerate() {
            let gap = widths[col] - cell.chars().count();
            let (before, after) = if col == 0 { (0, gap) } else { (gap, 0) };
            write!(out, "| {:before$}{cell}{:after$} ", "", "").expect("a string takes all");
        }
        out.push_str("|\n");
    };
    let rule = |col: usize| {
        if col == 0 {
            "-".repeat(widths[0])
        } else {
            format!("{}:", "-".repeat(widths[col] - 1))
        }
    };
    for (i, row) in rows.iter().enumerate() {
        line(row);
        if i == 0 {
            line(&(0..columns).map(rule).collect::<Vec<_>>());
        }
    }
    out
}

/// Everything that `fit` prints.
pub fn all(m: &Measured, c: &Coefficients) -> String {
    format!(
        "### What one of each costs\n\n{}\n### The readings\n\n{}\n### A run the model had not seen\n\n{}",
        costs(c),
        readings(m, c),
        forecast(m, c)
    )
}

/// Three digits of a size in bytes.
pub fn bytes(n: f64) -> String {
    match n {
        n if n >= 1024.0 * MIB => format!("{} GiB", digits(n / 1024.0 / MIB)),
        n if n >= MIB => format!("{} MiB", digits(n / MIB)),
        n if n >= 10.0 * KIB => format!("{} KiB", digits(n / KIB)),
        n => format!("{} bytes", digits(n.round())),
    }
}

fn costs(c: &Coefficients) -> String {
    let mut rows = vec![["of", "each", "costs"].map(String::from).to_vec()];
    for (resource, drivers) in super::model::FORMULAE {
        for d in *drivers {
            let cost = c.cost(*resource, *d);
            let text = if resource.is_cpu() {
                format!("{} µs", digits(cost * 1e6))
            } else {
                bytes(cost)
            };
            let by_time = matches!(
                resource,
                Resource::NodeCpu
                    | Resource::Network
                    | Resource::RedisCpu
                    | Resource::RedisIn
                    | Resource::RedisOut
            );
            let second = if by_time && d.is_standing() {
                " a second"
            } else {
                ""
            };
            rows.push(vec![resource.name().into(), d.name().into(), text + second]);
        }
    }
    markdown(&rows)
}

/// A resource as the table of readings shows it.
struct Column {
    head: &'static str,
    resource: Resource,
    phase: fn(&Round) -> Phase,
    scale: fn(&Load) -> f64,
}

const COLUMNS: &[Column] = &[
    Column {
        head: "CPU of a node idle, %",
        resource: Resource::NodeCpu,
        phase: |r| r.idle,
        scale: |l| 100.0 / l.nodes,
    },
    Column {
        head: "busy, %",
        resource: Resource::NodeCpu,
        phase: |r| r.busy,
        scale: |l| 100.0 / l.nodes,
    },
    Column {
        head: "memory of a node, MiB",
        resource: Resource::NodeMemory,
        phase: |r| r.busy,
        scale: |l| 1.0 / MIB / l.nodes,
    },
    Column {
        head: "CPU of a shard, %",
        resource: Resource::RedisCpu,
        phase: |r| r.busy,
        scale: |l| 100.0 / l.shards,
    },
    Column {
        head: "Redis out, KiB/s",
        resource: Resource::RedisOut,
        phase: |r| r.busy,
        scale: |_| 1.0 / KIB,
    },
];

/// Every point, measured and modelled.
fn readings(m: &Measured, c: &Coefficients) -> String {
    let shape = [
        "series",
        "nodes",
        "shards",
        "clients",
        "libraries each",
        "subscribers each",
        "events/s",
    ];
    let mut rows = vec![
        shape
            .iter()
            .copied()
            .chain(COLUMNS.iter().map(|c| c.head))
            .map(String::from)
            .collect::<Vec<_>>(),
    ];
    for p in m.points.iter().filter(|p| p.series != CHECK) {
        let s = p.shape;
        let mut row = vec![p.series.clone()];
        let numbers = [
            s.nodes,
            s.shards,
            s.clients,
            s.libraries,
            s.subscribers,
            s.events,
        ];
        row.extend(numbers.map(|n| thousands(n.into())));
        let round = p.median();
        for column in COLUMNS {
            let phase = (column.phase)(&round);
            let load = p.load(&phase, true);
            let scale = (column.scale)(&load);
            let (measured, model) = (
                phase.used(column.resource) * scale,
                c.used(column.resource, &load) * scale,
            );
            row.push(format!("{} ({})", digits(measured), digits(model)));
        }
        rows.push(row);
    }
    let machine = |name: &str| m.machine[name].as_str().unwrap_or("unknown");
    let (cores, cpu, kernel) = (&m.machine["cores"], machine("cpu"), machine("kernel"));
    format!(
        "On {cores} cores ({cpu}, Linux {kernel}); in brackets what the model says of the same load.\n\n{}",
        markdown(&rows)
    )
}

fn forecast(m: &Measured, c: &Coefficients) -> String {
    let mut out = String::new();
    for p in m.points.iter().filter(|p| p.series == CHECK) {
        let s = p.shape;
        let numbers = [
            s.nodes,
            s.shards,
            s.clients,
            s.libraries,
            s.subscribers,
            s.events,
        ]
        .map(|n| thousands(n.into()));
        let [nodes, shards, clients, libraries, subscribers, events] = numbers;
        writeln!(
            out,
            "{nodes} nodes, {shards} shards, {clients} clients with {libraries} libraries each, {subscribers} subscribers \
             a library, {events} events/s; all nodes or shards together:\n"
        )
        .expect("a string takes all");
        out += &forecast_of(p, c);
    }
    out
}

fn forecast_of(p: &Point, c: &Coefficients) -> String {
    let mut rows = vec![
        ["resource", "forecast", "measured", "error, %"]
            .map(String::from)
            .to_vec(),
    ];
    for (resource, _) in super::model::FORMULAE {
        let seen = observations(*resource, p);
        // The last phase is the busiest.
        let Some((load, measured)) = seen.last() else {
            continue;
        };
        let model = c.used(*resource, load);
        let text = |x: f64| match resource {
            Resource::JoinCpu => format!("{} s", digits(x)),
            r if r.is_cpu() => format!("{} % of a core", digits(x * 100.0)),
            Resource::Network | Resource::RedisIn | Resource::RedisOut => format!("{}/s", bytes(x)),
            _ => bytes(x),
        };
        let error = format!("{:+.0}", (model / measured - 1.0) * 100.0);
        rows.push(vec![
            resource.name().into(),
            text(model),
            text(*measured),
            error,
        ]);
    }
    markdown(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned() {
        let rows = vec![
            vec!["a".to_owned(), "b".into()],
            vec!["long name".into(), "10,000".into()],
        ];
        assert_eq!(
            markdown(&rows),
            "| a         |      b |\n| --------- | -----: |\n| long name | 10,000 |\n"
        );
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(
            [12.4, 20_480.0, 3.0 * MIB, 8.0 * 1024.0 * MIB].map(bytes),
            ["12 bytes", "20 KiB", "3 MiB", "8 GiB"]
        );
    }
}
