//! Compressed messages: agreed on with those who offer them where `websocket_compression` is on, both ways, and bounded.

use foghorn::metrics::CLOSES;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::command_line::certificate;
use crate::common::browser::Browser;
use crate::common::node::Node;
use crate::common::ports::free_port;
use crate::common::process::command;
use crate::common::socket::{End, Handshake, PING, PONG, Socket, TEXT, frame};
use crate::real::{folder, installed, run};
use crate::sockjs::open_node;

/// As browsers offer it.
const OFFER: &str = "permessage-deflate; client_max_window_bits";
const AGREED: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
/// Said of the first frame of a compressed message.
const COMPRESSED: u8 = 0x40;

/// A node that compresses and believes everybody.
async fn compressing(mut more: Value) -> Node {
    more["websocket_compression"] = true.into();
    open_node(more).await
}

async fn offering(node: &Node, path: &str) -> Socket {
    Handshake::new(node.port())
        .path(path)
        .header("Sec-WebSocket-Extensions", OFFER)
        .open()
        .await
}

/// A page that is connected and subscribed to `news`.
async fn page(mut socket: Socket) -> Socket {
    let commands = json!([
        {"uid": "1", "method": "connect", "params": {"user": "ann"}},
        {"uid": "2", "method": "subscribe", "params": {"channel": "news"}},
    ]);
    socket.send(TEXT, commands.to_string().as_bytes()).await;
    let (answers, _) = message(&mut socket).await;
    assert_eq!(answers[1]["body"]["status"], true, "{answers}");
    socket
}

/// A message, and how many bytes it took where it was compressed.
async fn message(socket: &mut Socket) -> (Value, Option<usize>) {
    loop {
        let frame = socket.frame().await.expect("a message");
        if frame.opcode == TEXT {
            let text = if frame.compressed {
                inflated(&frame.payload)
            } else {
                frame.payload.clone()
            };
            let bytes = frame.compressed.then_some(frame.payload.len());
            return (serde_json::from_slice(&text).expect("JSON"), bytes);
        }
    }
}

/// What a client sends that ends its stream with each message (RFC 7692, section 7.2.3.4).
fn deflated(text: &str) -> Vec<u8> {
    let mut compressed = miniz_oxide::deflate::compress_to_vec(text.as_bytes(), 6);
    compressed.push(0);
    compressed
}

fn inflated(payload: &[u8]) -> Vec<u8> {
    let whole = [payload, b"\x00\x00\xff\xff\x01\x00\x00\xff\xff"].concat();
    miniz_oxide::inflate::decompress_to_vec(&whole).expect("it was compressed")
}

