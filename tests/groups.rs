//! A group's permission event reaches the group's members, on every node, and nobody else: with the database up, slow
//! and down.

mod common;

use common::cluster::Cluster;
use common::http;
use common::library;
use common::mariadb::MariaDb;
use common::node::{Node, Plan};
use common::socket::Socket;
use common::wire::{Flow, Wire};
use serde_json::{Value, json};

/// A plan for a node that asks this database, through `port`.
fn asking(database: &MariaDb, port: u16) -> Plan {
    database.env_through(port).iter().fold(Plan::new().no_replay(), |plan, (name, value)| plan.env(name, value))
}

fn for_group(library: &str, group: i64) -> Value {
    json!({"repo_id": library, "path": "/", "type": "group", "change_event": "add", "group": group, "perm": "rw"})
}

async fn expect_permission(socket: &mut Socket, library: &str) {
    let wanted = json!({"type": "folder-perm-changed", "content": for_group(library, 7)});
    assert_eq!(socket.recv().await, wanted);
}

#[tokio::test]
#[ignore = "needs MariaDB and Redis"]
async fn members_get_it_on_every_node_and_others_do_not() {
    let database = MariaDb::start().await;
    let cluster = Cluster::start(3, 2, || asking(&database, database.port())).await;
    let library = library();
    let (mut members, mut strangers) = (Vec::new(), Vec::new());
    for node in &cluster.nodes {
        members.push(node.subscriber(&library, "a@x").await);
        members.push(node.subscriber(&library, "b@x").await);
        strangers.push(node.subscriber(&library, "A@x").await);
        strangers.push(node.subscriber(&library, "").await);
    }
    for (n, node) in cluster.nodes.iter().enumerate() {
        node.post("folder-perm-changed", &for_group(&library, 7)).await.expect(200);
        node.post("folder-perm-changed", &for_group(&library, 999)).await.expect(200);
        node.post_update(&library, &n.to_string()).await;
        for socket in &mut members {
            expect_permission(socket, &library).await;
            socket.expect_update(&library, &n.to_string()).await;
        }
        for socket in &mut strangers {
            socket.expect_update(&library, &n.to_string()).await;
        }
    }
    // Only the node that took an event asked, and not each time.
    let asked = database.sql("SHOW GLOBAL STATUS LIKE 'Com_select'");
    let asked: u64 = asked.split_whitespace().last().and_then(|n| n.parse().ok()).expect("a number");
    assert!(asked <= 30, "{asked} queries for 6 events");
}

#[tokio::test]
#[ignore = "needs MariaDB"]
async fn a_slow_database_holds_up_its_library_and_nothing_else() {
    let database = MariaDb::start().await;
    let wire = Wire::to(database.port()).await;
    let node = asking(&database, wire.port()).start().await;
    let (library, other) = (library(), common::library());
    let mut member = node.subscriber(&library, "a@x").await;
    let mut stranger = node.subscriber(&library, "c@x").await;
    let mut elsewhere = node.subscriber(&other, "c@x").await;

    wire.flow(Flow::Hold, Flow::Hold);
    // Answered although nothing can come from the database.
    node.post("folder-perm-changed", &for_group(&library, 7)).await.expect(200);
    node.post_update(&library, "behind it").await;
    node.post_update(&other, "beside it").await;
    elsewhere.expect_update(&other, "beside it").await;
    http::get(node.port(), "/ping").await.expect(200);
    assert!(member.pending().await.is_empty() && stranger.pending().await.is_empty(), "the order was broken");

    wire.heal();
    expect_permission(&mut member, &library).await;
    member.expect_update(&library, "behind it").await;
    stranger.expect_update(&library, "behind it").await;
}

#[tokio::test]
#[ignore = "needs MariaDB"]
async fn a_database_that_comes_back_is_asked_again() {
    let mut database = MariaDb::start().await;
    let node = asking(&database, database.port()).start().await;
    let library = library();
    let mut member = node.subscriber(&library, "a@x").await;
    let mut stranger = node.subscriber(&library, "c@x").await;
    database.process().kill();
    node.post("folder-perm-changed", &for_group(&library, 7)).await.expect(200);
    node.post_update(&library, "behind it").await;
    node.counted("foghorn_group_lookups_total", "", 1.0).await;
    database.restart().await;
    expect_permission(&mut member, &library).await;
    member.expect_update(&library, "behind it").await;
    stranger.expect_update(&library, "behind it").await;
}

#[tokio::test]
#[ignore = "needs MariaDB"]
async fn a_database_that_stays_away_means_nobody() {
    let mut database = MariaDb::start().await;
    let mut node = asking(&database, database.port()).start().await;
    let library = library();
    let mut member = node.subscriber(&library, "a@x").await;
    let mut stranger = node.subscriber(&library, "c@x").await;
    database.process().kill();
    node.post("folder-perm-changed", &for_group(&library, 7)).await.expect(200);
    node.post_update(&library, "behind it").await;
    for socket in [&mut member, &mut stranger] {
        socket.expect_update(&library, "behind it").await;
    }
    assert_eq!(node.metric("foghorn_group_events_dropped_total", "").await, 1.0);
    let log = node.process().logged("go to nobody").await;
    assert!(!log.contains("database-secret"), "the password is in the log");
    http::get(node.port(), "/ping").await.expect(200);
}

#[tokio::test]
async fn no_database_means_nobody_and_says_so() {
    let mut node = Plan::new().no_replay().start().await;
    let library = library();
    let mut member = node.subscriber(&library, "a@x").await;
    node.process().logged("SEAFILE_MYSQL_DB_HOST").await;
    let at_start = warnings(&node);
    for _ in 0..3 {
        node.post("folder-perm-changed", &for_group(&library, 7)).await.expect(200);
    }
    // Everybody, and one user by name, need no database.
    node.post("folder-perm-changed", &for_group(&library, -1)).await.expect(200);
    let everybody = json!({"type": "folder-perm-changed", "content": for_group(&library, -1)});
    assert_eq!(member.recv().await, everybody);
    assert_eq!(node.metric("foghorn_group_events_dropped_total", "").await, 3.0);
    assert_eq!((at_start, warnings(&node)), (1, 2), "{}", node.log());
}

/// How many warnings there are about the missing database.
fn warnings(node: &Node) -> usize {
    let log = node.log();
    log.lines().filter(|line| line.contains("WARN") && line.contains("SEAFILE_MYSQL_DB_HOST")).count()
}
