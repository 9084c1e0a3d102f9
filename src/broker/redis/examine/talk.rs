//! One plain conversation with one server: a command, its answer, the next; nothing is tried twice.
//!
//! Invariant: whatever the server says comes back word for word or as a fault that names its address; each step ends within
//! [`STEP`].

use std::io;
use std::time::Duration;

use fred::types::config::TlsConnector as FredConnector;
use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::types::OwnedFrame;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::super::client;
use super::super::config::Server;
use super::ExamineError;
use crate::fault::{TlsFault, words};

/// How long each step may take.
const STEP: Duration = Duration::from_secs(3);

/// Bytes of an answer at most: what is asked here has short ones.
const MOST: usize = 1 << 20;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// What a server answers, as far as it is looked at here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A text or a number.
    Text(String),
    /// Several answers.
    List(Vec<Reply>),
    /// `nil`.
    Nothing,
    /// It refuses, in its own words.
    Refusal(String),
}

impl Reply {
    fn read(frame: OwnedFrame) -> Self {
        let text = |bytes: Vec<u8>| Self::Text(String::from_utf8_lossy(&bytes).into_owned());
        match frame {
            OwnedFrame::SimpleString(bytes) | OwnedFrame::BulkString(bytes) => text(bytes),
            OwnedFrame::Error(said) => Self::Refusal(said),
            OwnedFrame::Integer(number) => Self::Text(number.to_string()),
            OwnedFrame::Array(frames) => Self::List(frames.into_iter().map(Self::read).collect()),
            OwnedFrame::Null => Self::Nothing,
        }
    }

    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The parts of a list.
    pub fn list(&self) -> &[Reply] {
        match self {
            Self::List(list) => list,
            _ => &[],
        }
    }

    /// What stands behind `name` in a flat list of names and values.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.list()
            .chunks(2)
            .find(|pair| pair[0].text() == Some(name))?
            .get(1)?
            .text()
    }
}

/// A connected server.
pub(super) struct Talk {
    /// Host and port.
    pub(super) address: String,
    /// Whether a password was given and none is wanted.
    pub(super) needless_password: bool,
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
}

impl Talk {
    /// Connects to `host`, over TLS where `server` says so. No word is said yet.
    ///
    /// # Errors
    /// It cannot be reached, or TLS cannot be agreed on.
    pub async fn open(server: &Server, host: &(String, u16)) -> Result<Self, ExamineError> {
        let address = name(host);
        let stream = within(TcpStream::connect((host.0.as_str(), host.1))).await;
        let stream = stream.map_err(|error| ExamineError::Connect {
            address: address.clone(),
            why: words(&error),
        })?;
        let Some(connector) = connector(server).map_err(ExamineError::Settings)? else {
            return Ok(Self::new(address, Box::new(stream)));
        };
        match handshake(&connector, &host.0, stream).await {
            Ok(stream) => Ok(Self::new(address, stream)),
            Err(_) if speaks_plainly(host).await => Err(ExamineError::Tls {
                address,
                fault: TlsFault::Plain,
            }),
            Err(fault) => Err(ExamineError::Tls { address, fault }),
        }
    }

    fn new(address: String, stream: Box<dyn Stream>) -> Self {
        Self {
            address,
            needless_password: false,
            stream,
            buffer: Vec::new(),
        }
    }

    /// Says a command and waits for its answer.
    ///
    /// # Errors
    /// There is none.
    pub async fn ask(&mut self, command: &[&str]) -> Result<Reply, ExamineError> {
        let mut text = format!("*{}\r\n", command.len());
        for word in command {
            text += &format!("${}\r\n{word}\r\n", word.len());
        }
        let sent = within(self.stream.write_all(text.as_bytes())).await;
        match sent {
            Ok(()) => self
                .next(STEP)
                .await
                .map(|reply| reply.unwrap_or(Reply::Nothing)),
            Err(error) => Err(self.broken(&error)),
        }
    }

    /// The next thing that is said; `None`: nothing was, in this time.
    ///
    /// # Errors
    /// The connection ended, or it is no Redis.
    pub async fn next(&mut self, wait: Duration) -> Result<Option<Reply>, ExamineError> {
        let deadline = tokio::time::Instant::now() + wait;
        loop {
            match decode(&self.buffer) {
                Ok(Some((frame, used))) => {
                    self.buffer.drain(..used);
                    return Ok(Some(Reply::read(frame)));
                }
                Ok(None) if self.buffer.len() <= MOST => {}
                _ => {
                    return Err(ExamineError::NotRedis {
                        address: self.address.clone(),
                        said: self.heard(),
                    });
                }
            }
            let mut piece = [0; 4_096];
            match tokio::time::timeout_at(deadline, self.stream.read(&mut piece)).await {
                Err(_) => return Ok(None),
                Ok(Ok(0)) => return Err(self.broken(&io::ErrorKind::UnexpectedEof.into())),
                Ok(Ok(count)) => self.buffer.extend_from_slice(&piece[..count]),
                Ok(Err(error)) => return Err(self.broken(&error)),
            }
        }
    }

    fn broken(&self, error: &io::Error) -> ExamineError {
        let address = self.address.clone();
        match TlsFault::of(error) {
            Some(fault) => ExamineError::Tls { address, fault },
            None => ExamineError::Silent {
                address,
                why: words(error),
            },
        }
    }

    /// The beginning of what came, on one line.
    fn heard(&self) -> String {
        String::from_utf8_lossy(&self.buffer)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .chars()
            .take(60)
            .collect()
    }
}

/// `host:port`, an IPv6 address in brackets.
pub fn name(host: &(String, u16)) -> String {
    if host.0.contains(':') {
        format!("[{}]:{}", host.0, host.1)
    } else {
        format!("{}:{}", host.0, host.1)
    }
}

/// Whether a server that hung up on plain words speaks TLS.
pub async fn speaks_tls(host: &(String, u16)) -> bool {
    // Whom it is and whether it is trusted does not matter: any TLS answer tells.
    let Ok(FredConnector::Rustls(connector)) = FredConnector::default_rustls() else {
        return false;
    };
    let Ok(stream) = within(TcpStream::connect((host.0.as_str(), host.1))).await else {
        return false;
    };
    match handshake(&connector, &host.0, stream).await {
        Ok(_) => true,
        Err(fault) => !matches!(fault, TlsFault::Plain | TlsFault::Other(_)),
    }
}

/// Whether a server that does not answer in TLS answers plain words.
async fn speaks_plainly(host: &(String, u16)) -> bool {
    let Ok(mut stream) = within(TcpStream::connect((host.0.as_str(), host.1))).await else {
        return false;
    };
    let mut answer = [0; 1];
    let asked = within(stream.write_all(b"PING\r\n")).await.is_ok();
    asked
        && within(stream.read_exact(&mut answer)).await.is_ok()
        && matches!(answer[0], b'+' | b'-')
}

async fn handshake(
    connector: &TlsConnector,
    host: &str,
    stream: TcpStream,
) -> Result<Box<dyn Stream>, TlsFault> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| TlsFault::Other(format!("{host:?} is no name that a certificate can have")))?;
    match within(connector.connect(name, stream)).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => Err(TlsFault::of(&error).unwrap_or_else(|| TlsFault::Other(words(&error)))),
    }
}

/// What this node's own client would encrypt with.
fn connector(server: &Server) -> Result<Option<TlsConnector>, String> {
    let tls = client::config(server)
        .map_err(|error| error.details().to_owned())?
        .tls;
    Ok(tls.map(|tls| match tls.connector {
        FredConnector::Rustls(connector) => connector,
    }))
}

async fn within<T>(step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(STEP, step)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
