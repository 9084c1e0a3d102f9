//! A node that does not fit in stays out and says why and from whom it differs; those that were there first go on.

use std::sync::Arc;

use foghorn::broker::cluster::ClusterMember;

use super::node::{Named, Node, config, until};
use super::servers::Redis;

/// A node, and the name by which others know it.
fn named(node: &Node, name: &'static str, keys: &'static [&'static str]) -> Arc<dyn ClusterMember> {
    let peer = Named::peer(name, keys);
    node.broker.join(&peer);
    peer
}

/// The first two go on as if nothing had happened.
async fn untouched(one: &Node, two: &Node) {
    for number in 0..20 {
        one.publish_confirmed("a", number).await;
    }
    for node in [one, two] {
        node.expect(&["a"], 20).await;
        node.wait_up().await;
        assert!(node.losses() == 0 && node.broker.health().misfit.is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn another_number_of_partitions() {
    let redis = Redis::start(&[]);
    let (one, two) = (
        Node::up(config(&redis.url(), 8)).await,
        Node::up(config(&redis.url(), 8)).await,
    );
    let _peers = [named(&one, "first", &["k"]), named(&two, "second", &["k"])];
    let stranger = Node::start(config(&redis.url(), 16));
    stranger
        .misfit(&["FOGHORN_PARTITIONS is 16 here and 8 at first"])
        .await;
    // Its own clients are served, and nobody else hears of it.
    drop(stranger.publish("a", 99));
    until("its own clients have it", || {
        stranger.got().get("a").is_some_and(|got| got.contains(&99))
    })
    .await;
    untouched(&one, &two).await;
    assert!(!stranger.is_up());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn the_same_servers_in_another_order() {
    let (left, right) = (Redis::start(&[]), Redis::start(&[]));
    let list = format!("{},{}", left.url(), right.url());
    let (one, two) = (
        Node::up(config(&list, 8)).await,
        Node::up(config(&list, 8)).await,
    );
    let stranger = Node::start(config(&format!("{},{}", right.url(), left.url()), 8));
    stranger.misfit(&["in the same order"]).await;
    untouched(&one, &two).await;
    assert!(!stranger.is_up());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn another_server_in_one_place() {
    let servers = [Redis::start(&[]), Redis::start(&[]), Redis::start(&[])];
    let list = |second: &Redis| format!("{},{}", servers[0].url(), second.url());
    let (one, two) = (
        Node::up(config(&list(&servers[1]), 8)).await,
        Node::up(config(&list(&servers[1]), 8)).await,
    );
    let stranger = Node::start(config(&list(&servers[2]), 8));
    stranger.misfit(&["another Redis as number 2"]).await;
    untouched(&one, &two).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn no_key_in_common() {
    let redis = Redis::start(&[]);
    let (one, two) = (
        Node::up(config(&redis.url(), 8)).await,
        Node::up(config(&redis.url(), 8)).await,
    );
    let _peers = [named(&one, "first", &["k"]), named(&two, "second", &["k"])];
    let (stranger, changing) = (
        Node::start(config(&redis.url(), 8)),
        Node::start(config(&redis.url(), 8)),
    );
    let _others = [
        named(&stranger, "third", &["x"]),
        named(&changing, "fourth", &["new", "k"]),
    ];
    stranger.misfit(&["JWT_PRIVATE_KEY", "at first"]).await;
    changing.wait_up().await;
    untouched(&one, &two).await;
    // When those it differs from are gone, it is no stranger any more.
    one.leave().await;
    two.leave().await;
    changing.leave().await;
    stranger.wait_up().await;
}
