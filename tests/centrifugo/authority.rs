//! pebble, an authority that is made for tests and looks for hosts as any other does; and clients that trust it.

use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::common::http;
use crate::common::node::Plan;
use crate::common::ports::free_port;
use crate::common::process::{Process, command};
use crate::real::installed;
use crate::site::plan;

/// The host that certificates are ordered for, where nothing else is said.
pub const HOST: &str = "push.example.com";

/// A client that trusts those whose certificates are in this PEM text.
pub fn trusting(pem: &[u8]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.expect("a certificate");
        roots.add(certificate).expect("an authority");
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder
        .with_safe_default_protocol_versions()
        .expect("versions");
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsConnector::from(Arc::new(config))
}

pub async fn connect(
    client: &TlsConnector,
    port: u16,
    host: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let name = ServerName::try_from(host.to_owned()).expect("a name");
    client.connect(name, stream).await
}

/// What is answered to `request`, up to `end` or to the end of the connection.
pub async fn answer<S>(stream: &mut S, request: &str, end: &str) -> String
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(request.as_bytes()).await.expect("sent");
    let (mut told, mut piece) = (String::new(), [0; 4096]);
    while !told.contains(end) {
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => break,
            Ok(count) => told += &String::from_utf8_lossy(&piece[..count]),
        }
    }
    told
}

/// An authority, and the name server that it asks: every host is at 127.0.0.1 there, until another address is told.
pub struct Authority {
    pub pebble: Process,
    pub names: Process,
    /// Of its directory.
    pub port: u16,
    management: u16,
    of_names: u16,
    /// Where it looks for hosts.
    pub tls: u16,
    pub http: u16,
    folder: TempDir,
}

impl Authority {
    /// One whose certificates are good for so many seconds.
    pub async fn start(seconds: u64) -> Self {
        let programs = installed("get-pebble.sh", &[]);
        let folder = TempDir::new().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let key = rcgen::KeyPair::generate().expect("a key");
        let own = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
        let own = own.self_signed(&key).expect("a certificate");
        std::fs::write(at("own.pem"), own.pem()).expect("written");
        std::fs::write(at("own.key"), key.serialize_pem()).expect("written");
        let [port, management, dns, of_names, tls, http] = [(); 6].map(|()| free_port());
        let local = |port: u16| format!("127.0.0.1:{port}");
        // Which is free for UDP too.
        let dns = format!("127.0.0.2:{dns}");
        let config = json!({"pebble": {"listenAddress": local(port), "managementListenAddress": local(management),
            "certificate": at("own.pem"), "privateKey": at("own.key"), "httpPort": http, "tlsPort": tls,
            "ocspResponderURL": "", "externalAccountBindingRequired": false, "retryAfter": {"authz": 1, "order": 1},
            "profiles": {"default": {"description": "all there is", "validityPeriod": seconds}}}});
        std::fs::write(at("config.json"), config.to_string()).expect("written");
        let mut start = command(&programs.join("pebble-challtestsrv"));
        start.args([
            "-http01",
            "",
            "-https01",
            "",
            "-tlsalpn01",
            "",
            "-doh",
            "",
            "-defaultIPv6",
            "",
        ]);
        start.args(["-dnsserver", &dns, "-management", &local(of_names)]);
        let mut names = Process::start("pebble-challtestsrv", start, &at("names.log"));
        names.listening(of_names).await;
        let mut start = command(&programs.join("pebble"));
        start.arg("-config").arg(at("config.json"));
        start.args(["-dnsserver", &dns]);
        // By itself it refuses one good nonce in twenty, and three refusals in a row end an order.
        start.envs([
            ("PEBBLE_VA_NOSLEEP", "1"),
            ("PEBBLE_AUTHZREUSE", "0"),
            ("PEBBLE_WFE_NONCEREJECT", "0"),
        ]);
        let mut pebble = Process::start("pebble", start, &at("pebble.log"));
        pebble.listening(port).await;
        pebble.listening(management).await;
        Self {
            pebble,
            names,
            port,
            management,
            of_names,
            tls,
            http,
            folder,
        }
    }

    /// A node that orders from it, with these keys beside.
    pub fn plan(&self, more: &Value) -> Plan {
        let own = Plan::new();
        let mut keys = json!({"secret": "secret", "address": "127.0.0.1", "port": self.tls, "ssl_autocert": true,
            "ssl_autocert_host_whitelist": HOST, "ssl_autocert_cache_dir": own.folder().join("certs")});
        for (key, value) in more.as_object().expect("an object") {
            keys[key] = value.clone();
        }
        let trusted = self.folder.path().join("own.pem");
        plan(own, &keys)
            .env(
                "FOGHORN_CENTRIFUGO_ACME_DIRECTORY",
                &format!("https://127.0.0.1:{}/dir", self.port),
            )
            .env(
                "FOGHORN_CENTRIFUGO_ACME_CA",
                trusted.to_str().expect("a path"),
            )
    }

    /// A client that trusts the certificates it makes.
    pub async fn client(&self) -> TlsConnector {
        let own = std::fs::read(self.folder.path().join("own.pem")).expect("there");
        let stream = connect(&trusting(&own), self.management, "127.0.0.1").await;
        let request = "GET /roots/0 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let told = answer(&mut stream.expect("a connection"), request, "END CERT").await;
        let (_, pem) = told.split_once("\r\n\r\n").expect("a body");
        trusting((pem.to_owned() + "-----\n").as_bytes())
    }

    /// From now on `host` is at this address for it.
    pub async fn moved(&self, host: &str, address: &str) {
        let body = json!({"host": format!("{host}."), "addresses": [address]}).to_string();
        for path in ["/clear-a", "/add-a"] {
            let body = Some(body.as_bytes());
            let answer = http::request(self.of_names, "POST", path, &[], body).await;
            answer.expect(200);
        }
    }

    /// How many certificates it has made.
    pub fn made(&self) -> usize {
        self.pebble
            .log()
            .matches("Issued certificate serial")
            .count()
    }
}
