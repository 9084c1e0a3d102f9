//! What every keeper promises, tried on each: in memory, and in Redis as one server, two shards, under Sentinels and as a
//! Cluster. What only Redis can do to it is in `faults`, `gaps`, `waits` and `leases`.

#![allow(clippy::unwrap_used)]

#[path = "../broker_redis/blackhole.rs"]
#[allow(dead_code)]
mod blackhole;
mod faults;
mod gaps;
#[path = "../broker_redis/layouts.rs"]
#[allow(dead_code)]
mod layouts;
mod leases;
#[path = "../broker_redis/node.rs"]
#[allow(dead_code)]
mod node;
#[path = "../common/ports.rs"]
mod ports;
mod queues;
mod rights;
#[path = "../broker_redis/servers.rs"]
#[allow(dead_code)]
mod servers;
mod site;
mod waits;

use std::time::Duration;

use foghorn::broker::keep::{Keep, Past, Saying};
use foghorn::broker::memory::MemoryBroker;
use foghorn::drain::Tasks;
use foghorn::event::{Event, Kept};

use self::layouts::{Cluster, Sentinels};
use self::servers::Redis;
use self::site::{KEEP, Node, PARTITIONS, PATIENCE, channel, event, numbers, place, who};

/// All of it, on nodes of one kind. Names of channels begin with `at`, so that it can be done again.
async fn keeps_the_contract(nodes: &[Node], at: &str) {
    kept_events_are_delivered_with_their_places(nodes, at).await;
    a_past_is_bounded_and_ends(nodes, at).await;
    places_of_several_nodes_have_no_holes(nodes, at).await;
    whoever_recovers_has_everything_once(nodes, at).await;
    what_is_not_kept_is_in_no_past(nodes, at).await;
    a_repeated_post_is_kept_once(nodes, at).await;
    presence_is_seen_everywhere_and_ends_with_its_guard(nodes, at).await;
    what_is_claimed_is_said_once(nodes, at).await;
    leases::one_at_a_time_and_each_with_a_greater_fence(nodes, at).await;
}

async fn kept_events_are_delivered_with_their_places(nodes: &[Node], at: &str) {
    let name = format!("{at}-placed");
    assert_eq!(nodes[1].past(&name).await, Past::default());
    (0..100).for_each(|number| nodes[0].keep(&name, number));
    for node in nodes {
        let got = node.wait_for(&name, 100).await;
        assert_eq!(numbers(&got), (0..100).collect::<Vec<_>>());
        let first = place(&got[0]);
        assert!(
            got.iter()
                .enumerate()
                .all(|(n, event)| place(event).number == n as u64 + 1)
        );
        let past = node.past(&name).await;
        assert_eq!(
            (past.newest, &past.events),
            (Some(place(&got[99])), &got),
            "delivered is what is kept"
        );
        assert_eq!(past.after(first).map(numbers), Some((1..100).collect()));
        assert_eq!(past.after(place(&got[99])), Some(&[][..]));
    }
}

async fn a_past_is_bounded_and_ends(nodes: &[Node], at: &str) {
    let (few, short) = (format!("{at}-few"), format!("{at}-short"));
    for number in 0..30 {
        drop(
            nodes[0]
                .keeper
                .keep(event(&few, number), Keep { events: 10, ..KEEP }),
        );
        drop(nodes[0].keeper.keep(
            event(&short, number),
            Keep {
                lifetime: Duration::from_millis(300),
                ..KEEP
            },
        ));
    }
    let got = nodes[1].wait_for(&few, 30).await;
    let past = nodes[1].past(&few).await;
    assert_eq!(numbers(&past.events), (20..30).collect::<Vec<_>>());
    assert_eq!(
        past.after(place(&got[19])).map(numbers),
        Some((20..30).collect())
    );
    assert_eq!(
        past.after(place(&got[18])),
        None,
        "one that followed has gone"
    );
    let got = nodes[1].wait_for(&short, 30).await;
    let gone = async {
        while !nodes[1].past(&short).await.events.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone)
        .await
        .expect("a past ends");
    let past = nodes[1].past(&short).await;
    assert_eq!(
        past.after(place(&got[29])),
        Some(&[][..]),
        "nothing has come since"
    );
    assert_eq!(past.after(place(&got[28])), None);
}

