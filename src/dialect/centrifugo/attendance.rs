//! Who is connected to this node, and in which channels somebody is.
//!
//! Invariant: whoever leaves takes exactly what they brought.

use std::collections::HashMap;
use std::sync::Arc;

use ahash::RandomState;
use parking_lot::Mutex;

type Counts = HashMap<Arc<str>, usize, RandomState>;

#[derive(Default)]
struct Here {
    users: Counts,
    channels: Counts,
}

/// See the module.
#[derive(Clone, Default)]
pub struct Attendance(Arc<Mutex<Here>>);

/// How many are here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Present {
    /// Connections that have said who they are.
    pub(super) clients: usize,
    /// Users of theirs.
    pub(super) users: usize,
    /// Channels with a subscriber.
    pub(super) channels: usize,
}

/// Which of the two something is counted in.
#[derive(Clone, Copy)]
enum List {
    Users,
    Channels,
}

impl Here {
    fn list(&mut self, list: List) -> &mut Counts {
        match list {
            List::Users => &mut self.users,
            List::Channels => &mut self.channels,
        }
    }
}

impl Attendance {
    /// One more connection of `user`, who may have `most` (0: any number); nobody is counted together with those who name
    /// no user. `None`: it would be one too many.
    pub fn enter(&self, user: &Arc<str>, most: usize) -> Option<Seat> {
        let mut here = self.0.lock();
        let count = here.users.get(user).copied().unwrap_or(0);
        if most > 0 && count >= most && !user.is_empty() {
            return None;
        }
        here.users.insert(Arc::clone(user), count + 1);
        Some(Seat {
            attendance: self.clone(),
            list: List::Users,
            name: Arc::clone(user),
        })
    }

    /// One more subscriber of a channel.
    pub fn subscribe(&self, channel: &Arc<str>) -> Seat {
        *self
            .0
            .lock()
            .channels
            .entry(Arc::clone(channel))
            .or_default() += 1;
        Seat {
            attendance: self.clone(),
            list: List::Channels,
            name: Arc::clone(channel),
        }
    }

    /// The channels with a subscriber.
    pub fn channels(&self) -> Vec<Arc<str>> {
        self.0.lock().channels.keys().cloned().collect()
    }

    /// How many are here.
    pub fn present(&self) -> Present {
        let here = self.0.lock();
        Present {
            clients: here.users.values().sum(),
            users: here.users.len(),
            channels: here.channels.len(),
        }
    }
}

/// A place in the attendance, given up when dropped.
pub struct Seat {
    attendance: Attendance,
    list: List,
    name: Arc<str>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut here = self.attendance.0.lock();
        let counts = here.list(self.list);
        match counts.get_mut(&self.name) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(counts.remove(&self.name)),
        }
        if counts.capacity() > 8 * counts.len().max(64) {
            counts.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_so_many_connections_and_anonymous_ones_are_not_counted_together() {
        let (attendance, user, nobody) = (
            Attendance::default(),
            Arc::<str>::from("42"),
            Arc::<str>::from(""),
        );
        let first = attendance.enter(&user, 2).expect("the first");
        let _second = attendance.enter(&user, 2).expect("the second");
        assert!(attendance.enter(&user, 2).is_none() && attendance.enter(&user, 0).is_some());
        let anonymous: Vec<_> = (0..5)
            .map(|_| attendance.enter(&nobody, 2).expect("anybody"))
            .collect();
        assert_eq!(
            attendance.present(),
            Present {
                clients: 7,
                users: 2,
                channels: 0
            }
        );
        drop((first, anonymous));
        assert!(attendance.enter(&user, 2).is_some());
    }

    #[test]
    fn a_channel_is_there_until_its_last_subscriber_leaves() {
        let (attendance, name) = (Attendance::default(), Arc::<str>::from("news"));
        let seats = (attendance.subscribe(&name), attendance.subscribe(&name));
        drop(seats.0);
        assert_eq!(attendance.channels(), [Arc::clone(&name)]);
        drop(seats.1);
        assert_eq!(attendance.present(), Present::default());
    }
}
