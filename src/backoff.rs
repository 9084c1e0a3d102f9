//! Pauses between attempts: each twice as long as the one before, up to a bound, and no two programs in step.
//!
//! Invariant: a pause is between three and five quarters of what its place in the row says.

use std::time::Duration;

/// See the module.
#[derive(Clone, Debug)]
pub struct Backoff {
    shortest: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// Begins with `shortest`, and stays at `longest`.
    pub fn new(shortest: Duration, longest: Duration) -> Self {
        Self {
            shortest,
            longest,
            next: shortest,
        }
    }

    /// How long to wait before the next attempt.
    pub fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        around(pause)
    }

    /// An attempt did well: the next pause is the shortest again.
    pub fn reset(&mut self) {
        self.next = self.shortest;
    }
}

/// About so long: nodes that began to wait at once do not end at once.
pub fn around(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.75..1.25))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_begin_anew() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(350));
        for expected in [100.0, 200.0, 350.0, 350.0] {
            let pause = backoff.pause().as_secs_f64() * 1_000.0;
            assert!(
                (0.75 * expected..1.25 * expected + 0.1).contains(&pause),
                "{pause} for {expected}"
            );
        }
        backoff.reset();
        assert!(backoff.pause() < Duration::from_millis(126));
    }
}
