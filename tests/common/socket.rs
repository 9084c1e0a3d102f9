//! A WebSocket client of our own (RFC 6455): it sees every frame, sends any bytes, and answers pings only if told to.
//!
//! Invariant: what arrives is kept in order and nothing of it is lost before a test has asked for it.

mod handshake;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::token;

pub use handshake::Handshake;

/// Opcodes.
pub const TEXT: u8 = 1;
/// A binary message.
pub const BINARY: u8 = 2;
/// The peer says goodbye.
pub const CLOSE: u8 = 8;
/// A ping.
pub const PING: u8 = 9;
/// A pong.
pub const PONG: u8 = 10;

/// One frame as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The opcode; 0 continues a message.
    pub opcode: u8,
    /// Whether it ends its message.
    pub fin: bool,
    /// Whether its message is compressed (RFC 7692), where that was agreed on.
    pub compressed: bool,
    /// Its bytes.
    pub payload: Vec<u8>,
}

impl Frame {
    /// Its bytes as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// With a close frame: its code (1005 where it had none) and reason.
    Closed(u16, String),
    /// Without one.
    Cut,
}

/// An open connection.
pub struct Socket {
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    buffer: Vec<u8>,
    headers: BTreeMap<String, String>,
    held: VecDeque<Value>,
    parts: Vec<u8>,
    end: Option<End>,
    /// Whether pings and closes are answered.
    pub pong: bool,
    /// How long the next frame is waited for before the test fails.
    pub patience: Duration,
}

impl Socket {
    /// Opens an ordinary connection to `/`.
    pub async fn open(port: u16) -> Self {
        Handshake::new(port).open().await
    }

    /// The headers of the answer to the handshake.
    pub fn headers(&self) -> &BTreeMap<String, String> {
        &self.headers
    }

    /// The port on this side.
    pub fn local_port(&self) -> u16 {
        self.writer
            .local_addr()
            .expect("the socket has an address")
            .port()
    }

    /// Sends bytes as they are. An error means that the connection has ended, which reading will show.
    pub async fn send_raw(&mut self, bytes: &[u8]) {
        let _ = self.writer.write_all(bytes).await;
    }

    /// Sends a frame.
    pub async fn send(&mut self, opcode: u8, payload: &[u8]) {
        self.send_raw(&frame(opcode, true, payload)).await;
    }

    /// Sends a text message.
    pub async fn send_json(&mut self, value: &Value) {
        self.send(TEXT, value.to_string().as_bytes()).await;
    }

    /// Sends a subscribe message for these (library, token) pairs.
    pub async fn send_subscribe(&mut self, entries: &[(&str, &str)]) {
        let repos: Vec<_> = entries
            .iter()
            .map(|(id, token)| json!({"id": id, "jwt_token": token}))
            .collect();
        self.send_json(&json!({"type": "subscribe", "content": {"repos": repos}}))
            .await;
    }

    /// Subscribes to `library` as `user`, and waits until the server has done so.
    pub async fn subscribe(&mut self, library: &str, user: &str) {
        let token = token::subscription(library, user);
        self.send_subscribe(&[(library, &token)]).await;
        self.settle().await;
    }

    /// Unsubscribes, and waits until the server has done so.
    pub async fn unsubscribe(&mut self, library: &str) {
        self.send_json(&json!({"type": "unsubscribe", "content": {"repos": [{"id": library}]}}))
            .await;
        self.settle().await;
    }

    /// Waits until the server has handled all that was sent: frames are handled in order, so a ping's pong says so.
    /// Messages that come in between are kept.
    pub async fn settle(&mut self) {
        let mark: [u8; 8] = rand::random();
        self.send(PING, &mark).await;
        loop {
            match self.frame().await {
                Some(frame) if frame.opcode == PONG && frame.payload == mark => return,
                Some(frame) => self.keep(frame),
                None => panic!("the connection ended before a pong: {:?}", self.end),
            }
        }
    }

