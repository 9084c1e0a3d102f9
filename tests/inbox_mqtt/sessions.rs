//! Sessions that the backend keeps in its Redis: how they let pages in, and how they end.

use crate::common::eventually;
use crate::common::redis::Redis;
use crate::common::socket::{End, Handshake};
use crate::site::Inbox;

const PATH: &str = "/api/v1/notification/ws";
const SESSION: &str = "0b1c2d3e-0000-4000-8000-00000000abcd";

async fn log_in(redis: &Redis, user: u64) {
    let value = format!(r#"{{"content":{{"currentUser":{{"id":{user}}}}}}}"#);
    redis.command(&["SET", SESSION, &value]).await;
}

fn handshake(node: &Inbox) -> Handshake {
    Handshake::new(node.port)
        .path(PATH)
        .header("Cookie", &format!("a=b; sid={SESSION}"))
}

async fn node(redis: &Redis, recheck: &str) -> Inbox {
    Inbox::start(&[
        ("FOGHORN_INBOX_SESSION_REDIS_URL", &redis.url()),
        ("FOGHORN_INBOX_SESSION_COOKIE", "sid"),
        ("FOGHORN_INBOX_SESSION_RECHECK_SECONDS", recheck),
    ])
    .await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis"]
async fn a_page_ends_with_its_session_and_not_because_redis_is_away() {
    let mut redis = Redis::start().await;
    let node = node(&redis, "1").await;
    log_in(&redis, 7).await;
    let mut page = handshake(&node).open().await;
    redis.kill();
    // Nobody can say whose a session is: new pages are told to wait, and those that are there stay.
    let told = handshake(&node).refused().await.expect(503);
    assert_eq!(told.headers["retry-after"], "5");
    node.counted(
        "foghorn_inbox_users_refused_total",
        "cause=\"session_store\"",
        1.0,
    )
    .await;
    // The log is written beside the work.
    eventually("the setting's name in the log", || async {
        node.log()
            .contains("FOGHORN_INBOX_SESSION_REDIS_URL")
            .then_some(())
    })
    .await;
    page.settle().await;
    redis.restart().await;
    // It has come back empty.
    assert_eq!(
        page.ended().await,
        End::Closed(1008, "session ended".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis"]
async fn a_session_that_becomes_another_users_ends_its_pages() {
    let redis = Redis::start().await;
    let node = node(&redis, "1").await;
    log_in(&redis, 7).await;
    let mut page = handshake(&node).open().await;
    log_in(&redis, 8).await;
    assert_eq!(
        page.ended().await,
        End::Closed(1008, "session ended".into())
    );
    drop(handshake(&node).open().await);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis"]
async fn only_what_looks_like_a_session_is_asked_for() {
    let redis = Redis::start().await;
    let node = node(&redis, "60").await;
    let value = r#"{"content":{"currentUser":{"id":7}}}"#;
    redis
        .command(&["SET", "another-key-of-the-backend", value])
        .await;
    let guess = Handshake::new(node.port)
        .path(PATH)
        .header("Cookie", "sid=another-key-of-the-backend");
    guess.refused().await.expect(401);
    node.counted(
        "foghorn_inbox_users_refused_total",
        "cause=\"bad_proof\"",
        1.0,
    )
    .await;
}
