//! What black-box tests are made of: real processes on free ports, clients that see every frame, and waiting for
//! conditions.
//!
//! Invariant: whatever is started here ends with the test that started it, passed or failed, even if the test's process
//! is killed; and nothing waits for a time to pass where it can wait for a condition.

#![allow(dead_code, reason = "each test file uses its own part of this")]

pub mod browser;
pub mod cluster;
pub mod http;
pub mod ledger;
pub mod mariadb;
pub mod namespace;
pub mod node;
pub mod ports;
pub mod process;
pub mod proxy;
pub mod recorded;
pub mod redis;
pub mod schema;
pub mod shell;
pub mod sight;
pub mod socket;
pub mod token;
pub mod wire;

use std::future::Future;
use std::time::{Duration, Instant};

/// How long a test waits for what must come. It is here so that a broken build fails instead of hanging; no test
/// expects anything to take this long, or less than any other time.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Polls `probe` until it gives something. `what` says what was awaited, should it never come.
pub async fn eventually<T, F, Fut>(what: &str, probe: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    eventually_within(PATIENCE, what, probe).await
}

/// The same, for what may take longer than everything else.
pub async fn eventually_within<T, F, Fut>(patience: Duration, what: &str, mut probe: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let started = Instant::now();
    loop {
        if let Some(value) = probe().await {
            return value;
        }
        assert!(
            started.elapsed() < patience,
            "still waiting for {what} after {patience:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A library id that no other test uses.
pub fn library() -> String {
    let n: u128 = rand::random();
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        n >> 96,
        n >> 80 & 0xffff,
        n >> 68 & 0xfff,
        n >> 52 & 0xfff,
        n & 0xffff_ffff_ffff
    )
}
