//! Nodes over Redis are one server: any takes any event, every one delivers it, in order, once.

mod common;

use common::cluster::Cluster;
use common::http;
use common::node::Plan;
use common::redis::Redis;
use common::{eventually, library};

#[tokio::test]
#[ignore = "needs Redis"]
async fn an_event_posted_to_any_node_reaches_the_clients_of_all() {
    let cluster = Cluster::start(3, 2, || Plan::new().no_replay()).await;
    // Enough libraries that both shards and many partitions have some.
    for _ in 0..20 {
        let library = library();
        let mut sockets = Vec::new();
        for node in &cluster.nodes {
            sockets.push(node.subscriber(&library, "ann@example.com").await);
        }
        for (n, node) in cluster.nodes.iter().enumerate() {
            node.post_update(&library, &n.to_string()).await;
            for socket in &mut sockets {
                socket.expect_update(&library, &n.to_string()).await;
            }
        }
        for socket in &mut sockets {
            assert!(socket.pending().await.is_empty());
        }
    }
}

/// What each node's clients hear of a library while a hundred events are posted to every node at once.
async fn heard_of_all(cluster: &Cluster) -> Vec<Vec<String>> {
    let library = library();
    let mut sockets = Vec::new();
    for node in &cluster.nodes {
        sockets.push(node.subscriber(&library, "ann@example.com").await);
    }
    let posts = cluster.nodes.iter().enumerate().map(|(name, node)| {
        let (port, library) = (node.port(), library.clone());
        tokio::spawn(async move {
            for n in 0..100 {
                http::post_update(port, &library, &format!("{name}/{n:03}")).await;
            }
        })
    });
    for post in posts.collect::<Vec<_>>() {
        post.await.expect("all are posted");
    }
    let mut heard = Vec::new();
    for socket in &mut sockets {
        let mut commits = Vec::new();
        for _ in 0..300 {
            commits.push(
                socket.recv().await["content"]["commit_id"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
            );
        }
        assert!(socket.pending().await.is_empty());
        heard.push(commits);
    }
    heard
}

/// How many deliveries of each node came late, and of what it warned: whoever does not hear its own events within a second
/// gives them to its own clients, ahead of those of other nodes.
async fn held_up(cluster: &Cluster) -> Vec<(f64, usize)> {
    let mut all = Vec::new();
    for node in &cluster.nodes {
        let late = node.metric("foghorn_delivery_seconds_count", "").await
            - node
                .metric("foghorn_delivery_seconds_bucket", "le=\"0.5\"")
                .await;
        let warnings = node.log_so_far().await.matches(" WARN ").count();
        all.push((late, warnings));
    }
    all
}

#[tokio::test]
#[ignore = "needs Redis"]
async fn order_is_the_same_everywhere_when_all_nodes_are_posted_to_at_once() {
    let cluster = Cluster::start(3, 2, || Plan::new().no_replay()).await;
    for _ in 0..20 {
        let before = held_up(&cluster).await;
        let heard = heard_of_all(&cluster).await;
        // What one backend posted to one node one after the other stays in that order, whatever happens.
        for commits in &heard {
            for name in 0..3 {
                let own = commits
                    .iter()
                    .filter(|commit| commit.starts_with(&format!("{name}/")))
                    .collect::<Vec<_>>();
                assert_eq!(own.len(), 100);
                assert!(own.is_sorted(), "{own:?}");
            }
        }
        if held_up(&cluster).await == before {
            assert_eq!(heard[0], heard[1]);
            assert_eq!(heard[0], heard[2]);
            return;
        }
    }
    panic!("no event came in time");
}

#[tokio::test]
#[ignore = "needs Redis"]
async fn replay_covers_what_other_nodes_took() {
    let cluster = Cluster::start(2, 1, || Plan::new().env("FOGHORN_REPLAY_SECONDS", "120")).await;
    let library = library();
    let mut first = cluster.nodes[1]
        .subscriber(&library, "ann@example.com")
        .await;
    for n in 0..5 {
        cluster.nodes[0].post_update(&library, &n.to_string()).await;
    }
    first.expect_update(&library, "0").await;
    let mut second = cluster.nodes[1]
        .subscriber(&library, "ann@example.com")
        .await;
    for n in 0..5 {
        second.expect_update(&library, &n.to_string()).await;
    }
    // Also by a node that was not there yet.
    let third = cluster
        .member(Plan::new().env("FOGHORN_REPLAY_SECONDS", "120"))
        .start()
        .await;
    let mut late = third.subscriber(&library, "ann@example.com").await;
    for n in 0..5 {
        late.expect_update(&library, &n.to_string()).await;
    }
}

#[tokio::test]
#[ignore = "needs Redis"]
async fn two_installations_on_one_redis_stay_apart() {
    let redis = Redis::start().await;
    let url = redis.url();
    let plan = |prefix: &str| {
        Plan::new()
            .no_replay()
            .redis([url.as_str()])
            .env("FOGHORN_REDIS_PREFIX", prefix)
    };
    let (ours, theirs) = (plan("ours").start().await, plan("theirs").start().await);
    let library = library();
    let mut here = ours.subscriber(&library, "ann@example.com").await;
    let mut there = theirs.subscriber(&library, "ann@example.com").await;
    ours.post_update(&library, "ours").await;
    theirs.post_update(&library, "theirs").await;
    here.expect_update(&library, "ours").await;
    there.expect_update(&library, "theirs").await;
    assert!(here.pending().await.is_empty() && there.pending().await.is_empty());
    let keys = redis.command(&["KEYS", "*"]).await;
    let strange = keys
        .lines()
        .filter(|line| !line.starts_with(['*', '$']))
        .filter(|key| !key.contains("ours") && !key.contains("theirs"));
    assert_eq!(strange.collect::<Vec<_>>(), Vec::<&str>::new());
}

#[tokio::test]
#[ignore = "needs Redis"]
async fn another_number_of_partitions_stays_out_with_a_message() {
    let cluster = Cluster::start(1, 1, Plan::new).await;
    let stranger = cluster
        .member(Plan::new().env("FOGHORN_PARTITIONS", "32"))
        .launch();
    let log = eventually("the reason", || async {
        let log = stranger.log();
        log.contains("this node stays out of the cluster")
            .then_some(log)
    })
    .await;
    assert!(
        log.contains("FOGHORN_PARTITIONS is 32 here and 64 at "),
        "{log}"
    );
    assert_eq!(http::get(stranger.ops(), "/readyz").await.status, 503);
    assert_eq!(
        http::get(cluster.nodes[0].ops(), "/readyz").await.status,
        200
    );
}

#[tokio::test]
#[ignore = "needs Redis"]
async fn redis_as_seafile_names_it_with_a_password() {
    let redis = Redis::with(&["--requirepass", "redis-secret"]).await;
    let plan = || {
        let plan = Plan::new()
            .no_replay()
            .env("REDIS_HOST", "127.0.0.1")
            .env("REDIS_PORT", &redis.port().to_string());
        plan.env("REDIS_PASSWORD", "redis-secret")
    };
    let (one, two) = (plan().start().await, plan().start().await);
    let library = library();
    let mut socket = one.subscriber(&library, "ann@example.com").await;
    two.post_update(&library, "1").await;
    socket.expect_update(&library, "1").await;
    assert!(
        !one.log_so_far().await.contains("redis-secret"),
        "the password is in the log"
    );
}

#[tokio::test]
#[ignore = "needs Redis"]
async fn a_redis_that_is_not_there_at_the_start_is_waited_for() {
    let mut redis = Redis::start().await;
    redis.kill();
    let url = redis.url();
    let mut node = Plan::new().no_replay().redis([url.as_str()]).launch();
    let port = node.port();
    node.process().listening(port).await;
    http::get(port, "/ping").await.expect(200);
    node.process().logged(&redis.port().to_string()).await;
    let ops = node.ops();
    node.process().listening(ops).await;
    http::get(ops, "/readyz").await.expect(503);
    // Its own clients are served all the same.
    let library = library();
    let mut socket = node.subscriber(&library, "ann@example.com").await;
    node.post_update(&library, "alone").await;
    socket.expect_update(&library, "alone").await;
    redis.restart().await;
    node.ready().await;
    node.post_update(&library, "together").await;
    socket.expect_update(&library, "together").await;
}

#[tokio::test]
#[ignore = "needs Redis"]
async fn a_clean_end_warns_of_nothing() {
    let mut cluster = Cluster::start(2, 2, Plan::new).await;
    let node = &mut cluster.nodes[0];
    node.post_update(&library(), "c").await;
    assert!(node.stop().await.success(), "{}", node.log());
    let log = node.log();
    let warnings: Vec<&str> = log
        .lines()
        .filter(|line| line.contains(" WARN ") || line.contains(" ERROR "))
        .collect();
    // The tests' nodes have no database, which is said at the start; and whether this machine stands still is not up to them.
    let other = ["no database is configured", "this process did not run for"];
    assert!(
        warnings
            .iter()
            .all(|line| other.iter().any(|known| line.contains(known))),
        "{warnings:#?}"
    );
}