async fn places_of_several_nodes_have_no_holes(nodes: &[Node], at: &str) {
    let name = format!("{at}-several");
    for number in 0..200 {
        nodes[number % nodes.len()].keep(&name, number);
    }
    for node in nodes {
        let got = node.wait_for(&name, 200).await;
        assert!(
            got.is_sorted_by_key(place),
            "they are delivered in the order of their places"
        );
        assert_eq!(
            got,
            node.past(&name).await.events,
            "what is delivered somewhere is kept, and the other way round"
        );
        // What one node took is in its order.
        for from in 0..nodes.len() {
            let of_node: Vec<_> = numbers(&got)
                .into_iter()
                .filter(|number| number % nodes.len() == from)
                .collect();
            assert!(of_node.is_sorted());
        }
    }
}

/// A subscription is held while the past is read, and is then given what the past does not have.
async fn whoever_recovers_has_everything_once(nodes: &[Node], at: &str) {
    let name = format!("{at}-recovered");
    let mut recovered = Vec::new();
    for number in 0..300 {
        nodes[number % nodes.len()].keep(&name, number);
        if number % 20 == 10 {
            let node = &nodes[number % 7 % nodes.len()];
            // What is delivered from here on would be held.
            let held = node.ledger.delivered.lock().len();
            recovered.push((node, held, node.past(&name).await));
        }
    }
    for (node, held, past) in recovered {
        node.wait_for(&name, 300).await;
        let live = node.ledger.delivered.lock()[held..].to_vec();
        let live = live
            .into_iter()
            .filter(|event| event.channel.name() == name && !past.has(event));
        let mut all = numbers(
            &past
                .events
                .iter()
                .cloned()
                .chain(live)
                .collect::<Vec<Event>>(),
        );
        all.sort_unstable();
        assert_eq!(
            all,
            (0..300).collect::<Vec<_>>(),
            "something twice, or missing"
        );
    }
}

async fn what_is_not_kept_is_in_no_past(nodes: &[Node], at: &str) {
    let name = format!("{at}-passing");
    nodes[0].keep_confirmed(&name, 0).await;
    assert!(
        nodes[0]
            .broker
            .publish(event(&name, 1))
            .confirmed(PATIENCE)
            .await
    );
    nodes[0].keep_confirmed(&name, 2).await;
    let got = nodes[1].wait_for(&name, 3).await;
    assert_eq!((numbers(&got), got[1].kept), (vec![0, 1, 2], Kept::No));
    let past = nodes[1].past(&name).await;
    assert_eq!(numbers(&past.events), [0, 2]);
    assert_eq!(
        past.after(place(&got[0])).map(numbers),
        Some(vec![2]),
        "it is no hole either"
    );
}

/// Two nodes took the same post: a proxy repeated it.
async fn a_repeated_post_is_kept_once(nodes: &[Node], at: &str) {
    let name = format!("{at}-again");
    let posted = Event {
        idempotency_key: Some(7),
        ..event(&name, 0)
    };
    for node in nodes {
        assert!(
            node.keeper
                .keep(posted.clone(), KEEP)
                .confirmed(PATIENCE)
                .await
        );
    }
    nodes[0].keep_confirmed(&name, 1).await;
    for node in nodes {
        let got = node.wait_for(&name, 2).await;
        assert_eq!(numbers(&got), [0, 1]);
        assert_eq!(node.past(&name).await.events, got);
    }
}

