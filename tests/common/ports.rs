//! Free ports that stay free until they are used.
//!
//! Asking the kernel for "any port" and giving it back is a race: the next test, or an outgoing connection, may get the
//! same one. Ports from here lie below the range for outgoing connections, and each is claimed, for as long as this
//! process lives, by a UDP socket of the same number; other test processes on the machine respect that claim.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};

const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

/// A TCP port on which nothing listens, not given to anybody else.
pub fn free_port() -> u16 {
    free_ports(1)
}

/// The first of `count` such ports in a row.
pub fn free_ports(count: u16) -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Processes start at different places, so that they seldom meet.
    let start = std::process::id().wrapping_mul(97);
    for _ in 0..COUNT {
        let first = start.wrapping_add(NEXT.fetch_add(count.into(), Ordering::Relaxed)) % COUNT;
        let first = (FIRST + first) as u16;
        let claims: Vec<_> = (first..first + count).map_while(claim).collect();
        if claims.len() == usize::from(count) {
            claims.into_iter().for_each(std::mem::forget);
            return first;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + COUNT);
}

/// The first of two such ports that are `apart` from each other.
pub fn free_pair(apart: u16) -> u16 {
    let room = COUNT - u32::from(apart);
    let start = std::process::id().wrapping_mul(97) % room;
    for step in 0..room {
        let first = (FIRST + (start + step) % room) as u16;
        if let (Some(one), Some(other)) = (claim(first), claim(first + apart)) {
            std::mem::forget((one, other));
            return first;
        }
    }
    panic!(
        "no two free ports, {apart} apart, between {FIRST} and {}",
        FIRST + COUNT
    );
}

fn claim(port: u16) -> Option<UdpSocket> {
    let claim = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
    (!is_used(port)).then_some(claim)
}

/// Whether any TCP socket of this machine has this port. Looked up, not tried: a process that another thread starts would
/// hold the socket that tries it for a moment longer, and the port would be in use when it is wanted.
fn is_used(port: u16) -> bool {
    let end = format!(":{port:04X}");
    let read = std::fs::read_to_string;
    // The second is not there where IPv6 is off.
    let tables = [
        read("/proc/net/tcp").expect("Linux"),
        read("/proc/net/tcp6").unwrap_or_default(),
    ];
    tables.iter().flat_map(|table| table.lines()).any(|line| {
        line.split_whitespace()
            .nth(1)
            .is_some_and(|local_address| local_address.ends_with(&end))
    })
}
