//! Several nodes publish to one channel, and what one of them has kept is heard late or not at all: whoever has a later event has
//! the earlier ones, or is told that it may not, and each comes once.

use foghorn::broker::keep::{Keep, Past};
use foghorn::broker::{Lost, partition};
use foghorn::event::{Event, Kept, Place};

use super::blackhole::Blackhole;
use super::faults::{two, two_with_a_proxy};
use super::node::until;
use super::servers::Redis;
use super::site::{KEEP, Node, PARTITIONS, PATIENCE, channel, event, numbers, place};

/// A node that keeps, and whose publications Redis refuses from now on.
struct HeldUp(Node);

impl HeldUp {
    async fn start(redis: &Redis) -> Self {
        redis.done(&[
            "ACL", "SETUSER", "held", "on", ">s3cret", "~*", "&*", "+@all",
        ]);
        let node = Node::up(&format!("redis://held:s3cret@127.0.0.1:{}", redis.port)).await;
        redis.done(&["ACL", "SETUSER", "held", "-publish"]);
        Self(node)
    }

    /// One beside two that have 0.
    async fn beside_two() -> (Redis, [Node; 2], Self) {
        let redis = Redis::start(&[]);
        let nodes = two(&redis.url()).await;
        nodes[0].keep_confirmed("x", 0).await;
        nodes[1].wait_for("x", 1).await;
        let held = Self::start(&redis).await;
        (redis, nodes, held)
    }

    /// Keeps a number, which the others are not told of.
    async fn keep(&self, number: usize, keep: Keep) {
        drop(self.0.keeper.keep(event("x", number), keep));
        // Its own clients have it when it was kept.
        until("it is kept", || numbers(&self.0.got("x")).contains(&number)).await;
    }

    async fn go_on(&self, redis: &Redis) {
        redis.done(&["ACL", "SETUSER", "held", "+publish"]);
        self.0.wait_up().await;
    }
}

/// What whoever comes back with this number is told.
fn told(past: &Past, number: usize) -> Option<Vec<usize>> {
    let at = numbers(&past.events).iter().position(|of| *of == number);
    past.behind(at.expect("it is kept")).map(numbers)
}

/// Whoever comes back to a node with this number, the last, is told that it has all, once the node has heard all.
async fn all_is_told(node: &Node, number: usize) {
    let is_told = async { while told(&node.past("x").await, number) != Some(vec![]) {} };
    let in_time = tokio::time::timeout(PATIENCE, is_told).await;
    in_time.expect("it hears all");
}

/// What a node has kept, and could not publish, comes from the past before what follows it, and not again.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn what_is_held_up_is_taken_from_the_past() {
    let (redis, nodes, held) = HeldUp::beside_two().await;
    held.keep(1, KEEP).await;
    nodes[0].keep_confirmed("x", 2).await;
    for node in &nodes {
        let got = node.wait_for("x", 3).await;
        assert_eq!(numbers(&got), [0, 1, 2]);
        assert!(got.is_sorted_by_key(place));
        // Whether clients of its node had it before it had a place is not known as long as that does not tell.
        let past = node.past("x").await;
        assert_eq!(told(&past, 1), None);
        assert_eq!(told(&past, 0), Some(vec![1, 2]));
        assert_eq!(told(&past, 2), Some(vec![]));
    }
    held.go_on(&redis).await;
    held.0
        .keeper
        .keep(event("x", 3), KEEP)
        .confirmed(PATIENCE)
        .await;
    for node in &nodes {
        assert_eq!(numbers(&node.wait_for("x", 4).await), [0, 1, 2, 3]);
        assert_eq!(told(&node.past("x").await, 1), Some(vec![2, 3]));
        assert!(node.ledger.lost.lock().is_empty());
    }
    // It began behind the first.
    assert_eq!(numbers(&held.0.wait_for("x", 3).await), [1, 2, 3]);
}

