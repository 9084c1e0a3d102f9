//! Nothing of a history channel is lost to a page that subscribes with `recover`, whatever ends: a node by kill, Redis by kill,
//! a node by draining. Three nodes, with publishers and pages at each, and every message accounted for.
//!
//! Invariant: a message that a backend was told is published is had by every page once, and in order among those of its node.
//! One whose answer was lost with a node may be had or not, and not twice.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::cluster::Cluster;
use crate::common::node::{Node, Plan};
use crate::common::redis::Redis;
use crate::common::{eventually, http};
use crate::site::{Page, plan, sign};

const CHANNELS: [&str; 3] = ["all:a", "all:b", "all:c"];
/// What is published last in each channel, at each node that is there to the end.
const ENDS: [(usize, u64); 2] = [(0, END), (2, END + 1)];
const END: u64 = 1 << 40;
/// Between two messages of a publisher.
const BRISK: Duration = Duration::from_millis(10);
const REDIS_UP: &str = "foghorn_redis_up";

fn config() -> Value {
    let channel =
        json!({"name": "all", "history_size": 50_000, "history_lifetime": 600, "recover": true});
    json!({"secret": "secret", "insecure": true, "namespaces": [channel]})
}

/// What is counted while it goes on.
#[derive(Default)]
struct Counts {
    accepted: AtomicUsize,
    tried: AtomicUsize,
    /// How often a page has come back.
    back: AtomicUsize,
    ends: AtomicBool,
}

/// What became of one channel's messages.
#[derive(Default)]
struct Published {
    accepted: Vec<u64>,
    doubtful: HashSet<u64>,
}

/// Publishes numbers in a channel, each at another node, until it is to end.
async fn publish(channel: &'static str, ports: [u16; 3], counts: Arc<Counts>) -> Published {
    let mut published = Published::default();
    for (number, port) in (0..).zip(ports.into_iter().cycle()) {
        if counts.ends.load(Ordering::Acquire) {
            break;
        }
        counts.tried.fetch_add(1, Ordering::Relaxed);
        if is_accepted(port, channel, number).await {
            published.accepted.push(number);
            counts.accepted.fetch_add(1, Ordering::Relaxed);
        } else {
            published.doubtful.insert(number);
        }
        tokio::time::sleep(BRISK).await;
    }
    for (at, end) in ENDS {
        assert!(is_accepted(ports[at], channel, end).await, "the last one");
    }
    published
}

async fn is_accepted(port: u16, channel: &str, number: u64) -> bool {
    let params = json!({"channel": channel, "data": number});
    let body = json!({"method": "publish", "params": params}).to_string();
    let sign = sign(&body);
    let headers = [
        ("Content-Type", "application/json"),
        ("X-API-Sign", sign.as_str()),
    ];
    let answer = http::try_request(port, "POST", "/api/", &headers, Some(body.as_bytes())).await;
    answer.is_some_and(|answer| {
        let said = serde_json::from_str::<Value>(&answer.body).unwrap_or_default();
        answer.status == 200 && said[0]["error"].is_null() && said[0]["method"] == "publish"
    })
}

/// What a page has had, by channel.
#[derive(Default)]
struct Had {
    numbers: HashMap<String, Vec<u64>>,
    last: HashMap<String, String>,
    /// Answers that said that something may be missing.
    holes: usize,
}

impl Had {
    /// Subscribes to all channels from where it was. Returns whether that was possible.
    async fn subscribe(&mut self, page: &mut Page) -> bool {
        let command = |channel: &&str| {
            let last = self.last.get(*channel).cloned().unwrap_or_default();
            json!({"uid": channel, "method": "subscribe",
                "params": {"channel": channel, "recover": true, "last": last}})
        };
        let commands: Vec<Value> = CHANNELS.iter().map(command).collect();
        page.say_all(&commands).await;
        let Ok(answers) = page.next().await else {
            return false;
        };
        let answers = answers.as_array().expect("the answers come first");
        for (answer, channel) in answers.iter().zip(CHANNELS) {
            if !answer["error"].is_null() {
                return false;
            }
            let body = &answer["body"];
            self.holes += usize::from(self.last.contains_key(channel) && body["recovered"] != true);
            for message in body["messages"].as_array().into_iter().flatten().rev() {
                self.note(message);
            }
        }
        true
    }

    fn note(&mut self, message: &Value) {
        let text = |field: &str| message[field].as_str().expect("a text").to_owned();
        let channel = text("channel");
        self.last.insert(channel.clone(), text("uid"));
        let number = message["data"].as_u64().expect("a number");
        self.numbers.entry(channel).or_default().push(number);
    }

    fn is_complete(&self) -> bool {
        let last = |numbers: &Vec<u64>| numbers.iter().filter(|number| **number >= END).count();
        self.numbers.values().map(last).sum::<usize>() == CHANNELS.len() * ENDS.len()
    }
}

