//! Nodes that speak the echo dialect, in this process, and clients of theirs.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use foghorn::app::{self, Between, Running};
use foghorn::broker::memory::MemoryBroker;
use foghorn::config::{Sources, load};
use foghorn::drain::Tasks;
use foghorn::ops::recorder::Recorder;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::common::PATIENCE;
use crate::common::socket::{Handshake, Socket, TEXT};
use crate::dialect::ECHO;

pub fn recorder() -> Recorder {
    static RECORDER: OnceLock<Recorder> = OnceLock::new();
    RECORDER
        .get_or_init(|| Recorder::install(&[&ECHO]).expect("the first"))
        .clone()
}

/// Several nodes on one broker.
pub struct Nodes {
    pub all: Vec<Running>,
    tasks: Tasks,
}

impl Nodes {
    pub async fn start(count: usize, settings: &[(&str, &str)]) -> Self {
        let tasks = Tasks::new();
        let broker = MemoryBroker::start(8, &tasks);
        Self::with(count, settings, Some(broker), tasks).await
    }

    /// Several nodes over Redis, once they hear it.
    pub async fn over(url: &str, count: usize) -> Self {
        let nodes = Self::with(count, &[("FOGHORN_REDIS_URLS", url)], None, Tasks::new()).await;
        for node in &nodes.all {
            let ready = || async { (ask_raw(node.ops_addr, "/readyz").await == 200).then_some(()) };
            crate::common::eventually("the nodes are ready", ready).await;
        }
        nodes
    }

    async fn with(
        count: usize,
        settings: &[(&str, &str)],
        broker: Option<MemoryBroker>,
        tasks: Tasks,
    ) -> Self {
        let mut all = Vec::new();
        for _ in 0..count {
            let mut sources = Sources::default();
            let base = [
                ("JWT_PRIVATE_KEY", "mQ2vT8kLp0Zr5Xw9Bn3Yc7Hd1Gf6Js4A"),
                ("NOTIFICATION_SERVER_HOST", "127.0.0.1"),
                ("NOTIFICATION_SERVER_PORT", "0"),
                ("FOGHORN_OPS_ADDR", "127.0.0.1:0"),
                ("FOGHORN_DIALECTS", "seafile,echo"),
            ];
            sources.env = base
                .iter()
                .chain(settings)
                .map(|(name, value)| (name.into(), value.into()))
                .collect();
            sources.dialects.push(&ECHO);
            let config = load(&sources).into_config().expect("a configuration");
            all.push(
                app::start(&config, broker.clone().map(Between::Memory), recorder())
                    .await
                    .expect("a node"),
            );
        }
        Self { all, tasks }
    }

    pub async fn stop(self) {
        for node in self.all {
            assert!(node.stop().await, "a clean end");
        }
        self.tasks.stop();
        self.tasks.finish(PATIENCE).await;
    }
}

/// Where a node's echo dialect has its own port.
pub fn own(node: &Running) -> SocketAddr {
    node.ports
        .iter()
        .find(|port| port.dialect == "echo")
        .expect("a port")
        .address
}

/// A WebSocket, on the clients' port or the dialect's own.
pub async fn socket(port: u16, query: &str) -> Socket {
    Handshake::new(port)
        .path(&format!("/echo?{query}"))
        .open()
        .await
}

/// The next line that a WebSocket gets.
pub async fn line(socket: &mut Socket) -> String {
    let read = async {
        loop {
            let frame = socket.frame().await.expect("a frame");
            if frame.opcode == TEXT {
                return frame.text();
            }
        }
    };
    // Pings come however long there is no line.
    tokio::time::timeout(PATIENCE, read)
        .await
        .expect("a line in time")
}

pub async fn say(socket: &mut Socket, text: &str) {
    socket.send(TEXT, text.as_bytes()).await;
}

/// An event stream that is read.
pub struct Stream {
    body: Incoming,
    text: String,
}

pub async fn http1_to(address: SocketAddr) -> http1::SendRequest<Full<Bytes>> {
    let io = TokioIo::new(TcpStream::connect(address).await.expect("a connection"));
    let (sender, connection) = http1::handshake(io).await.expect("HTTP/1.1");
    tokio::spawn(connection.with_upgrades());
    sender
}

pub async fn http2_to(address: SocketAddr) -> http2::SendRequest<Full<Bytes>> {
    let io = TokioIo::new(TcpStream::connect(address).await.expect("a connection"));
    let (sender, connection) = http2::handshake(TokioExecutor::new(), io)
        .await
        .expect("HTTP/2");
    tokio::spawn(connection);
    sender
}

async fn ask_raw(address: SocketAddr, path: &str) -> u16 {
    crate::common::http::get(address.port(), path).await.status
}

/// What a node answers to a request of HTTP/1.1.
pub async fn ask(address: SocketAddr, method: &str, path: &str, body: &str) -> String {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost");
    let request = request
        .body(Full::new(Bytes::from(body.to_owned())))
        .expect("a request");
    let answer = http1_to(address)
        .await
        .send_request(request)
        .await
        .expect("an answer");
    assert!(
        answer.status().is_success(),
        "{method} {path}: {}",
        answer.status()
    );
    String::from_utf8(
        answer
            .into_body()
            .collect()
            .await
            .expect("a body")
            .to_bytes()
            .into(),
    )
    .expect("text")
}

impl Stream {
    pub fn of(body: Incoming) -> Self {
        Self {
            body,
            text: String::new(),
        }
    }

    /// Opens one by HTTP/1.1.
    pub async fn open(address: SocketAddr, query: &str) -> Self {
        let mut sender = http1_to(address).await;
        let request = Request::get(format!("/stream?{query}")).header("host", "localhost");
        let answer = sender
            .send_request(request.body(Full::default()).expect("a request"))
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 200);
        // The connection lives as long as its answer.
        Self::of(answer.into_body())
    }

    /// The next block, without heartbeats, however many come; `None`: the stream has ended.
    pub async fn block(&mut self) -> Option<String> {
        tokio::time::timeout(PATIENCE, self.read_block())
            .await
            .expect("a block in time")
    }

    async fn read_block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = block.to_owned();
                self.text = rest.to_owned();
                if block != ":" {
                    return Some(block);
                }
                continue;
            }
            let frame = self.body.frame().await?;
            self.text.push_str(
                std::str::from_utf8(frame.ok()?.data_ref().expect("data")).expect("text"),
            );
        }
    }
}

/// A moment, for what must not happen: it is not long enough to prove anything by itself.
pub const MOMENT: Duration = Duration::from_millis(50);
