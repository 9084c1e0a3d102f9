//! Lists that other programs push to: each command is done at least once and in order, by one node at a time, also when the
//! node that took it dies over it.

use bytes::Bytes;
use foghorn::broker::redis::Queue;

use super::layouts::Cluster;
use super::servers::Redis;
use super::site::{Node, PATIENCE};

async fn next(queue: &mut Queue) -> Vec<Bytes> {
    tokio::time::timeout(PATIENCE, queue.next())
        .await
        .expect("there is something")
}

fn numbers(commands: &[Bytes]) -> Vec<usize> {
    commands
        .iter()
        .map(|command| std::str::from_utf8(command).unwrap().parse().unwrap())
        .collect()
}

fn push(redis: &Redis, list: &str, numbers: std::ops::Range<usize>) {
    let numbers: Vec<String> = numbers.map(|number| number.to_string()).collect();
    let words: Vec<&str> = ["-c", "RPUSH", list]
        .into_iter()
        .chain(numbers.iter().map(String::as_str))
        .collect();
    redis.cli(&words);
}

async fn nothing_taken_is_lost(urls: &str, redis: &Redis) {
    let (one, two) = (Node::up(urls).await, Node::up(urls).await);
    let mut first = one.keeper.queues("centrifugo.api").remove(0);
    push(redis, "centrifugo.api", 0..5);
    let taken = next(&mut first).await;
    assert_eq!(numbers(&taken), [0, 1, 2, 3, 4]);
    assert!(first.done(2).await.unwrap());
    // It is one node's turn: the other waits.
    let mut second = two.keeper.queues("centrifugo.api").remove(0);
    let other = tokio::spawn(async move {
        let taken = next(&mut second).await;
        (second, taken)
    });
    let again = next(&mut first).await;
    assert_eq!(numbers(&again), [2, 3, 4], "what is not done comes again");
    push(redis, "centrifugo.api", 5..300);
    assert!(!other.is_finished());
    // The node dies over it.
    std::mem::forget(first);
    one.die().await;
    let (mut second, taken) = tokio::time::timeout(PATIENCE, other)
        .await
        .expect("its turn comes")
        .unwrap();
    assert_eq!(numbers(&taken), [2, 3, 4]);
    assert!(second.done(3).await.unwrap());
    let mut all = Vec::new();
    while all.len() < 295 {
        let taken = next(&mut second).await;
        all.extend(numbers(&taken));
        assert!(second.done(taken.len()).await.unwrap());
    }
    assert_eq!(all, (5..300).collect::<Vec<_>>());
    // Given up, it is the next one's turn at once.
    let three = Node::up(urls).await;
    drop(second);
    push(redis, "centrifugo.api", 300..301);
    assert_eq!(
        numbers(&next(&mut three.keeper.queues("centrifugo.api").remove(0)).await),
        [300]
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn nothing_taken_from_redis_is_lost() {
    let redis = Redis::start(&[]);
    nothing_taken_is_lost(&redis.url(), &redis).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn nothing_taken_from_a_cluster_is_lost() {
    let cluster = Cluster::start();
    nothing_taken_is_lost(&cluster.url(), &cluster.servers[0]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn each_shard_has_a_list_of_its_own() {
    let (left, right) = (Redis::start(&[]), Redis::start(&[]));
    let node = Node::up(&format!("{},{}", left.url(), right.url())).await;
    let mut queues = node.keeper.queues("{api}.0");
    push(&left, "{api}.0", 1..2);
    push(&right, "{api}.0", 2..3);
    assert_eq!(
        (queues.len(), numbers(&next(&mut queues[0]).await)),
        (2, vec![1])
    );
    assert_eq!(numbers(&next(&mut queues[1]).await), [2]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn a_list_outlives_its_redis_being_away() {
    let redis = Redis::start(&[]);
    let node = Node::up(&redis.url()).await;
    let mut queue = node.keeper.queues("list").remove(0);
    push(&redis, "list", 0..1);
    assert_eq!(numbers(&next(&mut queue).await), [0]);
    redis.signal("STOP");
    let error = queue.done(1).await.expect_err("nobody answers");
    assert!(["late", "away"].contains(&error.label()), "{error}");
    redis.signal("CONT");
    push(&redis, "list", 1..2);
    // It knows what it has done, whether Redis does or not.
    assert_eq!(numbers(&next(&mut queue).await), [1]);
    assert!(queue.done(1).await.unwrap());
    let kept = redis.cli(&["LLEN", "foghorn:{list}:taken:list"]);
    assert_eq!(kept.trim(), "0");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn large_elements_are_taken_a_few_at_a_time() {
    let redis = Redis::start(&[]);
    let node = Node::up(&redis.url()).await;
    let mut queue = node.keeper.queues("list").remove(0);
    let large = "x".repeat(90_000);
    for _ in 0..30 {
        redis.cli(&["RPUSH", "list", &large]);
    }
    let mut all = 0;
    while all < 30 {
        let taken = next(&mut queue).await;
        assert!(taken.len() <= 12, "{}", taken.len());
        all += taken.len();
        assert!(queue.done(taken.len()).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn a_turn_that_cannot_be_renewed_is_given_up() {
    let redis = Redis::start(&[]);
    let node = Node::up(&redis.url()).await;
    let mut queue = node.keeper.queues("list").remove(0);
    push(&redis, "list", 0..1);
    assert_eq!(numbers(&next(&mut queue).await), [0]);
    redis.signal("STOP");
    tokio::time::timeout(PATIENCE, queue.hold())
        .await
        .expect("it is not held for ever");
    redis.signal("CONT");
    // Nobody else had it, and nothing of it is done.
    assert_eq!(numbers(&next(&mut queue).await), [0]);
}

/// The time of a turn is over, as if its node had stood still for long.
fn over(redis: &Redis, list: &str) {
    redis.cli(&[
        "HSET",
        &format!("foghorn:{{{list}}}:turn:{list}"),
        "until",
        "0",
    ]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn what_another_node_took_meanwhile_is_not_touched_and_not_taken_for_done() {
    let redis = Redis::start(&[]);
    let (one, two) = (Node::up(&redis.url()).await, Node::up(&redis.url()).await);
    let mut first = one.keeper.queues("list").remove(0);
    let mut second = two.keeper.queues("list").remove(0);
    let left = || redis.cli(&["LLEN", "foghorn:{list}:taken:list"]);
    push(&redis, "list", 0..5);
    assert_eq!(numbers(&next(&mut first).await), [0, 1, 2, 3, 4]);
    over(&redis, "list");
    assert_eq!(numbers(&next(&mut second).await), [0, 1, 2, 3, 4]);
    // The first one has done them all, and comes too late to say so.
    assert!(!first.done(5).await.unwrap());
    assert_eq!(left().trim(), "5");
    // Nobody knows how far the second one came.
    over(&redis, "list");
    assert_eq!(numbers(&next(&mut first).await), [0, 1, 2, 3, 4]);
    // What goes by another name by now was taken since.
    redis.cli(&["HSET", "foghorn:{list}:turn:list", "name", "later"]);
    assert!(!first.done(5).await.unwrap());
    assert_eq!(left().trim(), "5");
}
