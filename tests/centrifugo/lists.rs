//! Lists in Redis that backends push commands to: in order, by one node at a time, and nothing taken is lost by a node that
//! dies over it.

use std::ops::Range;

use serde_json::{Value, json};

use crate::common::cluster::Cluster;
use crate::common::eventually;
use crate::common::node::Plan;
use crate::common::redis::Redis;
use crate::site::{Page, call, plan};

const LIST: &str = "old.api.0";
/// Where what a node took stays until it is done.
const TAKEN: &str = "foghorn:{old.api.0}:taken:old.api.0";

fn config() -> Value {
    json!({"secret": "secret", "insecure": true, "redis_api": true, "redis_api_num_shards": 1, "redis_prefix": "old",
        "history_size": 2000, "history_lifetime": 600})
}

/// The data of the channel's messages, the oldest first.
async fn history(port: u16) -> Vec<u64> {
    let answer = call(port, "history", json!({"channel": "news"})).await;
    let messages = answer["body"]["data"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    messages
        .iter()
        .rev()
        .map(|message| message["data"].as_u64().expect("a number"))
        .collect()
}

fn publish(number: u64) -> String {
    json!({"method": "publish", "params": {"channel": "news", "data": number}}).to_string()
}

/// Pushes commands that publish these numbers, all at once.
async fn push(redis: &Redis, list: &str, numbers: Range<u64>) {
    let commands: Vec<String> = numbers.map(publish).collect();
    let words = ["RPUSH", list].into_iter();
    let words: Vec<&str> = words.chain(commands.iter().map(String::as_str)).collect();
    redis.command(&words).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis"]
async fn a_node_that_dies_over_a_list_leaves_what_it_took_to_the_next_one() {
    let cluster = Cluster {
        redis: vec![Redis::start().await],
        nodes: Vec::new(),
    };
    let redis = &cluster.redis[0];
    let user = ["ACL", "SETUSER", "first"];
    redis
        .command(&[&user[..], &["on", ">s3cret", "~*", "&*", "+@all"]].concat())
        .await;
    let url = format!("redis://first:s3cret@127.0.0.1:{}", redis.port());
    let mut first = plan(Plan::new().redis([url.as_str()]), &config())
        .start()
        .await;
    push(redis, LIST, 0..50).await;
    eventually("the first ones", || async {
        (history(first.port()).await.len() == 50).then_some(())
    })
    .await;
    // It is the first one's turn, so this one waits.
    let second = plan(cluster.member(Plan::new()), &config()).start().await;
    // From now on the first one takes, and cannot give what it took to the broker.
    redis
        .command(&[&user[..], &["-publish", "-spublish"]].concat())
        .await;
    push(redis, LIST, 50..100).await;
    eventually("they are taken, and not done", || async {
        let left = redis.command(&["LLEN", LIST]).await;
        let taken = redis.command(&["LLEN", TAKEN]).await;
        (left == ":0\r\n" && taken == ":50\r\n").then_some(())
    })
    .await;
    push(redis, LIST, 100..150).await;
    first.process().signal("KILL");
    let all = eventually("all of them", || async {
        let had = history(second.port()).await;
        (had.last() == Some(&149)).then_some(had)
    })
    .await;
    // What was done and not noted is done again, in order; nothing is left out.
    let mut once = all.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once, (0..150).collect::<Vec<_>>(), "{all:?}");
    let backwards = all.windows(2).filter(|pair| pair[1] < pair[0]).count();
    assert!(backwards <= 1, "{all:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis"]
async fn what_a_living_node_has_done_it_does_not_do_again_when_redis_comes_back() {
    let cluster = Cluster {
        redis: vec![Redis::start().await],
        nodes: Vec::new(),
    };
    // What is not kept is delivered all the same, so it is the deliveries that tell.
    let config = json!({"secret": "secret", "insecure": true, "redis_api": true, "redis_prefix": "old",
        "ping_interval": 600});
    let node = plan(cluster.member(Plan::new()), &config).start().await;
    let mut page = Page::connect(node.port(), "42").await;
    page.ask("subscribe", json!({"channel": "news"})).await;
    let mut number = 0;
    let mut heard = async |page: &mut Page| {
        let data = &page.next().await.expect("a message")["body"]["data"];
        assert_eq!(*data, number);
        number += 1;
        number
    };
    // More than are taken at once.
    for end in [200, 400, 600] {
        push(&cluster.redis[0], "old.api", end - 200..end).await;
        // It stands still while the list is worked at.
        heard(&mut page).await;
        cluster.redis[0].pause();
        node.emptied("foghorn_redis_up", "").await;
        cluster.redis[0].resume();
        node.counted("foghorn_redis_up", "", 1.0).await;
        while heard(&mut page).await < end {}
    }
    push(&cluster.redis[0], "old.api", 600..601).await;
    assert_eq!(heard(&mut page).await, 601);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis"]
async fn elements_of_the_older_form_are_taken_and_what_is_no_command_for_lists_is_passed_over() {
    let cluster = Cluster {
        redis: vec![Redis::start().await],
        nodes: Vec::new(),
    };
    let node = plan(cluster.member(Plan::new()), &config()).start().await;
    let mut page = Page::connect(node.port(), "42").await;
    page.ask("subscribe", json!({"channel": "news"})).await;
    let older = format!(
        r#"{{"data":[{},{},{}]}}"#,
        publish(1),
        r#"{"method":"stats"}"#,
        publish(2)
    );
    let list = format!("[{}]", publish(7));
    for element in [
        "\"x\"",
        &older,
        r#"{"method":"history","params":{"channel":"news"}}"#,
        &list,
        &publish(3),
    ] {
        cluster.redis[0]
            .command(&["RPUSH", "old.api", element])
            .await;
    }
    for number in 1..=3 {
        assert_eq!(
            page.next().await.expect("a message")["body"]["data"],
            number
        );
    }
    assert_eq!(
        node.metric("foghorn_centrifugo_api_refused_total", "reason=\"list\"")
            .await,
        4.0
    );
    node.counted("foghorn_events_accepted_total", "", 3.0).await;
}

/// More channels than go to the broker at once, and one that there cannot be.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis"]
async fn a_broadcast_goes_once_to_each_channel_up_to_the_first_that_cannot_have_it() {
    let cluster = Cluster {
        redis: vec![Redis::start().await],
        nodes: Vec::new(),
    };
    let node = plan(cluster.member(Plan::new()), &config()).start().await;
    let (first, last) = ("c0", "c99");
    let mut pages = Vec::new();
    for channel in [first, last] {
        let mut page = Page::connect(node.port(), "42").await;
        page.ask("subscribe", json!({"channel": channel})).await;
        pages.push(page);
    }
    let all: Vec<String> = (0..100).map(|n| format!("c{n}")).collect();
    let broken = [first, "nowhere:x", last].map(str::to_owned);
    let ends = [first, last].map(str::to_owned);
    let broadcasts: [&[String]; 3] = [&all, &broken, &ends];
    for (number, channels) in broadcasts.iter().enumerate() {
        let params = json!({"channels": channels, "data": number});
        let command = json!({"method": "broadcast", "params": params}).to_string();
        let words = ["RPUSH", "old.api", command.as_str()];
        cluster.redis[0].command(&words).await;
    }
    for (page, numbers) in pages.iter_mut().zip([&[0, 1, 2][..], &[0, 2]]) {
        for number in numbers {
            let message = page.next().await.expect("a message");
            assert_eq!(message["body"]["data"], *number, "{message}");
        }
    }
    // Each counts once, when it is with the broker.
    node.counted("foghorn_events_accepted_total", "", 103.0)
        .await;
    let accepted = node.metric("foghorn_events_accepted_total", "").await;
    assert_eq!(accepted, 103.0);
}

#[tokio::test]
async fn a_node_without_redis_does_not_start_where_lists_are_to_be_taken_from() {
    let (_, told) = plan(Plan::new(), &config()).refused().await;
    assert!(told.contains("redis_api: there is no Redis"), "{told}");
}
