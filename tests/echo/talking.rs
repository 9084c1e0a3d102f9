//! The echo dialect beside Seafile's: on the clients' port and on its own, by WebSocket.

use crate::client::{Nodes, line, own, say, socket};
use crate::common::http;
use crate::common::socket::End;

#[tokio::test(flavor = "multi_thread")]
async fn clients_subscribe_publish_and_hear_one_another_on_every_node_and_port() {
    let nodes = Nodes::start(2, &[]).await;
    let mut here = socket(nodes.all[0].client_addr.port(), "user=ann&channel=hall").await;
    let mut there = socket(own(&nodes.all[1]).port(), "user=bob").await;
    assert_eq!(line(&mut here).await, "subscribed hall");
    say(&mut there, "subscribe hall").await;
    assert_eq!(line(&mut there).await, "subscribed hall");
    say(&mut there, "publish hall good morning").await;
    assert_eq!(line(&mut here).await, "hall: good morning");
    // Which of the two comes first is nobody's promise.
    let mut lines = [line(&mut there).await, line(&mut there).await];
    lines.sort();
    assert_eq!(lines, ["0: published", "hall: good morning"]);
    say(&mut here, "hello").await;
    assert_eq!(line(&mut here).await, "hello");
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seafiles_clients_are_served_beside_it() {
    let nodes = Nodes::start(1, &[]).await;
    let port = nodes.all[0].client_addr.port();
    assert!(
        http::get(port, "/ping")
            .await
            .expect(200)
            .body
            .contains("pong")
    );
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connections_end_is_told_by_its_session() {
    let nodes = Nodes::start(1, &[]).await;
    let mut stays = socket(own(&nodes.all[0]).port(), "user=ann&channel=lobby").await;
    assert_eq!(line(&mut stays).await, "subscribed lobby");
    let goes = socket(own(&nodes.all[0]).port(), "user=bob").await;
    drop(goes);
    assert_eq!(line(&mut stays).await, "lobby: bob left");
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_ends_says_so_in_the_dialects_words() {
    let nodes = Nodes::start(1, &[]).await;
    let mut client = socket(own(&nodes.all[0]).port(), "user=ann&channel=hall").await;
    assert_eq!(line(&mut client).await, "subscribed hall");
    let (ended, ()) = tokio::join!(client.ended(), nodes.stop());
    assert_eq!(
        ended,
        End::Closed(1001, "another node will take you".into())
    );
}
