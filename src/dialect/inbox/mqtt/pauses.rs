//! When to connect again.
//!
//! Invariant: pure. Tries become fewer while they fail, and nodes that fail together do not come back together. Where somebody
//! else uses the same client id, this side waits: two that come back at once would throw each other out for ever.

use std::time::Duration;

/// The first pause.
const FIRST: Duration = Duration::from_secs(1);
/// The longest.
const LONGEST: Duration = Duration::from_secs(30);
/// The pause of who was thrown out.
const PEACE: Duration = Duration::from_secs(60);
/// Who ends a connection sooner than this after it was taken may have another with the same client id.
const SHORT: Duration = Duration::from_secs(5);
/// A connection that lasted so long was a good one.
const GOOD: Duration = Duration::from_secs(10);
/// So many short ones in a row.
const OUSTED: u32 = 3;

/// How a connection went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// It was not taken.
    Failed,
    /// This side ended it, so long after it was taken.
    GivenUp(Duration),
    /// The broker ended it, so long after it was taken.
    Ended(Duration),
}

impl Course {
    /// Whether it lasted long enough for the broker to be all right.
    pub(super) fn was_good(self) -> bool {
        match self {
            Self::Failed => false,
            Self::GivenUp(lasted) | Self::Ended(lasted) => lasted >= GOOD,
        }
    }
}

/// See the module's description.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pauses {
    failed: u32,
    short: u32,
}

/// What comes before the next try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// How long it is.
    pub(super) lasts: Duration,
    /// Whether somebody else seems to use the client id.
    pub(super) ousted: bool,
}

impl Pauses {
    /// The pause after a connection that went so. `share` is from 0.5 to 1, at random.
    pub fn after(&mut self, course: Course, share: f64) -> Pause {
        match course {
            Course::Ended(lasted) if lasted < SHORT => self.short += 1,
            Course::Ended(_) => self.short = 0,
            Course::Failed | Course::GivenUp(_) => {}
        }
        if course.was_good() {
            (self.short, self.failed) = (0, 0);
        }
        if self.short >= OUSTED {
            *self = Self::default();
            return Pause {
                lasts: PEACE,
                ousted: true,
            };
        }
        let lasts = FIRST
            .saturating_mul(1 << self.failed.min(16))
            .min(LONGEST)
            .mul_f64(share);
        self.failed += 1;
        Pause {
            lasts,
            ousted: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(pauses: &mut Pauses, course: Course) -> u64 {
        pauses.after(course, 1.0).lasts.as_secs()
    }

    #[test]
    fn pauses_grow_until_a_connection_was_good() {
        let mut pauses = Pauses::default();
        let failed = [(); 7].map(|()| seconds(&mut pauses, Course::Failed));
        assert_eq!(failed, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(
            seconds(&mut pauses, Course::Ended(Duration::from_secs(7))),
            30
        );
        assert_eq!(seconds(&mut pauses, Course::Ended(GOOD)), 1);
        assert_eq!(
            seconds(&mut pauses, Course::GivenUp(GOOD / 2)),
            2,
            "not for long enough"
        );
        assert_eq!(seconds(&mut pauses, Course::GivenUp(GOOD)), 1);
        assert_eq!(
            pauses.after(Course::Failed, 0.5).lasts,
            Duration::from_secs(1)
        );
    }

    #[test]
    fn who_is_thrown_out_three_times_waits() {
        let (mut pauses, short) = (
            Pauses::default(),
            Course::Ended(Duration::from_millis(4_999)),
        );
        assert_eq!([(); 2].map(|()| seconds(&mut pauses, short)), [1, 2]);
        // What failed in between says nothing about that.
        assert_eq!(seconds(&mut pauses, Course::Failed), 4);
        assert_eq!(
            pauses.after(short, 0.5),
            Pause {
                lasts: PEACE,
                ousted: true
            }
        );
        assert_eq!([(); 2].map(|()| seconds(&mut pauses, short)), [1, 2]);
        assert_eq!(seconds(&mut pauses, Course::Ended(SHORT)), 4);
        assert_eq!([(); 2].map(|()| seconds(&mut pauses, short)), [8, 16]);
    }
}
