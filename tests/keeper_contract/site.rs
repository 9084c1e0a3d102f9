//! Nodes with a keeper each, on one kind of broker; each can die.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use foghorn::broker::keep::memory::MemoryKeeper;
use foghorn::broker::keep::{Keep, KeepError, Keeper, Past};
use foghorn::broker::memory::MemoryBroker;
use foghorn::broker::redis::{self, Config};
use foghorn::broker::{Broker, Sink};
use foghorn::drain::Tasks;
use foghorn::event::{Channel, Event, Kept, Place};

use super::node::{self, Ledger, until};

pub const PARTITIONS: u32 = 8;
pub const PATIENCE: Duration = Duration::from_secs(60);
pub const KEEP: Keep = Keep {
    events: 1_000,
    lifetime: Duration::from_secs(300),
};

/// One node.
pub struct Node {
    pub broker: Broker,
    pub keeper: Keeper,
    pub ledger: Arc<Ledger>,
    pub tasks: Tasks,
}

pub fn channel(name: &str) -> Channel {
    Channel::new("c", name)
}

pub fn event(name: &str, number: usize) -> Event {
    Event::new(channel(name), "news", number.to_string())
}

pub fn place(event: &Event) -> Place {
    let Kept::At(place) = event.kept else {
        panic!("{event:?} has no place")
    };
    place
}

pub fn numbers(events: &[Event]) -> Vec<usize> {
    events
        .iter()
        .map(|event| std::str::from_utf8(&event.data).unwrap().parse().unwrap())
        .collect()
}

impl Node {
    /// A node that shares `broker`.
    pub fn in_memory(broker: &MemoryBroker, tasks: &Tasks) -> Self {
        let ledger = Arc::new(Ledger::default());
        broker.attach(Arc::<Ledger>::clone(&ledger));
        let keeper: MemoryKeeper = broker.keeper();
        let (broker, keeper) = (Broker::Memory(broker.clone()), Keeper::Memory(keeper));
        Self {
            broker,
            keeper,
            ledger,
            tasks: tasks.clone(),
        }
    }

    /// A node on Redis, which need not be there yet.
    pub fn on_redis(config: &Config) -> Self {
        let (ledger, tasks) = (Arc::new(Ledger::default()), Tasks::new());
        let sink: Arc<dyn Sink> = Arc::<Ledger>::clone(&ledger);
        let (broker, keeper) = redis::start_keeping(config, sink, &tasks).unwrap();
        Self {
            broker: Broker::Clustered(broker),
            keeper: Keeper::Redis(keeper),
            ledger,
            tasks,
        }
    }

    pub async fn up(urls: &str) -> Self {
        let node = Self::on_redis(&node::config(urls, PARTITIONS));
        node.wait_up().await;
        node
    }

    pub async fn wait_up(&self) {
        until("all shards are up", || {
            self.broker.health().shards.iter().all(|shard| shard.up)
        })
        .await;
    }

    /// Keeps a number in a channel.
    pub fn keep(&self, name: &str, number: usize) {
        drop(self.keeper.keep(event(name, number), KEEP));
    }

    /// Keeps a number and waits until it was taken.
    pub async fn keep_confirmed(&self, name: &str, number: usize) {
        assert!(
            self.keeper
                .keep(event(name, number), KEEP)
                .confirmed(PATIENCE)
                .await,
            "{name} {number}"
        );
    }

    /// The events of a channel that were delivered here.
    pub fn got(&self, name: &str) -> Vec<Event> {
        self.ledger
            .delivered
            .lock()
            .iter()
            .filter(|event| event.channel.name() == name)
            .cloned()
            .collect()
    }

    /// Waits until so many of a channel have come.
    pub async fn wait_for(&self, name: &str, count: usize) -> Vec<Event> {
        until("all events have come", || self.got(name).len() >= count).await;
        self.got(name)
    }

    /// What it is told of a past, once it can be told.
    pub async fn past(&self, name: &str) -> Past {
        eventually("the past is told", async || {
            self.keeper.past(&channel(name)).await
        })
        .await
    }

    /// Who is present, once that can be told.
    pub async fn present(&self, name: &str) -> Vec<String> {
        let here = eventually("it is told who is present", async || {
            self.keeper.present(&channel(name)).await
        })
        .await;
        here.into_iter()
            .map(|(id, who)| format!("{id}={}", String::from_utf8_lossy(&who)))
            .collect()
    }

    /// Waits until these are present.
    pub async fn wait_present(&self, name: &str, wanted: &[&str]) {
        let wait = async {
            while self.present(name).await != wanted {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        assert!(
            tokio::time::timeout(PATIENCE, wait).await.is_ok(),
            "{:?}, not {wanted:?}",
            self.present(name).await
        );
    }

    /// Ends without a word, as far as a process can: nothing is given back.
    pub async fn die(self) {
        self.tasks.stop();
        assert!(
            self.tasks.finish(Duration::from_secs(20)).await,
            "a task does not end"
        );
    }
}

/// Asks until it is answered.
pub async fn eventually<T>(what: &str, ask: impl AsyncFn() -> Result<T, KeepError>) -> T {
    let asking = async {
        loop {
            match ask().await {
                Ok(answer) => return answer,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, asking)
        .await
        .unwrap_or_else(|_| panic!("waited in vain until {what}"))
}

pub fn who(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}
