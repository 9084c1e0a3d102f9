//! A group's permission event reaches the group's members, on every node, and nobody else: with the database up, slow
//! and down.

mod common;

use common::cluster::Cluster;
use common::http;
use common::library;
use common::mariadb::MariaDb;
use common::node::{Node, Plan};
use common::socket::{End, Handshake, Socket};
use common::wire::{Flow, Wire};
use serde_json::{Value, json};

/// A plan for a node that asks this database, through `port`.
fn asking(database: &MariaDb, port: u16) -> Plan {
    database
        .env_through(port)
        .iter()
        .fold(Plan::new().no_replay(), |plan, (name, value)| {
            plan.env(name, value)
        })
}

fn for_group(library: &str, group: i64) -> Value {
    json!({"repo_id": library, "path": "/", "type": "group", "change_event": "add", "group": group, "perm": "rw"})
}

fn permission(library: &str) -> Value {
    json!({"type": "folder-perm-changed", "content": for_group(library, 7)})
}

fn update(library: &str, commit: &str) -> Value {
    json!({"type": "repo-update", "content": {"repo_id": library, "commit_id": commit}})
}

async fn expect_permission(socket: &mut Socket, library: &str) {
    assert_eq!(socket.recv().await, permission(library));
}

/// Takes the next two messages, the group's and the one posted behind it. What stands behind a look-up waits for two seconds
/// at most, so how long the database took decides which comes first.
async fn expect_both(socket: &mut Socket, library: &str, commit: &str) {
    let mut got = [socket.recv().await, socket.recv().await];
    got.sort_by_key(|message| message["type"].to_string());
    assert_eq!(got, [permission(library), update(library, commit)]);
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
        node.post("folder-perm-changed", &for_group(&library, 7))
            .await
            .expect(200);
        node.post("folder-perm-changed", &for_group(&library, 999))
            .await
            .expect(200);
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
    let asked: u64 = asked
        .split_whitespace()
        .last()
        .and_then(|n| n.parse().ok())
        .expect("a number");
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
    node.post("folder-perm-changed", &for_group(&library, 7))
        .await
        .expect(200);
    node.post_update(&library, "behind it").await;
    node.post_update(&other, "beside it").await;
    elsewhere.expect_update(&other, "beside it").await;
    http::get(node.port(), "/ping").await.expect(200);
    // What stands behind it is held up for a moment, and not until the database answers.
    member.expect_update(&library, "behind it").await;
    stranger.expect_update(&library, "behind it").await;

    wire.heal();
    expect_permission(&mut member, &library).await;
    assert!(
        stranger.pending().await.is_empty(),
        "it went to who is not in the group"
    );
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
    node.post("folder-perm-changed", &for_group(&library, 7))
        .await
        .expect(200);
    node.post_update(&library, "behind it").await;
    node.counted("foghorn_group_lookups_total", "", 1.0).await;
    database.restart().await;
    expect_both(&mut member, &library, "behind it").await;
    stranger.expect_update(&library, "behind it").await;
}

#[tokio::test]
#[ignore = "needs MariaDB"]
async fn a_new_password_is_in_force_after_a_hangup() {
    let database = MariaDb::start().await;
    let plan = asking(&database, database.port()).without("SEAFILE_MYSQL_DB_PASSWORD");
    let file = plan.folder().join("password");
    std::fs::write(&file, "database-secret\n").expect("written");
    let mut node = plan
        .env("SEAFILE_MYSQL_DB_PASSWORD_FILE", "password")
        .start()
        .await;
    let library = library();
    let mut member = node.subscriber(&library, "a@x").await;
    node.post("folder-perm-changed", &for_group(&library, 7))
        .await
        .expect(200);
    expect_permission(&mut member, &library).await;

    for host in ["127.0.0.1", "localhost"] {
        database.sql(&format!(
            "ALTER USER 'seafile'@'{host}' IDENTIFIED BY 'another-secret'"
        ));
    }
    std::fs::write(&file, "another-secret\n").expect("written");
    node.process().signal("HUP");
    let log = node.process().logged("configuration read again").await;
    assert!(
        log.contains("SEAFILE_MYSQL_DB_PASSWORD_FILE") && !log.contains("another-secret"),
        "{log}"
    );
    // Of a group that was not asked for before, so that nothing is remembered: a new connection is made.
    node.post("folder-perm-changed", &for_group(&library, 8))
        .await
        .expect(200);
    node.counted("foghorn_group_lookups_total", "result=\"ok\"", 2.0)
        .await;
    let log = node.log_so_far().await;
    assert!(
        !log.contains("needs a restart") && !log.contains("cannot be looked up"),
        "{log}"
    );
}

