//! Several nodes over Redis: nodes that die, come back, or lose Redis.

use crate::common::cluster::Cluster;
use crate::common::node::Plan;
use crate::common::redis::Redis;
use crate::common::{eventually, http};
use crate::site::Inbox;
use crate::stream::{Stream, post};

async fn site(redis: usize, nodes: usize) -> (Cluster, Vec<Inbox>) {
    site_with(redis, nodes, &[]).await
}

async fn site_with(redis: usize, nodes: usize, settings: &[(&str, &str)]) -> (Cluster, Vec<Inbox>) {
    let mut cluster = Cluster {
        redis: Vec::new(),
        nodes: Vec::new(),
    };
    for _ in 0..redis {
        cluster.redis.push(Redis::start().await);
    }
    let mut all = Vec::new();
    for _ in 0..nodes {
        all.push(Inbox::from(cluster.member(Plan::new()), settings).await);
    }
    (cluster, all)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis"]
async fn a_page_whose_node_dies_misses_nothing_wherever_it_comes_back() {
    let (_cluster, mut nodes) = site(2, 3).await;
    let (mut page, _) = Stream::connect(nodes[0].port, "ann", "").await;
    post(nodes[1].port, "ann", "\"seen\"").await;
    let seen = page.block().await.expect("a block");
    nodes[0].process().kill();
    // Zero would say nothing. What is posted at several nodes has no order but that of its arrival.
    for n in 1..=20 {
        post(nodes[1 + n % 2].port, "ann", &n.to_string()).await;
    }
    let (mut back, _) = Stream::connect(nodes[2].port, "ann", &seen.id).await;
    let missed = back.data(20).await;
    for taken in 0..2 {
        let of_node = |data: &&String| data.parse::<usize>().expect("a number") % 2 == taken;
        let posted = (1..=20).filter(|n| n % 2 == taken).map(|n| n.to_string());
        assert!(
            missed.iter().filter(of_node).cloned().eq(posted),
            "{missed:?}"
        );
    }
    // The node that was dead tells the same, though it heard none of it.
    nodes[0].restart().await;
    let (mut again, _) = Stream::connect(nodes[0].port, "ann", &seen.id).await;
    assert_eq!(again.data(20).await, missed);
    post(nodes[0].port, "ann", "\"new\"").await;
    assert_eq!(
        (back.data(1).await, again.data(1).await),
        (vec!["\"new\"".to_owned()], vec!["\"new\"".to_owned()])
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis"]
async fn the_same_again_is_sent_once_at_whichever_node_and_twice_rather_than_never() {
    let (mut cluster, nodes) = site_with(1, 2, &[("FOGHORN_SSE_DEDUP_SECONDS", "3600")]).await;
    let (mut page, _) = Stream::connect(nodes[0].port, "ann", "").await;
    // What is posted at several nodes has no order but that of its arrival.
    for (first, second, data) in [(0, 1, "1"), (1, 0, "2")] {
        post(nodes[first].port, "ann", data).await;
        post(nodes[second].port, "ann", data).await;
        assert_eq!(page.data(1).await, [data]);
    }
    post(nodes[0].port, "ann", "3").await;
    assert_eq!(page.data(1).await, ["3"]);
    // What is known of it is gone with Redis.
    cluster.redis[0].kill();
    post(nodes[0].port, "ann", "3").await;
    assert_eq!(page.data(1).await, ["3"]);
}

/// Each of two posts may have claimed what the other is to send.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis"]
async fn the_same_at_two_nodes_at_once_is_sent_once_to_each_of_several() {
    let (_cluster, nodes) = site_with(2, 2, &[("FOGHORN_SSE_DEDUP_SECONDS", "3600")]).await;
    let (mut ann, _) = Stream::connect(nodes[0].port, "ann", "").await;
    let (mut bob, _) = Stream::connect(nodes[1].port, "bob", "").await;
    for round in 1..=10 {
        let post = async |at: usize, id: &str| {
            let body = format!(r#"{{"id":"{id}","data":{round}}}"#);
            let json = [("Content-Type", "application/json")];
            let (port, body) = (nodes[at].port, Some(body.as_bytes()));
            http::request(port, "POST", "/webNotification", &json, body)
                .await
                .status
        };
        let both = tokio::join!(
            post(0, "notify_ann;notify_bob"),
            post(1, "notify_bob;notify_ann")
        );
        assert_eq!(both, (200, 200));
        let had = (ann.data(1).await, bob.data(1).await);
        assert_eq!(had, (vec![round.to_string()], vec![round.to_string()]));
    }
}

/// A node that has died over a post has said to the others that it is about to send it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis"]
async fn what_a_node_died_over_is_sent_when_it_is_posted_again() {
    let (cluster, nodes) = site_with(1, 1, &[("FOGHORN_SSE_DEDUP_SECONDS", "3600")]).await;
    let (mut page, _) = Stream::connect(nodes[0].port, "ann", "").await;
    post(nodes[0].port, "ann", "1").await;
    assert_eq!(page.data(1).await, ["1"]);
    let redis = &cluster.redis[0];
    let keys = redis.command(&["KEYS", "*:said:*"]).await;
    let key = keys.lines().nth(2).expect("one key");
    assert_eq!(redis.command(&["GET", key]).await, "$4\r\nsaid\r\n");
    let claim = ["SET", key, "00000000000000000000000000000001", "PX", "2000"];
    assert_eq!(redis.command(&claim).await, "+OK\r\n");
    post(nodes[0].port, "ann", "1").await;
    assert_eq!(page.data(1).await, ["1"]);
    post(nodes[0].port, "ann", "1").await;
    post(nodes[0].port, "ann", "2").await;
    assert_eq!(page.data(1).await, ["2"]);
}

/// All of it together is more than may wait for Redis on its way into the past.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis"]
async fn a_large_notification_for_very_many_is_taken_whole() {
    let settings = [("FOGHORN_MAX_EVENT_BYTES", "256KiB")];
    let (_cluster, nodes) = site_with(1, 1, &settings).await;
    let (mut last, _) = Stream::connect(nodes[0].port, "699", "").await;
    let users: Vec<String> = (0..700).map(|n| format!("notify_{n}")).collect();
    let (users, data) = (users.join(";"), "x".repeat(100_000));
    let body = format!(r#"{{"id":"{users}","data":"{data}"}}"#);
    let json = [("Content-Type", "application/json")];
    let answer = http::request(
        nodes[0].port,
        "POST",
        "/webNotification",
        &json,
        Some(body.as_bytes()),
    );
    assert_eq!(answer.await.status, 200);
    assert_eq!(last.data(1).await, [format!("\"{data}\"")]);
    let accepted = nodes[0].metric("foghorn_events_accepted_total", "").await;
    assert_eq!(accepted, 700.0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis"]
async fn what_finds_no_room_is_refused_and_not_called_accepted() {
    let (mut cluster, nodes) = site_with(1, 1, &[("FOGHORN_WAITING_EVENTS", "2")]).await;
    cluster.redis[0].kill();
    let body = Some(br#"{"id":"notify_ann","data":1}"#.as_slice());
    let json = [("Content-Type", "application/json")];
    let refused = eventually("no room", || async {
        let answer = http::request(nodes[0].port, "POST", "/webNotification", &json, body).await;
        (answer.status == 503).then_some(answer)
    })
    .await;
    assert_eq!(refused.headers["retry-after"], "2");
    let accepted = nodes[0].metric("foghorn_events_accepted_total", "").await;
    assert!(accepted <= 3.0, "{accepted}");
    nodes[0]
        .counted("foghorn_events_refused_total", "reason=\"room\"", 1.0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis"]
async fn what_is_dropped_is_refused_and_pages_at_other_nodes_are_told_to_look() {
    let settings = [
        ("FOGHORN_WAITING_BYTES", "64KiB"),
        ("FOGHORN_MAX_EVENT_BYTES", "64KiB"),
        ("FOGHORN_RESYNC_WINDOW", "1"),
    ];
    let (mut cluster, nodes) = site_with(1, 2, &settings).await;
    let (mut page, _) = Stream::connect(nodes[1].port, "ann", "").await;
    cluster.redis[0].kill();
    let body = format!(r#"{{"id":"notify_ann","data":"{}"}}"#, "x".repeat(40_000));
    let json = [("Content-Type", "application/json")];
    eventually("no room", || async {
        let body = Some(body.as_bytes());
        let answer = http::request(nodes[0].port, "POST", "/webNotification", &json, body).await;
        (answer.status == 503).then_some(())
    })
    .await;
    cluster.redis[0].restart().await;
    while page.block().await.expect("a block").event != "resync" {}
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis"]
async fn without_redis_pages_that_come_back_are_told_to_wait_and_new_ones_are_served() {
    let (mut cluster, nodes) = site(1, 1).await;
    let node = &nodes[0];
    let (mut page, first) = Stream::connect(node.port, "ann", "").await;
    cluster.redis[0].kill();
    post(node.port, "ann", "1").await;
    let during = page.block().await.expect("a block");
    assert_eq!(during.data, "1", "its own pages get it at once");
    // A slow node may not know yet that Redis is away.
    let (told, mut waits) = eventually("a page that is told to wait", || async {
        let mut waits = Stream::open(node.port, "ann", &first.id).await;
        let told = waits.block().await?;
        told.event.is_empty().then_some((told, waits))
    })
    .await;
    assert!(
        (5_000..=15_000).contains(&told.retry.parse::<u32>().expect("a number")),
        "{told:?}"
    );
    assert_eq!(waits.block().await, None);
    let (mut fresh, _) = Stream::connect(node.port, "ann", "").await;
    post(node.port, "ann", "2").await;
    assert_eq!(
        (page.data(1).await, fresh.data(1).await),
        (vec!["2".to_owned()], vec!["2".to_owned()])
    );
    cluster.redis[0].restart().await;
    // Redis lost what it had, and that is said.
    let told = eventually("a past", || async {
        let mut back = Stream::open(node.port, "ann", &during.id).await;
        let first = back.block().await?;
        if first.event == "connect" {
            back.block().await
        } else {
            None
        }
    })
    .await;
    assert_eq!(told.event, "resync");
}
