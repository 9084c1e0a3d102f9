//! Posts numbered events to the nodes in turn, by HTTP, as a backend does: an event that one node does not take goes to the
//! next one.
//!
//! Invariant: the numbers that were accepted have no hole, so whoever has all numbers up to the last has missed nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::page::Stage;
use crate::drain::Tasks;

/// How often one is posted.
const EVERY: Duration = Duration::from_millis(100);
/// How soon another node is tried.
const AGAIN: Duration = Duration::from_millis(50);

/// What is posted, and how far it has come.
#[derive(Default)]
pub struct Poster {
    goes: AtomicBool,
    accepted: AtomicU64,
}

impl Poster {
    /// Posts from now on, or does not.
    pub fn set_running(&self, goes: bool) {
        self.goes.store(goes, Ordering::SeqCst);
    }

    /// Whether it posts.
    pub fn is_running(&self) -> bool {
        self.goes.load(Ordering::SeqCst)
    }

    /// The number of the last event that a node has accepted; 0: none yet.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::SeqCst)
    }
}

/// Posts while the poster runs, until the tasks stop.
pub fn start(stage: Arc<Stage>, tasks: &Tasks) {
    let inner = tasks.clone();
    tasks.spawn("demo-poster", async move {
        let work = async {
            let mut pace = interval(EVERY);
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut next = 0;
            loop {
                pace.tick().await;
                if stage.poster.is_running() {
                    next = post(&stage, next).await;
                }
            }
        };
        tokio::select! {
            () = work => {}
            () = inner.stopped() => {}
        }
    });
}

/// Posts one event until a node has accepted it, the node `next` first; returns whose turn is next.
async fn post(stage: &Stage, mut next: usize) -> usize {
    let number = stage.poster.accepted() + 1;
    loop {
        let index = next % stage.addresses.len();
        next = index + 1;
        let content = json!({"repo_id": stage.library, "number": number, "posted_to": super::nodes::Nodes::name(index)});
        if stage
            .send(index, &content)
            .await
            .is_ok_and(|answer| answer.status == 200)
        {
            stage.poster.accepted.store(number, Ordering::SeqCst);
            return next;
        }
        sleep(AGAIN).await;
    }
}
