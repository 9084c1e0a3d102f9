//! What cannot be kept while Redis is away waits to be kept: it is given once everywhere, in order, and whoever comes back is told
//! all that followed what it had, or that something may be missing.

use foghorn::event::{Event, Kept};

use super::faults::{two, two_with_a_proxy};
use super::node::until;
use super::servers::Redis;
use super::site::{KEEP, PATIENCE, event, numbers, place};

/// Clients of one node have what it took at once, and go on from there at another node when Redis is back.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn what_waited_is_kept_in_order_and_given_once() {
    let redis = Redis::start(&[]);
    let [one, two] = two(&redis.url()).await;
    one.keep_confirmed("x", 0).await;
    two.wait_for("x", 1).await;
    redis.signal("STOP");
    (1..50).for_each(|number| one.keep("x", number));
    let early = one.wait_for("x", 50).await;
    assert!(early[1..].iter().all(|event| event.kept == Kept::Later));
    one.keep("x", 50);
    until("it is said that they wait, and for how long", || {
        let health = one.broker.health();
        health.waiting == 50 && health.oldest.is_some()
    })
    .await;
    redis.signal("CONT");
    one.wait_up().await;
    one.keep_confirmed("x", 51).await;
    let all: Vec<usize> = (0..52).collect();
    let got = two.wait_for("x", 52).await;
    assert_eq!(numbers(&got), all);
    assert!(got.is_sorted_by_key(place));
    assert_eq!(two.past("x").await.events, got);
    for node in [&one, &two] {
        let past = node.past("x").await;
        for at in 0..52 {
            let followed = past.behind(at).map(numbers);
            assert_eq!(followed.as_ref(), Some(&all[at + 1..].to_vec()), "{at}");
        }
    }
    assert_eq!(numbers(&one.wait_for("x", 52).await), all);
    until("nothing waits any more", || {
        let health = one.broker.health();
        health.waiting == 0 && health.oldest.is_none()
    })
    .await;
    // What comes afterwards shows that nothing came a second time before it.
    two.keep_confirmed("x", 52).await;
    assert_eq!(one.wait_for("x", 53).await.len(), 53);
}

/// Clients of two nodes have what each of them took, in another order than it is kept in: until the next event nobody knows who
/// had what, and nobody is told that all is well.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn what_two_nodes_took_meanwhile_is_told_whole_or_not_at_all() {
    let redis = Redis::start(&[]);
    let nodes = two(&redis.url()).await;
    nodes[0].keep_confirmed("x", 0).await;
    nodes[1].wait_for("x", 1).await;
    redis.signal("STOP");
    for node in [0, 1] {
        nodes[node].keep("x", 1 + node);
        nodes[node].wait_for("x", 2).await;
    }
    redis.signal("CONT");
    for node in &nodes {
        node.wait_for("x", 3).await;
    }
    let past = nodes[0].past("x").await;
    for node in &nodes {
        let got = numbers(&node.got("x"));
        let at = |number: usize| {
            let all = numbers(&past.events);
            all.iter().position(|kept| *kept == number).unwrap()
        };
        assert_eq!(past.behind(at(0)).map(<[Event]>::len), Some(2));
        for had in 2..=3 {
            let told = past.behind(at(got[had - 1])).map(numbers);
            assert!(
                told.is_none_or(|told| told == got[had..]),
                "{got:?}: {past:?}"
            );
        }
    }
    nodes[0].keep_confirmed("x", 3).await;
    let past = nodes[1].past("x").await;
    assert_eq!(past.behind(3), Some(&[][..]));
}

