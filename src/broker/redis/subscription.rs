//! A shard's subscription: one client that is never mended, only made anew.
//!
//! Invariant: the loop that takes messages never waits for anything else. fred's own ways to subscribe again have holes
//! (a server's own `sunsubscribe`, an error halfway), so a subscription lives and dies with its client, and what was
//! missed between two is found in the log.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use fred::error::Error;
use fred::interfaces::{EventInterface, PubsubInterface};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep};

use super::config::Layout;
use super::line::Line;
use super::members::Members;
use super::shard::{Shard, Trouble};
use super::{client, script};
use crate::broker::wire;
use crate::drain::Tasks;
use crate::metrics;

/// Pauses between attempts.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// A subscription that held for this long was a good one.
const STABLE: Duration = Duration::from_secs(5);

impl Shard {
    /// Keeps the subscription, until the process stops.
    pub async fn run_subscription(self: Arc<Self>, members: Arc<Members>, tasks: Tasks) {
        let by_channel: HashMap<String, Arc<Line>> =
            self.lines.iter().map(|line| (self.names.channel(line.partition), Arc::clone(line))).collect();
        let (mut pause, mut trouble) = (PAUSE_MIN, Trouble::default());
        loop {
            let started = Instant::now();
            let result = tokio::select! {
                result = self.subscription(&by_channel, &members) => result,
                () = tasks.stopped() => return,
            };
            if let Err(error) = result {
                trouble.log(&self.name, "cannot be subscribed to", &error.into());
            }
            if self.subscribed.swap(false, Ordering::AcqRel) {
                ::metrics::counter!(metrics::REDIS_RECONNECTS, "shard" => self.name.clone()).increment(1);
            }
            self.set_up(false);
            if started.elapsed() > STABLE {
                pause = PAUSE_MIN;
            }
            self.probe_now.notify_one();
            tokio::select! {
                () = sleep(pause.mul_f64(rand::random_range(0.75..1.25))) => {}
                () = tasks.stopped() => return,
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// One subscription's life: until its connection ends or it is found to be deaf.
    async fn subscription(
        self: &Arc<Self>,
        by_channel: &HashMap<String, Arc<Line>>,
        members: &Arc<Members>,
    ) -> Result<(), Error> {
        let mut connected = client::connect(&self.server, true).await?;
        let mut messages = connected.client.message_rx();
        self.lines.iter().for_each(|line| line.unproven());
        let control = self.names.control();
        let channels: Vec<String> = by_channel.keys().chain([&control]).cloned().collect();
        if self.server.layout == Layout::Cluster {
            for channel in channels {
                connected.client.ssubscribe(channel).await?;
            }
        } else {
            connected.client.subscribe(channels).await?;
        }
        self.subscribed.store(true, Ordering::Release);
        self.probe_now.notify_one();
        loop {
            tokio::select! {
                biased;
                message = messages.recv() => match message {
                    Ok(message) if *message.channel == *control => {
                        if let Some(bytes) = script::bytes(&message.value) {
                            members.heard(self, &bytes);
                        }
                    }
                    Ok(message) => {
                        if let (Some(line), Some(bytes)) = (by_channel.get(&*message.channel), script::bytes(&message.value)) {
                            hear(line, bytes);
                        }
                    }
                    Err(RecvError::Lagged(count)) => {
                        tracing::warn!(shard = self.name, count, "messages came faster than they were taken: reading the logs");
                        self.lines.iter().for_each(|line| line.lag());
                    }
                    Err(RecvError::Closed) => return Ok(()),
                },
                () = connected.ended() => return Ok(()),
                () = self.deaf.notified() => return Ok(()),
            }
        }
    }
}

fn hear(line: &Line, bytes: Bytes) {
    match wire::decode_message(&bytes) {
        Ok(wire::Message::Canary) => line.canary(),
        _ => line.message(bytes),
    }
}
