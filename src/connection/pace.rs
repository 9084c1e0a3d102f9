//! Closes many connections at an even pace, so that their clients do not come back as a herd.
//!
//! Invariant: kinds of clients that ask for it are closed last.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::outbox::Outbox;
use crate::session::Why;

/// How often a batch is closed.
const STEP: Duration = Duration::from_millis(50);

/// Asks each connection to end because of `why`, the last of them after `window`.
pub async fn end_all(mut outboxes: Vec<Arc<Outbox>>, why: &Why, window: Duration) {
    outboxes.sort_by_key(|outbox| outbox.kind().drained_last);
    let (start, total) = (Instant::now(), outboxes.len());
    let mut rest = outboxes.into_iter();
    let mut done = 0;
    while done < total {
        let share = if window.is_zero() {
            1.0
        } else {
            start.elapsed().as_secs_f64() / window.as_secs_f64()
        };
        let due = ((total as f64 * share).ceil() as usize).clamp(done + 1, total);
        for outbox in rest.by_ref().take(due - done) {
            outbox.end(why);
        }
        done = due;
        if done < total {
            let next = window.mul_f64(done as f64 / total as f64);
            tokio::time::sleep_until(start + next.max(start.elapsed() + STEP.min(window))).await;
        }
    }
}
