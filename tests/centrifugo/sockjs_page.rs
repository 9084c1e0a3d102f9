//! A page that speaks SockJS by requests: what it fetches, and what it says.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::common::http::{self, Answer};
use crate::common::{PATIENCE, eventually};

/// A session, by its name.
pub struct Session {
    pub port: u16,
    name: String,
}

impl Session {
    /// One that the node has not heard of.
    pub fn new(port: u16) -> Self {
        Self {
            port,
            name: format!("s{:016x}", rand::random::<u64>()),
        }
    }

    /// The same session, at another port.
    pub fn at(&self, port: u16) -> Self {
        Self {
            port,
            name: self.name.clone(),
        }
    }

    /// Where it is, in some way.
    pub fn path(&self, way: &str) -> String {
        format!("/connection/000/{}/{way}", self.name)
    }

    /// Fetches by a request that is answered whole.
    pub async fn fetch(&self, method: &str, way: &str) -> String {
        http::request(
            self.port,
            method,
            &self.path(way),
            &[],
            method.eq("POST").then_some(b""),
        )
        .await
        .expect(200)
        .body
    }

    /// Fetches one frame.
    pub async fn poll(&self) -> String {
        self.fetch("POST", "xhr")
            .await
            .trim_end_matches('\n')
            .to_owned()
    }

    /// Says commands, each in a message of its own.
    pub async fn say(&self, commands: &[Value]) -> Answer {
        let messages: Vec<String> = commands.iter().map(Value::to_string).collect();
        let body = json!(messages).to_string();
        http::request(
            self.port,
            "POST",
            &self.path("xhr_send"),
            &[],
            Some(body.as_bytes()),
        )
        .await
    }

    /// Says who it is, where anybody may, and subscribes to `channel`.
    pub async fn subscribe(&self, channel: &str) {
        let connect = json!({"uid": "1", "method": "connect", "params": {"user": "42"}});
        let subscribe = json!({"uid": "2", "method": "subscribe", "params": {"channel": channel}});
        self.say(&[connect, subscribe]).await.expect(204);
    }

    /// Waits until the node has forgotten it.
    pub async fn is_forgotten(&self) {
        eventually("the session is forgotten", || async {
            (self.say(&[json!({"method": "ping"})]).await.status == 404).then_some(())
        })
        .await;
    }
}

/// An answer that goes on.
pub struct Stream {
    body: Incoming,
    text: String,
}

impl Stream {
    /// Fetches frames by xhr_streaming; what comes before them is passed over.
    pub async fn open(session: &Session) -> Self {
        let mut stream = Self::by(session, "POST", "xhr_streaming").await;
        assert_eq!(stream.line().await.map(|line| line.len()), Some(2_048));
        stream
    }

    /// Fetches frames.
    pub async fn by(session: &Session, method: &str, way: &str) -> Self {
        let io = TokioIo::new(
            TcpStream::connect(("127.0.0.1", session.port))
                .await
                .expect("a connection"),
        );
        let (mut sender, connection) = http1::handshake(io).await.expect("HTTP/1.1");
        // It ends with the stream.
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(session.path(way))
            .header("host", "localhost");
        let request = request.body(Empty::<Bytes>::new()).expect("a request");
        let answer = sender.send_request(request).await.expect("an answer");
        assert_eq!(answer.status(), 200);
        Self {
            body: answer.into_body(),
            text: String::new(),
        }
    }

    /// Reads on. Returns whether there was more.
    async fn read(&mut self) -> bool {
        let frame = tokio::time::timeout(PATIENCE, self.body.frame())
            .await
            .expect("more in time");
        let Some(Ok(frame)) = frame else { return false };
        self.text
            .push_str(std::str::from_utf8(frame.data_ref().expect("data")).expect("text"));
        true
    }

    /// The next line; `None`: the answer has ended.
    pub async fn line(&mut self) -> Option<String> {
        loop {
            if let Some((line, rest)) = self.text.split_once('\n') {
                let line = line.to_owned();
                self.text = rest.to_owned();
                return Some(line);
            }
            if !self.read().await {
                return None;
            }
        }
    }

    /// Reads until `text` is there; all that was read.
    pub async fn until(&mut self, text: &str) -> &str {
        while !self.text.contains(text) {
            assert!(self.read().await, "it ended before {text:?}: {}", self.text);
        }
        &self.text
    }

    /// Reads until a message is an answer to the command `uid`; the messages before it.
    pub async fn answer(&mut self, uid: &str) -> Vec<Value> {
        let mut before = Vec::new();
        loop {
            for message in messages(&self.line().await.expect("an answer")) {
                if message["uid"] == uid {
                    return before;
                }
                before.push(message);
            }
        }
    }
}

/// The messages in a frame.
pub fn messages(frame: &str) -> Vec<Value> {
    let Some(list) = frame.strip_prefix('a') else {
        return Vec::new();
    };
    let texts: Vec<String> = serde_json::from_str(list).expect("a list of texts");
    texts
        .iter()
        .map(|text| serde_json::from_str(text).expect("JSON"))
        .collect()
}
