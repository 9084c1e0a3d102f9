//! One HTTP/1.1 request to another server of the installation: another node, a collector of traces.
//!
//! Invariant: it is over in the time given, reads no more than it was told to, and keeps nothing open. HTTPS is spoken
//! with servers whose certificates this machine trusts.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};
use url::Url;

/// There is no answer.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The URL names no host, or is not HTTP.
    #[error("the URL is not one of HTTP or HTTPS")]
    Url,
    /// It cannot be connected to, or TLS does not come about.
    #[error("{0}")]
    Connect(#[from] io::Error),
    /// What came is not HTTP, or the connection broke.
    #[error("{0}")]
    Http(#[from] hyper::Error),
    /// It is longer than was allowed, or broke off.
    #[error("the answer cannot be read")]
    Body,
    /// It did not come in time.
    #[error("no answer in time")]
    Late,
}

impl FetchError {
    /// What counters call it.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Url => "url",
            Self::Connect(_) => "connect",
            Self::Http(_) => "http",
            Self::Body => "body",
            Self::Late => "late",
        }
    }
}

/// Sends `request` to the host of `url` and gives the status and the body, of `most` bytes at most.
///
/// # Errors
/// [`FetchError`]; an unwelcome status is none.
pub async fn fetch(
    url: &Url,
    request: Request<Full<Bytes>>,
    within: Duration,
    most: usize,
) -> Result<(StatusCode, Bytes), FetchError> {
    tokio::time::timeout(within, connect(url, request, most)).await.map_err(|_| FetchError::Late)?
}

async fn connect(url: &Url, mut request: Request<Full<Bytes>>, most: usize) -> Result<(StatusCode, Bytes), FetchError> {
    let tls = match url.scheme() {
        "http" => false,
        "https" => true,
        _ => return Err(FetchError::Url),
    };
    let (host, port) = url.host_str().zip(url.port_or_known_default()).ok_or(FetchError::Url)?;
    let authority = url.port().map_or(host.to_owned(), |port| format!("{host}:{port}"));
    request.headers_mut().insert(HOST, HeaderValue::try_from(authority).map_err(|_| FetchError::Url)?);
    let bare = host.trim_matches(['[', ']']);
    let stream = TcpStream::connect((bare, port)).await?;
    if !tls {
        return exchange(TokioIo::new(stream), request, most).await;
    }
    let name = ServerName::try_from(bare.to_owned()).map_err(|_| FetchError::Url)?;
    let stream = TlsConnector::from(trusting()?).connect(name, stream).await?;
    exchange(TokioIo::new(stream), request, most).await
}

fn trusting() -> Result<Arc<ClientConfig>, io::Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let builder = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

async fn exchange<I>(io: I, request: Request<Full<Bytes>>, most: usize) -> Result<(StatusCode, Bytes), FetchError>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
{
    let (mut sender, connection) = http1::handshake(io).await?;
    let talk = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), most).collect().await.map_err(|_| FetchError::Body)?;
        Ok((status, body.to_bytes()))
    };
    // The connection moves the bytes of the talk; it ends by itself only where the talk has failed or is over.
    tokio::pin!(talk);
    tokio::select! {
        answer = &mut talk => answer,
        _ = connection => talk.await,
    }
}
