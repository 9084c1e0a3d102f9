//! What every broker promises, tried on each: the memory broker, nodes over a carrier within this process, over one that
//! loses and cuts, and over Redis.

#![allow(clippy::unwrap_used)]

mod carrier;
#[path = "../broker_redis/node.rs"]
#[allow(dead_code)]
mod node;
#[path = "../common/ports.rs"]
#[allow(dead_code)]
mod ports;
#[path = "../broker_redis/servers.rs"]
#[allow(dead_code)]
mod servers;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use foghorn::broker::Broker;
use foghorn::broker::clustered::{ClusteredBroker, Config};
use foghorn::broker::memory::MemoryBroker;
use foghorn::broker::{Bounds, redis};
use foghorn::drain::Tasks;
use foghorn::event::{Channel, Event};

use self::carrier::Network;
use self::node::{Ledger, Named, until};
use self::servers::Redis;

const PARTITIONS: u32 = 8;
const CHANNELS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// Three nodes on one kind of broker.
struct Site {
    nodes: Vec<(Broker, Arc<Ledger>)>,
    tasks: Tasks,
    _redis: Option<Redis>,
}

impl Site {
    fn memory() -> Self {
        let tasks = Tasks::new();
        let broker = MemoryBroker::start(PARTITIONS, &tasks);
        let node = |_| {
            let ledger = Arc::new(Ledger::default());
            broker.attach(Arc::<Ledger>::clone(&ledger));
            (Broker::Memory(broker.clone()), ledger)
        };
        Self {
            nodes: (0..3).map(node).collect(),
            tasks,
            _redis: None,
        }
    }

    async fn over(network: &Network) -> Self {
        let tasks = Tasks::new();
        let config = Config {
            partitions: PARTITIONS,
            // As long as may be waited for what was lost several times.
            replay: Duration::from_secs(60),
            waiting: Bounds::default(),
        };
        let node = |_| {
            let ledger = Arc::new(Ledger::default());
            let carriers = vec![network.carrier()];
            let broker =
                ClusteredBroker::start(&config, carriers, Arc::<Ledger>::clone(&ledger), &tasks);
            (Broker::Clustered(broker), ledger)
        };
        Self {
            nodes: (0..3).map(node).collect(),
            tasks,
            _redis: None,
        }
        .up()
        .await
    }

    async fn redis() -> Self {
        let (redis, tasks) = (Redis::start(&[]), Tasks::new());
        let config = node::config(&redis.url(), PARTITIONS);
        let node = |_| {
            let ledger = Arc::new(Ledger::default());
            let broker = redis::start(&config, Arc::<Ledger>::clone(&ledger), &tasks).unwrap();
            (Broker::Clustered(broker), ledger)
        };
        Self {
            nodes: (0..3).map(node).collect(),
            tasks,
            _redis: Some(redis),
        }
        .up()
        .await
    }

    async fn up(self) -> Self {
        let up = |(broker, _): &(Broker, Arc<Ledger>)| {
            broker.health().shards.iter().all(|shard| shard.up)
        };
        until("all shards are up", || self.nodes.iter().all(up)).await;
        self
    }

    /// Publishes `events` numbers a channel, each channel at one node.
    fn publish(&self, events: std::ops::Range<usize>) {
        for number in events {
            for (n, channel) in CHANNELS.iter().enumerate() {
                drop(self.nodes[n % 3].0.publish(node::event(channel, number)));
            }
        }
    }

    /// Every node has the numbers below `events` of each channel, each once and in order, and no loss was declared.
    async fn expect(&self, events: usize) {
        for (_, ledger) in &self.nodes {
            until("all events have come", || {
                ledger.delivered.lock().len() >= events * CHANNELS.len()
            })
            .await;
            let delivered = ledger.delivered.lock();
            for channel in CHANNELS {
                let of_channel = delivered
                    .iter()
                    .filter(|event| event.channel.name() == channel);
                let numbers: Vec<usize> = of_channel
                    .map(|event| std::str::from_utf8(&event.data).unwrap().parse().unwrap())
                    .collect();
                assert_eq!(
                    numbers,
                    (0..events).collect::<Vec<_>>(),
                    "channel {channel}"
                );
            }
            assert!(ledger.lost.lock().is_empty());
        }
    }

    async fn end(self) {
        self.tasks.stop();
        assert!(
            self.tasks.finish(Duration::from_secs(20)).await,
            "a task does not end"
        );
    }
}

