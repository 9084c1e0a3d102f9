//! A page's end of an event stream, and what a backend posts.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::common::{PATIENCE, http as plain};

/// An event stream that is read.
pub struct Stream {
    body: Incoming,
    text: String,
}

/// One block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    pub event: String,
    pub data: String,
    pub id: String,
    pub retry: String,
}

impl Stream {
    /// Opens one that goes on after `last_id`, where that is not empty; it must be answered 200.
    pub async fn open(port: u16, user: &str, last_id: &str) -> Self {
        let io = TokioIo::new(
            TcpStream::connect(("127.0.0.1", port))
                .await
                .expect("a connection"),
        );
        let (mut sender, connection) = http1::handshake(io).await.expect("HTTP/1.1");
        // It ends with the stream.
        tokio::spawn(connection);
        let mut request = Request::get(format!("/sse/{user}")).header("host", "localhost");
        if !last_id.is_empty() {
            request = request.header("last-event-id", last_id);
        }
        let request = request.body(Empty::<Bytes>::new()).expect("a request");
        let answer = sender.send_request(request).await.expect("an answer");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self {
            body: answer.into_body(),
            text: String::new(),
        }
    }

    /// Opens one, and reads its first block.
    pub async fn connect(port: u16, user: &str, last_id: &str) -> (Self, Block) {
        let mut stream = Self::open(port, user, last_id).await;
        let first = stream.block().await.expect("a first block");
        assert_eq!(first.event, "connect", "{first:?}");
        (stream, first)
    }

    /// The next block that is no comment and no heartbeat, which come when they are due; `None`: the stream has ended properly.
    pub async fn block(&mut self) -> Option<Block> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let found = read(block);
                self.text = rest.to_owned();
                if found != Block::default() && found.event != "heartbeat" {
                    return Some(found);
                }
                continue;
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame())
                .await
                .expect("a frame in time")?;
            let frame = frame.expect("a stream that is not cut off");
            self.text
                .push_str(std::str::from_utf8(frame.data_ref().expect("data")).expect("text"));
        }
    }

    /// The data of the next `count` blocks.
    pub async fn data(&mut self, count: usize) -> Vec<String> {
        let mut found = Vec::new();
        for _ in 0..count {
            found.push(self.block().await.expect("a block").data);
        }
        found
    }
}

fn read(text: &str) -> Block {
    let mut block = Block::default();
    for (name, value) in text.lines().filter_map(|line| line.split_once(": ")) {
        let field = match name {
            "event" => &mut block.event,
            "data" => &mut block.data,
            "id" => &mut block.id,
            "retry" => &mut block.retry,
            _ => continue,
        };
        value.clone_into(field);
    }
    block
}

/// Posts JSON for a user, which must be taken.
pub async fn post(port: u16, user: &str, data: &str) {
    let body = format!(r#"{{"id":"notify_{user}","data":{data}}}"#);
    let json = [("Content-Type", "application/json")];
    plain::try_request(
        port,
        "POST",
        "/webNotification",
        &json,
        Some(body.as_bytes()),
    )
    .await
    .expect("an answer")
    .expect(200);
}