#[tokio::test]
#[ignore = "needs MariaDB"]
async fn a_database_that_stays_away_means_nobody() {
    let mut database = MariaDb::start().await;
    // Nobody here reads, and answers pings, while the database is given its time.
    let mut node = asking(&database, database.port())
        .env("FOGHORN_PING_SECONDS", "600")
        .start()
        .await;
    let library = library();
    let mut member = node.subscriber(&library, "a@x").await;
    let mut stranger = node.subscriber(&library, "c@x").await;
    database.process().kill();
    node.post("folder-perm-changed", &for_group(&library, 7))
        .await
        .expect(200);
    node.post_update(&library, "behind it").await;
    let mut page = Handshake::new(node.port()).browser().open().await;
    page.subscribe(&library, "a@x").await;
    for socket in [&mut member, &mut stranger] {
        socket.expect_update(&library, "behind it").await;
    }
    // It is asked for again and again, and then given up: whoever must check everything anew then is told to.
    node.counted("foghorn_group_lookups_total", "", 10.0).await;
    node.counted(
        "foghorn_group_events_dropped_total",
        "reason=\"database\"",
        1.0,
    )
    .await;
    for socket in [&mut member, &mut stranger] {
        assert!(matches!(socket.ended().await, End::Closed(1012, _)));
    }
    page.settle().await;
    assert_eq!(
        node.metric("foghorn_group_events_dropped_total", "").await,
        1.0
    );
    let log = node.process().logged("go to nobody").await;
    assert!(
        !log.contains("database-secret"),
        "the password is in the log"
    );
    http::get(node.port(), "/ping").await.expect(200);
}

/// The node that took it knows alone that it went to nobody; clients of all nodes are told to check anew.
#[tokio::test]
#[ignore = "needs Redis"]
async fn a_group_event_that_is_given_up_is_declared_on_every_node() {
    let database = common::ports::free_port().to_string();
    let cluster = Cluster::start(2, 1, || {
        let plan = Plan::new()
            .no_replay()
            .env("FOGHORN_PING_SECONDS", "600")
            .env("FOGHORN_RESYNC_WINDOW", "1");
        [
            ("SEAFILE_MYSQL_DB_HOST", "127.0.0.1"),
            ("SEAFILE_MYSQL_DB_PORT", &database),
            ("SEAFILE_MYSQL_DB_USER", "seafile"),
            ("SEAFILE_MYSQL_DB_PASSWORD", "database-secret"),
        ]
        .iter()
        .fold(plan, |plan, (name, value)| plan.env(name, value))
    })
    .await;
    let (library, other) = (library(), common::library());
    let (mut clients, mut elsewhere, mut pages) = (Vec::new(), Vec::new(), Vec::new());
    for node in &cluster.nodes {
        clients.push(node.subscriber(&library, "a@x").await);
        elsewhere.push(node.subscriber(&other, "a@x").await);
        let mut page = Handshake::new(node.port()).browser().open().await;
        page.subscribe(&library, "a@x").await;
        pages.push(page);
    }
    cluster.nodes[0]
        .post("folder-perm-changed", &for_group(&library, 7))
        .await
        .expect(200);
    cluster.nodes[0].post_update(&library, "behind it").await;
    for socket in clients.iter_mut().chain(&mut pages) {
        socket.expect_update(&library, "behind it").await;
    }
    // It is given up after a minute, which is as long as a test waits for one thing: seen on its way there first.
    let node = &cluster.nodes[0];
    node.counted("foghorn_group_lookups_total", "", 10.0).await;
    node.counted("foghorn_group_events_dropped_total", "", 1.0)
        .await;
    // Only desktop clients of that library have to check anything, and they are told wherever they are.
    for socket in &mut clients {
        assert!(matches!(socket.ended().await, End::Closed(1012, _)));
    }
    for socket in elsewhere.iter_mut().chain(&mut pages) {
        socket.settle().await;
    }
    let counted = async |n: usize| {
        cluster.nodes[n]
            .metric("foghorn_group_events_dropped_total", "")
            .await
    };
    assert_eq!((counted(0).await, counted(1).await), (1.0, 0.0));
}