    /// The next frame of any kind; `None` once the connection has ended.
    pub async fn frame(&mut self) -> Option<Frame> {
        loop {
            let compresses = self.headers.contains_key("sec-websocket-extensions");
            if let Some((frame, size)) = parse_frame(&self.buffer, compresses) {
                self.buffer.drain(..size);
                match frame.opcode {
                    PING if self.pong => self.send(PONG, &frame.payload).await,
                    CLOSE if self.pong => self.send(CLOSE, &frame.payload).await,
                    _ => {}
                }
                return Some(frame);
            }
            match tokio::time::timeout(self.patience, self.reader.read_buf(&mut self.buffer)).await
            {
                Ok(Ok(0) | Err(_)) => {
                    self.end.get_or_insert(End::Cut);
                    return None;
                }
                Ok(Ok(_)) => {}
                Err(_) => panic!("nothing came for {:?}", self.patience),
            }
        }
    }

    /// The next frame that is no ping of the server's: those come when they are due, whatever a test does.
    pub async fn frame_beside_pings(&mut self) -> Option<Frame> {
        loop {
            match self.frame().await {
                Some(frame) if frame.opcode == PING => {}
                other => return other,
            }
        }
    }

    fn keep(&mut self, frame: Frame) {
        match frame.opcode {
            0 | TEXT | BINARY => {
                self.parts.extend_from_slice(&frame.payload);
                if frame.fin {
                    let message = std::mem::take(&mut self.parts);
                    let value = serde_json::from_slice(&message);
                    self.held.push_back(
                        value.unwrap_or_else(|e| {
                            panic!("{e}: {}", String::from_utf8_lossy(&message))
                        }),
                    );
                }
            }
            CLOSE => {
                let code = frame
                    .payload
                    .get(..2)
                    .map_or(1005, |code| u16::from_be_bytes([code[0], code[1]]));
                let reason = String::from_utf8_lossy(frame.payload.get(2..).unwrap_or_default())
                    .into_owned();
                self.end = Some(End::Closed(code, reason));
            }
            _ => {}
        }
    }

    /// The next message, parsed; `None` once the connection has ended.
    pub async fn next(&mut self) -> Option<Value> {
        while self.held.is_empty() {
            let frame = self.frame().await?;
            self.keep(frame);
            if self.end.is_some() {
                break;
            }
        }
        self.held.pop_front()
    }

    /// The next message; panics if the connection ends instead.
    pub async fn recv(&mut self) -> Value {
        match self.next().await {
            Some(value) => value,
            None => panic!("the connection ended instead of a message: {:?}", self.end),
        }
    }

    /// Takes the next message, which must be the `repo-update` of `library` with this commit.
    pub async fn expect_update(&mut self, library: &str, commit: &str) {
        let wanted =
            json!({"type": "repo-update", "content": {"repo_id": library, "commit_id": commit}});
        assert_eq!(self.recv().await, wanted);
    }

    /// Messages that have come already and nobody has asked for.
    pub async fn pending(&mut self) -> Vec<Value> {
        self.settle().await;
        self.held.drain(..).collect()
    }

    /// Waits until the other side ends the connection, passing over messages; says how it did.
    pub async fn ended(&mut self) -> End {
        loop {
            if let Some(end) = self.end.clone() {
                return end;
            }
            if let Some(frame) = self.frame().await {
                self.keep(frame);
            }
        }
    }
}

/// A frame as a client sends it. The mask is all zeros, which is a mask like any other.
pub fn frame(opcode: u8, fin: bool, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![if fin { 0x80 | opcode } else { opcode }];
    match payload.len() {
        n @ 0..=125 => bytes.push(0x80 | n as u8),
        n @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(n as u16).to_be_bytes());
        }
        n => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(n as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

/// The first frame in `bytes` and its size; `None` where it is not whole yet. A server's frames are not masked, and compressed
/// only where that was agreed on.
fn parse_frame(bytes: &[u8], compresses: bool) -> Option<(Frame, usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    assert_eq!(second & 0x80, 0, "the server masked a frame");
    let reserved = if compresses { 0x30 } else { 0x70 };
    assert_eq!(first & reserved, 0, "the server set a reserved bit");
    let (length, start) = match second {
        126 => (
            usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)),
            4,
        ),
        127 => (
            u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize,
            10,
        ),
        n => (usize::from(n), 2),
    };
    let payload = bytes.get(start..start + length)?.to_vec();
    Some((
        Frame {
            opcode: first & 15,
            fin: first & 0x80 != 0,
            compressed: first & 0x40 != 0,
            payload,
        },
        start + length,
    ))
}
