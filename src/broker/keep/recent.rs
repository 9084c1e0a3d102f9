//! What is known of the channels that were heard of last.
//!
//! Invariant: bounded; what is known of the channel that was heard of longest ago is forgotten first.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use ahash::RandomState;

use crate::event::Channel;

/// See the module.
pub struct RecentChannels<V> {
    /// The half that is written to, and the one from before: a channel that is not heard of while a half fills is forgotten.
    young: HashMap<Channel, V, RandomState>,
    old: HashMap<Channel, V, RandomState>,
    most: usize,
}

impl<V: Copy> RecentChannels<V> {
    /// Of so many channels at most.
    pub fn new(most: usize) -> Self {
        Self {
            young: HashMap::default(),
            old: HashMap::default(),
            most,
        }
    }

    /// What is known of a channel.
    pub fn get(&self, channel: &Channel) -> Option<V> {
        self.young
            .get(channel)
            .or_else(|| self.old.get(channel))
            .copied()
    }

    /// This is known of a channel from now on.
    pub fn set(&mut self, channel: Channel, value: V) {
        if self.young.len() >= self.most / 2
            && matches!(self.young.entry(channel.clone()), Entry::Vacant(_))
        {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&channel);
        self.young.insert(channel, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_and_what_is_heard_of_often_stays() {
        let mut recent = RecentChannels::new(1_000);
        let channel = |name: &str| Channel::new("c", name);
        for number in 1..=3_000 {
            recent.set(channel(&number.to_string()), number);
            if number % 100 == 0 {
                recent.set(channel("often"), number);
            }
        }
        assert!(recent.young.len() + recent.old.len() <= 1_000);
        assert_eq!(recent.get(&channel("often")), Some(3_000));
        assert_eq!(recent.get(&channel("2999")), Some(2_999));
        assert_eq!(recent.get(&channel("1")), None);
    }
}
