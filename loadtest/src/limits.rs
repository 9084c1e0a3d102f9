//! Descriptors: how many a process may have, and so how many clients.
//!
//! Invariant: no worker is given more clients than it can open sockets.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Clients one worker can have: as many as it has descriptors, less some for itself, and no more than one thread serves well.
pub fn per_worker() -> u32 {
    let most = getrlimit(Resource::Nofile).maximum;
    most.map_or(19_000, |n| n.saturating_sub(500).clamp(1, 19_000) as u32)
}

/// Takes all the descriptors this process may have; the soft limit is often far below.
pub fn raise_descriptors() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    // A refusal shows later, with its own message, if it matters.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    );
}
