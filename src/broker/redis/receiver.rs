//! The task that receives one partition: it alone delivers, remembers and declares losses for it.
//!
//! Invariant: while the log is read, messages wait in the inbox; this node's own events do not.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::line::{Ends, Input, Line};
use super::shard::Shard;
use crate::broker::follow::{Act, Follower, Now};
use crate::broker::log::{Cursor, Page, Position};
use crate::broker::wire::{self, Message};
use crate::broker::{Lost, Sink};
use crate::drain::Tasks;
use crate::metrics;

/// How long something that is in the log may still be on its way over the channel.
const GRACE: Duration = Duration::from_millis(500);

/// How long to wait before a read that failed is tried again.
const RETRY: Duration = Duration::from_millis(100);

type Reading = Pin<Box<dyn Future<Output = Page> + Send>>;

/// One partition's receiver.
pub struct Receiver {
    line: Arc<Line>,
    shard: Arc<Shard>,
    sink: Arc<dyn Sink>,
    partitions: u32,
    follower: Follower,
    reading: Option<Reading>,
    /// What should come, and by when.
    awaited: Option<(Position, Instant)>,
}

impl Receiver {
    /// Knows nothing yet.
    pub fn new(line: Arc<Line>, shard: Arc<Shard>, sink: Arc<dyn Sink>, partitions: u32, follower: Follower) -> Self {
        Self { line, shard, sink, partitions, follower, reading: None, awaited: None }
    }

    /// Runs until the process stops.
    pub async fn run(mut self, mut ends: Ends, tasks: Tasks) {
        loop {
            tokio::select! {
                biased;
                () = tasks.stopped() => return,
                Some((stamp, event)) = ends.local.recv() => self.follower.local(stamp, event, self.now()),
                page = read(&mut self.reading) => {
                    self.reading = None;
                    self.follower.page(page, self.now());
                }
                Some(input) = ends.remote.recv(), if self.reading.is_none() => self.input(input),
                () = due(self.awaited), if self.reading.is_none() => self.overdue(),
            }
            if self.reading.is_none() && self.line.take_lagged() {
                self.follower.lagged();
            }
            self.act().await;
            *self.line.known.lock() = self.follower.known();
        }
    }

    fn now(&self) -> Now {
        let ms = self.line.now_ms();
        Now { ms, listening_ms: ms }
    }

    fn input(&mut self, input: Input) {
        match input {
            Input::Message(message) => {
                self.line.taken(message.len());
                match wire::decode_message(&message) {
                    Ok(Message::Entry(heard)) => self.follower.heard(heard, self.now()),
                    Ok(Message::Canary) => {}
                    Err(unreadable) => {
                        ::metrics::counter!(metrics::MESSAGES_SKIPPED, "reason" => unreadable.label()).increment(1);
                        tracing::debug!(partition = self.line.partition, "broker message skipped: {unreadable}");
                    }
                }
            }
            Input::Head(head, before) => {
                // The oldest promise is kept, so that a steady stream of new ones does not put it off.
                if let (Some(head), None) = (self.follower.head(head, before), self.awaited) {
                    self.awaited = Some((head, Instant::now() + GRACE));
                }
            }
        }
        if self.awaited.is_some_and(|(head, _)| self.follower.known().reached(head)) {
            self.awaited = None;
        }
    }

    fn overdue(&mut self) {
        if let Some((head, _)) = self.awaited.take()
            && self.follower.overdue(head)
        {
            tracing::debug!(partition = self.line.partition, "something was published and not heard: reading the log");
        }
    }

    async fn act(&mut self) {
        while let Some(act) = self.follower.next_act() {
            match act {
                Act::Deliver(event) => self.sink.deliver(event).await,
                Act::Remember(event, age) => self.sink.remember(event, age),
                Act::Lost(channels) => self.lost(channels),
                Act::Read(cursor) => self.reading = Some(self.start_reading(cursor)),
                Act::Republish => {
                    tracing::warn!(partition = self.line.partition, shard = self.shard.name(), "Redis lost data");
                    let before = *self.line.known.lock();
                    if !self.line.publisher_knows(before, self.follower.known()) {
                        self.line.ask_republish();
                    }
                }
            }
        }
    }

    fn lost(&self, channels: Option<Vec<crate::event::Channel>>) {
        let partition = self.line.partition;
        tracing::warn!(partition, "events may have been lost: clients of what it touches will be told to check anew");
        self.sink.lost(match channels {
            Some(channels) => Lost::Channels(channels),
            None => Lost::Partition { partition, partitions: self.partitions },
        });
    }

    fn start_reading(&self, cursor: Cursor) -> Reading {
        let (shard, partition) = (Arc::clone(&self.shard), self.line.partition);
        Box::pin(async move {
            loop {
                match shard.read(partition, cursor).await {
                    Ok(page) => return page,
                    Err(error) => tracing::debug!(partition, "the log cannot be read yet: {error}"),
                }
                tokio::time::sleep(RETRY).await;
            }
        })
    }
}

async fn read(reading: &mut Option<Reading>) -> Page {
    match reading {
        Some(reading) => reading.await,
        None => std::future::pending().await,
    }
}

async fn due(awaited: Option<(Position, Instant)>) {
    match awaited {
        Some((_, when)) => sleep_until(when).await,
        None => std::future::pending().await,
    }
}
