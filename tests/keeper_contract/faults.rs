//! Redis stands still, dies, comes back empty, is replaced: what was published is delivered all the same and kept when that
//! can be, the loss of what was kept is told by an epoch, presence comes back by itself, and nobody waits for long.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use foghorn::event::{Event, Kept, Place};

use super::blackhole::Blackhole;
use super::keeps_the_contract;
use super::layouts::{Cluster, Sentinels};
use super::node::until;
use super::servers::Redis;
use super::site::{Node, PATIENCE, channel, numbers, place, who};

/// Two nodes under load on Redis while `fault` is done to it after 50 and `mend` after 100 of 200 events, each kept at one
/// of them. Whatever place somebody had before, and whatever was delivered since: recovering tells all of it, or that
/// something may be missing.
async fn under_load(nodes: &[Node; 2], mut fault: impl FnMut(), mut mend: impl AsyncFnMut()) {
    let mut places: Vec<(Place, BTreeSet<usize>)> = Vec::new();
    for number in 0..200 {
        match number {
            50 => fault(),
            100 => mend().await,
            _ => {}
        }
        nodes[number % 2].keep("x", number);
        let got = nodes[1].got("x");
        if let Some(Kept::At(place)) = got.last().map(|event| event.kept) {
            places.push((place, numbers(&got).into_iter().collect()));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for node in nodes {
        let mut got = numbers(&node.wait_for("x", 200).await);
        got.sort_unstable();
        assert_eq!(got, (0..200).collect::<Vec<_>>(), "each once");
        assert!(node.ledger.lost.lock().is_empty());
        node.wait_up().await;
    }
    until("nothing waits", || {
        nodes.iter().all(|node| node.keeper.waiting() == 0)
    })
    .await;
    // The clients of the node that took an event may have had it before it had a place.
    let all = nodes.iter().flat_map(|node| node.got("x"));
    let placed: BTreeMap<usize, Place> = all
        .filter_map(|event| match event.kept {
            Kept::At(place) => Some((numbers(&[event])[0], place)),
            _ => None,
        })
        .collect();
    for node in nodes {
        let past = node.past("x").await;
        let mut kept = numbers(&past.events);
        let count = kept.len();
        kept.sort_unstable();
        kept.dedup();
        assert_eq!(kept.len(), count, "something was kept twice: {past:?}");
        for (place, had) in &places {
            let Some(after) = past.after(*place) else {
                continue;
            };
            // Between nodes the order is Redis': what was published with a lesser place may be delivered later.
            let told: BTreeSet<usize> = numbers(after)
                .into_iter()
                .chain(had.iter().copied())
                .collect();
            let missing: Vec<usize> = (0..200).filter(|number| !told.contains(number)).collect();
            let unplaced = |number: &usize| placed.get(number).is_none_or(|at| at > place);
            assert!(
                !missing.iter().any(unplaced),
                "{place:?} is told nothing of {missing:?}"
            );
        }
    }
    keeps_the_contract(nodes, "then").await;
}

pub async fn two(urls: &str) -> [Node; 2] {
    [Node::up(urls).await, Node::up(urls).await]
}

/// Two nodes, the first of them behind a proxy.
pub async fn two_with_a_proxy(redis: &Redis) -> (Blackhole, [Node; 2]) {
    let proxy = Blackhole::start(redis.port).await;
    let nodes = [
        Node::up(&format!("redis://127.0.0.1:{}", proxy.port)).await,
        Node::up(&redis.url()).await,
    ];
    (proxy, nodes)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn redis_stands_still() {
    let redis = Redis::start(&[]);
    let nodes = two(&redis.url()).await;
    nodes[0].keep_confirmed("before", 0).await;
    let first = nodes[0].past("before").await.newest.unwrap();
    let stopped = || {
        redis.signal("STOP");
    };
    let early = || {
        nodes[0]
            .got("x")
            .iter()
            .any(|event| event.kept == Kept::Later)
    };
    let go_on = async || {
        until("one was delivered without a place", early).await;
        redis.signal("CONT");
    };
    under_load(&nodes, stopped, go_on).await;
    assert_eq!(
        nodes[0].past("before").await.after(first),
        Some(&[][..]),
        "a channel without a hole keeps its epoch"
    );
    let past = nodes[1].past("x").await;
    let epochs: BTreeSet<u64> = past.events.iter().map(|event| place(event).epoch).collect();
    assert_eq!(
        (past.events.len(), epochs.len()),
        (200, 1),
        "all that waited was kept, without a hole"
    );
}

/// A proxy that has no answer posts again, while Redis is away, what the clients have had from there or another node.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn what_was_given_is_not_given_early_when_it_is_posted_again() {
    let redis = Redis::start(&[]);
    let [one, two] = two(&redis.url()).await;
    let posted = Event {
        idempotency_key: Some(7),
        ..super::event("x", 0)
    };
    drop(one.keeper.keep(posted.clone(), super::KEEP));
    for node in [&one, &two] {
        node.wait_for("x", 1).await;
    }
    redis.signal("STOP");
    for node in [&one, &two] {
        drop(node.keeper.keep(posted.clone(), super::KEEP));
        node.keep("x", 1);
        assert_eq!(numbers(&node.wait_for("x", 2).await), [0, 1]);
    }
    redis.signal("CONT");
    for node in [&one, &two] {
        assert_eq!(numbers(&node.wait_for("x", 3).await), [0, 1, 1]);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn nothing_waits_for_a_redis_that_stands_still() {
    let redis = Redis::start(&[]);
    let [node, _other] = two(&redis.url()).await;
    node.keep_confirmed("x", 0).await;
    redis.signal("STOP");
    node.keep("x", 1);
    for ask in 0..3 {
        let error = tokio::time::timeout(PATIENCE, node.keeper.past(&channel("x")))
            .await
            .expect("it ends");
        let error = error.expect_err("nobody answers");
        assert!(["late", "away"].contains(&error.label()), "{ask}: {error}");
        let error = tokio::time::timeout(PATIENCE, node.keeper.present(&channel("x")))
            .await
            .expect("it ends");
        assert!(error.is_err());
    }
    let got = node.wait_for("x", 2).await;
    assert_eq!((numbers(&got), got[1].kept), (vec![0, 1], Kept::Later));
    redis.signal("CONT");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn redis_is_killed_and_starts_empty() {
    let redis = parking_lot::Mutex::new(Redis::start(&[]));
    let url = redis.lock().url();
    let nodes = two(&url).await;
    let _here = nodes[0]
        .keeper
        .enter(&channel("x"), "me", who("I am"), Duration::from_secs(600));
    nodes[1].wait_present("x", &["me=I am"]).await;
    under_load(
        &nodes,
        || redis.lock().kill(),
        async || redis.lock().start_again(),
    )
    .await;
    let got = nodes[0].got("x");
    let epochs = |node: &Node| {
        node.got("x")
            .iter()
            .filter_map(|event| match event.kept {
                Kept::At(place) => Some(place.epoch),
                _ => None,
            })
            .collect::<BTreeSet<_>>()
    };
    assert!(epochs(&nodes[0]).len() > 1, "{got:?}");
    nodes[1].wait_present("x", &["me=I am"]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn redis_is_emptied_and_fills_up() {
    let redis = Redis::start(&[]);
    let nodes = two(&redis.url()).await;
    let both = || {
        redis.done(&["FLUSHALL"]);
        redis.done(&["SCRIPT", "FLUSH"]);
    };
    under_load(&nodes, both, async || {}).await;
    redis.done(&["CONFIG", "SET", "maxmemory", "1"]);
    nodes[0].keep("full", 0);
    let got = nodes[1].wait_for("full", 1).await;
    assert_eq!(
        got[0].kept,
        Kept::Missed,
        "delivered, though there is no room for it"
    );
    redis.done(&["CONFIG", "SET", "maxmemory", "0"]);
    nodes[0].keep("full", 1);
    assert!(matches!(
        nodes[1].wait_for("full", 2).await[1].kept,
        Kept::At(_)
    ));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn connections_are_killed() {
    let redis = Redis::start(&[]);
    let nodes = two(&redis.url()).await;
    let kill = || drop(redis.cli(&["CLIENT", "KILL", "TYPE", "normal"]));
    under_load(&nodes, kill, async || kill()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn a_replica_takes_over() {
    let redis = parking_lot::Mutex::new(Sentinels::start());
    let url = redis.lock().url();
    let nodes = two(&url).await;
    under_load(&nodes, || redis.lock().master.kill(), async || {}).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn a_replica_that_has_nothing_takes_over() {
    let redis = parking_lot::Mutex::new(Sentinels::start_empty());
    let url = redis.lock().url();
    let nodes = two(&url).await;
    under_load(&nodes, || redis.lock().master.kill(), async || {}).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn a_master_of_a_cluster_dies() {
    let cluster = parking_lot::Mutex::new(Cluster::start());
    let url = cluster.lock().url();
    let nodes = two(&url).await;
    let kill = || {
        let mut cluster = cluster.lock();
        let master = cluster.masters()[0];
        cluster.servers[master].kill();
    };
    under_load(&nodes, kill, async || {}).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn whoever_enters_while_redis_is_away_is_there_when_it_is_back() {
    let mut redis = Redis::start(&[]);
    let [one, two] = two(&redis.url()).await;
    redis.kill();
    let enter = |node: &Node, id: &str| {
        node.keeper
            .enter(&channel("x"), id, who("I"), Duration::from_secs(600))
    };
    let _here = (enter(&one, "a"), enter(&two, "b"));
    drop(enter(&two, "gone"));
    assert!(one.keeper.present(&channel("x")).await.is_err());
    redis.start_again();
    one.wait_present("x", &["a=I", "b=I"]).await;
}

/// What a dead node's clients said of themselves runs out; what others do is not touched.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn a_dead_nodes_presence_ends() {
    let redis = Redis::start(&[]);
    let [one, two] = two(&redis.url()).await;
    let outlives = Duration::from_millis(1_500);
    let _stays = two.keeper.enter(&channel("x"), "stays", who("2"), outlives);
    std::mem::forget(one.keeper.enter(&channel("x"), "dies", who("1"), outlives));
    two.wait_present("x", &["dies=1", "stays=2"]).await;
    one.die().await;
    two.wait_present("x", &["stays=2"]).await;
}

/// A node that knows more shards than another, and a past of each: no place of one is taken for one of the other.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn while_shards_are_added_nobody_recovers_half() {
    let (left, right) = (Redis::start(&[]), Redis::start(&[]));
    let (old, new) = (
        Node::up(&left.url()).await,
        Node::up(&format!("{},{}", left.url(), right.url())).await,
    );
    for name in ["a", "b", "c", "d", "e", "f"] {
        old.keep_confirmed(name, 0).await;
        let first = new.wait_for(name, 1).await[0].clone();
        new.keep_confirmed(name, 1).await;
        new.wait_for(name, 2).await;
        old.keep_confirmed(name, 2).await;
        new.wait_for(name, 3).await;
        for node in [&old, &new] {
            node.wait_for(name, 3).await;
            let past = node.past(name).await;
            let Kept::At(place) = first.kept else {
                panic!("it was kept")
            };
            assert!(
                past.after(place)
                    .is_none_or(|after| numbers(after) == [1, 2]),
                "{name}: {past:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn nothing_is_written_before_something_is_kept() {
    let redis = Redis::start(&[]);
    let node = Node::up(&redis.url()).await;
    assert!(
        node.broker
            .publish(super::event("x", 0))
            .confirmed(PATIENCE)
            .await
    );
    node.wait_for("x", 1).await;
    assert_eq!(redis.cli(&["--raw", "DBSIZE"]).trim(), "0");
    let commands = redis.cli(&["--raw", "INFO", "commandstats"]);
    assert!(!commands.contains("cmdstat_eval"), "{commands}");
}
