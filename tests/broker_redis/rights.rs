//! What a node may do in a Redis that has users: the manual's line is enough, and all of it is needed.

use super::layouts::{Cluster, Sentinels};
use super::node::{Node, config};
use super::servers::Redis;

/// What the manual's line allows, as far as this Redis knows of it.
fn rights(redis: &Redis) -> String {
    let page = include_str!("../../docs/INSTALL.md");
    let line = page.lines().find_map(|line| {
        line.trim().strip_prefix(
            "ACL SETUSER foghorn on >PASSWORD resetkeys resetchannels &foghorn* -@all ",
        )
    });
    let line = line.expect("the page has the line");
    let rights = line.replace(" +client|setinfo", "");
    // Redis 7.2 and later know one more, and the manual's line has it.
    let more = " +client|setinfo";
    let known = redis.cli(&["ACL", "SETUSER", "node", more.trim()]);
    [
        rights.as_str(),
        if known.trim() == "OK" { more } else { "" },
    ]
    .concat()
}

/// Lets the user `node` in on all servers, with these rights.
fn allow(servers: &[&Redis], rights: &[&str]) {
    for redis in servers {
        let words = rights.iter().flat_map(|some| some.split(' '));
        let rule: Vec<&str> = [
            "ACL",
            "SETUSER",
            "node",
            "reset",
            "on",
            ">s3cret",
            "&foghorn*",
        ]
        .into_iter()
        .chain(words)
        .collect();
        redis.done(&rule);
    }
}

/// Two nodes with these rights hear each other; one without the last of them does not come up.
async fn suffice_and_are_needed(servers: &[&Redis], url: &str, more: &[&str]) {
    let all = rights(servers[0]);
    let url = url.replacen("://", "://node:s3cret@", 1);
    allow(servers, &[&[all.as_str()], more].concat());
    let (one, two) = (
        Node::up(config(&url, 4)).await,
        Node::up(config(&url, 4)).await,
    );
    for number in 0..50 {
        one.publish_confirmed("a", number).await;
    }
    two.expect(&["a"], 50).await;
    one.stop().await;
    two.stop().await;
    for without in more {
        let rest: Vec<&str> = more
            .iter()
            .filter(|right| *right != without)
            .copied()
            .collect();
        allow(servers, &[&[all.as_str()], &rest[..]].concat());
        let node = Node::start(config(&url, 4));
        for number in 0..5 {
            drop(node.publish("a", number));
        }
        node.expect(&["a"], 5).await;
        assert!(!node.is_up(), "it came up without {without}");
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn behind_sentinels_one_right_more_is_needed() {
    let redis = Sentinels::start();
    suffice_and_are_needed(&[&redis.master, &redis.replica], &redis.url(), &["+role"]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn in_a_cluster_two_rights_more_are_needed() {
    let cluster = Cluster::start();
    let servers: Vec<&Redis> = cluster.servers.iter().collect();
    suffice_and_are_needed(
        &servers,
        &cluster.url(),
        &["+cluster|slots", "+cluster|info"],
    )
    .await;
}

/// The line of the manual is all that a node needs, and it needs all of it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn each_right_of_the_line_is_needed_and_no_other() {
    let redis = Redis::start(&[]);
    let all = rights(&redis);
    let user = |rights: &str, channels: &str| {
        let rights: Vec<&str> = rights.split(' ').collect();
        let rule = [
            &["ACL", "SETUSER", "node", "reset", "on", ">s3cret", channels][..],
            &rights,
        ]
        .concat();
        redis.done(&rule);
    };
    let url = format!("redis://node:s3cret@127.0.0.1:{}", redis.port);
    user(&all, "&foghorn*");
    let (one, two) = (
        Node::up(config(&url, 4)).await,
        Node::up(config(&url, 4)).await,
    );
    for number in 0..50 {
        one.publish_confirmed("a", number).await;
    }
    two.expect(&["a"], 50).await;
    assert_eq!(redis.cli(&["--raw", "DBSIZE"]).trim(), "0");
    one.stop().await;
    two.stop().await;
    for (rights, channels) in [
        (all.replace("+publish ", ""), "&foghorn*"),
        (all.replace("+subscribe ", ""), "&foghorn*"),
        (all.clone(), "&other*"),
    ] {
        user(&rights, channels);
        let node = Node::start(config(&url, 4));
        for number in 0..5 {
            drop(node.publish("a", number));
        }
        // Its own clients are served all the same.
        node.expect(&["a"], 5).await;
        assert!(!node.is_up(), "it came up without {rights} {channels}");
        node.stop().await;
    }
}
