//! Questions that take time: answered in their order, and nothing more is read from the client meanwhile.

use crate::client::{MOMENT, Nodes, ask, line, own, recorder, say, socket};
use crate::common::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn answers_come_in_the_order_of_the_questions() {
    let nodes = Nodes::start(1, &[("FOGHORN_ECHO_LOUD", "true")]).await;
    let address = own(&nodes.all[0]);
    let mut client = socket(address.port(), "user=ann").await;
    say(&mut client, "ask slow quick unknown").await;
    // All of them are under way at a time.
    eventually("three questions", || async {
        (ask(address, "GET", "/asked", "").await == "3").then_some(())
    })
    .await;
    ask(address, "POST", "/release", "").await;
    for wanted in ["0: SLOW", "1: QUICK", "2: try again"] {
        assert_eq!(line(&mut client).await, wanted);
    }
    assert!(
        recorder().render().contains("foghorn_echo_words_total"),
        "the dialect's own metric is shown"
    );
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_more_is_read_from_who_waits_for_an_answer() {
    let nodes = Nodes::start(1, &[]).await;
    let address = own(&nodes.all[0]);
    let mut client = socket(address.port(), "user=ann").await;
    // All of it comes in one piece, so the rest is read and kept.
    let frames = ["ask slow", "first", "ask slow", "second"].map(|text| {
        crate::common::socket::frame(crate::common::socket::TEXT, true, text.as_bytes())
    });
    client.send_raw(&frames.concat()).await;
    eventually("a question", || async {
        (ask(address, "GET", "/asked", "").await == "1").then_some(())
    })
    .await;
    say(&mut client, "third").await;
    tokio::time::sleep(MOMENT).await;
    assert_eq!(
        ask(address, "GET", "/asked", "").await,
        "1",
        "the second question is not read yet"
    );
    ask(address, "POST", "/release", "").await;
    for wanted in ["0: slow", "first"] {
        assert_eq!(line(&mut client).await, wanted);
    }
    ask(address, "POST", "/release", "").await;
    for wanted in ["1: slow", "second", "third"] {
        assert_eq!(line(&mut client).await, wanted);
    }
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_an_answer_can_still_be_told_to_go() {
    let nodes = Nodes::start(1, &[]).await;
    let mut client = socket(own(&nodes.all[0]).port(), "user=ann").await;
    say(&mut client, "ask slow").await;
    eventually("a question", || async {
        (ask(own(&nodes.all[0]), "GET", "/asked", "").await == "1").then_some(())
    })
    .await;
    let (ended, ()) = tokio::join!(client.ended(), nodes.stop());
    assert_eq!(
        ended,
        crate::common::socket::End::Closed(1001, "another node will take you".into())
    );
}
