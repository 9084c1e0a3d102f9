//! Mail to sessions, on whichever node they are.

use crate::client::{Nodes, Stream, ask, line, own, socket};

#[tokio::test(flavor = "multi_thread")]
async fn mail_finds_a_users_sessions_on_every_node_and_brings_their_answers() {
    let nodes = Nodes::start(3, &[]).await;
    let mut first = socket(own(&nodes.all[0]).port(), "user=ann").await;
    let mut second = socket(nodes.all[1].client_addr.port(), "user=ann").await;
    let mut streamed = Stream::open(own(&nodes.all[1]), "user=ann&channel=x").await;
    let mut other = socket(own(&nodes.all[1]).port(), "user=bob&channel=y").await;
    assert_eq!(
        streamed.block().await.as_deref(),
        Some("data: subscribed x")
    );
    assert_eq!(line(&mut other).await, "subscribed y");
    let answers = ask(own(&nodes.all[2]), "POST", "/mail/ann", "post").await;
    assert_eq!(answers, "ann has it\n".repeat(3));
    assert_eq!(line(&mut first).await, "mail: post");
    assert_eq!(line(&mut second).await, "mail: post");
    assert_eq!(streamed.block().await.as_deref(), Some("data: mail: post"));
    assert_eq!(
        ask(own(&nodes.all[2]), "POST", "/mail/nobody", "post").await,
        ""
    );
    // Whoever it was not for has not got it.
    ask(own(&nodes.all[2]), "POST", "/say/y", "news").await;
    assert_eq!(line(&mut other).await, "y: news");
    nodes.stop().await;
}