#[tokio::test]
async fn a_database_that_cannot_be_reached_is_told_at_the_start() {
    let plan = Plan::new()
        .env("SEAFILE_MYSQL_DB_HOST", "127.0.0.1")
        .env(
            "SEAFILE_MYSQL_DB_PORT",
            &common::ports::free_port().to_string(),
        )
        .env("SEAFILE_MYSQL_DB_USER", "seafile")
        .env("SEAFILE_MYSQL_DB_PASSWORD", "database-secret");
    let mut node = plan.start().await;
    let log = node
        .process()
        .logged("group members cannot be looked up")
        .await;
    assert!(
        log.contains("seafile@127.0.0.1") && log.contains("SEAFILE_MYSQL_DB_HOST"),
        "{log}"
    );
    // It makes no node less ready.
    let shown = http::get(node.ops(), "/readyz").await.expect(200).json();
    let said = shown["group_database"].as_str().expect("words");
    assert!(
        said.contains("cannot connect") && !said.contains("database-secret"),
        "{said}"
    );
    assert_eq!(node.metric("foghorn_group_database_up", "").await, 0.0);
    node.post("folder-perm-changed", &for_group(&library(), 7))
        .await
        .expect(200);
    node.counted("foghorn_group_lookups_total", "", 3.0).await;
    let log = node.log_so_far().await;
    assert_eq!(
        log.matches("group members cannot be looked up").count(),
        1,
        "{log}"
    );
    assert!(
        !log.contains("database-secret"),
        "the password is in the log"
    );
}

#[tokio::test]
async fn no_database_means_nobody_and_says_so() {
    let mut node = Plan::new().no_replay().start().await;
    let library = library();
    let mut member = node.subscriber(&library, "a@x").await;
    node.process().logged("SEAFILE_MYSQL_DB_HOST").await;
    let at_start = warnings(&node);
    for _ in 0..3 {
        node.post("folder-perm-changed", &for_group(&library, 7))
            .await
            .expect(200);
    }
    // Everybody, and one user by name, need no database.
    node.post("folder-perm-changed", &for_group(&library, -1))
        .await
        .expect(200);
    let everybody = json!({"type": "folder-perm-changed", "content": for_group(&library, -1)});
    assert_eq!(member.recv().await, everybody);
    assert_eq!(
        node.metric("foghorn_group_events_dropped_total", "").await,
        3.0
    );
    common::eventually("a second warning", || async {
        (warnings(&node) == 2).then_some(())
    })
    .await;
    assert_eq!(at_start, 1, "{}", node.log());
}

/// How many warnings there are about the missing database.
fn warnings(node: &Node) -> usize {
    let log = node.log();
    log.lines()
        .filter(|line| line.contains("WARN") && line.contains("SEAFILE_MYSQL_DB_HOST"))
        .count()
}
