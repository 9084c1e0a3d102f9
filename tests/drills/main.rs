//! Drills: real processes, real faults, and a ledger of what was accepted, owed, made, lost and doubled. One file for
//! each promise; each prints its ledger, from which docs/RELIABILITY.md is filled (`cargo test --test drills --
//! --include-ignored --nocapture --test-threads=1`).
//!
//! Invariant: counts are asserted, times never; a drill waits for conditions and not for time to pass.

#[path = "../common/mod.rs"]
mod common;

mod deaf_subscription;
mod healing;
mod herds;
mod key_change;
mod limits_and_doors;
mod mixed_versions;
mod node_dies;
mod node_restarts;
mod redis_away;
mod redis_faults;
mod redis_lost_data;
mod replay;
mod site;
mod slow_consumers;
