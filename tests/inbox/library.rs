//! A Seafile library's events as an event stream, for whoever has its token: one process, two dialects, one event.

use serde_json::{Value, json};

use crate::common::cluster::Cluster;
use crate::common::node::Plan;
use crate::common::redis::Redis;
use crate::common::{http, library, token};
use crate::site::Inbox;
use crate::stream::Stream;

const BOTH: (&str, &str) = ("FOGHORN_DIALECTS", "seafile,inbox");

/// Where `user` listens to `library`, below `/sse/`.
fn path(library: &str, user: &str) -> String {
    format!(
        "repo/{library}?token={}",
        token::subscription(library, user)
    )
}

fn permission(library: &str, user: &str) -> Value {
    json!({"repo_id": library, "path": "/", "type": "user", "user": user, "change_event": "add", "perm": "r"})
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_a_librarys_token_hears_what_its_clients_do() {
    let node = Inbox::start(&[BOTH]).await;
    let library = library();
    let (mut page, _) = Stream::connect(node.port, &path(&library, "ann@x"), "").await;
    let mut client = node.subscriber(&library, "bob@x").await;
    node.post("folder-perm-changed", &permission(&library, "bob@x"))
        .await
        .expect(200);
    node.post("folder-perm-changed", &permission(&library, "ann@x"))
        .await
        .expect(200);
    node.post_update(&library, "c1").await;
    let own = page.block().await.expect("a block");
    assert_eq!(&*own.event, "folder-perm-changed");
    assert_eq!(
        serde_json::from_str::<Value>(&own.data).expect("JSON"),
        permission(&library, "ann@x")
    );
    let update = page.block().await.expect("a block");
    assert_eq!(&*update.event, "repo-update");
    assert_eq!(
        serde_json::from_str::<Value>(&update.data).expect("JSON"),
        json!({"repo_id": library, "commit_id": "c1"})
    );
    assert_eq!(client.recv().await["content"]["user"], "bob@x");
    client.expect_update(&library, "c1").await;
    // Nothing of it is kept: whoever comes back is told so.
    let (mut back, _) = Stream::connect(node.port, &path(&library, "ann@x"), &update.id).await;
    let told = back.block().await.expect("a block");
    assert_eq!(
        (&*told.event, told.data),
        ("resync", format!("{{\"after\":\"{}\"}}", update.id))
    );
    let users = http::request(node.port, "GET", "/users", &[], None)
        .await
        .expect(200)
        .body;
    assert!(users.contains("ann@x_"), "{users}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_library_is_heard_with_its_own_token_by_query_header_or_cookie_until_it_runs_out() {
    let node = Inbox::start(&[BOTH]).await;
    let library = library();
    let (good, path) = (
        token::subscription(&library, "ann@x"),
        format!("/sse/repo/{library}"),
    );
    let ask = async |path: &str, headers: &[(&str, &str)]| {
        http::request(node.port, "HEAD", path, headers, None).await
    };
    let (bearer, cookie) = (format!("Bearer {good}"), format!("foghornToken={good}"));
    ask(&path, &[("Authorization", &bearer)]).await.expect(200);
    ask(&path, &[("Cookie", &cookie)]).await.expect(200);
    ask(&format!("{path}?token={good}"), &[]).await.expect(200);
    // The cookie may be the proof for something else.
    ask(
        &format!("{path}?token={good}"),
        &[("Cookie", "foghornToken=a.b.c")],
    )
    .await
    .expect(200);
    ask(&path, &[]).await.expect(401);
    ask(
        &format!("{path}?token={}", token::subscription("another", "ann@x")),
        &[],
    )
    .await
    .expect(401);
    ask(
        &format!(
            "{path}?token={}",
            token::subscription_until(&library, "ann@x", token::now())
        ),
        &[],
    )
    .await
    .expect(401);
    ask(&format!("/sse/nothing/{library}?token={good}"), &[])
        .await
        .expect(404);
    ask(&format!("/sse/user/ann?token={good}"), &[])
        .await
        .expect(404);
    node.counted(
        "foghorn_inbox_users_refused_total",
        "cause=\"channel_token\"",
        3.0,
    )
    .await;
    let soon = token::subscription_until(&library, "ann@x", token::now() + 15);
    let (mut page, _) =
        Stream::connect(node.port, &format!("repo/{library}?token={soon}"), "").await;
    assert_eq!(page.block().await, None);
    node.counted("foghorn_closes_total", "reason=\"expired\"", 1.0)
        .await;
    let alone = Inbox::start(&[]).await;
    http::request(
        alone.port,
        "GET",
        &format!("{path}?token={good}"),
        &[],
        None,
    )
    .await
    .expect(404);
    assert!(!node.log().contains(&good) && !alone.log().contains(&good));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis"]
async fn a_librarys_event_has_one_id_on_all_nodes() {
    let cluster = Cluster {
        redis: vec![Redis::start().await],
        nodes: Vec::new(),
    };
    let one = Inbox::from(cluster.member(Plan::new()), &[BOTH]).await;
    let two = Inbox::from(cluster.member(Plan::new()), &[BOTH]).await;
    let library = library();
    let (mut here, _) = Stream::connect(one.port, &path(&library, "ann@x"), "").await;
    let (mut there, _) = Stream::connect(two.port, &path(&library, "ann@x"), "").await;
    one.post_update(&library, "c1").await;
    let (heard, also) = (
        here.block().await.expect("a block"),
        there.block().await.expect("a block"),
    );
    assert_eq!(heard, also);
    assert_eq!(&*heard.event, "repo-update");
}
