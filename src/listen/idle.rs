//! HTTP connections that wait for their peers: for the next request, or for the first.
//!
//! Invariant: there is a bound for each address and for all. Who has waited longest goes first, and whoever has a request
//! under way is never touched.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use ::metrics::{Gauge, counter, gauge};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::metrics;

static IDLE: LazyLock<Gauge> = LazyLock::new(|| gauge!(metrics::IDLE_CONNECTIONS));

/// How many may wait. 0 means no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// In all.
    pub all: usize,
    /// From one address: the TCP peer's, which may be a proxy's.
    pub per_address: usize,
}

struct Entry {
    address: IpAddr,
    since: Instant,
    evicted: Arc<Notify>,
}

#[derive(Default)]
struct State {
    /// By the order in which they began to wait.
    waiting: BTreeMap<u64, Entry>,
    addresses: HashMap<IpAddr, BTreeSet<u64>, ahash::RandomState>,
    last: u64,
}

/// See the module's description.
pub struct Idle {
    limits: Limits,
    state: Mutex<State>,
}

impl Idle {
    /// Nobody waits.
    pub fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            state: Mutex::default(),
        })
    }

    /// A connection from `address` waits from now on, until the guard is dropped. It is told through `evicted` when it has
    /// to go.
    pub(super) fn wait(self: &Arc<Self>, address: IpAddr, evicted: &Arc<Notify>) -> Waiting {
        let mut state = self.state.lock();
        state.last += 1;
        let id = state.last;
        state.waiting.insert(
            id,
            Entry {
                address,
                since: Instant::now(),
                evicted: Arc::clone(evicted),
            },
        );
        let of_address = state.addresses.entry(address).or_default();
        of_address.insert(id);
        IDLE.increment(1.0);
        let Limits { all, per_address } = self.limits;
        if per_address > 0
            && of_address.len() > per_address
            && let Some(oldest) = of_address.first().copied()
        {
            state.evict(oldest, "address");
        }
        if all > 0
            && state.waiting.len() > all
            && let Some((oldest, _)) = state.waiting.first_key_value()
        {
            let oldest = *oldest;
            state.evict(oldest, "all");
        }
        Waiting {
            idle: Arc::clone(self),
            id,
        }
    }

    /// Sends away who has waited longest, and for `least` at least, since its descriptor is needed. Whether there was one.
    pub(super) fn make_room(&self, least: Duration) -> bool {
        let mut state = self.state.lock();
        let oldest = state
            .waiting
            .first_key_value()
            .filter(|(_, entry)| entry.since.elapsed() >= least);
        match oldest.map(|(id, _)| *id) {
            Some(id) => state.evict(id, "descriptors"),
            None => false,
        }
    }
}

impl State {
    fn evict(&mut self, id: u64, reason: &'static str) -> bool {
        let Some(entry) = self.remove(id) else {
            return false;
        };
        entry.evicted.notify_one();
        counter!(metrics::IDLE_CLOSED, "reason" => reason).increment(1);
        true
    }

    fn remove(&mut self, id: u64) -> Option<Entry> {
        let entry = self.waiting.remove(&id)?;
        IDLE.decrement(1.0);
        if let Some(of_address) = self.addresses.get_mut(&entry.address) {
            of_address.remove(&id);
            if of_address.is_empty() {
                self.addresses.remove(&entry.address);
            }
        }
        Some(entry)
    }
}

/// A connection that waits for its peer.
pub(super) struct Waiting {
    idle: Arc<Idle>,
    id: u64,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // It is gone already where it was sent away.
        self.idle.state.lock().remove(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Peer {
        evicted: Arc<Notify>,
        _waiting: Waiting,
    }

    impl Peer {
        fn of(idle: &Arc<Idle>, address: u8) -> Self {
            let evicted = Arc::default();
            let waiting = idle.wait(IpAddr::from([10, 0, 0, address]), &evicted);
            Self {
                evicted,
                _waiting: waiting,
            }
        }

        async fn must_go(&self) -> bool {
            tokio::select! {
                biased;
                () = self.evicted.notified() => true,
                () = std::future::ready(()) => false,
            }
        }
    }

    #[tokio::test]
    async fn one_address_pushes_out_its_own_and_nobody_elses() {
        let idle = Idle::new(Limits {
            all: 0,
            per_address: 2,
        });
        let other = Peer::of(&idle, 1);
        let greedy = [2, 2, 2].map(|address| Peer::of(&idle, address));
        assert!(greedy[0].must_go().await && !greedy[1].must_go().await && !other.must_go().await);
        assert_eq!(idle.state.lock().waiting.len(), 3);
    }

    #[tokio::test]
    async fn over_all_the_oldest_goes() {
        let idle = Idle::new(Limits {
            all: 2,
            per_address: 0,
        });
        let peers = [1, 2, 3, 4].map(|address| Peer::of(&idle, address));
        assert!(peers[0].must_go().await && peers[1].must_go().await);
        assert!(!peers[2].must_go().await && !peers[3].must_go().await);
        drop(peers);
        let state = idle.state.lock();
        assert!(state.waiting.is_empty() && state.addresses.is_empty());
    }

    #[tokio::test]
    async fn room_is_made_by_who_has_waited_long_enough() {
        let idle = Idle::new(Limits::default());
        assert!(!idle.make_room(Duration::ZERO));
        let peer = Peer::of(&idle, 1);
        assert!(!idle.make_room(Duration::from_secs(3_600)));
        assert!(idle.make_room(Duration::ZERO) && peer.must_go().await);
        assert!(!idle.make_room(Duration::ZERO));
    }
}
