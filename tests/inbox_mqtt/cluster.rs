//! Several nodes over Redis, and a real broker: nodes that hold the session are killed, stopped and drained, the broker is
//! restarted, and what it took is delivered.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::brokers::Broker;
use crate::common::cluster::Cluster;
use crate::common::node::Plan;
use crate::common::redis::Redis;
use crate::common::socket::{Socket, TEXT};
use crate::common::{eventually, http};
use crate::publisher::Publisher;
use crate::site::{Inbox, Stream};
use crate::sockets::{from, page, text};

/// Messages of the drill at least.
const MESSAGES: u64 = 1_000;

/// Whether this node is connected to the broker; one that is stopped or dead is not asked for long.
async fn is_connected(node: &Inbox) -> bool {
    let asked = http::try_request(node.ops(), "GET", "/metrics", &[], None);
    let answer = tokio::time::timeout(std::time::Duration::from_secs(1), asked).await;
    answer
        .ok()
        .flatten()
        .is_some_and(|answer| answer.body.contains("\nfoghorn_inbox_mqtt_connected 1\n"))
}

/// Waits until one of the nodes is connected to the broker; which.
pub async fn connected(nodes: &[Inbox]) -> usize {
    eventually("a node that is connected to the broker", || async {
        for (at, node) in nodes.iter().enumerate() {
            if is_connected(node).await {
                return Some(at);
            }
        }
        None
    })
    .await
}

/// Waits until another one is.
async fn taken_over(nodes: &[Inbox], from: usize) -> usize {
    eventually("another node that is connected to the broker", || async {
        for (at, node) in nodes.iter().enumerate().filter(|(at, _)| *at != from) {
            if is_connected(node).await {
                return Some(at);
            }
        }
        None
    })
    .await
}

async fn nodes(cluster: &Cluster, broker: &Broker, count: usize) -> Vec<Inbox> {
    let url = broker.url();
    let mut all = Vec::new();
    for _ in 0..count {
        let settings = [
            ("FOGHORN_INBOX_BROKER_URL", &*url),
            ("FOGHORN_INBOX_PAYLOAD", "pass"),
            ("FOGHORN_SETTLE_SECONDS", "0"),
            ("FOGHORN_DRAIN_SECONDS", "30"),
            ("FOGHORN_RESYNC_WINDOW", "1"),
            ("FOGHORN_REPLAY_SECONDS", "0"),
        ];
        all.push(from(cluster.member(Plan::new()), &settings).await);
    }
    all
}