/// Whoever reads a past is told what it has, so those who are there already are given that.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn what_somebody_has_read_is_given_to_those_who_are_there() {
    let (redis, [one, two], held) = HeldUp::beside_two().await;
    held.keep(1, KEEP).await;
    assert_eq!(numbers(&two.past("x").await.events), [0, 1]);
    assert_eq!(numbers(&two.wait_for("x", 2).await), [0, 1]);
    held.go_on(&redis).await;
    one.keep_confirmed("x", 2).await;
    for node in [&one, &two] {
        assert_eq!(numbers(&node.wait_for("x", 3).await), [0, 1, 2]);
    }
}

/// What the past does not have any more is passed over, and whoever would be given what follows is told first.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn what_the_past_does_not_have_any_more_is_told_before_what_follows() {
    let redis = Redis::start(&[]);
    let [one, two] = two(&redis.url()).await;
    let short = Keep { events: 2, ..KEEP };
    let keep = async |number| {
        let kept = one.keeper.keep(event("x", number), short);
        assert!(kept.confirmed(PATIENCE).await);
    };
    keep(0).await;
    two.wait_for("x", 1).await;
    let held = HeldUp::start(&redis).await;
    held.keep(1, short).await;
    for number in 2..5 {
        keep(number).await;
    }
    for node in [&one, &two] {
        assert_eq!(numbers(&node.wait_for("x", 4).await), [0, 2, 3, 4]);
        let lost = node.ledger.lost.lock().clone();
        assert_eq!(lost, [Lost::Channels(vec![channel("x")])]);
    }
    held.go_on(&redis).await;
    for node in [&one, &two] {
        assert_eq!(
            numbers(&node.wait_for("x", 5).await),
            [0, 2, 3, 4, 1],
            "late, and not left out"
        );
    }
}

/// Redis has kept what a node took, and the node does not hear so: its clients have had it early, and nobody can tell yet
/// what they had before.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn who_had_early_what_redis_had_kept_is_not_told_that_it_has_all() {
    let redis = Redis::start(&[]);
    let (proxy, [one, two]) = two_with_a_proxy(&redis).await;
    one.keep_confirmed("x", 0).await;
    two.wait_for("x", 1).await;
    proxy.swallow_answers(true);
    two.keep_confirmed("x", 1).await;
    one.keep("x", 2);
    assert_eq!(numbers(&one.wait_for("x", 2).await), [0, 2]);
    let past = two.past("x").await;
    assert_eq!(numbers(&past.events), [0, 1, 2]);
    assert_eq!(told(&past, 2), None, "clients of the other node lack one");
    assert_eq!(told(&past, 1), Some(vec![2]));
    assert_eq!(numbers(&two.wait_for("x", 3).await), [0, 1, 2]);
    proxy.swallow_answers(false);
    assert_eq!(numbers(&one.wait_for("x", 3).await), [0, 2, 1]);
    until("nothing waits", || one.broker.health().waiting == 0).await;
    one.keep_confirmed("x", 3).await;
    for node in [&one, &two] {
        assert_eq!(node.wait_for("x", 4).await.len(), 4, "each once");
        all_is_told(node, 3).await;
        let past = node.past("x").await;
        let kept: Vec<Event> = past.events.clone();
        assert_eq!(numbers(&kept), [0, 1, 2, 3], "{past:?}");
        assert_eq!(told(&past, 2), None);
    }
}

/// What Redis loses that its node has yet to publish: other nodes have what followed, and nobody is told that it has all who
/// does not have both.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn who_has_what_followed_something_lost_that_is_still_to_come_is_told_so() {
    let (redis, [one, two], held) = HeldUp::beside_two().await;
    held.keep(1, KEEP).await;
    redis.done(&["FLUSHALL"]);
    one.keep_confirmed("x", 2).await;
    for node in [&one, &two] {
        assert_eq!(numbers(&node.wait_for("x", 2).await), [0, 2]);
    }
    // Its clients have had 1.
    assert_eq!(told(&held.0.past("x").await, 2), None);
    held.go_on(&redis).await;
    assert_eq!(numbers(&held.0.wait_for("x", 2).await), [1, 2]);
    for node in [&one, &two] {
        assert_eq!(
            numbers(&node.wait_for("x", 3).await),
            [0, 2, 1],
            "late, and not left out"
        );
    }
    for node in [&one, &two, &held.0] {
        assert_eq!(told(&node.past("x").await, 2), None);
    }
    one.keep_confirmed("x", 3).await;
    for node in [&one, &two, &held.0] {
        all_is_told(node, 3).await;
    }
}

