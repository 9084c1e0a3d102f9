//! A broker with a sink that writes down what it gets.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use foghorn::broker::cluster::ClusterMember;
use foghorn::broker::clustered::ClusteredBroker;
use foghorn::broker::redis::{self, Config, parse_urls};
use foghorn::broker::{Bounds, Lost, Receipt, Sink};
use foghorn::drain::Tasks;
use foghorn::event::{Channel, Event};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;

/// How long to wait for anything before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

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
    pub broker: ClusteredBroker,
    pub ledger: Arc<Ledger>,
    pub tasks: Tasks,
}

/// A replay long enough for the slowest machine to be within it.
pub fn config(urls: &str, partitions: u32) -> Config {
    Config {
        shards: parse_urls(urls).unwrap(),
        prefix: "foghorn".to_owned(),
        partitions,
        replay: Duration::from_secs(60),
        waiting: Bounds::default(),
    }
}

/// An event of channel `repo/<channel>`; what it says is `number`.
pub fn event(channel: &str, number: usize) -> Event {
    Event::new(Channel::new("repo", channel), "news", number.to_string())
}

impl Node {
    pub fn start(config: Config) -> Self {
        let (ledger, tasks) = (Arc::new(Ledger::default()), Tasks::new());
        let broker = redis::start(&config, Arc::<Ledger>::clone(&ledger), &tasks).unwrap();
        Self {
            broker,
            ledger,
            tasks,
        }
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
        assert!(
            self.publish(channel, number).confirmed(PATIENCE).await,
            "{channel} {number} never confirmed"
        );
    }

    /// What came, for each channel.
    pub fn got(&self) -> HashMap<String, Vec<usize>> {
        let mut got: HashMap<String, Vec<usize>> = HashMap::new();
        for event in self.ledger.delivered.lock().iter() {
            let number = std::str::from_utf8(&event.data).unwrap().parse().unwrap();
            got.entry(event.channel.name().to_owned())
                .or_default()
                .push(number);
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
            assert_eq!(
                got.get(*channel).unwrap_or(&Vec::new()),
                &expected,
                "channel {channel}"
            );
        }
    }

    /// Waits until every number below `n` came for each of `channels`, each once, in whatever order.
    pub async fn expect_any_order(&self, channels: &[&str], n: usize) {
        until("all events have come", || {
            self.count() >= channels.len() * n
        })
        .await;
        let got = self.got();
        for channel in channels {
            let mut numbers = got.get(*channel).cloned().unwrap_or_default();
            numbers.sort_unstable();
            assert_eq!(numbers, (0..n).collect::<Vec<_>>(), "channel {channel}");
        }
    }

    /// Waits until it stays out of the cluster and says why, in these words among others. It may have heard of the oldest node
    /// after another one, and names that one for a moment.
    pub async fn misfit(&self, words: &[&str]) {
        let said = || self.broker.health().misfit.unwrap_or_default();
        until(&format!("it stays out because of {words:?}"), || {
            let said = said();
            words.iter().all(|word| said.contains(word))
        })
        .await;
    }

    /// Waits until the numbers from `from` to the one before `to` came for each of `channels`, in order, and no later one.
    pub async fn expect_from(&self, channels: &[&str], from: usize, to: usize) {
        let last = |channel: &&str| {
            self.got()
                .get(*channel)
                .and_then(|numbers| numbers.last().copied())
        };
        until("all events have come", || {
            channels.iter().all(|channel| last(channel) == Some(to - 1))
        })
        .await;
        let got = self.got();
        for channel in channels {
            let numbers: Vec<usize> = got[*channel]
                .iter()
                .copied()
                .filter(|number| *number >= from)
                .collect();
            assert_eq!(numbers, (from..to).collect::<Vec<_>>(), "channel {channel}");
        }
    }

    /// Waits until Redis has taken all: others may have an event before its publisher is told that it was taken.
    pub async fn nothing_waits(&self) {
        until("nothing waits", || self.broker.health().waiting == 0).await;
    }

    /// Ends as a node does that is asked to: it says so.
    pub async fn leave(self) {
        self.nothing_waits().await;
        self.broker.leave().await;
        self.stop().await;
    }

    pub async fn stop(self) {
        self.tasks.stop();
        assert!(
            self.tasks.finish(Duration::from_secs(20)).await,
            "a task does not end"
        );
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

/// What other nodes know of one: its name, which is its id as well, and its keys' fingerprints.
pub struct Named {
    name: &'static str,
    keys: &'static [&'static str],
}

impl Named {
    pub fn peer(name: &'static str, keys: &'static [&'static str]) -> Arc<dyn ClusterMember> {
        Arc::new(Self { name, keys })
    }
}

impl ClusterMember for Named {
    fn id(&self) -> String {
        self.name.to_owned()
    }
    fn name(&self) -> String {
        self.name.to_owned()
    }
    fn keys(&self) -> Vec<String> {
        self.keys.iter().map(|key| (*key).to_owned()).collect()
    }
    fn view(&self) -> Bytes {
        format!("view of {}", self.name).into()
    }
    fn answer(&self, question: Bytes) -> BoxFuture<'static, Option<Bytes>> {
        let answer = [self.name.as_bytes(), b" heard ", &question].concat();
        Box::pin(async move { Some(answer.into()) })
    }
}
