//! The HTTP that orders go by: this program's own client, each request on a connection of its own and with a time limit.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::client::ClientError;
use crate::client::dial::Server;
use crate::client::exchange;

/// How long one request may take.
const WITHIN: Duration = Duration::from_secs(20);

/// Of an answer so much is read, in bytes: a chain of certificates is far shorter.
const MOST: usize = 256 * 1024;

/// See the module.
#[derive(Clone)]
pub(super) struct Transport {
    /// Who vouches for the authority's server; `None`: the authorities of this machine.
    pub(super) authorities: Option<Vec<CertificateDer<'static>>>,
}

impl Transport {
    async fn exchange(self, request: Request<Bytes>) -> Result<BytesResponse, ClientError> {
        let (mut parts, body) = request.into_parts();
        let mut server = Server::parse(&parts.uri.to_string())?.at("");
        if let Some(authorities) = self.authorities {
            server = server.trusting(authorities);
        }
        let path = parts.uri.path_and_query().cloned();
        parts.uri = path.map(Into::into).unwrap_or_default();
        let request = Request::from_parts(parts, body);
        let (answer, _) = exchange::send_for(&server, request, WITHIN, MOST).await?;
        let mut response = Response::new(Full::new(Bytes::from(answer.body)));
        *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or_default();
        *response.headers_mut() = answer.headers;
        Ok(response.into())
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>>;

impl HttpClient for Transport {
    fn request(&self, request: Request<BodyWrapper<Bytes>>) -> Answer {
        let transport = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let Ok(body) = body.collect().await;
            let request = Request::from_parts(parts, body.to_bytes());
            let answer = transport.exchange(request).await;
            answer.map_err(|error| Error::Other(Box::new(error)))
        })
    }
}
