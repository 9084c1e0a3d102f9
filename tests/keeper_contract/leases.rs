//! One node of all: the lease, its fence, and that no two ever hold it, whatever happens to Redis.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use foghorn::broker::keep::{Keeper, Lease};
use tokio::task::JoinHandle;

use super::blackhole::Blackhole;
use super::layouts::Sentinels;
use super::node::until;
use super::servers::Redis;
use super::site::{Node, PATIENCE};

async fn have(node: &Node, name: &str) -> Lease {
    tokio::time::timeout(PATIENCE, node.keeper.only_one(name))
        .await
        .expect("somebody may have it")
}

pub async fn one_at_a_time_and_each_with_a_greater_fence(nodes: &[Node], at: &str) {
    let (name, beside) = (format!("{at}-alone"), format!("{at}-other"));
    // Redis gives nobody a lease before it has known the name for some seconds: it has to wait for both at once.
    let (first, before) = tokio::join!(have(&nodes[0], &name), have(&nodes[1], &beside));
    drop(before);
    let (keeper, wanted) = (nodes[1].keeper.clone(), name.clone());
    let second = tokio::spawn(async move { keeper.only_one(&wanted).await });
    // Another name is another matter, also where nobody gives the first up.
    let other = have(&nodes[1], &beside).await;
    assert!(first.is_held() && other.is_held() && !second.is_finished());
    let fence = first.fence();
    drop(first);
    let second = tokio::time::timeout(PATIENCE, second)
        .await
        .expect("it is given up")
        .unwrap();
    assert!(
        second.is_held() && second.fence() > fence,
        "{} after {fence}",
        second.fence()
    );
}

/// Nodes that want one lease, and how many believe that they have it.
struct Rivals {
    holders: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    begun: Arc<AtomicUsize>,
    tasks: Vec<JoinHandle<()>>,
}

impl Rivals {
    fn new() -> Self {
        Self {
            holders: Arc::default(),
            most: Arc::default(),
            begun: Arc::default(),
            tasks: Vec::new(),
        }
    }

    /// From now on it wants the lease, and keeps it for as long as it can.
    fn add(&mut self, node: &Node) {
        let keeper: Keeper = node.keeper.clone();
        let (holders, most, begun) = (self.holders.clone(), self.most.clone(), self.begun.clone());
        self.tasks.push(tokio::spawn(async move {
            loop {
                let lease = keeper.only_one("mqtt").await;
                most.fetch_max(holders.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                begun.fetch_add(1, Ordering::SeqCst);
                lease.ended().await;
                holders.fetch_sub(1, Ordering::SeqCst);
            }
        }));
    }

    async fn wait_held(&self) {
        until("somebody holds it", || {
            self.holders.load(Ordering::SeqCst) == 1
        })
        .await;
    }

    async fn wait_begun(&self, count: usize) {
        until("the next one holds it", || {
            self.begun.load(Ordering::SeqCst) >= count
        })
        .await;
    }

    fn never_two(&self) {
        assert_eq!(self.most.load(Ordering::SeqCst), 1, "two held it at once");
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn a_holder_dies_and_the_next_one_takes_over() {
    let redis = Redis::start(&[]);
    let (one, two) = (Node::up(&redis.url()).await, Node::up(&redis.url()).await);
    let lease = have(&one, "mqtt").await;
    let fence = lease.fence();
    // A process that dies gives nothing up.
    std::mem::forget(lease);
    one.die().await;
    assert!(have(&two, "mqtt").await.fence() > fence);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn a_node_that_ends_gives_its_lease_up_once_its_holder_has_stopped() {
    let redis = Redis::start(&[]);
    let one = Node::up(&redis.url()).await;
    let lease = have(&one, "mqtt").await;
    let holder = tokio::spawn(async move { lease.ended().await });
    one.tasks.stop();
    assert!(one.tasks.finish(PATIENCE).await);
    holder.await.expect("it stops");
    assert_eq!(
        redis
            .cli(&["--raw", "EXISTS", "foghorn:{only:mqtt}:lease"])
            .trim(),
        "0"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn a_redis_that_forgets_gives_no_second_lease() {
    let mut redis = Redis::start(&[]);
    let nodes = [
        Node::up(&redis.url()).await,
        Node::up(&redis.url()).await,
        Node::up(&redis.url()).await,
    ];
    let mut rivals = Rivals::new();
    nodes.iter().for_each(|node| rivals.add(node));
    rivals.wait_held().await;
    for _ in 0..3 {
        redis.done(&["FLUSHALL"]);
        // The holder renews what was forgotten.
        until("the lease is there again", || {
            redis
                .cli(&["--raw", "EXISTS", "foghorn:{only:mqtt}:lease"])
                .trim()
                == "1"
        })
        .await;
    }
    assert_eq!(rivals.begun.load(Ordering::SeqCst), 1, "the holder goes on");
    redis.kill();
    redis.start_again();
    until("the lease is there again", || {
        redis
            .cli(&["--raw", "EXISTS", "foghorn:{only:mqtt}:lease"])
            .trim()
            == "1"
    })
    .await;
    rivals.wait_held().await;
    rivals.never_two();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn a_holder_cut_off_stops_before_the_next_begins() {
    let redis = Redis::start(&[]);
    let way = Blackhole::start(redis.port).await;
    let cut = Node::up(&format!("redis://127.0.0.1:{}", way.port)).await;
    let mut rivals = Rivals::new();
    rivals.add(&cut);
    rivals.wait_held().await;
    let other = Node::up(&redis.url()).await;
    rivals.add(&other);
    // Its connections stay open and carry nothing; so do those that it makes anew.
    while rivals.begun.load(Ordering::SeqCst) < 2 {
        way.swallow_what_is_open();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    rivals.wait_held().await;
    rivals.never_two();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn while_redis_stands_still_nobody_goes_on() {
    let redis = Redis::start(&[]);
    let nodes = [Node::up(&redis.url()).await, Node::up(&redis.url()).await];
    let mut rivals = Rivals::new();
    nodes.iter().for_each(|node| rivals.add(node));
    rivals.wait_held().await;
    redis.signal("STOP");
    until("the holder has stopped", || {
        rivals.holders.load(Ordering::SeqCst) == 0
    })
    .await;
    redis.signal("CONT");
    rivals.wait_begun(2).await;
    rivals.wait_held().await;
    rivals.never_two();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn a_replica_that_takes_over_gives_no_second_lease() {
    let mut redis = Sentinels::start_empty();
    let url = redis.url();
    let nodes = [Node::up(&url).await, Node::up(&url).await];
    let mut rivals = Rivals::new();
    nodes.iter().for_each(|node| rivals.add(node));
    rivals.wait_held().await;
    // What takes its place knows of no lease.
    redis.master.kill();
    until("the replica is master", || {
        redis.replica.cli(&["--raw", "ROLE"]).starts_with("master")
    })
    .await;
    let known = || {
        redis
            .replica
            .cli(&["--raw", "EXISTS", "foghorn:{only:mqtt}:lease"])
            .trim()
            == "1"
    };
    until("the lease is there again", known).await;
    rivals.wait_held().await;
    rivals.never_two();
}
