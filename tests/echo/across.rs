//! Mail to sessions, on whichever node they are.

use crate::client::{Nodes, Stream, ask, line, own, socket};

/// Reads letters up to this one. Those before, which were not answered in time, have come once and in order, or not at all.
async fn up_to(last: usize, mut next: impl AsyncFnMut() -> String) {
    let mut before = 0;
    while before < last {
        let letter = next().await;
        let number = letter.strip_prefix("mail: post ").map(str::parse::<usize>);
        match number {
            Some(Ok(number)) if number > before => before = number,
            _ => panic!("{letter:?} after letter {before}"),
        }
    }
}

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
    // Answers are waited for a second only: on a machine that stood still meanwhile it is asked again.
    let mut letters = 0_usize;
    loop {
        letters += 1;
        let letter = format!("post {letters}");
        let answers = ask(own(&nodes.all[2]), "POST", "/mail/ann", &letter).await;
        if answers == "ann has it\n".repeat(3) {
            break;
        }
        assert!(letters < 20, "{answers}");
    }
    up_to(letters, async || line(&mut first).await).await;
    up_to(letters, async || line(&mut second).await).await;
    up_to(letters, async || {
        let block = streamed.block().await.expect("a block");
        block.strip_prefix("data: ").expect("data").to_owned()
    })
    .await;
    assert_eq!(
        ask(own(&nodes.all[2]), "POST", "/mail/nobody", "post").await,
        ""
    );
    // Whoever it was not for has not got it.
    ask(own(&nodes.all[2]), "POST", "/say/y", "news").await;
    assert_eq!(line(&mut other).await, "y: news");
    nodes.stop().await;
}
