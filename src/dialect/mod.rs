//! The wire protocols Foghorn speaks, one folder each.
//!
//! Invariant: no dialect knows another; what they share is in `connection`, `node` and `event`.

pub mod seafile;
