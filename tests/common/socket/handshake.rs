//! How a connection is opened: an ordinary handshake, and what is different about it.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use super::Socket;
use crate::common::http::Answer;
use crate::common::{PATIENCE, http};

/// The key every handshake here offers, and what must be answered to it (RFC 6455, section 1.3).
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// What to ask for when opening a connection.
pub struct Handshake {
    port: u16,
    from: Ipv4Addr,
    path: String,
    headers: BTreeMap<String, String>,
    early: Vec<u8>,
    buffer: Option<u32>,
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
        let headers = headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        Self {
            port,
            from: Ipv4Addr::LOCALHOST,
            path: "/".to_owned(),
            headers,
            early: Vec::new(),
            buffer: None,
        }
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

    /// The system takes only about so many bytes that nobody has read yet.
    pub fn buffer(mut self, bytes: u32) -> Self {
        self.buffer = Some(bytes);
        self
    }

    /// As the desktop client does it.
    pub fn desktop(self) -> Self {
        self.header("User-Agent", "Seafile/9.0.8 (Linux)")
            .header("Sec-WebSocket-Protocol", "notification.seafile.com")
    }

    /// As a browser does it.
    pub fn browser(self) -> Self {
        self.header("User-Agent", "Mozilla/5.0 (X11; Linux x86_64)")
            .header("Origin", "https://cloud.example.com")
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
        if let Some(bytes) = self.buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        let stream = socket
            .connect((Ipv4Addr::LOCALHOST, self.port).into())
            .await?;
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
            let wanted = answer
                .headers
                .get("content-length")
                .and_then(|n| n.parse().ok())
                .unwrap_or(0);
            while http::parse(&buffer).is_some_and(|answer| answer.body.len() < wanted) {
                if reader.read_buf(&mut buffer).await? == 0 {
                    break;
                }
            }
            return Ok(Err(http::parse(&buffer).expect("it was parsed before")));
        }
        assert_eq!(
            answer
                .headers
                .get("sec-websocket-accept")
                .map(String::as_str),
            Some(ACCEPT)
        );
        let at = buffer
            .windows(4)
            .position(|w| w == b"\r\n\r\n")
            .expect("the head is whole")
            + 4;
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
            patience: PATIENCE,
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
