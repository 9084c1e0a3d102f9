//! Posts one event, as Seafile's own backends do.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::dial::Server;
use super::{ClientError, PATIENCE};

/// Of an answer's body so much is read, in bytes.
const ANSWER: usize = 4096;

/// What the server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The beginning of the body.
    pub body: String,
}

/// Posts `event`, the JSON text of the request's body.
///
/// # Errors
/// [`ClientError`], where there is no answer. An answer other than 200 is none.
pub async fn event(server: &Server, token: &str, event: String) -> Result<Answer, ClientError> {
    let late = |_| ClientError::Timeout(server.authority());
    tokio::time::timeout(PATIENCE, exchange(server, token, event)).await.map_err(late)?
}

async fn exchange(server: &Server, token: &str, event: String) -> Result<Answer, ClientError> {
    let failed = |source| ClientError::Http { authority: server.authority(), source };
    let request = hyper::Request::post(server.events_path())
        .header(HOST, server.authority())
        .header(AUTHORIZATION, format!("Token {token}"))
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, concat!("foghorn/", env!("CARGO_PKG_VERSION")))
        .body(Full::new(Bytes::from(event)))
        .map_err(|_| ClientError::Url { url: server.websocket_url() })?;
    let stream = TokioIo::new(server.connect().await?);
    let (mut sender, connection) = http1::handshake(stream).await.map_err(failed)?;
    let talk = async {
        let response = sender.send_request(request).await.map_err(failed)?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), ANSWER).collect().await.map(|body| body.to_bytes());
        let body = body.map(|bytes| String::from_utf8_lossy(&bytes).trim_end().to_owned()).unwrap_or_default();
        Ok(Answer { status, body })
    };
    // The connection moves the bytes of the talk; it ends by itself only where the talk has failed or is over.
    tokio::pin!(talk);
    tokio::select! {
        answer = &mut talk => answer,
        _ = connection => talk.await,
    }
}
