//! What is lost: a node that died, a Redis that is away, and a shard that one node alone has lost.

use serde_json::{Value, json};

use super::common::cluster::Cluster;
use super::common::http;
use super::common::node::{Node, Plan, foghorn};
use super::common::redis::Redis;
use super::common::wire::Wire;
use super::common::{eventually, library};
use super::{called, codes, names, said, seen};

#[tokio::test]
#[ignore = "needs Redis"]
async fn a_node_that_dies_is_remembered_and_one_that_leaves_is_not() {
    let cluster = Cluster::start(0, 1, Plan::new).await;
    let start = async |name| cluster.member(called(name)).start().await;
    let (one, mut leaves, mut dies) = (
        start("one").await,
        start("leaves").await,
        start("dies").await,
    );
    let well = |view: &Value| {
        names(view) == ["dies", "leaves", "one"] && view["condition"]["state"] == "well"
    };
    let view = seen(&one, "three nodes", well).await;
    assert_eq!(view["lost"], json!([]));
    eventually("a cluster that is called well", || async {
        (said(&one, &["status"]).await.0 == 0).then_some(())
    })
    .await;
    // Its settle time is longer than it takes to tell the others that it is about to end.
    leaves.stop().await;
    let _client = dies.subscriber(&library(), "a@x").await;
    seen(&one, "the client", |view| {
        view["nodes"][0]["connections"] == 1
    })
    .await;
    dies.process().kill();
    let view = seen(&one, "a lost node", |view| {
        view["lost"].as_array().is_some_and(|lost| !lost.is_empty())
    })
    .await;
    assert_eq!(
        (
            view["lost"].as_array().map(Vec::len),
            &view["lost"][0]["name"]
        ),
        (Some(1), &json!("dies")),
        "{view}"
    );
    assert_eq!(names(&view), ["one"]);
    let problem = &view["condition"]["problems"][0];
    assert!(
        view["condition"]["state"] == "degraded" && problem["code"] == "lost",
        "{view}"
    );
    assert!(
        problem["whom"]
            .as_str()
            .is_some_and(|text| text.starts_with("It had 1 client")),
        "{problem}"
    );
    let (code, text) = said(&one, &["status"]).await;
    assert!(
        code == 3 && text.contains("one: ready, but degraded") && text.contains("dies (127.0.0.1:"),
        "{text}"
    );
    let (code, text) = said(&one, &["nodes"]).await;
    assert!(code == 1 && text.contains("LOST"), "{text}");
    // It comes back under its name: all is well.
    let _again = start("dies").await;
    seen(&one, "a node that is back", |view| {
        view["condition"]["state"] == "well"
    })
    .await;
}

#[tokio::test]
#[ignore = "needs Redis"]
async fn a_node_without_redis_is_not_called_well_and_says_what_is_left() {
    let mut redis = Redis::start().await;
    let url = redis.url();
    let node = called("one")
        .redis([url.as_str()])
        .env("FOGHORN_OPS_PASSWORD", "secret")
        .start()
        .await;
    redis.kill();
    eventually("a shard that is away", || async {
        let checks = http::get(node.ops(), "/readyz").await.json();
        (checks["shards"][0]["up"] == false).then_some(())
    })
    .await;
    node.post_update(&library(), "c").await;
    let password = [("FOGHORN_OPS_PASSWORD", "secret")];
    for (env, what) in [
        (&[][..], "the oldest for"),
        (&password[..], "are given up in"),
    ] {
        let text = eventually("what is left", || async {
            let mut command = foghorn(&["status"]);
            command
                .env("FOGHORN_OPS_ADDR", format!("127.0.0.1:{}", node.ops()))
                .envs(env.iter().copied());
            let output =
                tokio::task::spawn_blocking(move || command.output().expect("foghorn starts"))
                    .await
                    .expect("an end");
            let text = String::from_utf8(output.stdout).expect("text");
            (output.status.code() == Some(3) && text.contains(what)).then_some(text)
        })
        .await;
        assert!(
            text.contains("ready, but degraded")
                && text.contains(&format!("Redis at 127.0.0.1:{} is away", redis.port())),
            "{text}"
        );
        assert!(text.contains("1 events wait"), "{text}");
    }
    let checks = http::get(node.ops(), "/readyz").await.json();
    assert!(
        checks["waiting_left_seconds"]
            .as_f64()
            .is_some_and(|left| left < 61.0),
        "{checks}"
    );
    redis.restart().await;
    eventually("a shard that is back", || async {
        let checks = http::get(node.ops(), "/readyz").await.json();
        (checks["shards"][0]["up"] == true && checks["waiting_left_seconds"].is_null())
            .then_some(())
    })
    .await;
}

async fn ready(node: &Node) -> u16 {
    http::get(node.ops(), "/readyz").await.status
}

#[tokio::test]
#[ignore = "needs Redis"]
async fn a_node_that_alone_has_lost_its_shard_is_not_ready_and_one_of_many_stays_so() {
    let mut redis = Redis::start().await;
    let wire = Wire::to(redis.port()).await;
    let urls = [redis.url(), format!("redis://127.0.0.1:{}", wire.port())];
    let well = called("well").redis([urls[0].as_str()]).start().await;
    let cut = called("cut").redis([urls[1].as_str()]).start().await;
    seen(&cut, "both", |view| names(view) == ["cut", "well"]).await;

    // Cut off from its one Redis, it has nobody left to hear from but the other node itself.
    wire.blackhole();
    let checks = eventually("a node that is not ready", || async {
        let answer = http::get(cut.ops(), "/readyz").await;
        (answer.status == 503).then(|| answer.json())
    })
    .await;
    let failed: Vec<_> = checks["checks"]
        .as_object()
        .expect("checks")
        .iter()
        .filter(|(_, good)| **good != true)
        .collect();
    assert_eq!(
        failed,
        [(&"not_alone_without_shards".to_owned(), &json!(false))]
    );
    assert_eq!(ready(&well).await, 200);
    wire.heal();
    eventually("a node that is ready again", || async {
        (ready(&cut).await == 200).then_some(())
    })
    .await;

    // All have lost it: nobody is better off elsewhere.
    redis.kill();
    for node in [&well, &cut] {
        seen(node, "a lost shard", |view| codes(view).contains(&"deaf")).await;
    }
    tokio::time::sleep(std::time::Duration::from_secs(16)).await;
    assert_eq!((ready(&well).await, ready(&cut).await), (200, 200));
}
