//! A broker with a sink that writes down what it gets.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foghorn::broker::redis::{Bounds, Config, Fatal, RedisBroker, parse_urls};
use foghorn::broker::{Lost, Receipt, Sink};
use foghorn::drain::Tasks;
use foghorn::event::{Channel, Event, Recipients, now_ms};
use parking_lot::Mutex;

/// How long to wait for anything before the test fails.
const PATIENCE: Duration = Duration::from_secs(40);

#[derive(Default)]
pub struct Ledger {
    pub delivered: Mutex<Vec<Event>>,
    pub remembered: Mutex<Vec<Event>>,
    pub lost: Mutex<Vec<Lost>>,
}

impl Sink for Ledger {
    fn deliver(&self, event: Event) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.delivered.lock().push(event);
        Box::pin(std::future::ready(()))
    }

    fn remember(&self, event: Event, _age: Duration) {
        self.remembered.lock().push(event);
    }

    fn lost(&self, lost: Lost) {
        self.lost.lock().push(lost);
    }
}

pub struct Node {
    pub broker: RedisBroker,
    pub ledger: Arc<Ledger>,
    pub tasks: Tasks,
}

pub fn config(urls: &str, partitions: u32) -> Config {
    Config {
        shards: parse_urls(urls).unwrap(),
        prefix: "foghorn".to_owned(),
        partitions,
        replay: Duration::from_secs(10),
        waiting: Bounds::default(),
    }
}

/// An event of channel `repo/<channel>`; what it says is `number`.
pub fn event(channel: &str, number: usize) -> Event {
    Event {
        channel: Channel::new("repo", channel),
        payload: number.to_string().into(),
        recipients: Recipients::All,
        accepted_ms: now_ms(),
        idempotency_key: None,
    }
}

impl Node {
    pub fn start(config: Config) -> Self {
        let (ledger, tasks) = (Arc::new(Ledger::default()), Tasks::new());
        let broker = RedisBroker::start(config, Arc::<Ledger>::clone(&ledger), &tasks).unwrap();
        Self { broker, ledger, tasks }
    }

    /// Starts, and waits until all its shards are up.
    pub async fn up(config: Config) -> Self {
        let node = Self::start(config);
        node.wait_up().await;
        node
    }

    pub async fn wait_up(&self) {
        until("all shards are up", || self.is_up()).await;
    }

    pub fn is_up(&self) -> bool {
        self.broker.health().shards.iter().all(|shard| shard.up)
    }

    pub fn publish(&self, channel: &str, number: usize) -> Receipt {
        self.broker.publish(event(channel, number))
    }

    pub async fn publish_confirmed(&self, channel: &str, number: usize) {
        assert!(self.publish(channel, number).confirmed(PATIENCE).await, "{channel} {number} never confirmed");
    }

    /// What came, for each channel.
    pub fn got(&self) -> HashMap<String, Vec<usize>> {
        let mut got: HashMap<String, Vec<usize>> = HashMap::new();
        for event in self.ledger.delivered.lock().iter() {
            let number = std::str::from_utf8(&event.payload).unwrap().parse().unwrap();
            got.entry(event.channel.name().to_owned()).or_default().push(number);
        }
        got
    }

    pub fn count(&self) -> usize {
        self.ledger.delivered.lock().len()
    }

    pub fn losses(&self) -> usize {
        self.ledger.lost.lock().len()
    }

    /// Waits until every number below `n` came for each of `channels`, each once and in order.
    pub async fn expect(&self, channels: &[&str], n: usize) {
        let all = || self.count() >= channels.len() * n;
        until("all events have come", all).await;
        let got = self.got();
        for channel in channels {
            let expected: Vec<usize> = (0..n).collect();
            assert_eq!(got.get(*channel).unwrap_or(&Vec::new()), &expected, "channel {channel}");
        }
    }

    /// Waits until every number below `n` came for each of `channels`, each once, in whatever order.
    pub async fn expect_any_order(&self, channels: &[&str], n: usize) {
        until("all events have come", || self.count() >= channels.len() * n).await;
        let got = self.got();
        for channel in channels {
            let mut numbers = got.get(*channel).cloned().unwrap_or_default();
            numbers.sort_unstable();
            assert_eq!(numbers, (0..n).collect::<Vec<_>>(), "channel {channel}");
        }
    }

    pub async fn fatal(&self) -> Fatal {
        tokio::time::timeout(PATIENCE, self.broker.fatal()).await.expect("refuses to work")
    }

    pub async fn stop(self) {
        self.tasks.stop();
        assert!(self.tasks.finish(Duration::from_secs(20)).await, "a task does not end");
    }
}

/// Waits for `condition`.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
