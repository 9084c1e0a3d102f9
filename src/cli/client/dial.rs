//! From a URL to a connected byte stream, encrypted where the URL says so.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};
use url::Url;

use super::{ClientError, pinned};

/// A connected stream.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A notification server, by the address its clients or backends know: `http://host:8083`, or
/// `https://host/notification` behind a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    tls: bool,
    host: String,
    port: u16,
    /// The public prefix, without a slash at its end.
    prefix: String,
    /// The very certificate that the server must show; `None`: one that an authority of this machine vouches for.
    pinned: Option<CertificateDer<'static>>,
}

impl Server {
    /// Reads an address; `ws` and `wss` mean the same as `http` and `https`.
    ///
    /// # Errors
    /// [`ClientError::Url`].
    pub fn parse(text: &str) -> Result<Self, ClientError> {
        let wrong = || ClientError::Url { url: text.to_owned() };
        let url = Url::parse(text).map_err(|_| wrong())?;
        let tls = match url.scheme() {
            "http" | "ws" => false,
            "https" | "wss" => true,
            _ => return Err(wrong()),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(wrong)?.to_owned();
        let port = url.port_or_known_default().ok_or_else(wrong)?;
        Ok(Self { tls, host, port, prefix: url.path().trim_end_matches('/').to_owned(), pinned: None })
    }

    /// Host and port, as the `Host` header has them.
    pub fn authority(&self) -> String {
        let default = if self.tls { 443 } else { 80 };
        if self.port == default { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }

    /// The address that Seafile's clients ask: where no path is given, and no port of its own, they go to
    /// `/notification`.
    pub fn for_clients(mut self) -> Self {
        if self.prefix.is_empty() && matches!(self.port, 80 | 443) {
            self.prefix = "/notification".to_owned();
        }
        self
    }

    /// The server shows this certificate and no other, whoever vouches for it.
    pub fn pinned(mut self, certificate: CertificateDer<'static>) -> Self {
        self.pinned = Some(certificate);
        self
    }

    /// Whether the stream is encrypted.
    pub fn tls(&self) -> bool {
        self.tls
    }

    /// What clients ask to learn whether there are notifications.
    pub fn ping_path(&self) -> String {
        format!("{}/ping", self.prefix)
    }

    /// What clients connect to.
    pub fn websocket_path(&self) -> &str {
        if self.prefix.is_empty() { "/" } else { &self.prefix }
    }

    /// The URL, as it is written for backends.
    pub fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority(), self.prefix)
    }

    /// Where events are posted.
    pub fn events_path(&self) -> String {
        format!("{}/events", self.prefix)
    }

    /// The URL of the WebSocket.
    pub fn websocket_url(&self) -> String {
        let scheme = if self.tls { "wss" } else { "ws" };
        format!("{scheme}://{}{}", self.authority(), self.websocket_path())
    }

    /// Connects.
    ///
    /// # Errors
    /// [`ClientError::Connect`], [`ClientError::Tls`].
    pub async fn connect(&self) -> Result<Box<dyn Stream>, ClientError> {
        let failed = |source| ClientError::Connect { authority: self.authority(), source };
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((bare, self.port)).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        if !self.tls {
            return Ok(Box::new(stream));
        }
        let name = ServerName::try_from(bare.to_owned()).map_err(|error| failed(io::Error::other(error)))?;
        let connector = TlsConnector::from(Arc::new(match &self.pinned {
            Some(certificate) => pinned::tls_config(certificate)?,
            None => tls_config()?,
        }));
        Ok(Box::new(connector.connect(name, stream).await.map_err(failed)?))
    }
}

fn tls_config() -> Result<ClientConfig, ClientError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    if roots.add_parsable_certificates(found.certs).0 == 0 {
        let why = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        return Err(ClientError::Tls(format!("this machine has no certificate authorities (SSL_CERT_FILE){why}")));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| ClientError::Tls(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_seafile_writes_them() {
        let inner = Server::parse("http://notification-server:8083/").unwrap();
        assert_eq!((inner.authority().as_str(), inner.events_path().as_str()), ("notification-server:8083", "/events"));
        assert_eq!(inner.websocket_url(), "ws://notification-server:8083/");
        let public = Server::parse("https://seafile.example.com/notification").unwrap();
        assert_eq!(public.events_path(), "/notification/events");
        assert_eq!(public.websocket_url(), "wss://seafile.example.com/notification");
        let bare = Server::parse("https://seafile.example.com").unwrap().for_clients();
        assert_eq!(
            (bare.ping_path().as_str(), bare.url().as_str()),
            ("/notification/ping", "https://seafile.example.com/notification")
        );
        assert_eq!(inner.clone().for_clients(), inner);
        assert_eq!(Server::parse("ws://[::1]:1/").unwrap().authority(), "[::1]:1");
        for bad in ["", "127.0.0.1:8083", "ftp://h", "unix:/x"] {
            assert!(Server::parse(bad).is_err(), "{bad}");
        }
    }
}
