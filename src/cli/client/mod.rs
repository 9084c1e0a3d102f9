//! What commands talk to servers with, beside the program's own [`client`](crate::client).

pub mod block;
pub mod ops;
pub mod paths;
pub mod post;
pub mod stream;

use std::time::Duration;

use crate::backoff::Backoff;

/// The longest pause between two tries; who was connected for longer begins with short ones again.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The pauses of a command that tries again.
pub fn pauses() -> Backoff {
    Backoff::new(Duration::from_secs(1), LONGEST_PAUSE)
}

/// What has not happened within this time does not happen.
pub const PATIENCE: Duration = Duration::from_secs(30);
