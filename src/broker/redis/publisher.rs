//! The task that publishes one partition: first in, first out, one batch in flight, tried again until Redis has it.
//!
//! Invariant: what is not confirmed in time reaches this node's own clients without Redis, unless it was this process that
//! stood still; receivers tell by the stamp that they had it, so publishing twice harms nobody.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::awake::Awake;
use super::line::Line;
use super::script::Published;
use super::shard::{Failure, Shard};
use super::waiting::Waiting;
use crate::drain::Tasks;
use crate::metrics;

/// How long this node's own clients wait for Redis.
const HAND_OVER: Duration = Duration::from_millis(150);

/// Pauses between attempts.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// How long the last events have to get out once the process stops.
const LAST_CHANCE: Duration = Duration::from_secs(2);

/// Runs until the process stops and what was accepted is out, or cannot get out.
pub async fn run(line: Arc<Line>, shard: Arc<Shard>, waiting: Arc<Waiting>, tasks: Tasks) {
    let mut pause = PAUSE_MIN;
    loop {
        let now = Instant::now();
        {
            let mut outgoing = line.outgoing.lock();
            if line.take_republish() {
                let count = outgoing.republish(now);
                tracing::info!(partition = line.partition, count, "publishing again what Redis lost");
            }
            outgoing.expire(&waiting, now);
        }
        if line.outgoing.lock().is_empty() {
            tokio::select! {
                biased;
                () = line.wake.notified() => continue,
                () = tasks.stopped() => return,
            }
        }
        let attempt = attempt(&line, &shard, &waiting);
        let result = tokio::select! {
            result = attempt => result,
            () = out_of_time(&tasks) => return,
        };
        match result {
            Ok(()) => pause = PAUSE_MIN,
            Err(failure) => {
                tracing::debug!(partition = line.partition, why = failure.label(), "not published yet: {failure}");
                if shard.awake.bearings().is_none() {
                    hand_over(&line);
                }
                tokio::select! {
                    () = sleep(pause.mul_f64(rand::random_range(0.75..1.25))) => {}
                    () = shard.came_up() => {}
                    () = out_of_time(&tasks) => return,
                }
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
}

async fn out_of_time(tasks: &Tasks) {
    tasks.stopped().await;
    sleep(LAST_CHANCE).await;
}

/// Sends one batch; meanwhile hands over to this node's own clients what has waited for too long.
async fn attempt(line: &Line, shard: &Shard, waiting: &Waiting) -> Result<(), Failure> {
    let bodies = line.outgoing.lock().batch();
    let count = bodies.len();
    let known = *line.confirmed.lock();
    let started = Instant::now();
    let mut publish = std::pin::pin!(shard.publish(line.partition, known, bodies));
    let published = loop {
        let due = line.outgoing.lock().oldest_unhanded().map(|oldest| oldest + HAND_OVER);
        tokio::select! {
            biased;
            published = &mut publish => break published?,
            () = hand_over_at(due, &shard.awake), if due.is_some() => hand_over(line),
            () = line.wake.notified(), if due.is_none() => {}
        }
    };
    match published {
        Published::Upto(position) => {
            shard.published(started.elapsed());
            *line.confirmed.lock() = Some(position);
            line.outgoing.lock().confirm(count, waiting, Instant::now());
            let known = *line.known.lock();
            if !known.reached(position) {
                line.head(Some(position), known);
            }
        }
        Published::Refused => {
            ::metrics::counter!(metrics::EPOCH_CHANGES).increment(1);
            *line.confirmed.lock() = None;
            line.ask_republish();
        }
    }
    Ok(())
}

/// Waits until `due`, and for as long as this process takes its bearings.
async fn hand_over_at(due: Option<Instant>, awake: &Awake) {
    if let Some(due) = due {
        sleep_until(due).await;
    }
    while let Some(until) = awake.bearings() {
        sleep_until(until).await;
    }
}

fn hand_over(line: &Line) {
    // Under the lock, so that what is accepted later cannot be handed over earlier.
    let mut outgoing = line.outgoing.lock();
    line.deliver_here(outgoing.hand_over());
}
