//! Several nodes: nothing of a channel's history is lost or given twice when a page goes from a node that ends to another, and
//! who is there is known everywhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::common::cluster::Cluster;
use crate::common::eventually;
use crate::common::node::Plan;
use crate::common::redis::Redis;
use crate::common::wire::{Flow, Wire};
use crate::site::{Page, call, plan};

fn config() -> Value {
    let channel = json!({"name": "all", "presence": true, "join_leave": true, "history_size": 2000,
        "history_lifetime": 60, "recover": true});
    json!({"secret": "secret", "insecure": true, "namespaces": [channel]})
}

/// Publishes numbers one after another at the node of `port`.
async fn publish(port: u16, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let answer = call(port, "publish", json!({"channel": "all:x", "data": number})).await;
        assert_eq!(answer["error"], json!(null), "{answer}");
    }
}

fn numbers(messages: &Value) -> Vec<u64> {
    messages
        .as_array()
        .expect("messages")
        .iter()
        .rev()
        .map(|message| message["data"].as_u64().expect("a number"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis"]
async fn a_page_whose_node_ends_is_told_to_come_back_and_recovers_every_message_once_and_in_order()
{
    let cluster = Cluster {
        redis: vec![Redis::start().await],
        nodes: Vec::new(),
    };
    let quick = |plan: Plan| {
        plan.env("FOGHORN_SETTLE_SECONDS", "0")
            .env("FOGHORN_DRAIN_SECONDS", "1")
    };
    let mut first = plan(quick(cluster.member(Plan::new())), &config())
        .start()
        .await;
    let second = plan(quick(cluster.member(Plan::new())), &config())
        .start()
        .await;
    let mut page = Page::connect(first.port(), "42").await;
    page.ask("subscribe", json!({"channel": "all:x"})).await;
    let (port, talk) = (second.port(), tokio::spawn(publish(second.port(), 0..120)));
    let (mut had, mut last) = (Vec::new(), String::new());
    while had.len() < 20 {
        note(&page.next().await.expect("a message"), &mut had, &mut last);
    }
    first.process().signal("TERM");
    let goodbye = loop {
        match page.next().await {
            Ok(said) => note(&said, &mut had, &mut last),
            Err(reason) => break reason,
        }
    };
    assert_eq!(goodbye, r#"{"reason":"shutting down","reconnect":true}"#);
    let mut page = Page::connect(port, "42").await;
    let back = page
        .ask(
            "subscribe",
            json!({"channel": "all:x", "recover": true, "last": last}),
        )
        .await;
    assert_eq!(back["recovered"], true);
    had.extend(numbers(&back["messages"]));
    while had.last() != Some(&119) {
        note(&page.next().await.expect("a message"), &mut had, &mut last);
    }
    talk.await.expect("all are published");
    assert_eq!(had, (0..120).collect::<Vec<_>>());
}

/// A page subscribes to all it had in one message, and is answered when the last is done.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis"]
async fn what_comes_while_a_batch_is_done_follows_its_answers() {
    let redis = Redis::start().await;
    let wire = Wire::to(redis.port()).await;
    let at = |url: &str| plan(Plan::new().redis([url]), &config());
    let (near, far) = (
        at(&redis.url()).start().await,
        at(&format!("redis://127.0.0.1:{}", wire.port()))
            .start()
            .await,
    );
    let mut page = Page::connect(far.port(), "42").await;
    publish(near.port(), 0..5).await;
    // Every step of the page's node takes a while from now on.
    wire.flow(Flow::Slow(1 << 20), Flow::Slow(1 << 20));
    let (port, answered) = (near.port(), Arc::new(AtomicBool::new(false)));
    let until = Arc::clone(&answered);
    let talk = tokio::spawn(async move {
        let mut next = 5;
        // One comes when the batch is answered, at least; and no more than a past has room for.
        loop {
            let last = until.load(Ordering::Acquire) || next == 1_500;
            publish(port, next..next + 1).await;
            next += 1;
            if last {
                return next;
            }
        }
    });
    let channel = |n: usize| {
        if n == 0 {
            "all:x".to_owned()
        } else {
            format!("all:{n}")
        }
    };
    let subscribe = |n: usize| json!({"channel": channel(n), "recover": true, "last": ""});
    let one =
        |n: usize| json!({"uid": n.to_string(), "method": "subscribe", "params": subscribe(n)});
    page.say_all(&(0..10).map(one).collect::<Vec<_>>()).await;
    let answers = page.next().await.expect("the answers");
    assert!(
        answers.is_array(),
        "this came before the answers: {answers}"
    );
    answered.store(true, Ordering::Release);
    let end = talk.await.expect("all are published");
    let (mut had, mut last) = (numbers(&answers[0]["body"]["messages"]), String::new());
    while had.len() < end as usize {
        note(&page.next().await.expect("a message"), &mut had, &mut last);
    }
    assert_eq!(had, (0..end).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis"]
async fn what_redis_could_not_keep_at_once_is_kept_later_and_what_it_lost_is_told() {
    let mut cluster = Cluster {
        redis: vec![Redis::start().await],
        nodes: Vec::new(),
    };
    let node = plan(cluster.member(Plan::new()), &config()).start().await;
    let mut page = Page::connect(node.port(), "42").await;
    page.ask("subscribe", json!({"channel": "all:x"})).await;
    let (mut had, mut last) = (Vec::new(), String::new());
    publish(node.port(), 0..1).await;
    while had.is_empty() {
        note(&page.next().await.expect("a message"), &mut had, &mut last);
    }
    cluster.redis[0].pause();
    let late = tokio::spawn(publish(node.port(), 1..2));
    let kept_last = last.clone();
    while had.len() < 2 {
        note(
            &page.next().await.expect("it is delivered all the same"),
            &mut had,
            &mut last,
        );
    }
    cluster.redis[0].resume();
    late.await.expect("it is answered");
    let history = async || {
        call(node.port(), "history", json!({"channel": "all:x"})).await["body"]["data"].clone()
    };
    let answers = || async { history().await.is_array().then_some(()) };
    eventually("history", answers).await;
    publish(node.port(), 2..3).await;
    let told = async |last: &str| {
        let mut back = Page::connect(node.port(), "43").await;
        let asked = json!({"channel": "all:x", "recover": true, "last": last});
        let told = back.ask("subscribe", asked).await;
        (told["recovered"].clone(), numbers(&told["messages"]))
    };
    assert_eq!(told(&kept_last).await, (json!(true), vec![1, 2]));
    assert_eq!(
        told(&last).await,
        (json!(true), vec![2]),
        "it had the last one before it was kept"
    );
    // What is kept again is behind a hole.
    cluster.redis[0].kill();
    cluster.redis[0].restart().await;
    eventually("history", answers).await;
    publish(node.port(), 3..4).await;
    assert_eq!(told(&kept_last).await, (json!(false), vec![3]));
}

/// One node's message is kept and held up, others follow, and the history is too short for all: whoever was there is closed
/// before it is given what follows, so that coming back tells it that something is missing.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis"]
async fn a_page_that_would_be_given_what_follows_a_missing_message_comes_back_instead() {
    let user = "held on >s3cret ~* &* +@all";
    let redis =
        Redis::with(&[&["--user"], &user.split(' ').collect::<Vec<_>>()[..]].concat()).await;
    let short = json!({"name": "all", "history_size": 2, "history_lifetime": 60, "recover": true});
    let config = json!({"secret": "secret", "insecure": true, "namespaces": [short]});
    let at = |url: &str| plan(Plan::new().redis([url]), &config);
    let held_url = redis.url().replace("//", "//held:s3cret@");
    let (near, held) = (at(&redis.url()).start().await, at(&held_url).start().await);
    let mut page = Page::connect(near.port(), "42").await;
    page.ask("subscribe", json!({"channel": "all:x"})).await;
    publish(near.port(), 0..1).await;
    let (mut had, mut last) = (Vec::new(), String::new());
    note(&page.next().await.expect("a message"), &mut had, &mut last);
    redis.command(&["ACL", "SETUSER", "held", "-publish"]).await;
    publish(held.port(), 1..2).await;
    publish(near.port(), 2..5).await;
    let goodbye = loop {
        match page.next().await {
            Ok(said) => note(&said, &mut had, &mut last),
            Err(reason) => break reason,
        }
    };
    assert_eq!(
        goodbye,
        r#"{"reason":"internal server error","reconnect":true}"#
    );
    assert_eq!(had, [0]);
    let mut page = Page::connect(near.port(), "42").await;
    let asked = json!({"channel": "all:x", "recover": true, "last": last});
    let back = page.ask("subscribe", asked).await;
    assert_eq!(
        (&back["recovered"], numbers(&back["messages"])),
        (&json!(false), vec![3, 4])
    );
}

#[tokio::test]
async fn a_page_that_does_not_read_is_cut_at_its_bound() {
    let config = json!({"secret": "secret", "insecure": true, "client_queue_max_size": 100_000});
    let node = plan(Plan::new(), &config).start().await;
    let mut page = Page::connect(node.port(), "42").await;
    page.ask("subscribe", json!({"channel": "news"})).await;
    let data = "x".repeat(50_000);
    eventually("it is cut", || async {
        for _ in 0..50 {
            call(
                node.port(),
                "publish",
                json!({"channel": "news", "data": data}),
            )
            .await;
            let waits = node.metric("foghorn_outbox_bytes", "").await;
            assert!(waits <= 110_000.0, "{waits} bytes wait for a client");
        }
        let cut = node
            .metric("foghorn_closes_total", "reason=\"overflow\"")
            .await;
        (cut > 0.0).then_some(())
    })
    .await;
}

/// Notes a message's number and id.
fn note(said: &Value, had: &mut Vec<u64>, last: &mut String) {
    if said["method"] == "message" {
        had.push(said["body"]["data"].as_u64().expect("a number"));
        *last = said["body"]["uid"].as_str().expect("an id").to_owned();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis"]
async fn who_is_where_is_known_on_all_nodes_and_whom_a_backend_disconnects_is_gone_from_all() {
    let cluster = Cluster {
        redis: vec![Redis::start().await],
        nodes: Vec::new(),
    };
    let first = plan(cluster.member(Plan::new()), &config()).start().await;
    let second = plan(cluster.member(Plan::new()), &config()).start().await;
    let mut pages = Vec::new();
    for node in [&first, &second] {
        let mut page = Page::connect(node.port(), "42").await;
        page.ask("subscribe", json!({"channel": "all:x"})).await;
        pages.push(page);
    }
    let there = async |port| {
        call(port, "presence", json!({"channel": "all:x"})).await["body"]["data"]
            .as_object()
            .map(|all| all.len())
    };
    eventually("both are seen", || async {
        (there(first.port()).await == Some(2)).then_some(())
    })
    .await;
    // A node that does not answer in time is left out, so these are asked for until both have.
    eventually("the channel", || async {
        let channels = call(second.port(), "channels", json!({})).await;
        (channels["body"]["data"] == json!(["all:x"])).then_some(())
    })
    .await;
    let stats = eventually("both nodes' figures", || async {
        let stats = call(first.port(), "stats", json!({})).await;
        (stats["body"]["data"]["nodes"].as_array().map(Vec::len) == Some(2)).then_some(stats)
    })
    .await;
    assert_eq!(
        stats["body"]["data"]["nodes"][0]["metrics"]["node_num_clients"],
        1
    );
    call(first.port(), "disconnect", json!({"user": "42"})).await;
    for mut page in pages {
        let reason = loop {
            if let Err(reason) = page.next().await {
                break reason;
            }
        };
        assert_eq!(reason, r#"{"reason":"disconnect","reconnect":false}"#);
    }
    eventually("nobody is there", || async {
        (there(second.port()).await == Some(0)).then_some(())
    })
    .await;
}
