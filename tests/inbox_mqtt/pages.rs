//! `docs/INBOX.md` shows what works: its commands about MQTT are run as they are printed, and nginx with its lines.

use crate::brokers::Broker;
use crate::common::node::Plan;
use crate::common::ports::free_port;
use crate::common::process::need;
use crate::common::proxy::Proxy;
use crate::common::redis::Redis;
use crate::common::shell::{Shell, code};
use crate::common::socket::Handshake;
use crate::publisher::Publisher;
use crate::site::Inbox;
use crate::sockets::{from, text};

const PAGE: &str = include_str!("../../docs/INBOX.md");

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs bash, curl and Mosquitto"]
async fn the_pages_commands_bring_a_message_and_take_the_session_away() {
    let broker = Broker::mosquitto().await;
    let mut node = from(Plan::new(), &[("FOGHORN_INBOX_BROKER_URL", &broker.url())]).await;
    node.counted("foghorn_inbox_mqtt_connected", "", 1.0).await;
    need("mosquitto_pub", "mosquitto-clients");
    let (inbox, url) = (format!("http://127.0.0.1:{}", node.streams), broker.url());
    let env = [("INBOX", &*inbox), ("BROKER", &*url)];
    let mut listens = Shell::start(PAGE, "listen-42", &env);
    listens.shows("event: connect\n").await;
    Shell::start(PAGE, "mqtt", &env).done().await;
    listens
        .shows("event: notify\ndata: \"New Message\"\n")
        .await;
    node.stop().await;
    Shell::start(PAGE, "leave", &env).done().await;
    // Nothing has gathered there since.
    Publisher::new(broker.port)
        .publish("notification42", "42")
        .await;
    node.restart().await;
    node.counted("foghorn_inbox_mqtt_connected", "", 1.0).await;
    Publisher::new(broker.port)
        .publish("notification42", "42")
        .await;
    node.counted("foghorn_inbox_mqtt_acknowledged_total", "", 1.0)
        .await;
    assert_eq!(
        node.metric("foghorn_inbox_mqtt_messages_total", "").await,
        1.0
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs nginx, Redis and Mosquitto"]
async fn a_notifier_is_replaced_by_the_pages_settings_and_nginx_lines() {
    let (broker, sessions) = (Broker::mosquitto().await, Redis::start().await);
    let node = Inbox::start(&[
        ("FOGHORN_INBOX_BROKER_URL", &broker.url()),
        ("FOGHORN_INBOX_SESSION_REDIS_URL", &sessions.url()),
        ("FOGHORN_INBOX_SESSION_COOKIE", "sid"),
        ("FOGHORN_INBOX_TEXT", "New Notification"),
    ])
    .await;
    node.counted("foghorn_inbox_mqtt_connected", "", 1.0).await;
    let port = free_port();
    let server = format!(
        "upstream sockets {{ server 127.0.0.1:{}; }}\nserver {{ listen 127.0.0.1:{port};\n{}}}\n",
        node.port,
        code(PAGE, "<!-- nginx: sockets -->\n\n```nginx\n")
    );
    let _nginx = Proxy::nginx(&server, port).await;
    let session = "0b1c2d3e-0000-4000-8000-00000000abcd";
    sessions
        .command(&["SET", session, r#"{"content":{"currentUser":{"id":42}}}"#])
        .await;
    let page = Handshake::new(port)
        .path("/websocket/api/v1/notification/ws")
        .header("Cookie", &format!("sid={session}"));
    let mut page = page.open().await;
    page.settle().await;
    Publisher::new(broker.port)
        .publish("notification42", "42")
        .await;
    assert_eq!(text(&mut page).await, "New Notification");
}