/// All of it, on one kind of broker. `asks`: how often the nodes are asked at most until each has answered: what is asked is
/// said once, and a carrier that loses may lose it.
async fn keeps_the_contract(site: Site, asks: u32) {
    everything_once_and_in_order(&site).await;
    confirmed_and_nothing_waits(&site).await;
    a_repeated_post_is_one_event(&site).await;
    nodes_see_and_ask_each_other(&site, asks).await;
    site.end().await;
}

async fn everything_once_and_in_order(site: &Site) {
    site.publish(0..200);
    site.expect(200).await;
}

async fn confirmed_and_nothing_waits(site: &Site) {
    for (broker, _) in &site.nodes {
        assert!(
            broker
                .publish(Event::new(Channel::new("repo", "x"), "news", "{}"))
                .confirmed(Duration::from_secs(30))
                .await
        );
    }
    until("nothing waits", || {
        site.nodes
            .iter()
            .all(|(broker, _)| broker.health().waiting == 0)
    })
    .await;
    let health = site.nodes[0].0.health();
    assert_eq!((health.partitions, health.misfit), (PARTITIONS, None));
}

/// Two nodes took the same post: a proxy repeated it.
async fn a_repeated_post_is_one_event(site: &Site) {
    let event = Event {
        idempotency_key: Some(7),
        ..Event::new(Channel::new("repo", "again"), "news", "{}")
    };
    for (broker, _) in &site.nodes {
        assert!(
            broker
                .publish(event.clone())
                .confirmed(Duration::from_secs(30))
                .await
        );
    }
    assert!(
        site.nodes[0]
            .0
            .publish(Event::new(event.channel.clone(), "last", "{}"))
            .confirmed(Duration::from_secs(30))
            .await
    );
    for (_, ledger) in &site.nodes {
        let of = |name: &str| {
            ledger
                .delivered
                .lock()
                .iter()
                .filter(|e| e.channel == event.channel && &*e.name == name)
                .count()
        };
        until("the last one has come", || of("last") == 1).await;
        assert_eq!(of("news"), 1);
    }
}

async fn nodes_see_and_ask_each_other(site: &Site, asks: u32) {
    let peers = ["n0", "n1", "n2"].map(|name| Named::peer(name, &[]));
    site.nodes
        .iter()
        .zip(&peers)
        .for_each(|((broker, _), peer)| broker.join(peer));
    for (broker, _) in &site.nodes {
        let seen = || {
            let mut seen: Vec<_> = broker.nodes().into_iter().map(|node| node.view).collect();
            seen.sort();
            seen
        };
        until("the nodes see each other", || {
            seen() == ["view of n0", "view of n1", "view of n2"]
        })
        .await;
        let mut answers = Vec::new();
        for _ in 0..asks {
            answers = broker
                .ask(Bytes::from_static(b"it"), Duration::from_secs(60) / asks)
                .await;
            if answers.len() >= site.nodes.len() {
                break;
            }
        }
        answers.sort();
        assert_eq!(answers, ["n0 heard it", "n1 heard it", "n2 heard it"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_broker() {
    keeps_the_contract(Site::memory(), 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_over_a_carrier_without_faults() {
    keeps_the_contract(Site::over(&Network::new()).await, 1).await;
}

/// One message in twenty does not arrive, and one in ten comes twice.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_over_a_carrier_that_loses_and_repeats() {
    let network = Network::new();
    let site = Site::over(&network).await;
    network.lose_one_in(20);
    network.repeat_one_in(10);
    keeps_the_contract(site, 20).await;
}

/// Now and then nothing can be said and every subscription ends.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_over_a_carrier_that_cuts() {
    let network = Network::new();
    let site = Site::over(&network).await;
    for round in 0..4 {
        site.publish(round * 50..round * 50 + 25);
        network.cut();
        site.publish(round * 50 + 25..round * 50 + 50);
        until("it is seen", || {
            site.nodes
                .iter()
                .all(|(broker, _)| !broker.health().shards[0].up)
        })
        .await;
        network.mend();
        until("it is up again", || {
            site.nodes
                .iter()
                .all(|(broker, _)| broker.health().shards[0].up)
        })
        .await;
    }
    site.expect(200).await;
    site.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn nodes_over_redis() {
    keeps_the_contract(Site::redis().await, 1).await;
}
