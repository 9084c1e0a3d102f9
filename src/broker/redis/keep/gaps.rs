//! What is missing in a channel, since its publication is held up or lost: it is read from the past.
//!
//! Invariant: a channel's past is read once at a time, and what came of that is said.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::Instant;

use super::Inner;
use super::reading::ALL;
use crate::metrics;

/// How often it is looked at what has waited for long enough.
const TICK: Duration = Duration::from_millis(50);
/// Without a look for so much longer the process did not run.
const STOOD: Duration = Duration::from_millis(250);
/// Pasts that are read at once.
const AT_ONCE: usize = 32;

/// Runs until the node ends.
pub(super) async fn run(inner: Arc<Inner>) {
    loop {
        let slept = Instant::now();
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            () = inner.tasks.stopped() => return,
        }
        if slept.elapsed() > TICK + STOOD {
            inner.listener.stood();
        }
        let (inner, wanted) = (&inner, inner.listener.tick().await);
        futures_util::stream::iter(wanted)
            .for_each_concurrent(AT_ONCE, async |channel| {
                // A new epoch for a hole is begun for those who come back, and would not say what is missing here.
                let heard = inner.listener.heard().get(&channel);
                let heard = heard.filter(|heard| !heard.is_hole());
                let past = inner.read(&channel, heard, ALL, Instant::now()).await;
                let result = if past.is_ok() { "read" } else { "failed" };
                ::metrics::counter!(metrics::PAST_GAPS, "result" => result).increment(1);
                let past = past.ok();
                let epoch = past.as_ref().and_then(|past| past.newest);
                let flushed =
                    epoch.is_some_and(|newest| inner.broker.flush(&channel, newest.epoch)());
                inner.listener.fill(&channel, past.as_ref(), flushed).await;
            })
            .await;
    }
}
