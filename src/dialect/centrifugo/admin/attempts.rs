//! How often a password may be tried: a few times at once, then now and then, by where the tries come from.
//!
//! Invariants: a try counts before it is known whether it is right, so that many at once are no way around; what is
//! remembered is bounded, and whom there is no room for share one count.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use ahash::RandomState;

/// Tries that may be made at once.
const AT_ONCE: u64 = 5;
/// How long it takes until another one may be made, milliseconds.
const EACH_MS: u64 = 12_000;
/// Places that are remembered.
const PLACES: usize = 4_096;

/// See the module.
#[derive(Default)]
pub struct Attempts {
    /// When all tries of a place are forgotten, Unix milliseconds.
    forgotten_ms: HashMap<IpAddr, u64, RandomState>,
    /// The same, of those that there is no room for.
    others_ms: u64,
}

impl Attempts {
    /// A password is tried.
    ///
    /// # Errors
    /// There were too many tries; so many seconds until the next may be made.
    pub fn begin(&mut self, from: IpAddr, now_ms: u64) -> Result<(), u64> {
        if self.forgotten_ms.len() >= PLACES && !self.forgotten_ms.contains_key(&place(from)) {
            self.forgotten_ms
                .retain(|_, forgotten_ms| *forgotten_ms > now_ms);
        }
        let has_room =
            self.forgotten_ms.len() < PLACES || self.forgotten_ms.contains_key(&place(from));
        let forgotten_ms = if has_room {
            self.forgotten_ms.entry(place(from)).or_default()
        } else {
            &mut self.others_ms
        };
        let waits_ms = (*forgotten_ms).max(now_ms) + EACH_MS - now_ms;
        if waits_ms > AT_ONCE * EACH_MS {
            return Err((waits_ms - AT_ONCE * EACH_MS).div_ceil(1_000));
        }
        *forgotten_ms = now_ms + waits_ms;
        Ok(())
    }

    /// It was right: what was tried from there before is no matter.
    pub(super) fn succeeded(&mut self, from: IpAddr) {
        self.forgotten_ms.remove(&place(from));
    }
}

/// Of IPv6 whoever has one address has a whole network of them.
fn place(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_tried_a_few_times_at_once_and_then_now_and_then() {
        let (mut attempts, here) = (Attempts::default(), IpAddr::from([192, 0, 2, 1]));
        for _ in 0..AT_ONCE {
            assert_eq!(attempts.begin(here, 1_000), Ok(()));
        }
        assert_eq!(attempts.begin(here, 1_000), Err(12));
        assert_eq!(
            attempts.begin(here, 12_500),
            Err(1),
            "a refused try does not count"
        );
        assert_eq!(
            (attempts.begin(here, 13_000), attempts.begin(here, 13_000)),
            (Ok(()), Err(12))
        );
        assert_eq!(
            attempts.begin(IpAddr::from([192, 0, 2, 2]), 13_000),
            Ok(()),
            "of another place"
        );
        attempts.succeeded(here);
        assert_eq!(attempts.begin(here, 13_000), Ok(()));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_a_network_counts_as_one() {
        let mut attempts = Attempts::default();
        let of = |net: u64, host: u64| {
            IpAddr::from(Ipv6Addr::from_bits(
                u128::from(net) << 64 | u128::from(host),
            ))
        };
        let tried = (0..2 * AT_ONCE)
            .filter(|host| attempts.begin(of(1, *host), 0).is_ok())
            .count();
        assert_eq!(tried as u64, AT_ONCE);
        let tried = (0..2 * PLACES as u64)
            .filter(|net| attempts.begin(of(2 + net, 0), 0).is_ok())
            .count();
        assert_eq!(
            (tried, attempts.forgotten_ms.len()),
            (PLACES - 1 + AT_ONCE as usize, PLACES)
        );
        assert_eq!(attempts.begin(of(1, 0), AT_ONCE * EACH_MS), Ok(()));
        assert_eq!(attempts.begin(of(99_999, 0), AT_ONCE * EACH_MS), Ok(()));
        assert!(attempts.forgotten_ms.len() < PLACES);
    }
}
