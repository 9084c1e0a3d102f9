//! A WebSocket client of our own (RFC 6455): it sees every frame, sends any bytes, and answers pings only if told to.
//!
//! Invariant: what arrives is kept in order and nothing of it is lost before a test has asked for it.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::Ipv4Addr;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::http::Answer;
use super::{PATIENCE, http, token};

/// The key every handshake here offers, and what must be answered to it (RFC 6455, section 1.3).
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

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

/// What to ask for when opening a connection.
pub struct Handshake {
    port: u16,
    from: Ipv4Addr,
    path: String,
    headers: BTreeMap<String, String>,
    early: Vec<u8>,
}

impl Handshake {
    /// An ordinary one, at `/`.
    pub fn new(port: u16) -> Self {
        let headers = [
            ("Host", "localhost"),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", KEY),
            ("Sec-WebSocket-Version", "13"),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Self { port, from: Ipv4Addr::LOCALHOST, path: "/".to_owned(), headers, early: Vec::new() }
    }

    /// Another path.
    pub fn path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// One more header, or another value.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Leaves a header out.
    pub fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    /// Comes from another of this machine's addresses, 127.0.0.0/8: each has some 28,000 ports.
    pub fn from(mut self, address: Ipv4Addr) -> Self {
        self.from = address;
        self
    }

    /// Bytes that go out in the same packet.
    pub fn early(mut self, bytes: Vec<u8>) -> Self {
        self.early = bytes;
        self
    }

    /// As the desktop client does it.
    pub fn desktop(self) -> Self {
        self.header("User-Agent", "Seafile/9.0.8 (Linux)").header("Sec-WebSocket-Protocol", "notification.seafile.com")
    }

    /// As a browser does it.
    pub fn browser(self) -> Self {
        self.header("User-Agent", "Mozilla/5.0 (X11; Linux x86_64)").header("Origin", "https://cloud.example.com")
    }

    fn bytes(&self) -> Vec<u8> {
        let mut head = format!("GET {} HTTP/1.1\r\n", self.path);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        let mut bytes = (head + "\r\n").into_bytes();
        bytes.extend_from_slice(&self.early);
        bytes
    }

    /// Opens the connection; an error where none could be made or it ended before an answer.
    pub async fn attempt(self) -> io::Result<Result<Socket, Answer>> {
        let socket = TcpSocket::new_v4()?;
        if self.from != Ipv4Addr::LOCALHOST {
            socket.bind((self.from, 0).into())?;
        }
        let stream = socket.connect((Ipv4Addr::LOCALHOST, self.port).into()).await?;
        stream.set_nodelay(true)?;
        let (mut reader, mut writer) = stream.into_split();
        writer.write_all(&self.bytes()).await?;
        let mut buffer = Vec::new();
        while !buffer.windows(4).any(|w| w == b"\r\n\r\n") {
            if reader.read_buf(&mut buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let answer = http::parse(&buffer).expect("an answer has a status line");
        if answer.status != 101 {
            let wanted = answer.headers.get("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
            while http::parse(&buffer).is_some_and(|answer| answer.body.len() < wanted) {
                if reader.read_buf(&mut buffer).await? == 0 {
                    break;
                }
            }
            return Ok(Err(http::parse(&buffer).expect("it was parsed before")));
        }
        assert_eq!(answer.headers.get("sec-websocket-accept").map(String::as_str), Some(ACCEPT));
        let at = buffer.windows(4).position(|w| w == b"\r\n\r\n").expect("the head is whole") + 4;
        buffer.drain(..at);
        let headers = answer.headers;
        Ok(Ok(Socket {
            reader,
            writer,
            buffer,
            headers,
            held: VecDeque::new(),
            parts: Vec::new(),
            end: None,
            pong: true,
        }))
    }

    /// Opens the connection; panics if it is refused.
    pub async fn open(self) -> Socket {
        let what = format!("{} on port {}", self.path, self.port);
        match tokio::time::timeout(PATIENCE, self.attempt()).await {
            Ok(Ok(Ok(socket))) => socket,
            Ok(Ok(Err(answer))) => panic!("handshake refused at {what}: {answer:?}"),
            Ok(Err(error)) => panic!("no handshake at {what}: {error}"),
            Err(_) => panic!("no answer to a handshake at {what}"),
        }
    }

    /// Panics if it is not refused; gives the answer.
    pub async fn refused(self) -> Answer {
        match tokio::time::timeout(PATIENCE, self.attempt()).await {
            Ok(Ok(Err(answer))) => answer,
            Ok(Ok(Ok(_))) => panic!("the handshake was accepted"),
            Ok(Err(error)) => panic!("no answer to the handshake: {error}"),
            Err(_) => panic!("no answer to the handshake within {PATIENCE:?}"),
        }
    }
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
        self.writer.local_addr().expect("the socket has an address").port()
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
        let repos: Vec<_> = entries.iter().map(|(id, token)| json!({"id": id, "jwt_token": token})).collect();
        self.send_json(&json!({"type": "subscribe", "content": {"repos": repos}})).await;
    }

    /// Subscribes to `library` as `user`, and waits until the server has done so.
    pub async fn subscribe(&mut self, library: &str, user: &str) {
        let token = token::subscription(library, user);
        self.send_subscribe(&[(library, &token)]).await;
        self.settle().await;
    }

    /// Unsubscribes, and waits until the server has done so.
    pub async fn unsubscribe(&mut self, library: &str) {
        self.send_json(&json!({"type": "unsubscribe", "content": {"repos": [{"id": library}]}})).await;
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
            if let Some((frame, size)) = parse_frame(&self.buffer) {
                self.buffer.drain(..size);
                match frame.opcode {
                    PING if self.pong => self.send(PONG, &frame.payload).await,
                    CLOSE if self.pong => self.send(CLOSE, &frame.payload).await,
                    _ => {}
                }
                return Some(frame);
            }
            match tokio::time::timeout(PATIENCE, self.reader.read_buf(&mut self.buffer)).await {
                Ok(Ok(0) | Err(_)) => {
                    self.end.get_or_insert(End::Cut);
                    return None;
                }
                Ok(Ok(_)) => {}
                Err(_) => panic!("nothing came for {PATIENCE:?}"),
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
                    self.held.push_back(value.unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&message))));
                }
            }
            CLOSE => {
                let code = frame.payload.get(..2).map_or(1005, |code| u16::from_be_bytes([code[0], code[1]]));
                let reason = String::from_utf8_lossy(frame.payload.get(2..).unwrap_or_default()).into_owned();
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
        let wanted = json!({"type": "repo-update", "content": {"repo_id": library, "commit_id": commit}});
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

/// The first frame in `bytes` and its size; `None` where it is not whole yet. A server's frames are not masked.
fn parse_frame(bytes: &[u8]) -> Option<(Frame, usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    assert_eq!(second & 0x80, 0, "the server masked a frame");
    assert_eq!(first & 0x70, 0, "the server set a reserved bit");
    let (length, start) = match second {
        126 => (usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
        127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize, 10),
        n => (usize::from(n), 2),
    };
    let payload = bytes.get(start..start + length)?.to_vec();
    Some((Frame { opcode: first & 15, fin: first & 0x80 != 0, payload }, start + length))
}
