//! How many files, sockets among them, this process may have open.
//!
//! Invariant: clients never get the last ones. The system gives the lowest free number to each new socket, so a number
//! tells how many are taken at least, and nobody has to count.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use rustix::process::{Resource, getrlimit, setrlimit};

/// Kept back at least, for the ops address, Redis, the database and the log.
const LEAST_KEPT: u64 = 16;
/// Kept back at most.
const MOST_KEPT: u64 = 256;
/// A node that may open fewer files serves few clients.
const FEW: u64 = 4_096;

/// The limit of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    limit: u64,
}

impl Descriptors {
    /// The limit as it is now.
    pub fn now() -> Self {
        Self::of(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX))
    }

    /// A limit of so many.
    pub fn of(limit: u64) -> Self {
        Self { limit }
    }

    /// How many are kept back from clients.
    pub fn kept(self) -> u64 {
        (self.limit / 8)
            .clamp(LEAST_KEPT, MOST_KEPT)
            .min(self.limit / 2)
    }

    /// What clients' connections may have.
    pub fn for_clients(self) -> DescriptorShare {
        DescriptorShare::below(self.limit - self.kept())
    }

    /// What connections to the ops address may have: not all that is kept back, since Redis needs some of it.
    pub fn for_operators(self) -> DescriptorShare {
        DescriptorShare::below(self.limit - self.kept() / 4)
    }
}

/// The descriptors that one kind of connection may have: those with a number below a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DescriptorShare {
    below: i32,
}

impl DescriptorShare {
    fn below(number: u64) -> Self {
        Self {
            below: i32::try_from(number).unwrap_or(i32::MAX),
        }
    }

    /// Whether an open socket has one of these.
    pub fn includes(self, socket: &impl AsRawFd) -> bool {
        socket.as_raw_fd() < self.below
    }

    /// Whether one of these is free now. `socket` is any open one.
    pub fn has_room(self, socket: &impl AsFd) -> bool {
        // A copy gets the lowest number that is free; it is closed at once.
        socket
            .as_fd()
            .try_clone_to_owned()
            .is_ok_and(|copy| self.includes(&copy))
    }
}

/// Raises the limit of open files as far as the system allows, and logs what it is.
pub fn raise() {
    let before = getrlimit(Resource::Nofile);
    let mut wanted = before;
    wanted.current = before.maximum;
    let raised = setrlimit(Resource::Nofile, wanted).map_err(io::Error::from);
    let (limit, kept) = (Descriptors::now().limit, Descriptors::now().kept());
    let hard = before
        .maximum
        .map_or("unlimited".to_owned(), |limit| limit.to_string());
    if let Err(error) = raised {
        tracing::warn!(limit, hard, %error, "the limit of open files could not be raised (LimitNOFILE, ulimit -n)");
    } else if limit < FEW {
        tracing::warn!(
            limit,
            kept,
            "few clients can connect: each needs an open file; raise the hard limit (LimitNOFILE, ulimit -Hn, nofile)"
        );
    } else {
        tracing::info!(
            limit,
            before = before.current.unwrap_or(limit),
            kept,
            "limit of open files, raised to the hard one"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_are_kept_back_whatever_the_limit() {
        for (limit, kept) in [
            (8, 4),
            (64, 16),
            (1_024, 128),
            (250_000, 256),
            (u64::MAX, 256),
        ] {
            let descriptors = Descriptors::of(limit);
            assert_eq!(descriptors.kept(), kept, "{limit}");
            assert!(descriptors.for_clients().below <= descriptors.for_operators().below);
        }
        assert_eq!(
            Descriptors::of(1_024).for_clients(),
            DescriptorShare { below: 896 }
        );
        assert_eq!(
            Descriptors::of(1_024).for_operators(),
            DescriptorShare { below: 992 }
        );
    }

    #[test]
    fn a_number_tells_whether_there_is_room() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
        let (all, none) = (
            DescriptorShare { below: i32::MAX },
            DescriptorShare { below: 0 },
        );
        assert!(all.includes(&socket) && all.has_room(&socket));
        assert!(!none.includes(&socket) && !none.has_room(&socket));
    }
}
