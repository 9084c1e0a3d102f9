//! `docs/INBOX.md` shows what works: its commands are run as they are printed, and nginx with its lines.

use crate::common::ports::free_port;
use crate::common::proxy::Proxy;
use crate::common::shell::{Shell, code};
use crate::site::Inbox;
use crate::stream::{Stream, post};

const PAGE: &str = include_str!("../../docs/INBOX.md");

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs bash and curl"]
async fn the_pages_commands_post_and_listen() {
    let node = Inbox::start(&[]).await;
    let (url, user) = (node.url(), [("INBOX", &*node.url())]);
    let mut listens = Shell::start(PAGE, "listen", &user);
    listens.shows("event: connect\n").await;
    let posted = Shell::start(PAGE, "form", &user).done().await;
    assert!(posted.contains("received: {"), "{posted}");
    listens
        .shows("event: notify\ndata: \"{\\\"text\\\":\\\"hello\\\"}\"\n")
        .await;
    let mut listens = Shell::start(PAGE, "foghorn-listen", &user);
    listens.shows(&format!("listening at {url}")).await;
    let posted = Shell::start(PAGE, "foghorn-notify", &user).done().await;
    assert!(posted.contains("200: accepted\nfor ann\n"), "{posted}");
    let heard = listens.done().await;
    assert!(heard.contains("notify {\"text\":\"hello\"}\n"), "{heard}");
    let (mut page, _) = Stream::connect(node.port, "ann", "").await;
    Shell::start(PAGE, "json", &user).done().await;
    assert_eq!(page.data(1).await, ["{\"text\":\"hello\"}"]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs bash and curl"]
async fn the_pages_commands_listen_to_a_library() {
    let node = Inbox::start(&[("FOGHORN_DIALECTS", "seafile,inbox")]).await;
    let (library, seafile) = (
        crate::common::library(),
        format!("http://127.0.0.1:{}", node.port()),
    );
    let ops = format!("127.0.0.1:{}", node.ops());
    let env = [
        ("JWT_PRIVATE_KEY", crate::common::token::KEY),
        ("INBOX", &node.url()),
        ("LIBRARY", &library),
        ("SEAFILE", &seafile),
        ("FOGHORN_OPS_ADDR", &ops),
    ];
    let mut listens = Shell::start(PAGE, "library", &env);
    listens.shows("event: connect\n").await;
    Shell::start(PAGE, "publish", &env).done().await;
    listens
        .shows("event: repo-update\ndata: {\"commit_id\":\"1\",\"repo_id\":")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs nginx"]
async fn the_pages_nginx_passes_streams_on_and_tells_pages_to_wait_when_nobody_answers() {
    let mut node = Inbox::start(&[
        ("FOGHORN_SETTLE_SECONDS", "0"),
        ("FOGHORN_DRAIN_SECONDS", "1"),
    ])
    .await;
    let port = free_port();
    let server = format!(
        "upstream inbox {{ server 127.0.0.1:{}; }}\nserver {{ listen 127.0.0.1:{port};\n{}}}\n",
        node.port,
        code(PAGE, "```nginx\n")
    );
    let _nginx = Proxy::nginx(&server, port).await;
    let (mut page, first) = Stream::connect(port, "ann", "").await;
    post(node.port, "ann", "1").await;
    assert_eq!(page.data(1).await, ["1"], "it does not wait for more");
    node.stop().await;
    drop(page);
    let mut waits = Stream::open(port, "ann", &first.id).await;
    assert_eq!(waits.block().await.expect("a block").retry, "7000");
    assert_eq!(waits.block().await, None);
}
