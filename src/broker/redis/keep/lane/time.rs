//! What is late, in a process that may itself have stood still.
//!
//! Invariant: whoever wakes up too late has not waited.

use std::time::Duration;

use tokio::time::Instant;

use crate::broker::keep::PATIENCE;

/// Whoever wakes up so much later than it is due did not run meanwhile: the process was stopped, or had no CPU.
const STOOD: Duration = Duration::from_millis(250);

/// Waits until then; for ever where there is no such time.
pub async fn overdue(by: Option<Instant>) {
    match by {
        Some(by) => tokio::time::sleep_until(by).await,
        None => std::future::pending().await,
    }
}

/// Waits for `answer` until `by`, or `excused`, and longer where this process stood still meanwhile. `None`: it is late.
pub async fn in_time<T>(
    answer: impl Future<Output = T>,
    by: Instant,
    excused: &mut Instant,
) -> Option<T> {
    tokio::pin!(answer);
    loop {
        let (began, due) = (Instant::now(), by.max(*excused));
        match tokio::time::timeout_at(due, &mut answer).await {
            Ok(answer) => return Some(answer),
            Err(_) if is_late(began, due, excused) => return None,
            Err(_) => {}
        }
    }
}

/// Whether what was waited for, since it `began`, until it was `due`, is late. Where it is found out too late itself, there
/// is as much time again.
pub fn is_late(began: Instant, due: Instant, excused: &mut Instant) -> bool {
    let now = Instant::now();
    let stood = now.saturating_duration_since(due.max(began)) > STOOD;
    if stood {
        *excused = now + PATIENCE;
    }
    !stood
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_wakes_up_too_late_has_not_waited() {
        let now = Instant::now();
        let ago = |seconds| now - Duration::from_secs(seconds);
        let mut excused = ago(9);
        assert!(!is_late(ago(5), ago(3), &mut excused));
        assert!(excused >= now + PATIENCE);
        // What was due before anybody began to wait for it is late.
        assert!(is_late(Instant::now(), ago(3), &mut excused));
    }
}
