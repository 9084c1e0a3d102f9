//! What a node's log says of a Redis that is not there, or that refuses it.

use super::common::node::Plan;
use super::common::ports::free_port;
use super::common::redis::Redis;
use super::judge;

/// A node with these Redis URLs says all of this in its log.
async fn logs(urls: &str, env: &[(&str, &str)], says: &[&str]) {
    let mut plan = Plan::new().redis([urls]);
    for (name, value) in env {
        plan = plan.env(name, value);
    }
    let mut node = plan.launch();
    for part in says {
        node.process().logged(part).await;
    }
    let says: Vec<String> = says.iter().map(|part| (*part).to_owned()).collect();
    judge(urls, &node.log(), &says);
}

#[tokio::test]
async fn the_log_says_in_words_that_redis_is_not_there() {
    let nobody = free_port();
    logs(
        &format!("redis://127.0.0.1:{nobody}"),
        &[],
        &["connection refused", &format!("127.0.0.1:{nobody}")],
    )
    .await;
    logs(
        "redis://no-such-host.invalid",
        &[],
        &["the name cannot be resolved", "no-such-host.invalid:6379"],
    )
    .await;
    logs(
        &format!("redis-sentinel://127.0.0.1:{nobody}/main"),
        &[],
        &["none of the Sentinels can be reached"],
    )
    .await;
}

#[tokio::test]
#[ignore = "needs redis"]
async fn the_log_says_in_words_what_redis_refuses() {
    let (open, guarded) = (
        Redis::start().await,
        Redis::with(&["--requirepass", "redis-secret"]).await,
    );
    let at = |redis: &Redis, login: &str| format!("redis://{login}127.0.0.1:{}", redis.port());
    logs(
        &at(&guarded, ""),
        &[],
        &["it wants a password, and none is given"],
    )
    .await;
    logs(
        &at(&guarded, ":wrong-secret@"),
        &[],
        &["it refuses the password of user default", "REDIS_PASSWORD"],
    )
    .await;
    logs(
        &format!("rediss://127.0.0.1:{}", open.port()),
        &[],
        &[&format!("127.0.0.1:{}", open.port())],
    )
    .await;
    logs(
        &format!("redis-cluster://127.0.0.1:{}", open.port()),
        &[],
        &["not part of a Redis Cluster"],
    )
    .await;
}
