//! From a URL to a connected byte stream, encrypted where the URL says so.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};
use url::Url;

use super::{ClientError, pinned};

/// A connected stream.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A server, by the address that its clients know: `http://host:8083`, or `https://host/path` behind a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    tls: bool,
    host: String,
    port: u16,
    /// The public prefix, without a slash at its end.
    prefix: String,
    trust: Trust,
}

/// Whom a server's certificate is taken from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Trust {
    /// The authorities of this machine.
    Machine,
    /// These authorities, and no others.
    Authorities(Vec<CertificateDer<'static>>),
    /// Nobody: it has to be this very certificate.
    Pinned(CertificateDer<'static>),
}

impl Server {
    /// Reads an address; `ws` and `wss` mean the same as `http` and `https`.
    ///
    /// # Errors
    /// [`ClientError::Url`].
    pub fn parse(text: &str) -> Result<Self, ClientError> {
        let wrong = || ClientError::Url {
            url: text.to_owned(),
        };
        let url = Url::parse(text).map_err(|_| wrong())?;
        let tls = match url.scheme() {
            "http" | "ws" => false,
            "https" | "wss" => true,
            _ => return Err(wrong()),
        };
        let host = url
            .host_str()
            .filter(|host| !host.is_empty())
            .ok_or_else(wrong)?
            .to_owned();
        let port = url.port_or_known_default().ok_or_else(wrong)?;
        Ok(Self {
            tls,
            host,
            port,
            prefix: url.path().trim_end_matches('/').to_owned(),
            trust: Trust::Machine,
        })
    }

    /// Host and port, as the `Host` header has them.
    pub fn authority(&self) -> String {
        let default = if self.tls { 443 } else { 80 };
        if self.port == default {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The path that all others are below; empty where it is none.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The same server, below another path.
    pub fn at(&self, prefix: &str) -> Self {
        Self {
            prefix: prefix.trim_end_matches('/').to_owned(),
            ..self.clone()
        }
    }

    /// Whether the port is one that HTTP has by default.
    pub fn default_port(&self) -> bool {
        matches!(self.port, 80 | 443)
    }

    /// The server shows this certificate and no other, whoever vouches for it.
    pub fn pinned(mut self, certificate: CertificateDer<'static>) -> Self {
        self.trust = Trust::Pinned(certificate);
        self
    }

    /// These authorities vouch for the server, and those of this machine do not.
    pub fn trusting(mut self, authorities: Vec<CertificateDer<'static>>) -> Self {
        self.trust = Trust::Authorities(authorities);
        self
    }

    /// Whether the stream is encrypted.
    pub fn tls(&self) -> bool {
        self.tls
    }

    /// The URL.
    pub fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority(), self.prefix)
    }

    /// Which version of HTTP a browser gets that would like HTTP/2; `None`: the server does not say, so HTTP/1.1.
    ///
    /// # Errors
    /// As [`Server::connect`].
    pub async fn negotiated(&self) -> Result<Option<Vec<u8>>, ClientError> {
        let mut config = self.tls_config()?;
        config.alpn_protocols = [&b"h2"[..], b"http/1.1"].map(<[u8]>::to_vec).into();
        let stream = self.encrypted(self.plain().await?, config).await?;
        Ok(stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec))
    }

    /// Connects.
    ///
    /// # Errors
    /// [`ClientError::Connect`], [`ClientError::Tls`].
    pub async fn connect(&self) -> Result<Box<dyn Stream>, ClientError> {
        let stream = self.plain().await?;
        if !self.tls {
            return Ok(Box::new(stream));
        }
        Ok(Box::new(self.encrypted(stream, self.tls_config()?).await?))
    }

    fn tls_config(&self) -> Result<ClientConfig, ClientError> {
        match &self.trust {
            Trust::Machine => of_authorities(machines()?),
            Trust::Authorities(given) => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(given.iter().cloned());
                of_authorities(roots)
            }
            Trust::Pinned(certificate) => pinned::tls_config(certificate),
        }
    }

    async fn plain(&self) -> Result<TcpStream, ClientError> {
        let stream = TcpStream::connect((self.bare(), self.port)).await;
        stream
            .and_then(|stream| stream.set_nodelay(true).map(|()| stream))
            .map_err(|source| self.failed(source))
    }

    async fn encrypted(
        &self,
        stream: TcpStream,
        config: ClientConfig,
    ) -> Result<TlsStream<TcpStream>, ClientError> {
        let name = ServerName::try_from(self.bare().to_owned())
            .map_err(|error| self.failed(io::Error::other(error)))?;
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
            .map_err(|source| self.failed(source))
    }

    /// The host, also where it is an IPv6 address.
    fn bare(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    fn failed(&self, source: io::Error) -> ClientError {
        ClientError::Connect {
            authority: self.authority(),
            source,
        }
    }
}

/// The authorities of this machine.
fn machines() -> Result<RootCertStore, ClientError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    if roots.add_parsable_certificates(found.certs).0 == 0 {
        let why = found
            .errors
            .first()
            .map(|error| format!(": {error}"))
            .unwrap_or_default();
        return Err(ClientError::Tls(format!(
            "this machine has no certificate authorities (SSL_CERT_FILE){why}"
        )));
    }
    Ok(roots)
}

fn of_authorities(roots: RootCertStore) -> Result<ClientConfig, ClientError> {
    let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| ClientError::Tls(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_with_a_path_or_without() {
        let inner = Server::parse("http://push:8083/").unwrap();
        assert_eq!(
            (inner.authority().as_str(), inner.prefix()),
            ("push:8083", "")
        );
        let public = Server::parse("https://push.example.com/below").unwrap();
        assert_eq!(public.url(), "https://push.example.com/below");
        assert!(public.default_port() && !inner.default_port());
        assert_eq!(
            public.at("/elsewhere/").url(),
            "https://push.example.com/elsewhere"
        );
        let ipv6 = Server::parse("ws://[::1]:1/").unwrap();
        assert_eq!((ipv6.authority().as_str(), ipv6.bare()), ("[::1]:1", "::1"));
        for bad in ["", "127.0.0.1:8083", "ftp://h", "unix:/x"] {
            assert!(Server::parse(bad).is_err(), "{bad}");
        }
    }
}
