//! An event stream, read as a page reads it.
//!
//! Invariant: nothing outlives the stream: its connection is driven by whoever reads it.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use super::block::{Block, Reader};
use crate::client::ClientError;
use crate::client::dial::Server;
use crate::client::exchange::introduce;

/// Of what is no stream so much is read, bytes.
const OTHER: usize = 4_096;

/// What a stream brings next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// A block.
    Block(Block),
    /// It has ended properly.
    End,
    /// It was cut off: why.
    Cut(String),
    /// What comes is no event stream.
    Other,
    /// Nothing came, no comment either.
    Silence,
}

type Driver = Pin<Box<dyn Future<Output = ()>>>;

/// See the module's description.
pub struct EventStream {
    /// The answer's status.
    pub(in crate::cli) status: u16,
    /// Its headers.
    pub(in crate::cli) headers: HeaderMap,
    body: Incoming,
    reader: Reader,
    found: VecDeque<Block>,
    /// Moves the bytes; `None`: the connection is over.
    driver: Option<Driver>,
    _sender: SendRequest<Empty<Bytes>>,
}

impl EventStream {
    /// Connects and sends `request`, all of it in `within`. Whatever is answered is an answer.
    ///
    /// # Errors
    /// [`ClientError`], where there is none.
    pub async fn open(
        server: &Server,
        request: Request<Empty<Bytes>>,
        within: Duration,
    ) -> Result<Self, ClientError> {
        let late = |_| ClientError::Timeout(server.authority(), within.as_secs());
        timeout(within, Self::begin(server, request))
            .await
            .map_err(late)?
    }

    async fn begin(
        server: &Server,
        mut request: Request<Empty<Bytes>>,
    ) -> Result<Self, ClientError> {
        let failed = |source| ClientError::broken(server.authority(), source);
        introduce(server, &mut request)?;
        let stream = TokioIo::new(server.connect().await?);
        let (mut sender, connection) = http1::handshake(stream).await.map_err(failed)?;
        let mut connection = Box::pin(connection);
        let answer = tokio::select! {
            answer = sender.send_request(request) => answer.map_err(failed)?,
            Err(error) = &mut connection => return Err(failed(error)),
        };
        // How the connection ends, the body tells.
        let driver: Driver = Box::pin(async move { drop(connection.await) });
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let (body, reader) = (answer.into_body(), Reader::default());
        Ok(Self {
            status,
            headers,
            body,
            reader,
            found: VecDeque::new(),
            driver: Some(driver),
            _sender: sender,
        })
    }

    /// What comes next; whoever waits for a certain time only loses nothing. `silence`: how long nothing at all may come.
    pub async fn next(&mut self, silence: Duration) -> Next {
        loop {
            if let Some(block) = self.found.pop_front() {
                return Next::Block(block);
            }
            let frame = match timeout(silence, self.frame()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(error))) => return Next::Cut(error.to_string()),
                Ok(None) => return Next::End,
                Err(_) => return Next::Silence,
            };
            match self.reader.take(&frame) {
                Some(blocks) => self.found.extend(blocks),
                None => return Next::Other,
            }
        }
    }

    async fn frame(&mut self) -> Option<Result<Bytes, hyper::Error>> {
        loop {
            let frame = match &mut self.driver {
                None => self.body.frame().await,
                Some(driver) => tokio::select! {
                    frame = self.body.frame() => frame,
                    () = driver => {
                        self.driver = None;
                        continue;
                    }
                },
            };
            return frame.map(|frame| frame.map(|frame| frame.into_data().unwrap_or_default()));
        }
    }

    /// The beginning of what is no stream, as text.
    pub async fn text(mut self) -> String {
        let body = Limited::new(self.body, OTHER).collect();
        let body = match &mut self.driver {
            None => body.await,
            Some(driver) => {
                tokio::pin!(body);
                tokio::select! {
                    body = &mut body => body,
                    () = driver => body.await,
                }
            }
        };
        body.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned())
            .unwrap_or_default()
    }
}
