//! Brokers that refuse, hang up, hang or talk nonsense: a node says what is wrong, counts it, and tries again.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::common::{eventually, http};
use crate::site::{Inbox, Stream};

/// What a broker answers to CONNECT, and then to SUBSCRIBE; then it waits for the end.
const FAULTS: &[(&str, &[u8], &[u8], &str)] = &[
    (
        "refused",
        &[0x20, 2, 0, 5],
        &[],
        "it refuses user and password (FOGHORN_INBOX_BROKER_URL)",
    ),
    (
        "refused",
        &[0x20, 2, 0, 1],
        &[],
        "it does not speak MQTT 3.1.1",
    ),
    (
        "refused",
        &[0x20, 2, 0, 2],
        &[],
        "it does not like the client id (FOGHORN_INBOX_CLIENT_ID)",
    ),
    ("refused", &[0x20, 2, 0, 3], &[], "it is not ready to serve"),
    (
        "subscription",
        &[0x20, 2, 0, 0],
        &[0x90, 3, 0, 1, 0x80],
        "FOGHORN_INBOX_TOPIC",
    ),
    (
        "broken",
        &[0x20, 2, 0, 0],
        &[0xd0, 0xff, 0xff, 0xff, 0xff],
        "a length that does not end",
    ),
    (
        "broken",
        &[0x20, 2, 0, 0],
        &[0x20, 2, 0, 0],
        "a second CONNACK",
    ),
    (
        "broken",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        &[],
        "it does not speak MQTT 3.1.1",
    ),
    ("late", &[], &[], "it has not answered CONNECT in time"),
    (
        "late",
        &[0x20, 2, 0, 0],
        &[],
        "it has not answered SUBSCRIBE in time",
    ),
];

async fn misbehave(mut stream: TcpStream, connack: &'static [u8], suback: &'static [u8]) {
    let mut taken = [0; 1_024];
    for answer in [connack, suback] {
        // The node ended it.
        if !matches!(stream.read(&mut taken).await, Ok(1..))
            || stream.write_all(answer).await.is_err()
        {
            return;
        }
    }
    while matches!(stream.read(&mut taken).await, Ok(1..)) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_a_broker_is_named_and_counted() {
    let faults = FAULTS
        .iter()
        .map(|&(cause, connack, suback, words)| async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let port = listener.local_addr().expect("an address").port();
            let broker = tokio::spawn(async move {
                loop {
                    let (stream, _) = listener.accept().await.expect("a connection");
                    tokio::spawn(misbehave(stream, connack, suback));
                }
            });
            let url = format!("mqtt://u:a-password-of-the-test@127.0.0.1:{port}");
            let node = Inbox::start(&[("FOGHORN_INBOX_BROKER_URL", &url)]).await;
            let label = format!("cause=\"{cause}\"");
            // Twice: it tries again.
            node.counted("foghorn_inbox_mqtt_ends_total", &label, 2.0)
                .await;
            let ready = eventually("the words at /readyz", || async {
                let answer = http::get(node.ops(), "/readyz").await.expect(200);
                answer.body.contains(words).then_some(answer)
            })
            .await;
            // The log is written beside the work.
            eventually("the words in the log", || async {
                node.log().contains(words).then_some(())
            })
            .await;
            assert!(!ready.body.contains("a-password") && !node.log().contains("a-password"));
            assert_eq!(node.metric("foghorn_inbox_mqtt_connected", "").await, 0.0);
            broker.abort();
        });
    futures_util::future::join_all(faults).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_ends_each_connection_is_left_alone_for_a_minute() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!(
        "mqtt://127.0.0.1:{}",
        listener.local_addr().expect("an address").port()
    );
    let node = Inbox::start(&[("FOGHORN_INBOX_BROKER_URL", &url)]).await;
    let (mut connections, mut stretched, mut taken) = (0, 0, [0; 1_024]);
    while node.metric("foghorn_inbox_mqtt_ousted_total", "").await == 0.0 {
        let again =
            tokio::time::timeout(std::time::Duration::from_millis(100), listener.accept()).await;
        let Ok(Ok((mut stream, _))) = again else {
            continue;
        };
        let began = std::time::Instant::now();
        connections += 1;
        assert!(stream.read(&mut taken).await.expect("CONNECT") > 0);
        stream.write_all(&[0x20, 2, 1, 0]).await.expect("CONNACK");
        assert!(stream.read(&mut taken).await.expect("SUBSCRIBE") > 0);
        // One that a slow machine stretches to five seconds is not short: three others have to follow it.
        stretched += usize::from(began.elapsed() > std::time::Duration::from_secs(3));
    }
    assert!(
        connections == 3 || (connections > 3 && stretched > 0),
        "{connections} connections, of which {stretched} were stretched"
    );
    eventually("the words at /readyz", || async {
        let answer = http::get(node.ops(), "/readyz").await.expect(200);
        (answer.body.contains("another client seems to use the id")
            && answer.body.contains("next try in 60 s"))
        .then_some(())
    })
    .await;
    node.counted("foghorn_inbox_mqtt_ends_total", "cause=\"ended\"", 3.0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_session_is_told_of_even_if_the_connection_that_said_so_ends_first() {
    // Whether there was a session, and whether the subscription is granted before the broker hangs up.
    const COURSE: [(u8, bool); 3] = [(0, true), (0, false), (1, true)];
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!(
        "mqtt://127.0.0.1:{}",
        listener.local_addr().expect("an address").port()
    );
    let node = Inbox::start(&[
        ("FOGHORN_INBOX_BROKER_URL", &url),
        ("FOGHORN_RESYNC_WINDOW", "1"),
        ("FOGHORN_REPLAY_SECONDS", "0"),
    ])
    .await;
    let mut stream = Stream::open(node.streams, "ann").await;
    let mut taken = [0; 1_024];
    let mut held = None;
    for (present, grants) in COURSE {
        held = None;
        let (mut broker, _) = listener.accept().await.expect("a connection");
        assert!(broker.read(&mut taken).await.expect("CONNECT") > 0);
        broker
            .write_all(&[0x20, 2, present, 0])
            .await
            .expect("CONNACK");
        assert!(broker.read(&mut taken).await.expect("SUBSCRIBE") > 0);
        if grants {
            broker.write_all(&[0x90, 3, 0, 1, 1]).await.expect("SUBACK");
            held = Some(broker);
        }
    }
    let told = stream.block().await;
    assert!(told.starts_with("event: resync\n"), "{told}");
    node.counted("foghorn_inbox_mqtt_sessions_lost_total", "", 1.0)
        .await;
    drop(held);
}
