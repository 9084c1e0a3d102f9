//! What a cluster costs as it grows: measured ([`sweep`]), made into coefficients ([`fit`]), used to plan a site ([`plan`]).
//!
//! [`sweep`] starts nodes and Redis servers ([`cluster`]), reads what they use ([`gauges`]) and keeps the readings
//! ([`measured`]). [`fit`] finds the coefficients of the [`model`] by least squares ([`solve`]) and shows both
//! ([`tables`], [`charts`]). The coefficients compiled into [`plan`] are the ones in `docs/capacity/`.
//!
//! Invariant: no figure of a plan or a table of the capacity page is written by hand; all come from the readings. What its text says of
//! them is looked at anew with every sweep.

mod charts;
mod cluster;
pub mod fit;
mod gauges;
mod measured;
mod model;
pub mod plan;
mod solve;
pub mod sweep;
mod tables;

use std::path::Path;

/// Why there is no sweep, fit or plan.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// A node or a Redis server does not start.
    #[error("{0} does not start: {1}")]
    Start(String, String),
    /// A Redis server does not say what it used.
    #[error("Redis at {0}: {1}")]
    Redis(std::net::SocketAddr, String),
    /// The stage cannot be set.
    #[error(transparent)]
    Stage(#[from] crate::stage::Failed),
    /// The clients' processes failed.
    #[error(transparent)]
    Workers(#[from] crate::workers::Failed),
    /// A file cannot be read or written, or is not what it should be.
    #[error("{0}: {1}")]
    File(String, String),
    /// The server lost or refused events: such a reading would be of another load than it says.
    #[error("{0}")]
    Wrong(String),
    /// The readings do not determine the coefficients.
    #[error("the readings do not tell the cost of {0} apart; measure all series")]
    Undetermined(String),
    /// No cluster can do what is asked.
    #[error("{0}")]
    Impossible(String),
}

fn write(path: &Path, text: &str) -> Result<(), Failed> {
    std::fs::write(path, text).map_err(|e| Failed::File(path.display().to_string(), e.to_string()))
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Failed> {
    let bad = |e: &dyn std::fmt::Display| Failed::File(path.display().to_string(), e.to_string());
    let text = std::fs::read_to_string(path).map_err(|e| bad(&e))?;
    serde_json::from_str(&text).map_err(|e| bad(&e))
}

fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string_pretty(value).expect("plain data") + "\n"
}
