//! One clock for all processes of a run: CLOCK_MONOTONIC, in nanoseconds.
//!
//! Invariant: two readings may be subtracted, whichever process of this machine took them.

use std::time::Duration;

/// Nanoseconds since the machine started.
pub fn now_ns() -> u64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// Seconds since the Unix epoch, as tokens carry them.
pub fn unix_s() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |d| d.as_secs() as i64)
}

/// A `Duration` as nanoseconds of this clock.
pub fn ns(d: Duration) -> u64 {
    d.as_nanos() as u64
}

/// The time from `from` to `to`, in whole microseconds, 0 if they are the wrong way round.
pub fn us_between(from: u64, to: u64) -> u64 {
    to.saturating_sub(from) / 1000
}
