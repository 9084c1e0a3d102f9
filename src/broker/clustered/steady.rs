//! A clock that stands still while the process does: after SIGSTOP, a paused machine or no CPU for a while, time-outs that
//! have run out say nothing about others.
//!
//! Invariant: it never goes back, and a standstill is noticed by whoever looks first after it.

use std::time::Instant;

use crate::broker::mesh::Time;
use crate::event::now_ms;

/// Without a look for this long the process did not run, in milliseconds. The mesh's tick looks every 50 ms.
const STANDSTILL_MS: u64 = 1_000;

/// See the module.
pub(super) struct Steady {
    start: Instant,
    looked_ms: u64,
    stood_ms: u64,
}

impl Default for Steady {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            looked_ms: 0,
            stood_ms: 0,
        }
    }
}

impl Steady {
    /// Looks at the clock. Returns whether the process stood still until just now.
    pub fn look(&mut self) -> bool {
        self.look_at(self.start.elapsed().as_millis() as u64)
    }

    fn look_at(&mut self, uptime_ms: u64) -> bool {
        let stood_ms = uptime_ms.saturating_sub(self.looked_ms);
        self.looked_ms = self.looked_ms.max(uptime_ms);
        let stood = stood_ms > STANDSTILL_MS;
        if stood {
            self.stood_ms += stood_ms;
            tracing::warn!(
                "this process did not run for {:.1} s: was it stopped, the machine asleep, or its CPU limit too low?",
                stood_ms as f64 / 1e3
            );
        }
        stood
    }

    /// The time of the last look.
    pub fn time(&self) -> Time {
        Time {
            ms: self.looked_ms - self.stood_ms,
            uptime_ms: self.looked_ms,
            unix_ms: now_ms(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standstill_takes_no_time_and_is_noticed_once() {
        let mut steady = Steady::default();
        assert!((0..5_000).step_by(50).all(|at| !steady.look_at(at)));
        assert_eq!(steady.time().ms, 4_950);
        assert!(steady.look_at(94_950) && !steady.look_at(95_000));
        let time = steady.time();
        assert_eq!((time.ms, time.uptime_ms), (5_000, 95_000));
    }
}