/// A page that goes to the node before when its own one ends, until it has had the last of every channel.
async fn follow(ports: [u16; 3], home: usize, counts: Arc<Counts>) -> Had {
    let (mut had, mut at, mut page) =
        (Had::default(), home, Page::connect(ports[home], "42").await);
    loop {
        if had.subscribe(&mut page).await {
            counts.back.fetch_add(1, Ordering::Relaxed);
            while !had.is_complete() {
                let Ok(said) = page.next().await else { break };
                if said["method"] == "message" {
                    had.note(&said["body"]);
                }
            }
            if had.is_complete() {
                return had;
            }
        }
        // As the original client does, it waits before it tries again.
        tokio::time::sleep(BRISK).await;
        at = (at + ports.len() - 1) % ports.len();
        page = Page::connect(ports[at], "42").await;
    }
}

async fn reaches(what: &str, count: &AtomicUsize, most: usize) {
    eventually(what, || async {
        (count.load(Ordering::Relaxed) >= most).then_some(())
    })
    .await;
}

impl Counts {
    async fn accepts(&self, more: usize) {
        let most = self.accepted.load(Ordering::Relaxed) + more;
        reaches("more is accepted", &self.accepted, most).await;
    }
}

async fn redis_is(nodes: &[Node], up: f64) {
    for node in nodes {
        eventually("the nodes see how Redis is", || async {
            (node.metric(REDIS_UP, "").await == up).then_some(())
        })
        .await;
    }
}

/// What is had is what was published, once, and in order among what one node was given.
fn settle(had: &Had, published: &[Published]) {
    for (channel, published) in CHANNELS.iter().zip(published) {
        let numbers = &had.numbers[*channel];
        let once: BTreeSet<u64> = numbers.iter().copied().collect();
        assert_eq!(once.len(), numbers.len(), "{channel}: some came twice");
        let owed: BTreeSet<u64> = published.accepted.iter().copied().collect();
        let lost: Vec<&u64> = owed.difference(&once).collect();
        assert!(
            lost.is_empty(),
            "{channel}: lost of {}: {lost:?}",
            owed.len()
        );
        let strange = once.difference(&owed);
        let strange =
            strange.filter(|number| **number < END && !published.doubtful.contains(number));
        assert_eq!(strange.count(), 0, "{channel}: some were not published");
        for node in 0..3 {
            let of_node = numbers
                .iter()
                .filter(|number| **number < END && **number % 3 == node);
            let of_node: Vec<&u64> = of_node.collect();
            assert!(of_node.is_sorted(), "{channel}: {of_node:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis"]
async fn pages_that_recover_have_every_message_once_whatever_ends() {
    let mut cluster = Cluster {
        redis: vec![Redis::with(&["--appendonly", "yes", "--appendfsync", "always"]).await],
        nodes: Vec::new(),
    };
    for _ in 0..3 {
        let quick = Plan::new()
            .env("FOGHORN_SETTLE_SECONDS", "0")
            .env("FOGHORN_DRAIN_SECONDS", "1");
        let node = plan(cluster.member(quick), &config()).start().await;
        cluster.nodes.push(node);
    }
    let ports = [0, 1, 2].map(|at: usize| cluster.nodes[at].port());
    let counts = Arc::new(Counts::default());
    let follow = |at: usize| tokio::spawn(follow(ports, at % 3, Arc::clone(&counts)));
    let pages: Vec<_> = (0..6).map(follow).collect();
    reaches("all pages are there", &counts.back, 6).await;
    let publish = |channel| tokio::spawn(publish(channel, ports, Arc::clone(&counts)));
    let publishers = CHANNELS.map(publish);
    counts.accepts(100).await;

    cluster.nodes[2].process().kill();
    reaches("its pages are at another node", &counts.back, 8).await;
    counts.accepts(100).await;
    cluster.nodes[2].restart().await;
    counts.accepts(100).await;

    cluster.redis[0].kill();
    redis_is(&cluster.nodes, 0.0).await;
    let tried = counts.tried.load(Ordering::Relaxed);
    reaches("more is tried", &counts.tried, tried + 50).await;
    cluster.redis[0].restart().await;
    redis_is(&cluster.nodes, 1.0).await;
    counts.accepts(100).await;

    let back = counts.back.load(Ordering::Relaxed);
    assert!(cluster.nodes[1].stop().await.success());
    reaches("its pages are at another node", &counts.back, back + 2).await;
    counts.accepts(100).await;

    counts.ends.store(true, Ordering::Release);
    let mut published = Vec::new();
    for publisher in publishers {
        published.push(publisher.await.expect("a publisher"));
    }
    let (mut owed, mut holes) = (0, 0);
    for page in pages {
        let had = page.await.expect("a page");
        settle(&had, &published);
        owed += published
            .iter()
            .map(|one| one.accepted.len())
            .sum::<usize>();
        holes += had.holes;
    }
    let doubtful: usize = published.iter().map(|one| one.doubtful.len()).sum();
    println!("owed {owed}, lost 0, doubled 0; unanswered posts {doubtful}, declared holes {holes}");
}
