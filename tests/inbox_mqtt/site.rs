//! Nodes that serve inboxes as WebSockets, and take what comes over MQTT.

use std::ops::{Deref, DerefMut};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::common::PATIENCE;
use crate::common::node::{Node, Plan};
use crate::common::ports::free_port;

/// The key of tokens, as the conversations have it.
pub const KEY: &str = "testkey-testkey-testkey-testkey-00";

/// A node, and where its inboxes are.
pub struct Inbox {
    node: Node,
    /// WebSockets.
    pub port: u16,
    /// Event streams and posts.
    pub streams: u16,
}

impl Inbox {
    /// Starts one with these settings.
    pub async fn start(settings: &[(&str, &str)]) -> Self {
        Self::from(Plan::new(), settings).await
    }

    /// Starts one from a plan.
    pub async fn from(plan: Plan, settings: &[(&str, &str)]) -> Self {
        let (port, streams) = (free_port(), free_port());
        let plan = plan
            .env("FOGHORN_DIALECTS", "inbox")
            .env("FOGHORN_SSE_ADDR", &format!("127.0.0.1:{streams}"))
            .env("FOGHORN_INBOX_ADDR", &format!("127.0.0.1:{port}"));
        let plan = settings
            .iter()
            .fold(plan, |plan, (name, value)| plan.env(name, value));
        Self {
            node: plan.start().await,
            port,
            streams,
        }
    }

    /// Where its WebSockets are.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Deref for Inbox {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}

impl DerefMut for Inbox {
    fn deref_mut(&mut self) -> &mut Node {
        &mut self.node
    }
}

/// An event stream that is read.
pub struct Stream {
    stream: BufReader<TcpStream>,
}

impl Stream {
    /// Opens the one of `user`, and reads its first block.
    pub async fn open(port: u16, user: &str) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port))
            .await
            .expect("a connection");
        let mut stream = Self {
            stream: BufReader::new(stream),
        };
        let request = format!("GET /sse/{user} HTTP/1.0\r\n\r\n");
        stream
            .stream
            .get_mut()
            .write_all(request.as_bytes())
            .await
            .expect("sent");
        while !stream.line().await.is_empty() {}
        let first = stream.block().await;
        assert!(first.starts_with("event: connect\n"), "{first}");
        stream
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = tokio::time::timeout(PATIENCE, self.stream.read_line(&mut line));
        read.await.expect("a line in time").expect("a line");
        line.trim_end().to_owned()
    }

    /// The next block that is no heartbeat, which come when they are due: its event and data.
    pub async fn block(&mut self) -> String {
        loop {
            let (event, data) = (self.line().await, self.line().await);
            while !self.line().await.is_empty() {}
            if event != "event: heartbeat" {
                return format!("{event}\n{data}");
            }
        }
    }
}
