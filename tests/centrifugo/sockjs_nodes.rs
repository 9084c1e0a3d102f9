//! SockJS behind a proxy that sends requests to any node: a session is at one of them, and requests at the others reach it there.

use serde_json::json;

use crate::common::cluster::Cluster;
use crate::common::node::Plan;
use crate::common::redis::Redis;
use crate::site::{call, plan};
use crate::sockjs::config;
use crate::sockjs_page::{Session, Stream, messages};

/// Two nodes on one Redis that end quickly.
async fn two() -> Cluster {
    let mut cluster = Cluster {
        redis: vec![Redis::start().await],
        nodes: Vec::new(),
    };
    for _ in 0..2 {
        let quick = Plan::new()
            .env("FOGHORN_SETTLE_SECONDS", "0")
            .env("FOGHORN_DRAIN_SECONDS", "4");
        cluster.nodes.push(
            plan(cluster.member(quick), &config(json!({})))
                .start()
                .await,
        );
    }
    cluster
}

/// A session at the first node, and the same by the second.
async fn begun(cluster: &Cluster) -> (Session, Session) {
    let near = Session::new(cluster.nodes[0].port());
    assert_eq!(near.poll().await, "o");
    let far = near.at(cluster.nodes[1].port());
    far.subscribe("news").await;
    let mut answers = Vec::new();
    while answers.len() < 2 {
        answers.extend(messages(&far.poll().await));
    }
    assert_eq!(answers[1]["body"]["status"], true, "{answers:?}");
    (near, far)
}

async fn publish(port: u16, numbers: std::ops::Range<u64>) {
    for number in numbers {
        call(port, "publish", json!({"channel": "news", "data": number})).await;
    }
}

fn numbers(frame: &str) -> impl Iterator<Item = u64> {
    messages(frame)
        .into_iter()
        .filter_map(|message| message["body"]["data"].as_u64())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis"]
async fn whichever_nodes_requests_come_to_every_message_is_fetched_once_and_in_order() {
    let cluster = two().await;
    let (near, far) = begun(&cluster).await;
    let talk = tokio::spawn(publish(cluster.nodes[1].port(), 0..60));
    let mut had = Vec::new();
    for session in [&near, &far].into_iter().cycle() {
        had.extend(numbers(&session.poll().await));
        if had.last() == Some(&59) {
            break;
        }
    }
    talk.await.expect("all are published");
    assert_eq!(had, (0..60).collect::<Vec<_>>());
    // By streams too, each of which another node answers.
    let talk = tokio::spawn(publish(cluster.nodes[0].port(), 60..90));
    let (mut stream, mut had) = (Stream::open(&far).await, Vec::new());
    while had.last() != Some(&89) {
        had.extend(numbers(&stream.line().await.expect("more")));
    }
    talk.await.expect("all are published");
    assert_eq!(had, (60..90).collect::<Vec<_>>());
    assert_eq!(
        cluster.nodes[1]
            .metric("foghorn_centrifugo_sockjs_elsewhere", "")
            .await,
        1.0
    );
    assert_eq!(
        (near.poll().await.as_str(), far.poll().await.as_str()),
        (TAKEN, TAKEN)
    );
}

const TAKEN: &str = r#"c[2010,"Another connection still open"]"#;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis"]
async fn who_hangs_up_at_another_node_is_gone_at_once() {
    let cluster = two().await;
    let (near, far) = begun(&cluster).await;
    let mut stream = Stream::open(&far).await;
    publish(near.port, 0..1).await;
    while numbers(&stream.line().await.expect("more")).next() != Some(0) {}
    drop(stream);
    cluster.nodes[0]
        .counted("foghorn_closes_total", "reason=\"gone\"", 1.0)
        .await;
    far.is_forgotten().await;
    cluster.nodes[1]
        .emptied("foghorn_centrifugo_sockjs_elsewhere", "")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis"]
async fn the_node_that_has_a_session_ends_and_the_page_is_told_by_the_other() {
    let mut cluster = two().await;
    let (_, far) = begun(&cluster).await;
    let mut stream = Stream::open(&far).await;
    let end = r#"c[3000,"{\"reason\":\"shutting down\",\"reconnect\":true}"]"#;
    let told = async { (stream.line().await, stream.line().await) };
    let ((first, rest), status) = tokio::join!(told, cluster.nodes[0].stop());
    assert_eq!((first.as_deref(), rest), (Some(end), None));
    assert!(status.success());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis"]
async fn a_node_that_only_passes_on_ends_and_the_session_goes_on_with_nothing_lost() {
    let mut cluster = two().await;
    let (near, far) = begun(&cluster).await;
    let mut stream = Stream::open(&far).await;
    let talk = tokio::spawn(publish(near.port, 0..40));
    let mut had = Vec::new();
    while had.len() < 5 {
        had.extend(numbers(&stream.line().await.expect("more")));
    }
    let rest = async {
        while let Some(frame) = stream.line().await {
            had.extend(numbers(&frame));
        }
        while had.last() != Some(&39) {
            had.extend(numbers(&near.poll().await));
        }
    };
    let ((), status) = tokio::join!(rest, cluster.nodes[1].stop());
    talk.await.expect("all are published");
    assert!(status.success());
    assert_eq!(had, (0..40).collect::<Vec<_>>());
}

/// Bytes that Redis has been sent.
async fn carried(redis: &Redis) -> u64 {
    let stats = redis.command(&["INFO", "stats"]).await;
    let bytes = stats
        .lines()
        .find_map(|line| line.strip_prefix("total_net_input_bytes:"));
    bytes
        .and_then(|bytes| bytes.trim().parse().ok())
        .expect("Redis counts")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis"]
async fn what_is_said_to_a_session_that_is_nowhere_does_not_leave_the_node() {
    let cluster = two().await;
    let before = carried(&cluster.redis[0]).await;
    // It does not get shorter on its way.
    let long: String = (0..20_000)
        .map(|_| format!("{:016x}", rand::random::<u64>()))
        .collect();
    for node in &cluster.nodes {
        for _ in 0..5 {
            let nowhere = Session::new(node.port());
            assert_eq!(nowhere.say(&[json!(long)]).await.status, 404);
        }
    }
    let more = carried(&cluster.redis[0]).await - before;
    assert!(more < long.len() as u64, "{more} bytes");
}