/// Redis loses all, and then something is kept: whoever had nothing before, and comes to a node that knows of nothing, is not
/// told that this is all.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn what_is_kept_first_after_all_was_lost_is_not_the_first() {
    let redis = Redis::start(&[]);
    let node = Node::up(&redis.url()).await;
    node.keep_confirmed("x", 0).await;
    node.wait_for("x", 1).await;
    let all_from_the_first = |past: &Past| {
        let nothing = Place {
            number: 0,
            ..past.newest.expect("something is kept")
        };
        past.after(nothing).map(numbers)
    };
    assert_eq!(all_from_the_first(&node.past("x").await), Some(vec![0]));
    redis.done(&["FLUSHALL"]);
    node.keep_confirmed("x", 1).await;
    node.wait_for("x", 2).await;
    let late = Node::up(&redis.url()).await;
    let sure = async {
        loop {
            let past = late.past("x").await;
            if !past.is_unsure {
                return past;
            }
        }
    };
    let past = tokio::time::timeout(PATIENCE, sure).await;
    let past = past.expect("it hears all");
    assert_eq!(numbers(&past.events), [1]);
    assert_eq!(all_from_the_first(&past), None);
}

/// The same of what somebody had read before it was lost: its node gives nothing that followed before it has heard of it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn what_was_read_and_is_lost_is_waited_for() {
    let (redis, [one, two], held) = HeldUp::beside_two().await;
    held.keep(1, KEEP).await;
    assert_eq!(numbers(&two.past("x").await.events), [0, 1]);
    two.wait_for("x", 2).await;
    redis.done(&["FLUSHALL"]);
    one.keep_confirmed("x", 2).await;
    assert_eq!(numbers(&one.wait_for("x", 2).await), [0, 2]);
    assert_eq!(told(&two.past("x").await, 2), None);
    held.go_on(&redis).await;
    assert_eq!(numbers(&two.wait_for("x", 3).await), [0, 1, 2]);
    assert_eq!(numbers(&one.wait_for("x", 3).await), [0, 2, 1]);
}

/// The same, and the node cannot ask again for so long that it gives the event up, while another Redis carries: the others have
/// it without a place, and then find it in the past.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn what_was_given_up_and_is_in_the_past_all_the_same_is_given_once() {
    let (redis, other) = (Redis::start(&[]), Redis::start(&[]));
    let proxy = Blackhole::start(redis.port).await;
    let of_the_first = |name: &String| {
        let partition = partition::of(&channel(name), PARTITIONS);
        partition::shard(partition, 2) == 0
    };
    let names = (0..).map(|number: usize| number.to_string());
    let name = names.into_iter().find(of_the_first).unwrap();
    let [one, two] = [
        Node::up(&format!("redis://127.0.0.1:{},{}", proxy.port, other.url())).await,
        Node::up(&format!("{},{}", redis.url(), other.url())).await,
    ];
    one.keep_confirmed(&name, 0).await;
    two.wait_for(&name, 1).await;
    proxy.swallow_answers(true);
    one.keep(&name, 1);
    let got = two.wait_for(&name, 2).await;
    assert_eq!(got[1].kept, Kept::Missed);
    proxy.swallow_answers(false);
    one.wait_up().await;
    two.keep_confirmed(&name, 2).await;
    assert_eq!(numbers(&two.past(&name).await.events), [0, 1, 2]);
    one.keep_confirmed(&name, 3).await;
    for node in [&one, &two] {
        let got = numbers(&node.wait_for(&name, 4).await);
        assert_eq!(got, [0, 1, 2, 3]);
    }
}
