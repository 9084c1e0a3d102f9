//! The page and the list of who is connected: of all nodes, and for whom.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::common::cluster::Cluster;
use crate::common::http::{self, Answer};
use crate::common::node::Plan;
use crate::common::redis::Redis;
use crate::site::Inbox;
use crate::stream::Stream;

async fn get(port: u16, path: &str, headers: &[(&str, &str)]) -> Answer {
    http::try_request(port, "GET", path, headers, None)
        .await
        .expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_and_the_list_are_guarded_as_the_console_is() {
    let node = Inbox::start(&[
        ("FOGHORN_OPS_PASSWORD", "an-ops-password"),
        ("FOGHORN_OPS_TOKEN", "an-ops-token"),
    ])
    .await;
    let basic = format!("Basic {}", STANDARD.encode("any:an-ops-password"));
    for path in ["/", "/users"] {
        let asked = get(node.port, path, &[]).await.expect(401);
        assert!(asked.headers["www-authenticate"].starts_with("Basic "));
        get(
            node.port,
            path,
            &[("Authorization", "Bearer an-ops-password")],
        )
        .await
        .expect(401);
        get(node.port, path, &[("Authorization", &basic)])
            .await
            .expect(200);
        get(node.port, path, &[("Authorization", "Bearer an-ops-token")])
            .await
            .expect(200);
    }
    assert!(!node.log().contains("an-ops-"));
    let unguarded = Inbox::start(&[]).await;
    get(unguarded.port, "/users", &[]).await.expect(200);
    get(unguarded.port, "/", &[("X-Forwarded-For", "192.0.2.7")])
        .await
        .expect(403);
    let off = Inbox::start(&[("FOGHORN_SSE_PAGE", "off")]).await;
    get(off.port, "/users", &[]).await.expect(404);
}

fn users(answer: &Answer) -> Vec<String> {
    let keys: Vec<Value> = serde_json::from_str(&answer.body).expect("a list");
    keys.iter()
        .map(|key| {
            key.as_str()
                .expect("text")
                .rsplit_once('_')
                .expect("a key")
                .0
                .to_owned()
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis"]
async fn users_of_all_nodes_are_listed_and_nodes_that_do_not_answer_are_named() {
    let cluster = Cluster {
        redis: vec![Redis::start().await],
        nodes: Vec::new(),
    };
    let one = Inbox::from(
        cluster.member(Plan::new()).env("FOGHORN_NODE_NAME", "one"),
        &[],
    )
    .await;
    let mut two = Inbox::from(
        cluster.member(Plan::new()).env("FOGHORN_NODE_NAME", "two"),
        &[],
    )
    .await;
    let (_ann, _) = Stream::connect(one.port, "ann", "").await;
    let (_bob, _) = Stream::connect(two.port, "bob_x", "").await;
    let all = crate::common::eventually("both nodes", || async {
        let answer = get(one.port, "/users", &[]).await.expect(200);
        (users(&answer) == ["ann", "bob_x"]).then_some(answer)
    })
    .await;
    assert_eq!(all.headers.get("x-foghorn-missing"), None);
    two.process().signal("STOP");
    let some = crate::common::eventually("its name", || async {
        let answer = get(one.port, "/users", &[]).await.expect(200);
        answer
            .headers
            .contains_key("x-foghorn-missing")
            .then_some(answer)
    })
    .await;
    two.process().signal("CONT");
    assert_eq!(
        (users(&some), &*some.headers["x-foghorn-missing"]),
        (vec!["ann".to_owned()], "two")
    );
}
