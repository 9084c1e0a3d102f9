//! Redis' password is changed while a node runs: the file with it is read again on SIGHUP, and nothing needs a restart.

mod common;

use common::eventually;
use common::node::Plan;
use common::redis::Redis;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn a_new_password_is_in_force_after_a_hangup() {
    let redis = Redis::with(&[
        "--user",
        "foghorn",
        "on",
        ">old-password",
        "~*",
        "&*",
        "+@all",
    ])
    .await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("urls");
    let write = |password: &str| {
        std::fs::write(
            &file,
            format!("redis://foghorn:{password}@127.0.0.1:{}\n", redis.port()),
        )
        .expect("writing");
    };
    write("old-password");
    let plan = Plan::new().env("FOGHORN_REDIS_URLS_FILE", &file.display().to_string());
    let mut node = plan.start().await;
    let up = |wanted: f64| {
        let node = &node;
        eventually("Redis is seen as it is", move || async move {
            (node.metric("foghorn_redis_up", "").await == wanted).then_some(())
        })
    };
    up(1.0).await;
    redis
        .command(&["ACL", "SETUSER", "foghorn", "resetpass", ">new-password"])
        .await;
    redis.command(&["CLIENT", "KILL", "USER", "foghorn"]).await;
    up(0.0).await;
    write("new-password");
    node.process().signal("HUP");
    let up_again = || async { (node.metric("foghorn_redis_up", "").await == 1.0).then_some(()) };
    eventually("Redis takes the new password", up_again).await;
    let log = node.log_so_far().await;
    assert!(
        log.contains("changed=\"FOGHORN_REDIS_URLS_FILE\"") && !log.contains("needs a restart"),
        "{log}"
    );
    assert!(
        !log.contains("old-password") && !log.contains("new-password"),
        "{log}"
    );
}