fn publish(text: &str) -> String {
    json!({"uid": "3", "method": "publish", "params": {"channel": "news", "data": text}})
        .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_offers_it_has_compressed_messages_both_ways_and_others_have_theirs_as_they_are() {
    let node = compressing(json!({})).await;
    let mut offers = page(offering(&node, "/connection/websocket").await).await;
    assert_eq!(offers.headers()["sec-websocket-extensions"], AGREED);
    let plain = Handshake::new(node.port()).path("/connection/websocket");
    let mut plain = page(plain.open().await).await;
    assert!(!plain.headers().contains_key("sec-websocket-extensions"));
    let text = "the same words again, ".repeat(2_000);
    // In two parts, with a ping between them.
    let message_of_it = deflated(&publish(&text));
    let (one, two) = message_of_it.split_at(message_of_it.len() / 2);
    let parts = [
        frame(COMPRESSED | TEXT, false, one),
        frame(PING, true, b"now"),
        frame(0, true, two),
    ];
    offers.send_raw(&parts.concat()).await;
    let pong = offers.frame_beside_pings().await.expect("a pong");
    assert_eq!((pong.opcode, &pong.payload[..]), (PONG, &b"now"[..]));
    // What it published, and that it has.
    for _ in 0..2 {
        let (said, bytes) = message(&mut offers).await;
        if said["method"] == "message" {
            assert_eq!(said["body"]["data"], text);
            assert!(
                bytes.is_some_and(|bytes| bytes < text.len() / 10),
                "{bytes:?}"
            );
        } else {
            assert_eq!(said["body"]["status"], true, "{said}");
        }
    }
    let (said, bytes) = message(&mut plain).await;
    assert_eq!((&said["body"]["data"], bytes), (&json!(text), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn short_messages_go_as_they_are_where_that_is_said() {
    let node = compressing(json!({"websocket_compression_min_size": "5000"})).await;
    let mut offers = page(offering(&node, "/connection/websocket").await).await;
    for (words, compressed) in [(100, false), (1_000, true)] {
        offers
            .send(TEXT, publish(&"words ".repeat(words)).as_bytes())
            .await;
        let mut messages = [message(&mut offers).await, message(&mut offers).await];
        messages.sort_by_key(|(said, _)| said["method"] != "message");
        assert_eq!(messages[0].1.is_some(), compressed, "{words}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_to_too_much_or_is_no_compressed_message_ends_its_connection_and_no_other() {
    let node = compressing(json!({"client_request_max_size": 4_096})).await;
    let mut other = page(offering(&node, "/connection/websocket").await).await;
    let (bomb, broken) = (deflated(&" ".repeat(3_000_000)), b"\xff\xff\xff".to_vec());
    assert!(bomb.len() < 4_096);
    let (one, two) = bomb.split_at(100);
    let in_parts = [frame(COMPRESSED | TEXT, false, one), frame(0, true, two)].concat();
    for (bytes, code, reason) in [
        (frame(COMPRESSED | TEXT, true, &bomb), 1009, "too_long"),
        (in_parts, 1009, "too_long"),
        (frame(COMPRESSED | TEXT, true, &broken), 1002, "protocol"),
        (frame(COMPRESSED, true, b"goes on"), 1002, "protocol"),
        (frame(COMPRESSED | PING, true, b"ping"), 1002, "protocol"),
    ] {
        let mut socket = page(offering(&node, "/connection/websocket").await).await;
        let label = format!("reason=\"{reason}\"");
        let before = node.metric(CLOSES, &label).await;
        socket.send_raw(&bytes).await;
        assert_eq!(socket.ended().await, End::Closed(code, String::new()));
        drop(socket);
        node.counted(CLOSES, &label, before + 1.0).await;
    }
    other.send(TEXT, publish("still here").as_bytes()).await;
    assert_eq!(message(&mut other).await.0["method"], "message");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_is_agreed_with() {
    let silent = |socket: Socket| !socket.headers().contains_key("sec-websocket-extensions");
    let node = open_node(json!({})).await;
    assert!(silent(offering(&node, "/connection/websocket").await));
    let node = compressing(json!({"admin": true, "insecure_admin": true})).await;
    for path in ["/connection/000/a/websocket", "/socket"] {
        assert!(silent(offering(&node, path).await), "{path}");
    }
    let small = Handshake::new(node.port())
        .path("/connection/websocket")
        .header(
            "Sec-WebSocket-Extensions",
            "permessage-deflate; server_max_window_bits=12",
        );
    assert!(silent(small.open().await), "a window that is not kept to");
}

/// A port in front of a node; how many bytes each connection that has ended carried, from its client and to it.
async fn counting(to: u16) -> (u16, mpsc::UnboundedReceiver<(u64, u64)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let (carried, counts) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let carried = carried.clone();
            tokio::spawn(async move {
                let mut far = TcpStream::connect(("127.0.0.1", to)).await.expect("a node");
                if let Ok(counts) = tokio::io::copy_bidirectional(&mut near, &mut far).await {
                    // The test may be over.
                    let _ = carried.send(counts);
                }
            });
        }
    });
    (port, counts)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium"]
async fn a_page_in_chromium_sends_and_gets_large_messages_compressed() {
    let node = compressing(json!({})).await;
    let (port, mut counts) = counting(node.port()).await;
    let mut browser = Browser::start().await;
    let said = browser
        .evaluate(&format!(
            "new Promise(done => {{
                const text = 'the same words again, '.repeat(2000), ws = new WebSocket('ws://127.0.0.1:{port}/connection/websocket');
                const say = (method, params) => ws.send(JSON.stringify({{uid: method, method, params}}));
                ws.onopen = () => {{ say('connect', {{user: 'ann'}}); say('subscribe', {{channel: 'news'}}); say('publish', {{channel: 'news', data: text}}); }};
                ws.onmessage = ({{data}}) => {{
                    const said = JSON.parse(data);
                    if (said.method === 'message') {{ ws.close(); done([ws.extensions, said.body.data === text, text.length]); }}
                }};
            }})"
        ))
        .await;
    assert_eq!((&said[0], &said[1]), (&json!(AGREED), &json!(true)));
    let length = said[2].as_u64().expect("a length");
    let (up, down) = counts.recv().await.expect("it is closed");
    assert!(
        up < length / 10 && down < length / 10,
        "{up} up, {down} down, of {length}"
    );
}

/// The Python client compresses what it sends in parts, and has messages as they are where it asks for a window that is not kept
/// to.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 with venv and a registry"]
async fn websockets_sends_messages_in_compressed_parts_in_clear_text_and_encrypted() {
    let folder_of_keys = tempfile::TempDir::new().expect("a folder");
    let (cert, key) = certificate(folder_of_keys.path());
    let encrypted = free_port();
    let clear = compressing(json!({})).await;
    let _tls = compressing(json!({"ssl": true, "ssl_cert": cert, "ssl_key": key, "address": "127.0.0.1", "port": encrypted})).await;
    let python = installed("get-pypi.sh", &["websockets", "python3"]);
    for (scheme, port) in [("ws", clear.port()), ("wss", encrypted)] {
        let mut client = command(&python);
        client
            .arg(folder().join("parts.py"))
            .arg(format!("{scheme}://127.0.0.1:{port}/connection/websocket"));
        let printed = tokio::task::spawn_blocking(move || run(&mut client)).await;
        assert_eq!(
            printed.expect("it runs"),
            "as it offers by itself: ['permessage-deflate']\nas it offers by itself: the same came back\n\
             with a small window: []\nwith a small window: the same came back\n"
        );
    }
}
