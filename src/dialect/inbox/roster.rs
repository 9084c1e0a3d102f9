//! The streams that are open on this node: how many each name has, a user or who watches a channel, and what each is called.
//!
//! Invariants: no two have one key; whoever leaves takes exactly what they brought.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use ahash::RandomState;
use parking_lot::Mutex;

/// A user has as many streams as one may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyStreams;

#[derive(Default)]
struct Open {
    /// The milliseconds by which each user's streams are told apart.
    users: HashMap<Arc<str>, BTreeSet<u64>, RandomState>,
    /// In order of connecting.
    order: BTreeMap<u64, (Arc<str>, u64)>,
    last: u64,
}

/// See the module.
#[derive(Clone, Default)]
pub(super) struct Roster(Arc<Mutex<Open>>);

impl Roster {
    /// One more stream of `user`, who may have `most`.
    ///
    /// # Errors
    /// [`TooManyStreams`]
    pub fn enter(&self, user: &Arc<str>, most: usize, now_ms: u64) -> Result<Here, TooManyStreams> {
        let mut open = self.0.lock();
        let taken = open.users.entry(Arc::clone(user)).or_default();
        if taken.len() >= most {
            return Err(TooManyStreams);
        }
        let mut ms = now_ms;
        while !taken.insert(ms) {
            ms += 1;
        }
        open.last += 1;
        let number = open.last;
        open.order.insert(number, (Arc::clone(user), ms));
        Ok(Here {
            roster: self.clone(),
            user: Arc::clone(user),
            ms,
            number,
        })
    }

    /// All of them, in order of connecting: users, and their milliseconds.
    pub fn list(&self) -> Vec<(String, u64)> {
        self.0
            .lock()
            .order
            .values()
            .map(|(user, ms)| (user.to_string(), *ms))
            .collect()
    }
}

/// A place in the roster, given up when dropped.
pub struct Here {
    roster: Roster,
    user: Arc<str>,
    ms: u64,
    number: u64,
}

impl Here {
    /// What tells it from all other streams of the user: Unix milliseconds, about those in which it began.
    pub fn ms(&self) -> u64 {
        self.ms
    }

    /// Whose it is.
    pub fn user(&self) -> &Arc<str> {
        &self.user
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        let mut open = self.roster.0.lock();
        open.order.remove(&self.number);
        if let Some(taken) = open.users.get_mut(&self.user) {
            taken.remove(&self.ms);
            if taken.is_empty() {
                open.users.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_unique_and_go_with_their_streams() {
        let (roster, user) = (Roster::default(), Arc::<str>::from("u"));
        let one = roster.enter(&user, 2, 10).expect("room");
        let two = roster.enter(&user, 2, 10).expect("room");
        assert_eq!((one.ms(), two.ms()), (10, 11));
        assert_eq!(roster.enter(&user, 2, 12).err(), Some(TooManyStreams));
        let other = roster.enter(&"v".into(), 2, 10).expect("room");
        assert_eq!(
            roster.list().iter().map(|(_, ms)| *ms).collect::<Vec<_>>(),
            [10, 11, 10]
        );
        drop(one);
        assert_eq!(
            roster.enter(&user, 2, 11).map(|here| here.ms()).ok(),
            Some(12),
            "11 is still there"
        );
        drop((two, other));
        assert!(roster.list().is_empty() && roster.0.lock().users.is_empty());
    }
}
