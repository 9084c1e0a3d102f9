//! The tasks that drive a mesh: one a partition that delivers, one a shard that says and one that listens, and the tick.
//!
//! Invariant: each ends when the broker's tasks are stopped, whatever its carrier does.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{FAREWELL, Inner};
use crate::backoff::Backoff;
use crate::broker::Sink;
use crate::broker::mesh::{Act, Batch};
use crate::drain::Tasks;
use crate::metrics;

/// How often the mesh looks at what has come due.
const TICK: Duration = Duration::from_millis(50);
/// Pauses between attempts to reach a shard.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The task of one partition: it alone delivers, remembers and declares losses for it.
pub(super) async fn deliver(inner: Arc<Inner>, partition: u32, sink: Arc<dyn Sink>) {
    loop {
        tokio::select! {
            biased;
            () = inner.ready[partition as usize].notified() => {}
            () = inner.tasks.stopped() => return,
        }
        loop {
            // Whoever asks for more has done the others.
            let acts = inner.with(|mesh| mesh.acts(partition));
            if acts.is_empty() {
                break;
            }
            for act in acts {
                match act {
                    Act::Deliver(event) => sink.deliver(event).await,
                    Act::Remember(event, age) => sink.remember(event, age),
                    Act::Lost(lost) => sink.lost(lost),
                }
            }
        }
    }
}

/// The task that says what is to be said on one shard: one batch at a time, in order.
pub(super) async fn publish(inner: Arc<Inner>, on: usize) {
    let shard = &inner.shards[on];
    let mut backoff = Backoff::new(PAUSE_MIN, PAUSE_MAX);
    loop {
        let (batch, answers) = inner.with(|mesh| (mesh.batch(on), mesh.answers(on)));
        if let Some(batch) = batch {
            if say(&inner, on, batch).await {
                backoff.reset();
            }
        } else if answers {
            tokio::select! {
                biased;
                () = shard.work.notified() => {}
                () = inner.tasks.stopped() => return,
            }
        } else {
            if let Some(probe) = inner.with(|mesh| mesh.probe(on))
                && say(&inner, on, probe).await
            {
                backoff.reset();
                continue;
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.pause()) => {}
                () = inner.tasks.stopped() => return,
            }
        }
    }
}

/// Says a batch. Returns whether any of it was taken.
async fn say(inner: &Arc<Inner>, on: usize, batch: Batch) -> bool {
    let shard = &inner.shards[on];
    let events = batch.sent.iter().flatten().count();
    let started = Instant::now();
    let said = tokio::select! {
        biased;
        said = shard.carrier.say(batch.messages) => said,
        () = out_of_time(&inner.tasks) => Vec::new(),
    };
    let taken = said.iter().any(Result::is_ok);
    if taken {
        let took = started.elapsed();
        *shard.round_trip.lock() = Some(took);
        if events > 0 {
            ::metrics::histogram!(metrics::PUBLISH_SECONDS, "shard" => shard.name.clone())
                .record(took.as_secs_f64());
        }
    }
    if let Some(Err(error)) = said.iter().find(|said| said.is_err()) {
        tracing::warn!(
            shard = shard.name,
            why = error.label,
            "Redis does not take what is published: {error}; trying on"
        );
    }
    inner.with(|mesh| mesh.said(on, &said));
    taken
}

async fn out_of_time(tasks: &Tasks) {
    tasks.stopped().await;
    tokio::time::sleep(FAREWELL).await;
}

/// The task that keeps one shard's subscription.
pub(super) async fn subscribe(inner: Arc<Inner>, on: usize) {
    let shard = &inner.shards[on];
    let mut backoff = Backoff::new(PAUSE_MIN, PAUSE_MAX);
    loop {
        let started = Instant::now();
        let ear = |heard| inner.heard(on, heard);
        tokio::select! {
            () = shard.carrier.listen(inner.partitions, inner.origin, &ear) => {}
            () = shard.deaf.notified() => {}
            () = inner.tasks.stopped() => return,
        }
        inner.with(|mesh| mesh.unsubscribed(on));
        ::metrics::counter!(metrics::REDIS_RECONNECTS, "shard" => shard.name.clone()).increment(1);
        if started.elapsed() > Duration::from_secs(5) {
            backoff.reset();
        }
        tokio::select! {
            () = tokio::time::sleep(backoff.pause()) => {}
            () = inner.tasks.stopped() => return,
        }
    }
}

/// The task that looks at what has come due, and keeps the gauges.
pub(super) async fn tick(inner: Arc<Inner>) {
    let mut turns = 0_u32;
    loop {
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            () = inner.tasks.stopped() => return,
        }
        // Taken outside of the lock: the view shows how the broker is.
        let identity = inner
            .with(|mesh| mesh.is_to_announce())
            .then(|| inner.identity());
        inner.with(|mesh| {
            if let Some(identity) = identity {
                mesh.identify(identity);
            }
            mesh.tick();
        });
        turns += 1;
        if turns.is_multiple_of(20) {
            gauges(&inner);
        }
    }
}

fn gauges(inner: &Arc<Inner>) {
    let state = inner.with(|mesh| mesh.state());
    let waiting = inner.waiting(&state);
    ::metrics::gauge!(metrics::WAITING_EVENTS).set(waiting.events as f64);
    ::metrics::gauge!(metrics::WAITING_BYTES).set(waiting.bytes as f64);
    ::metrics::gauge!(metrics::WAITING_SECONDS)
        .set(waiting.oldest.unwrap_or_default().as_secs_f64());
    ::metrics::gauge!(metrics::MEMORY_EVENTS).set(state.remembered.0 as f64);
    ::metrics::gauge!(metrics::MEMORY_BYTES).set(state.remembered.1 as f64);
    ::metrics::gauge!(metrics::MISFIT).set(f64::from(u8::from(state.misfit.is_some())));
    ::metrics::gauge!(metrics::HELD_EVENTS).set(state.held as f64);
}
