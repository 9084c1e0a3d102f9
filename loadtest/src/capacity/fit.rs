//! From readings to coefficients.
//!
//! Invariant: the series [`CHECK`] is never used here; what the model says of it is a forecast.

use super::Failed;
use super::charts;
use super::measured::{Measured, observations};
use super::model::{Coefficients, FORMULAE, Load, Resource};
use super::solve;
use super::sweep::CHECK;
use super::tables;
use clap::Args;
use std::path::PathBuf;

/// Options.
#[derive(Args, Clone, Debug)]
pub struct Fit {
    /// The folder of `measured.json`; `coefficients.json` and the plots are written there
    #[arg(default_value = "docs/capacity")]
    folder: PathBuf,
}

/// Fits, writes, prints.
///
/// # Errors
/// When a file cannot be read or written, or series are missing.
pub fn run(o: &Fit) -> Result<(), Failed> {
    let measured: Measured = super::read_json(&o.folder.join("measured.json"))?;
    let found = coefficients(&measured)?;
    super::write(&o.folder.join("coefficients.json"), &super::json(&found))?;
    for (name, svg) in charts::draw(&measured, &found) {
        super::write(&o.folder.join(format!("{name}.svg")), &svg)?;
    }
    print!("{}", tables::all(&measured, &found));
    Ok(())
}

/// The costs that explain all readings best.
///
/// # Errors
/// When the readings do not determine them.
pub fn coefficients(m: &Measured) -> Result<Coefficients, Failed> {
    let mut found = Coefficients::default();
    for (resource, drivers) in FORMULAE {
        let all = m
            .points
            .iter()
            .filter(|p| p.series != CHECK)
            .flat_map(|p| observations(*resource, p));
        let seen: Vec<(Load, f64)> = all.filter(|(_, used)| *used > 0.0).collect();
        let most = seen.iter().map(|s| s.1).fold(0.0, f64::max);
        let rows: Vec<(Vec<f64>, f64)> = seen
            .iter()
            .map(|(load, used)| {
                // An error is weighed against what was measured, so that a small load counts as much as a large one; but
                // the kernel's memory is the whole machine's, which moves by some MB without us.
                let weight = if *resource == Resource::KernelMemory {
                    most
                } else {
                    *used
                };
                (
                    drivers.iter().map(|d| load.amount(*d) / weight).collect(),
                    used / weight,
                )
            })
            .collect();
        let costs = solve::costs(&rows).map_err(|i| {
            let what = drivers.get(i).map_or("anything", |d| d.name());
            Failed::Undetermined(format!("one {what} in {}", resource.name()))
        })?;
        found.0.insert(
            *resource,
            drivers
                .iter()
                .copied()
                .zip(costs.into_iter().map(short))
                .collect(),
        );
    }
    Ok(found)
}

/// Four digits: more would be noise.
fn short(x: f64) -> f64 {
    format!("{x:.3e}").parse().expect("a number just written")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_coefficients_compiled_in_follow_from_the_readings() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/capacity");
        let measured: Measured = super::super::read_json(&folder.join("measured.json")).unwrap();
        let text = super::super::json(&coefficients(&measured).unwrap());
        let there = std::fs::read_to_string(folder.join("coefficients.json")).unwrap();
        assert!(text == there, "run: foghorn-load fit");
    }
}