async fn presence_is_seen_everywhere_and_ends_with_its_guard(nodes: &[Node], at: &str) {
    let name = format!("{at}-here");
    let enter = |node: usize, id: &str, info: &str| {
        nodes[node]
            .keeper
            .enter(&channel(&name), id, who(info), Duration::from_secs(30))
    };
    let (first, second) = (
        enter(0, "a", "{\"x\":1}"),
        enter(1, "b", "with blanks \0 and\nmore"),
    );
    for node in nodes {
        node.wait_present(&name, &["a={\"x\":1}", "b=with blanks \0 and\nmore"])
            .await;
    }
    let again = enter(0, "a", "new");
    drop(first);
    for node in nodes {
        node.wait_present(&name, &["a=new", "b=with blanks \0 and\nmore"])
            .await;
    }
    drop(second);
    drop(again);
    for node in nodes {
        node.wait_present(&name, &[]).await;
    }
}

async fn what_is_claimed_is_said_once(nodes: &[Node], at: &str) {
    let channel = channel(&format!("{at}-said"));
    let claim = async |node: usize| nodes[node].keeper.claim(&channel, "x").await.unwrap();
    let settle = async |node: usize, claim: u128, lasts: Option<Duration>| {
        let keeper = &nodes[node].keeper;
        keeper.settle(&channel, "x", claim, lasts).await.unwrap();
    };
    let hour = Some(Duration::from_secs(3_600));
    let Saying::Mine(first) = claim(0).await else {
        panic!("nobody had it")
    };
    assert_eq!(claim(1).await, Saying::Claimed);
    // What was not said in the end is for the next one, and whoever had it is too late.
    settle(0, first, None).await;
    let Saying::Mine(second) = claim(1).await else {
        panic!("it was given back")
    };
    settle(0, first, hour).await;
    assert_eq!(claim(0).await, Saying::Claimed);
    settle(1, second, hour).await;
    for node in 0..nodes.len() {
        assert_eq!(claim(node).await, Saying::Said);
    }
    let another = nodes[0].keeper.claim(&channel, "y").await.unwrap();
    assert!(matches!(another, Saying::Mine(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn in_memory() {
    let tasks = Tasks::new();
    let broker = MemoryBroker::start(PARTITIONS, &tasks);
    let nodes: Vec<Node> = (0..3).map(|_| Node::in_memory(&broker, &tasks)).collect();
    keeps_the_contract(&nodes, "one").await;
    assert!(
        nodes[0].keeper.queues("list").is_empty(),
        "nobody else could push there"
    );
    tasks.stop();
    assert!(tasks.finish(Duration::from_secs(20)).await);
}

async fn on_redis(urls: &str) {
    let nodes = [
        Node::up(urls).await,
        Node::up(urls).await,
        Node::up(urls).await,
    ];
    keeps_the_contract(&nodes, "one").await;
    for node in nodes {
        node.die().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn in_redis() {
    let redis = Redis::start(&[]);
    on_redis(&redis.url()).await;
    let keys = redis.cli(&["--raw", "KEYS", "*"]);
    assert!(keys.lines().count() > 5);
    for key in keys.lines() {
        assert!(key.starts_with("foghorn:{"), "{key}");
        let lasts: i64 = redis.cli(&["--raw", "TTL", key]).trim().parse().unwrap();
        assert!(lasts > 0, "{key} does not expire");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn in_a_database_of_redis() {
    let redis = Redis::start(&[]);
    on_redis(&format!("{}/3", redis.url())).await;
    assert_eq!(redis.cli(&["--raw", "DBSIZE"]).trim(), "0");
    assert_ne!(redis.cli(&["--raw", "-n", "3", "DBSIZE"]).trim(), "0");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn in_two_shards_each_with_its_own() {
    let (left, right) = (Redis::start(&[]), Redis::start(&[]));
    on_redis(&format!("{},{}", left.url(), right.url())).await;
    let keys = |redis: &Redis| {
        redis
            .cli(&["--raw", "KEYS", "*"])
            .lines()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let (left, right) = (keys(&left), keys(&right));
    assert!(!left.is_empty() && !right.is_empty());
    assert!(
        left.iter().all(|key| !right.contains(key)),
        "{left:?} {right:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn in_redis_under_sentinels() {
    on_redis(&Sentinels::start().url()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn in_a_redis_cluster() {
    on_redis(&Cluster::start().url()).await;
}
