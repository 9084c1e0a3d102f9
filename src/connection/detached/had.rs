//! What was brought to a connection lately, so that what is brought again is done once.
//!
//! Invariant: pure, and bounded; it takes no memory until something is brought.

use std::collections::VecDeque;

use super::TooMuch;

/// How many are remembered.
const REMEMBERED: usize = 128;

/// See the module.
#[derive(Default)]
pub struct Had(VecDeque<(u64, Result<(), TooMuch>)>);

impl Had {
    /// Does `act`, unless it was done under this `id` already: it is answered as it was then.
    pub fn once(
        &mut self,
        id: u64,
        act: impl FnOnce() -> Result<(), TooMuch>,
    ) -> Result<(), TooMuch> {
        if let Some((_, answer)) = self.0.iter().find(|(had, _)| *had == id) {
            return *answer;
        }
        let answer = act();
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back((id, answer));
        answer
    }

    /// Whether nothing was done under this `id` before. It counts as done from now on.
    pub fn is_new(&mut self, id: u64) -> bool {
        let mut is_new = false;
        let _ = self.once(id, || {
            is_new = true;
            Ok(())
        });
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_brought_twice_is_done_once_and_answered_as_it_was() {
        let (mut had, mut done) = (Had::default(), 0);
        for _ in 0..2 {
            assert_eq!(had.once(1, || Err(TooMuch)), Err(TooMuch));
            let count = || {
                done += 1;
                Ok(())
            };
            assert_eq!(had.once(2, count), Ok(()));
        }
        assert_eq!(done, 1);
        assert!(!had.is_new(1) && had.is_new(3) && !had.is_new(3));
        (4..1_000).for_each(|id| assert_eq!(had.once(id, || Ok(())), Ok(())));
        assert_eq!(had.0.len(), REMEMBERED);
    }
}