/// A proxy posts again to another node while Redis is away: clients of both have it, and those of the second one lack what the
/// first one took before it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn what_is_posted_to_two_nodes_while_it_waits_is_given_once_and_hides_nothing() {
    let redis = Redis::start(&[]);
    let nodes = two(&redis.url()).await;
    nodes[0].keep_confirmed("x", 0).await;
    for node in &nodes {
        node.wait_for("x", 1).await;
    }
    redis.signal("STOP");
    nodes[0].keep("x", 1);
    let posted = Event {
        idempotency_key: Some(7),
        ..event("x", 2)
    };
    (nodes.iter()).for_each(|node| drop(node.keeper.keep(posted.clone(), KEEP)));
    nodes[0].wait_for("x", 3).await;
    nodes[1].wait_for("x", 2).await;
    redis.signal("CONT");
    for node in &nodes {
        let mut got = numbers(&node.wait_for("x", 3).await);
        got.sort_unstable();
        assert_eq!(got, [0, 1, 2]);
    }
    until("nothing waits", || {
        nodes.iter().all(|node| node.broker.health().waiting == 0)
    })
    .await;
    let past = nodes[0].past("x").await;
    let kept = numbers(&past.events);
    assert_eq!(kept.len(), 3, "{kept:?}");
    let at = kept.iter().position(|number| *number == 2).unwrap();
    let told = past.behind(at).map(numbers);
    assert!(told.is_none_or(|told| told == [1]), "{past:?}");
    nodes[1].keep_confirmed("x", 3).await;
    for node in &nodes {
        assert_eq!(node.wait_for("x", 4).await.len(), 4, "none came twice");
    }
}

/// A proxy posts again to the same node what Redis has not kept yet: it is one event.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn what_is_posted_again_while_it_waits_is_given_once() {
    let redis = Redis::start(&[]);
    let [one, two] = two(&redis.url()).await;
    one.keep_confirmed("x", 0).await;
    redis.signal("STOP");
    let posted = Event {
        idempotency_key: Some(7),
        ..event("x", 1)
    };
    (0..3).for_each(|_| drop(one.keeper.keep(posted.clone(), KEEP)));
    one.keep("x", 2);
    one.wait_for("x", 3).await;
    redis.signal("CONT");
    for node in [&one, &two] {
        assert_eq!(numbers(&node.wait_for("x", 3).await), [0, 1, 2]);
    }
    two.keep_confirmed("x", 3).await;
    for node in [&one, &two] {
        assert_eq!(numbers(&node.wait_for("x", 4).await), [0, 1, 2, 3]);
        assert_eq!(numbers(&node.past("x").await.events), [0, 1, 2, 3]);
    }
}

/// What was on its way over a connection that is given up comes when it was done again over another one.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn what_comes_late_over_a_connection_that_was_given_up_is_not_kept_twice() {
    let redis = Redis::start(&[]);
    let (proxy, [one, two]) = two_with_a_proxy(&redis).await;
    one.keep_confirmed("x", 0).await;
    proxy.keep_back_what_is_open();
    one.keep("x", 1);
    one.wait_for("x", 2).await;
    one.keep("x", 2);
    two.wait_for("x", 3).await;
    let refused = || {
        let stats = redis.cli(&["--raw", "INFO", "errorstats"]);
        stats.contains("errorstat_LATE")
    };
    assert!(!refused());
    proxy.let_go();
    until("the late command has come", refused).await;
    one.keep_confirmed("x", 3).await;
    assert_eq!(numbers(&two.wait_for("x", 4).await), [0, 1, 2, 3]);
    assert_eq!(numbers(&two.past("x").await.events), [0, 1, 2, 3]);
    assert_eq!(numbers(&one.wait_for("x", 4).await), [0, 1, 2, 3]);
}

/// Redis carries and keeps nothing for as long as it likes: the other nodes do not wait for that.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn a_master_that_became_a_replica_carries_what_it_does_not_keep() {
    let redis = Redis::start(&[]);
    let [one, two] = two(&redis.url()).await;
    one.keep_confirmed("x", 0).await;
    redis.done(&["REPLICAOF", "127.0.0.1", "1"]);
    (1..20).for_each(|number| one.keep("x", number));
    let got = two.wait_for("x", 20).await;
    assert_eq!(numbers(&got), (0..20).collect::<Vec<_>>());
    assert!(got[1..].iter().all(|event| event.kept == Kept::Missed));
    assert_eq!(numbers(&one.wait_for("x", 20).await), numbers(&got));
    redis.done(&["REPLICAOF", "NO", "ONE"]);
    let mended = async {
        for number in 20.. {
            one.keep_confirmed("x", number).await;
            let got = two.wait_for("x", number + 1).await;
            assert_eq!(numbers(&got), (0..=number).collect::<Vec<_>>());
            if matches!(got[number].kept, Kept::At(_)) {
                return got;
            }
        }
        Vec::new()
    };
    let got = tokio::time::timeout(PATIENCE, mended)
        .await
        .expect("it keeps again");
    let past = two.past("x").await;
    assert_eq!(past.after(place(&got[0])), None, "there is a hole");
}