async fn one_shard() -> Cluster {
    Cluster {
        redis: vec![Redis::start().await],
        nodes: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis and Mosquitto"]
async fn a_message_is_acknowledged_when_its_notification_is_safe_and_not_before() {
    let (broker, cluster) = (Broker::mosquitto().await, one_shard().await);
    let nodes = nodes(&cluster, &broker, 1).await;
    connected(&nodes).await;
    cluster.redis[0].pause();
    Publisher::new(broker.port)
        .publish("notification42", "hello")
        .await;
    nodes[0]
        .counted("foghorn_inbox_mqtt_messages_total", "result=\"taken\"", 1.0)
        .await;
    let acknowledged = "foghorn_inbox_mqtt_acknowledged_total";
    assert_eq!(nodes[0].metric(acknowledged, "").await, 0.0);
    cluster.redis[0].resume();
    nodes[0].counted(acknowledged, "", 1.0).await;
}

/// Nothing has come for it that was not read.
async fn is_quiet(socket: &mut Socket) {
    socket.send(TEXT, b"ping").await;
    assert_eq!(text(socket).await, "pong");
}

async fn a_message_reaches_all_tabs_once(broker: Broker) {
    let cluster = one_shard().await;
    let all = nodes(&cluster, &broker, 3).await;
    connected(&all).await;
    let mut tabs = Vec::new();
    for node in &all {
        tabs.push(page(node.port, 42).await);
        tabs.push(page(node.port, 42).await);
    }
    let mut stream = Stream::open(all[0].streams, "42").await;
    let mut publisher = Publisher::new(broker.port);
    for n in 1..=20 {
        publisher
            .publish("notification42", &format!("number {n}"))
            .await;
    }
    for tab in &mut tabs {
        for n in 1..=20 {
            assert_eq!(text(tab).await, format!("number {n}"));
        }
        is_quiet(tab).await;
    }
    for n in 1..=20 {
        assert_eq!(
            stream.block().await,
            format!("event: notify\ndata: \"number {n}\"")
        );
    }
    // An empty payload is the usual text, and what is posted comes the same way.
    publisher.publish("notification42", "").await;
    crate::sockets::post(all[2].streams, 42).await;
    for tab in &mut tabs {
        assert_eq!(
            (text(tab).await, text(tab).await),
            ("New Message".to_owned(), "New Message".to_owned())
        );
    }
    let mut connections = 0.0;
    for node in &all {
        connections += node
            .metric("foghorn_inbox_mqtt_connections_total", "")
            .await;
    }
    assert_eq!(connections, 1.0, "one node of all is connected");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis and Mosquitto"]
async fn a_message_reaches_a_users_tabs_on_all_nodes_once_with_mosquitto() {
    a_message_reaches_all_tabs_once(Broker::mosquitto().await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis and RabbitMQ"]
async fn a_message_reaches_a_users_tabs_on_all_nodes_once_with_rabbitmq() {
    a_message_reaches_all_tabs_once(Broker::rabbitmq().await).await;
}

/// What happens to the holder of the session and to the broker while messages go on.
async fn acts(all: &mut [Inbox], broker: &mut Broker) {
    let first = connected(all).await;
    all[first].process().kill();
    let second = taken_over(all, first).await;
    all[first].restart().await;
    all[second].process().signal("STOP");
    let third = taken_over(all, second).await;
    all[second].process().signal("CONT");
    assert!(all[third].stop().await.success());
    let fourth = taken_over(all, third).await;
    all[third].restart().await;
    broker.restart().await;
    connected(all).await;
    all[fourth].ready().await;
}

async fn nothing_is_lost(mut broker: Broker) {
    let cluster = one_shard().await;
    let mut all = nodes(&cluster, &broker, 3).await;
    // It takes nothing of the broker, so nothing happens to it.
    let witness = from(
        cluster.member(Plan::new()),
        &[("FOGHORN_REPLAY_SECONDS", "0")],
    )
    .await;
    let mut socket = page(witness.port, 42).await;
    connected(&all).await;
    let (done, port) = (AtomicBool::new(false), broker.port);
    let publish = async {
        let (mut publisher, mut n) = (Publisher::new(port), 0);
        while n < MESSAGES || !done.load(Ordering::Relaxed) {
            n += 1;
            publisher.publish("notification42", &n.to_string()).await;
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        publisher.publish("notification42", "last").await;
        n
    };
    let read = async {
        let (mut seen, mut twice) = (BTreeSet::new(), 0);
        loop {
            match text(&mut socket).await {
                last if last == "last" => return (seen, twice),
                text => {
                    let n = text.parse::<u64>().unwrap_or_else(|_| {
                        panic!("{text:?} came: something is said to be missing")
                    });
                    twice += u64::from(!seen.insert(n));
                }
            }
        }
    };
    let act = async {
        acts(&mut all, &mut broker).await;
        done.store(true, Ordering::Relaxed);
    };
    let (last, (seen, twice), ()) = tokio::join!(publish, read, act);
    let lost: Vec<u64> = (1..=last).filter(|n| !seen.contains(n)).collect();
    println!("{last} messages, {} lost, {twice} twice", lost.len());
    assert!(lost.is_empty(), "lost of {last}: {lost:?}");
    let mut found = 0.0;
    for node in &all {
        found += node
            .metric("foghorn_inbox_mqtt_sessions_lost_total", "")
            .await;
    }
    assert_eq!(
        found, 0.0,
        "the session outlives nodes and the broker's restart"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis and Mosquitto"]
async fn nothing_is_lost_while_holders_are_killed_stopped_and_drained_and_mosquitto_restarts() {
    nothing_is_lost(Broker::mosquitto().await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis and RabbitMQ"]
async fn nothing_is_lost_while_holders_are_killed_stopped_and_drained_and_rabbitmq_restarts() {
    nothing_is_lost(Broker::rabbitmq().await).await;
}

async fn everybody_looks(mut broker: Broker) {
    let cluster = one_shard().await;
    let mut all = nodes(&cluster, &broker, 2).await;
    let holder = connected(&all).await;
    let mut publisher = Publisher::new(broker.port);
    let (mut one, mut two) = (page(all[0].port, 1).await, page(all[1].port, 2).await);
    let mut stream = Stream::open(all[1].streams, "ann").await;
    publisher.publish("notification1", "hello").await;
    assert_eq!(text(&mut one).await, "hello");
    // What is not acknowledged comes again.
    all[holder]
        .counted("foghorn_inbox_mqtt_acknowledged_total", "", 1.0)
        .await;
    // The next holder knows that there was a session.
    all[holder].process().kill();
    taken_over(&all, holder).await;
    all[holder].restart().await;
    let mut one = if holder == 0 {
        page(all[0].port, 1).await
    } else {
        one
    };
    if holder == 1 {
        two = page(all[1].port, 2).await;
        stream = Stream::open(all[1].streams, "ann").await;
    }
    // A broker may take a minute to start; pages that do not answer pings meanwhile are taken for dead.
    let told = async { tokio::join!(text(&mut one), text(&mut two)) };
    let ((), told) = tokio::join!(broker.restart_empty(), told);
    let look = || "New Message".to_owned();
    assert_eq!(told, (look(), look()));
    let told = stream.block().await;
    assert!(told.starts_with("event: resync\n"), "{told}");
    is_quiet(&mut one).await;
    // All of them live on.
    publisher.publish("notification1", "again").await;
    assert_eq!(text(&mut one).await, "again");
    crate::sockets::post(all[0].streams, 2).await;
    assert_eq!(text(&mut two).await, "New Message");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis and Mosquitto"]
async fn when_the_broker_has_lost_the_session_everybody_is_told_to_look() {
    everybody_looks(Broker::mosquitto().await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis and RabbitMQ"]
async fn when_rabbitmq_has_lost_the_session_everybody_is_told_to_look() {
    everybody_looks(Broker::rabbitmq().await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Mosquitto"]
async fn a_node_does_not_fight_for_its_client_id() {
    let broker = Broker::mosquitto().await;
    let url = broker.url();
    let node = from(Plan::new(), &[("FOGHORN_INBOX_BROKER_URL", &url)]).await;
    let mut thief = Publisher::called(broker.port, "foghorn-inbox", false);
    // Takes the place whenever the node has it; who is thrown out stays out until the node is connected again.
    let steal = async {
        loop {
            if is_connected(&node).await {
                thief.connect().await;
                while thief.next().await.is_some() {}
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = steal => {}
        () = node.counted("foghorn_inbox_mqtt_ousted_total", "", 1.0) => {}
    }
    // It is counted a little before it is said.
    eventually("the words at /readyz", || async {
        let answer = http::get(node.ops(), "/readyz").await.expect(200);
        answer
            .body
            .contains("another client seems to use the id")
            .then_some(())
    })
    .await;
}
