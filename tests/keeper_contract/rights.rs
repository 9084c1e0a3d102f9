//! The line of the manual is all that keeping needs, and it needs all of it.

use std::time::Duration;

use foghorn::event::{Event, Kept};

use super::node::until;
use super::servers::Redis;
use super::site::{KEEP, Node, PATIENCE, channel, event, who};

/// The rights that the manual adds for dialects that keep something.
fn rights() -> Vec<&'static str> {
    let page = include_str!("../../docs/INSTALL.md");
    let line = page
        .lines()
        .find_map(|line| line.trim().strip_prefix("ACL SETUSER foghorn ~foghorn* "));
    line.expect("the page has the line").split(' ').collect()
}

fn allow(redis: &Redis, keys: &str, rights: &[&str]) {
    let carries =
        "+publish +spublish +subscribe +ssubscribe +unsubscribe +sunsubscribe +ping +hello +auth";
    let carries: Vec<&str> = carries.split(' ').collect();
    let head = [
        "ACL",
        "SETUSER",
        "node",
        "reset",
        "on",
        ">s3cret",
        "&foghorn*",
        keys,
    ];
    redis.done(&[&head[..], &carries, rights].concat());
}

/// Whether everything works that is done with a channel.
async fn all_works(node: &Node, name: &str) -> bool {
    // Two channels of one partition must not have one key.
    let key = Some(
        name.bytes()
            .fold(1, |key, byte| key * 31 % 1_000_003 + u64::from(byte)),
    );
    let posted = Event {
        idempotency_key: key,
        ..event(name, 0)
    };
    for posted in [posted.clone(), posted, event(name, 1)] {
        assert!(
            node.keeper.keep(posted, KEEP).confirmed(PATIENCE).await,
            "it is published all the same"
        );
    }
    let kept = node
        .wait_for(name, 2)
        .await
        .iter()
        .all(|event| matches!(event.kept, Kept::At(_)));
    let present = async || {
        let here = node.keeper.present(&channel(name)).await;
        here.map(|here| {
            here.iter()
                .map(|(id, _)| id.to_string())
                .collect::<Vec<_>>()
        })
    };
    let here = node
        .keeper
        .enter(&channel(name), "me", who("I"), Duration::from_secs(60));
    let entered = present().await.is_ok_and(|here| here == ["me"]);
    drop(here);
    let left = present().await.is_ok_and(|here| here.is_empty());
    kept && entered
        && left
        && node
            .keeper
            .past(&channel(name))
            .await
            .is_ok_and(|past| past.events.len() == 2)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn each_right_for_keeping_is_needed_and_no_other() {
    let redis = Redis::start(&[]);
    let all = rights();
    allow(&redis, "~foghorn*", &all);
    let node = Node::up(&format!("redis://node:s3cret@127.0.0.1:{}", redis.port)).await;
    assert!(all_works(&node, "all").await, "{all:?} are not enough");
    drop(
        tokio::time::timeout(PATIENCE, node.keeper.only_one("x"))
            .await
            .expect("the line is enough for a lease"),
    );
    allow(&redis, "~foghorn*", &[&all[..], &["~list"]].concat());
    redis.cli(&["RPUSH", "list", "1"]);
    let mut queue = node.keeper.queues("list").remove(0);
    let taken = tokio::time::timeout(PATIENCE, queue.next())
        .await
        .expect("the line is enough for a list");
    assert!(queue.done(taken.len()).await.unwrap());
    // A turn that is given up is the next one's at once, not when it has run out.
    redis.cli(&["RPUSH", "list", "2"]);
    drop(queue);
    until("the line is enough to give a turn up", || {
        let turn = ["--raw", "HGET", "foghorn:{list}:turn:list", "until"];
        redis.cli(&turn).trim() == "0"
    })
    .await;
    let next = async { node.keeper.queues("list").remove(0).next().await };
    tokio::time::timeout(PATIENCE, next)
        .await
        .expect("the line is enough for the next one");
    for right in &all {
        let others: Vec<&str> = all.iter().copied().filter(|other| other != right).collect();
        allow(&redis, "~foghorn*", &others);
        let works = all_works(&node, &format!("without {right}")).await;
        // These are for leases and lists.
        if ["+expire", "+llen", "+lmove"].contains(right) {
            let queue = async { node.keeper.queues("foghorn-list").remove(0).next().await };
            redis.cli(&["RPUSH", "foghorn-list", "1"]);
            let taken = tokio::time::timeout(Duration::from_millis(1_500), queue).await;
            assert!(works && taken.is_err(), "{right} is not needed");
        } else {
            assert!(!works, "{right} is not needed");
        }
    }
    allow(&redis, "~other*", &all);
    assert!(!all_works(&node, "other").await, "the keys are not needed");
}
