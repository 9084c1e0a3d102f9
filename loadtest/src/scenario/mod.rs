//! One file a scenario. Each takes the [`crate::stage::Stage`], lets the systems take turns, and fills a report.
//!
//! Invariant: within a round every system is measured once, in the same way; a system that fails is noted, not passed over.

pub mod churn;
pub mod fanout;
pub mod idle;
pub mod rate;
pub mod recover;
pub mod requests;
pub mod soak;
pub mod storm;
pub mod stuck;

use crate::progress;
use crate::report::{Report, Unwritten};
use crate::stage::{self, Stage, System};
use crate::workers;

/// Why a scenario has no result.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// It cannot be staged.
    #[error(transparent)]
    Stage(#[from] stage::Failed),
    /// Its workers failed.
    #[error(transparent)]
    Workers(#[from] workers::Failed),
    /// An event was not accepted.
    #[error("posting an event: {0}")]
    Post(String),
    /// The result cannot be written.
    #[error(transparent)]
    Report(#[from] Unwritten),
    /// The server did not do what was asked, with the count.
    #[error("{0}")]
    Wrong(String),
}

/// Lets all systems take turns, `rounds` times, at each size. One system's failure ends the run unless it is only compared with.
fn in_turns(
    stage: &Stage,
    report: &mut Report,
    sizes: &[u32],
    mut leg: impl FnMut(&mut Report, &System, u32) -> Result<(), Failed>,
) -> Result<(), Failed> {
    for &size in sizes {
        for round in 1..=stage.common.rounds {
            for (i, system) in stage.systems.iter().enumerate() {
                progress::step(&format!(
                    "size {size}, round {round} of {}: {}",
                    stage.common.rounds, system.name
                ));
                match leg(report, system, size) {
                    Err(e) if i > 0 => {
                        report.note(format!("{} failed at size {size}: {e}", system.name))
                    }
                    other => other?,
                }
            }
        }
    }
    Ok(())
}

/// Notes what went otherwise than it should, if anything.
fn note_faults(report: &mut Report, name: &str, sum: &workers::Sum) {
    let t = &sum.tally;
    let counts = [
        ("duplicates", t.duplicates),
        ("out of order", t.reordered),
        ("jwt-expired", t.expired),
        ("foreign messages", t.foreign),
    ];
    for (what, n) in counts.into_iter().filter(|(_, n)| *n > 0) {
        report.note(format!("{name}: {n} {what}"));
    }
    for (why, n) in &t.ends {
        report.note(format!("{name}: {n} connections ended: {why}"));
    }
}
